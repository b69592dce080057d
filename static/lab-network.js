/*
 * Breaking the network: a client that is free to choose, and what this page keeps from it.
 */
(function (Lab) {
  'use strict';

  const OFFLINE = 5000, DOWN = 2000; // ms
  const PATHS = {'/ws': 'websocket', '/sse': 'sse', '/longpoll': 'longpoll', '/poll': 'poll'};
  const box = Lab.one('#free');
  const said = Lab.one('#network');
  const ladder = new Lab.Lane(box, {channels: Lab.channels, history: 0});
  const shut = new Set(); // transports that do not get through

  ladder.blocks = path => shut.has(PATHS[path]);
  ladder.onState = function () {
    const transport = ladder.push.transport, open = ladder.push.readyState === 1;
    Lab.all('[data-rung]', box).forEach(function (rung) {
      rung.classList.toggle('carries', open && rung.dataset.rung === transport);
    });
    Lab.say(Lab.one('.carrier', box), () => open ? Lab.word('carriedBy', Lab.word(transport)) : Lab.word('looksForAWay'));
  };

  // What it learned from the lab's own faults is not to hold it back when they are over.
  function forget() {
    try {
      localStorage.removeItem('push.js ladder ' + (location.origin + document.body.dataset.prefix));
    } catch (e) {
      return; // it had nowhere to keep it, either
    }
  }

  Lab.whenReady(function () {
    forget();
    ladder.connect(null);
  });

  Lab.all('[data-rung] input', box).forEach(function (input) {
    const name = input.value;
    input.addEventListener('change', function () {
      if (input.checked) {
        shut.delete(name);
        forget();
        window.dispatchEvent(new Event('online')); // another network may let more through
        Lab.say(said, () => Lab.word('letThrough', Lab.word(name)));
      } else {
        shut.add(name);
        ladder.diagram.note(performance.now(), () => Lab.word('shut', Lab.word(name)));
        Lab.wire.cut(ladder, Object.keys(PATHS).filter(path => PATHS[path] === name)[0]);
        Lab.say(said, () => Lab.word('shut', Lab.word(name)));
      }
    });
  });

  function leave(why, ms) {
    const buttons = Lab.all('[data-break]');
    const began = Lab.wire.leave(why, ms, function () {
      buttons.forEach(button => { button.disabled = false; });
      Lab.lanes.forEach(lane => lane.diagram.note(performance.now(), () => Lab.word('back')));
      Lab.say(said, () => Lab.word('backAgain'));
      document.body.classList.remove('away');
    });
    if (!began) { return; }
    buttons.forEach(button => { button.disabled = true; });
    document.body.classList.add('away');
    Lab.lanes.forEach(lane => lane.diagram.note(performance.now(), () => Lab.word(why)));
    const now = {offline: 'offlineNow', down: 'downNow'}[why];
    Lab.say(said, () => Lab.word(now));
  }

  Lab.one('[data-break="offline"]').addEventListener('click', () => leave('offline', OFFLINE));
  Lab.one('[data-break="down"]').addEventListener('click', () => leave('down', DOWN));
}(window.Lab));
