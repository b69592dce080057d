/*
 * The handshake, from a real one. A script sees nothing of it, so this page's own socket asks the
 * server what came: its first message is the head of its request, and of the answer.
 */
(function (Lab) {
  'use strict';

  const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'; // RFC 6455 section 1.3
  const box = Lab.one('#handshake');
  if (!box) { return; } // the demo is off on this server

  const key = Lab.one('#key'), open = Lab.one('.open', box), close = Lab.one('.shut', box);
  let socket = null, began = 0, real = null; // real: {key, accept} of the handshake that was

  // ---- readyState, as it goes

  function reached(state, text) {
    Lab.all('[data-state]', box).forEach(function (step) {
      const its = Number(step.dataset.state);
      step.classList.toggle('now', its === state);
      step.classList.toggle('been', its < state);
      if (its === state) {
        step.setAttribute('aria-current', 'step');
        Lab.say(Lab.one('.at', step), text);
      } else {
        step.removeAttribute('aria-current');
        if (its > state) { Lab.say(Lab.one('.at', step), ''); }
      }
    });
    open.disabled = state < 3;
    close.disabled = state !== 1;
  }

  function since() {
    const ms = performance.now() - began;
    return () => '+' + (ms < 10 ? ms.toFixed(1) + ' ms' : Lab.duration(ms));
  }

  function start() {
    began = performance.now();
    socket = new WebSocket(location.origin.replace(/^http/, 'ws') + '/demo/mirror/socket');
    reached(socket.readyState, () => 'new WebSocket()');
    socket.onopen = () => reached(socket.readyState, since());
    socket.onmessage = e => show(JSON.parse(e.data));
    socket.onclose = function (e) {
      const when = since();
      reached(socket.readyState, () => when() + ' · ' + Lab.word('code', e.code));
    };
  }

  open.addEventListener('click', start);
  close.addEventListener('click', function () {
    began = performance.now();
    socket.close(1000);
    reached(socket.readyState, () => 'close()');
  });

  // ---- Both heads, line by line

  function line(text, first) {
    const colon = text.indexOf(': '), name = first ? '' : text.slice(0, colon);
    const word = first ? (text.indexOf('HTTP') === 0 ? 'line101' : 'lineGet') : 'line' + name.replace(/-/g, '');
    const known = Lab.has(word);
    const row = Lab.make('li' + (known ? '' : '.plain'), null,
      Lab.make('code', null, ...(first ? [text] : [Lab.make('b', null, name), ': ' + text.slice(colon + 2)])));
    if (known) { row.append(Lab.make('p', null, () => Lab.word(word))); }
    return row;
  }

  function show(told) {
    const value = (lines, name) => (lines.filter(text => text.indexOf(name + ': ') === 0)[0] || '').slice(name.length + 2);
    Lab.heads.handshake(told.head, told.answer);
    real = {key: value(told.head, 'Sec-WebSocket-Key'), accept: value(told.answer, 'Sec-WebSocket-Accept')};
    [['.asked', told.head], ['.told', told.answer]].forEach(function (pair) {
      const rows = Lab.one(pair[0], box), lines = pair[1].slice();
      rows.textContent = '';
      lines.forEach((text, i) => rows.append(line(text, i === 0)));
    });
    key.value = real.key;
    compute();
  }

  // ---- The sum

  function isKey(text) {
    try {
      return atob(text).length === 16;
    } catch (e) {
      return false; // no base64
    }
  }

  function compute() {
    const text = key.value.trim(), digest = Lab.sha1(unescape(encodeURIComponent(text + GUID)));
    const accept = btoa(String.fromCharCode.apply(null, digest)), mine = real && text === real.key;
    Lab.one('.joined', box).textContent = text + GUID;
    Lab.one('.digest', box).textContent = Lab.heads.hex(digest);
    Lab.one('.accept', box).textContent = accept;
    Lab.say(Lab.one('.verdict', box), () => mine
      ? Lab.word(accept === real.accept ? 'acceptSame' : 'acceptOther')
      : Lab.word(isKey(text) ? 'keyGood' : 'keyBad'));
    Lab.one('.verdict', box).classList.toggle('good', !!mine && accept === real.accept);
    Lab.one('.verdict', box).classList.toggle('bad', !isKey(text));
  }

  key.addEventListener('input', compute);
  Lab.one('.own', box).addEventListener('click', function () {
    key.value = btoa(String.fromCharCode.apply(null, crypto.getRandomValues(new Uint8Array(16))));
    compute();
  });
  Lab.one('.again', box).addEventListener('click', function () {
    if (real) { key.value = real.key; }
    compute();
  });

  // A socket costs the server a little: it is there when somebody looks.
  const watch = new IntersectionObserver(function (entries) {
    if (!entries[entries.length - 1].isIntersecting) { return; }
    watch.disconnect();
    start();
  }, {rootMargin: '400px'});
  watch.observe(box);
}(window.Lab));
