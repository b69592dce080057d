/*
 * What scripts of the lab write, in both languages. {0}, {1} are filled in.
 */
(function (Lab) {
  'use strict';

  const WORDS = Lab.WORDS = {
    en: {
      title: 'pushapp: how a server reaches a browser',
      // Lines
      websocket: 'WebSocket', sse: 'event stream', longpoll: 'long polling', poll: 'polling',
      close: 'Close', connectAgain: 'Connect again',
      waits: 'waits', sleeps: 'sleeps', retry: 'tries again soon',
      nothingNew: 'nothing new', messages: '{0} messages',
      answerBegins: '200, and it goes on', switching: '101 Switching Protocols',
      closes: 'closes', brokenOff: 'broken off', noAnswer: 'no answer',
      diagramPoll: 'Sequence diagram of polling', diagramLongpoll: 'Sequence diagram of long polling',
      diagramSse: 'Sequence diagram of the event stream',
      diagramWebsocket: 'Sequence diagram of the WebSocket',
      diagramFree: 'Sequence diagram of the client that chooses',
      sections: 'Sections', languages: 'Language', tools: 'Publish and break', dialog: 'Bytes of an arrow',
      // Bytes
      bytes: '{0} bytes', tookBytes: 'after {0}, {1} bytes', stepAt: 'At {0},', andMore: 'and {0} more',
      headSent: 'Request, as it was sent', headCame: 'Head of the answer', bodyCame: 'Body of the answer',
      eventCame: 'Event, in its chunk', frameHead: 'First bytes of the frame', framePayload: 'What it carries',
      inflated: 'It came compressed; this is what was in it.',
      // Publishing
      published: 'Published as {0}.', burstDone: '{0} published at once.', stopped: 'Stopped.',
      failed: 'It did not work.', tooMuch: 'Too much at once. Wait a moment.',
      nobodyAnswers: 'The server does not answer. Is it running?',
      cannotNow: 'Not now: this page has no network.',
      // The network
      carriedBy: 'Carried by {0}', looksForAWay: 'Looking for a way',
      shut: '{0} is blocked', letThrough: '{0} gets through again',
      offline: 'offline', down: 'server gone', back: 'back',
      offlineNow: 'Offline for 5 seconds. Published messages wait in the log.',
      downNow: 'The server is gone for 2 seconds; nobody tells the browser.',
      backAgain: 'The network is back. Each line goes on from its cursor.',
      // The handshake
      code: 'code {0}',
      lineGet: 'An ordinary GET request. It has to be: proxies and servers know nothing else yet.',
      line101: '“Switching Protocols”: from the empty line on, this connection speaks WebSocket and no longer HTTP.',
      lineHost: 'Which site is meant, as with any request.',
      lineConnection: 'The Upgrade header is meant for the next hop; a proxy that does not know it drops it, and the handshake fails.',
      lineUpgrade: 'What to change to. Client and server both have to name it.',
      lineOrigin: 'Which page asks. A page cannot change it, so the server can turn foreign pages away.',
      lineSecWebSocketVersion: '13 is the one of RFC 6455; all others are refused with 426.',
      lineSecWebSocketKey: '16 random bytes in base64, new each time. It guards nothing; it proves that the answer was made for this question.',
      lineSecWebSocketExtensions: 'What the browser offers, here compression. This socket does without, so the answer does not name it.',
      lineSecWebSocketAccept: 'The proof, computed from the key. Without it, or with another, the browser closes.',
      lineCookie: 'Cookies come along, as with any request. They are masked here.',
      acceptSame: 'The same as in the answer: the browser says yes, and opens.',
      acceptOther: 'Not what the answer says: the browser would refuse it.',
      keyGood: 'A valid key: 16 bytes in base64.', keyBad: 'No server would take this key: it has to be 16 bytes in base64.',
      // The room
      guest: 'Guest', you: '(you)', me: 'You', meTo: 'You to {0}', somebody: 'Somebody', privately: 'only between you two',
      others: 'and {0} without a name', hintName: 'Guest', hintSay: 'Say something', everyone: 'everyone',
      // The machine
      via: 'It came by {0}.'
    },
    'zh-CN': {
      title: 'pushapp：服务器如何找到浏览器',
      websocket: 'WebSocket', sse: '事件流', longpoll: '长轮询', poll: '轮询',
      close: '断开', connectAgain: '重新连接',
      waits: '等待中', sleeps: '休眠', retry: '稍后重试',
      nothingNew: '没有新消息', messages: '{0} 条消息',
      answerBegins: '200，并且不结束', switching: '101 切换协议',
      closes: '关闭', brokenOff: '被切断', noAnswer: '无应答',
      diagramPoll: '轮询的时序图', diagramLongpoll: '长轮询的时序图',
      diagramSse: '事件流的时序图',
      diagramWebsocket: 'WebSocket 的时序图',
      diagramFree: '自行选择方式的客户端的时序图',
      sections: '章节', languages: '语言', tools: '发布与断网', dialog: '箭头对应的字节',
      bytes: '{0} 字节', tookBytes: '用时 {0}，{1} 字节', stepAt: '时间 {0}，', andMore: '另有 {0} 条',
      headSent: '发出的请求', headCame: '应答头', bodyCame: '应答体',
      eventCame: '事件（连同分块）', frameHead: '帧头字节', framePayload: '帧里的内容',
      inflated: '到达时是压缩的，这里显示解压后的内容。',
      published: '已发布，编号 {0}。', burstDone: '一次发布了 {0} 条。', stopped: '已停止。',
      failed: '操作失败。', tooMuch: '发得太快，请稍等。',
      nobodyAnswers: '服务器没有应答，它在运行吗？',
      cannotNow: '现在不行：本页正处于断网状态。',
      carriedBy: '当前方式：{0}', looksForAWay: '正在寻找通路',
      shut: '{0} 已被拦截', letThrough: '{0} 恢复通行',
      offline: '断网', down: '服务器离线', back: '恢复',
      offlineNow: '断网 5 秒。期间发布的消息留在日志里。',
      downNow: '服务器离线 2 秒，没有谁通知浏览器。',
      backAgain: '网络已恢复，各连接从自己的游标继续。',
      code: '代码 {0}',
      lineGet: '一个普通的 GET 请求。只能如此：此刻代理和服务器还只懂 HTTP。',
      line101: '“切换协议”：从空行之后开始，这条连接只说 WebSocket，不再说 HTTP。',
      lineHost: '要访问哪个站点，与任何请求一样。',
      lineConnection: '表示 Upgrade 头是给下一跳看的；不认识它的代理会丢掉它，握手随之失败。',
      lineUpgrade: '要切换成什么。客户端和服务器都必须写明。',
      lineOrigin: '是哪个网页在请求。网页自己改不了它，因此服务器可以拒绝外来网页。',
      lineSecWebSocketVersion: '13 即 RFC 6455 的版本，其他版本一律以 426 拒绝。',
      lineSecWebSocketKey: '16 个随机字节的 base64，每次都不同。它不保护什么，只证明应答是针对这次提问的。',
      lineSecWebSocketExtensions: '浏览器提议的扩展，这里是压缩。这条连接不用它，所以应答里没有。',
      lineSecWebSocketAccept: '由 key 算出的凭证。没有它或者不相符，浏览器就会关闭连接。',
      lineCookie: 'Cookie 照常随请求发送，此处已遮盖。',
      acceptSame: '与应答中的一致：浏览器认可，连接打开。',
      acceptOther: '与应答中的不同：浏览器会拒绝。',
      keyGood: '有效的 key：16 个字节的 base64。', keyBad: '服务器不会接受这个 key：必须是 16 个字节的 base64。',
      guest: '访客', you: '（您）', me: '您', meTo: '您对 {0} 说', somebody: '某人', privately: '仅你们两人可见',
      others: '另有 {0} 位未署名', hintName: '访客', hintSay: '说点什么', everyone: '所有人',
      via: '传输方式：{0}。'
    }
  };

  Lab.has = name => name in WORDS.en;

  Lab.word = function (name, ...values) {
    return WORDS[Lab.language()][name].replace(/\{(\d)\}/g, (all, i) => values[i]);
  };
}(window.Lab));
