/*
 * The two languages: words that are put together here, and which one is spoken. Whole texts stand in
 * the page, in both.
 */

import { $$ } from './console-dom.js';

export const WORDS = {
  en: {
    live: 'Live', connecting: 'Connecting', lost: 'Connection lost, trying again',
    silent: (s) => `No figures for ${s}`, starting: 'Waiting for the first figures',
    wrongKey: 'This is not one of the server’s api keys. Look for PUSH_API_KEYS in its environment.',
    mayNotLook: 'This api key may publish, and not look. Take one that may look.',
    keyGone: 'The server does not take this key any more. Sign in anew.',
    noAnswer: 'The server does not answer. Is it running, and can this browser reach it?',
    busy: (s) => `The server is busy; try again in ${s}.`,
    failed: 'It did not work:',
    status_400: 'The server cannot take this:', status_401: 'The server does not take this api key:',
    status_403: 'This api key may not do that:', status_404: 'There is no such thing:',
    status_409: 'This was sent before, with another content:', status_413: 'That is too large:',
    status_500: 'The server has failed; its log says how.',
    noName: 'No channel and no user can be called so: a name has letters, digits and _ . : @ | + ~ = - alone.',
    well: 'All is well',
    wellBeside: (workers, connections) => `${workers}, ${connections}`,
    workers: (n) => (n === 1 ? '1 worker' : `${n} workers`),
    clients: (n) => (n === 1 ? '1 connection' : `${n} connections`),
    badLine: 'This page has lost the server; the figures below are old.',
    badSilence: (s) => `No worker has said anything for ${s}.`,
    badCheck: 'Not ready:',
    badLog: (n) => `The log did not answer ${n}× in the last minute.`,
    badFollow: (worker, s) => `Worker ${worker} has not read the log for ${s}.`,
    badErrors: (n) => `${n}× an error of the server or of your app ended a stream; its log has the traceback.`,
    waitWorker: (worker, s) => `Worker ${worker} has said nothing for ${s}.`,
    waitFull: (worker, share) => `Worker ${worker} holds ${share} of the connections that it may.`,
    waitSlow: (n) => `${n}× a client was cut off as slow; it comes back with its cursor.`,
    waitLost: (n) => `${n}× a client was told that messages are missing: it stays away for longer than they are kept.`,
    draining: (worker) => `Worker ${worker} is about to end; its clients go to the others.`,
    perSecond: 'a second', most: (n) => `of ${n}`, p99: (t) => `p99 ${t}`,
    behind: (n) => (n === 1 ? '1 client behind' : `${n} clients behind`), nobodyBehind: 'nobody is behind',
    peak: (n) => `${n} at most`, noMessages: 'no message lately', half: 'half of them', slowest: '99 of 100',
    append: 'append', read: 'read', onTime: 'now', ago: (t) => `${t} ago`,
    websocket: 'WebSocket', sse: 'SSE', longpoll: 'Long poll', poll: 'Polling',
    check_log: 'Log', check_listener: 'The worker asked', check_room: 'Its room', check_drain: 'It ends',
    appends: 'Appends', reads: 'Reads', ratePerSecond: (n) => `${n} a second`,
    noChannels: 'No channel has a listener or a message right now.',
    noSuchChannels: 'The log knows no channel that begins so. Open it all the same: it is there as soon as somebody listens or publishes.',
    busiest: 'Those with most listeners and most messages now; type to find others.',
    found: (n) => (n === 1 ? '1 channel begins so.' : `${n} channels begin so.`),
    subscribers: 'Subscribers', online: 'Members', kept: 'Kept messages', last: 'Last id', retained: 'Retained value',
    none: 'none', rate: 'Messages a second',
    follow: 'Follow', unfollow: 'Stop following', following: 'Following. New messages come on top.',
    notYet: 'Following. Nothing has been kept, and nothing has come yet.',
    stopped: 'Stopped.', followLost: 'Messages are missing here: they came faster than they are kept, or the log is new.',
    skipped: (n) => `${n} more came too fast to be shown`,
    expired: 'expired before it came',
    offline: 'not connected', onlineSince: (t) => `connected for ${t}`, by: (list) => `by ${list}`,
    everybody: 'Everybody', nobody: 'Nobody is connected.',
    nobodyHere: 'This user has no connection now. Who has just come is seen within a second or two.',
    anonymous: 'nobody', end: 'End', sure: 'Really end it?', ended: 'ended',
    endAll: (name) => `End all connections of ${name}`, sureAll: 'Really end all of them?',
    mayNotEnd: 'This api key may look, and not end connections.',
    asJson: 'It is JSON, and sent as it is.', asText: 'It is no JSON, and sent as a text.',
    published: (id) => `Published as ${id}.`, scheduled: (id) => `Scheduled as ${id}.`,
    andMore: (n) => `and ${n} more`
  },
  'zh-CN': {
    live: '实时', connecting: '连接中', lost: '连接中断，正在重试',
    silent: (s) => `已 ${s}没有数据`, starting: '等待第一批数据',
    wrongKey: '这不是服务器的 API key。请查看服务器环境变量 PUSH_API_KEYS。',
    mayNotLook: '这个 API key 只能发布，不能查看。请换一个可以查看的。',
    keyGone: '服务器不再接受这个 key，请重新登录。',
    noAnswer: '服务器没有应答。它在运行吗？浏览器能访问到它吗？',
    busy: (s) => `服务器繁忙，请在 ${s}后重试。`,
    failed: '操作失败：',
    status_400: '服务器无法接受：', status_401: '服务器不接受这个 API key：',
    status_403: '这个 API key 无权这样做：', status_404: '不存在：',
    status_409: '此前已用不同内容发送过：', status_413: '内容过大：',
    status_500: '服务器出错，详见其日志。',
    noName: '频道和用户都不能这样命名：名称只能含字母、数字和 _ . : @ | + ~ = -。',
    well: '一切正常',
    wellBeside: (workers, connections) => `${workers}，${connections}`,
    workers: (n) => `${n} 个工作进程`,
    clients: (n) => `${n} 个连接`,
    badLine: '本页与服务器失去联系，下面是旧数据。',
    badSilence: (s) => `所有工作进程已 ${s}没有上报。`,
    badCheck: '尚未就绪：',
    badLog: (n) => `最近一分钟日志有 ${n} 次没有应答。`,
    badFollow: (worker, s) => `进程 ${worker} 已 ${s}没有读取日志。`,
    badErrors: (n) => `有 ${n} 个流因服务器或应用的错误而结束，详见服务器日志中的堆栈。`,
    waitWorker: (worker, s) => `进程 ${worker} 已 ${s}没有上报。`,
    waitFull: (worker, share) => `进程 ${worker} 的连接数已达上限的 ${share}。`,
    waitSlow: (n) => `${n} 个客户端因过慢被断开，会带着游标回来。`,
    waitLost: (n) => `${n} 次告知客户端消息有缺失：离开的时间超过了消息的保留时间。`,
    draining: (worker) => `进程 ${worker} 即将结束，客户端会转到其他进程。`,
    perSecond: '每秒', most: (n) => `上限 ${n}`, p99: (t) => `p99 ${t}`,
    behind: (n) => `${n} 个客户端落后`, nobodyBehind: '没有客户端落后',
    peak: (n) => `最高 ${n}`, noMessages: '最近没有消息', half: '一半消息', slowest: '百分之九十九',
    append: '写入', read: '读取', onTime: '刚刚', ago: (t) => `${t}前`,
    websocket: 'WebSocket', sse: 'SSE', longpoll: '长轮询', poll: '轮询',
    check_log: '日志', check_listener: '应答的进程', check_room: '它的余量', check_drain: '它将结束',
    appends: '写入', reads: '读取', ratePerSecond: (n) => `每秒 ${n}`,
    noChannels: '此刻没有频道有人收听或有消息。',
    noSuchChannels: '日志中没有以此开头的频道。仍可打开：一旦有人收听或发布，它就存在。',
    busiest: '这里是收听者最多和消息最多的频道；输入名称可查找其他频道。',
    found: (n) => `有 ${n} 个频道以此开头。`,
    subscribers: '订阅者', online: '成员', kept: '保留的消息', last: '最后的 id', retained: '保留值',
    none: '无', rate: '每秒消息',
    follow: '跟随', unfollow: '停止跟随', following: '跟随中，新消息在最上面。',
    notYet: '跟随中。没有保留的消息，也还没有新消息。',
    stopped: '已停止。', followLost: '这里缺少一些消息：来得比保留得快，或日志是新的。',
    skipped: (n) => `另有 ${n} 条来得太快，未显示`,
    expired: '到达前已过期',
    offline: '未连接', onlineSince: (t) => `已连接 ${t}`, by: (list) => `通过 ${list}`,
    everybody: '所有人', nobody: '没有任何连接。',
    nobodyHere: '该用户现在没有连接。刚连上的用户会在一两秒内出现。',
    anonymous: '匿名', end: '结束', sure: '确定结束？', ended: '已结束',
    endAll: (name) => `结束 ${name} 的所有连接`, sureAll: '确定全部结束？',
    mayNotEnd: '这个 API key 只能查看，不能结束连接。',
    asJson: '是 JSON，原样发送。', asText: '不是 JSON，按文本发送。',
    published: (id) => `已发布，编号 ${id}。`, scheduled: (id) => `已排期，编号 ${id}。`,
    andMore: (n) => `以及另外 ${n} 个`
  }
};

const repaint = []; // what is painted anew when the language changes

export const language = () => document.documentElement.lang;

export function word(name, ...values) {
  const found = WORDS[language()][name];
  return typeof found === 'function' ? found(...values) : found;
}

export function whenSpoken(paint) { repaint.push(paint); }

function speak(chosen) {
  document.documentElement.lang = chosen;
  for (const button of $$('[data-language]')) {
    button.setAttribute('aria-pressed', String(button.dataset.language === chosen));
  }
  for (const paint of repaint) paint();
}

// Some browsers refuse storage altogether; then the choice lasts as long as the page.
function remembered(chosen) {
  try {
    if (chosen) localStorage.setItem('language', chosen);
    return localStorage.getItem('language');
  } catch {
    return null;
  }
}

export function startSpeaking() {
  for (const button of $$('[data-language]')) {
    button.addEventListener('click', () => {
      remembered(button.dataset.language);
      speak(button.dataset.language);
    });
  }
  const chosen = remembered();
  speak(chosen in WORDS ? chosen : language());
}
