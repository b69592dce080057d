/*
 * Bytes as they were on the wire. Scripts see neither the head that the browser sends nor that of an
 * event stream; so the page asks once what its requests look like (/demo/mirror tells it what came),
 * and knows the rest: a frame's first bytes follow from its size (RFC 6455 section 5.2).
 */
(function (Lab) {
  'use strict';

  const MASK = 4; // bytes by which a browser masks each frame that it sends

  let own = []; // lines of the head of a request of this page, as the server saw it
  let stream = ''; // the head of an event stream's answer
  let upgrade = []; // lines of the head of this page's handshake, and of the answer
  let switching = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade',
    'Sec-WebSocket-Accept: ' + '·'.repeat(28)];
  let offset = 0; // ms that the server's clock is ahead of the page's
  let rtt = Infinity; // ms, of the quickest answer

  const named = (lines, name) => lines.filter(line => line.toLowerCase().indexOf(name + ':') === 0);

  function lines(trip) {
    const first = trip.method + ' ' + trip.url + ' HTTP/1.1';
    if (trip.kind === 'websocket' && upgrade.length) { return [first].concat(upgrade.slice(1)); }
    let mine = own.length ? own.slice(1) : ['Host: ' + location.host];
    if (trip.kind === 'websocket') {
      mine = mine.concat('Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13');
    }
    if (trip.kind === 'sse') {
      mine = mine.map(line => /^accept:/i.test(line) ? 'Accept: text/event-stream' : line);
      if (!named(mine, 'cache-control').length) { mine.push('Cache-Control: no-cache'); }
    }
    if (trip.body) { mine = mine.concat('Content-Length: ' + Lab.size(trip.body)); }
    return [first].concat(mine, trip.headers);
  }

  const head = all => all.join('\n') + '\n\n';
  const weight = all => all.reduce((sum, line) => sum + Lab.size(line) + 2, 2); // CRLF each, and one

  function answer(trip) {
    if (trip.kind === 'websocket') { return switching; }
    const text = trip.kind === 'sse' ? stream : trip.answerHead || '';
    const first = 'HTTP/1.1 ' + (trip.status || 200) + ' ' + (trip.statusText || 'OK');
    const all = text.trim().split(/\r?\n/).filter(Boolean);
    if (trip.kind === 'sse' && all.length && !named(all, 'transfer-encoding').length) {
      all.push('transfer-encoding: chunked');
    }
    return [first].concat(all);
  }

  // First bytes of a frame with so many bytes of text in it.
  function frame(bytes, masked) {
    const first = [0x81], bit = masked ? 0x80 : 0; // 0x81: the last frame of a message, which is text
    if (bytes < 126) {
      first.push(bit | bytes);
    } else if (bytes < 65536) {
      first.push(bit | 126, bytes >> 8, bytes & 255);
    } else {
      first.push(bit | 127, 0, 0, 0, 0, bytes >>> 24, bytes >> 16 & 255, bytes >> 8 & 255, bytes & 255);
    }
    return masked ? first.concat(new Array(MASK).fill(null)) : first; // null: random, and not told
  }

  // The clock is compared with the server's as often as it tells: the quickest answer counts, from
  // when the browser sent the question, which a busy page learns of late.
  function compare(url, began, time) {
    const timing = performance.getEntriesByName(location.origin + url).pop() || {};
    const ended = timing.responseStart || performance.now();
    began = timing.requestStart || began;
    if (ended - began < rtt) {
      rtt = ended - began;
      offset = time * 1000 - (performance.timeOrigin + (began + ended) / 2);
    }
  }

  function look(url, method, done) {
    const xhr = new XMLHttpRequest(), began = performance.now();
    xhr.open(method, url);
    xhr.onloadend = () => done(xhr.status === 200 ? xhr : null, began);
    xhr.send();
  }

  Lab.heads = {
    request: trip => head(lines(trip)) + trip.body,
    requestBytes: trip => weight(lines(trip)) + Lab.size(trip.body),
    answer: trip => head(answer(trip)),
    answerBytes: trip => weight(answer(trip)),
    chunked: raw => Lab.size(raw) + Lab.size(raw).toString(16).length + 4, // its size in hex, 2 CRLF
    frame: frame,
    hex: bytes => bytes.map(byte => byte === null ? '··' : (byte < 16 ? '0' : '') + byte.toString(16)).join(' '),

    // A time stamp of the server (seconds), as a time of the page (ms). Nothing comes before it was
    // published: where it seems so, the clocks were compared badly.
    here: function (time) {
      const early = time * 1000 - offset - performance.timeOrigin - performance.now();
      if (early > 0) { offset += early; }
      return time * 1000 - offset - performance.timeOrigin;
    },
    oneWay: () => rtt < Infinity ? rtt / 2 : 0,

    handshake: function (request, reply) {
      upgrade = request;
      switching = reply;
    },

    // Asks what there is to know, and then calls back, whether there were answers or not.
    learn: function (prefix, demo, channel, done) {
      let waiting = demo ? 4 : 1;
      function one() { if ((waiting -= 1) === 0) { done(); } }
      look(prefix + '/sse?channels=' + channel, 'HEAD', function (xhr) {
        if (xhr) { stream = xhr.getAllResponseHeaders(); }
        one();
      });
      for (let i = 0; demo && i < 3; i += 1) {
        look('/demo/mirror?' + i, 'GET', function (xhr, began) {
          const answer = xhr && JSON.parse(xhr.responseText);
          if (answer) {
            compare('/demo/mirror?' + i, began, answer.time);
            own = answer.head;
          }
          one();
        });
      }
    }
  };
}(window.Lab));
