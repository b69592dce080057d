/*
 * The four transports side by side on one channel, and what all of them together have lost: nothing.
 */
(function (Lab) {
  'use strict';

  const KEPT = 3; // messages that a card shows

  Lab.four = Lab.all('.lane[data-transport]').map(function (box) {
    const transport = box.dataset.transport;
    const lane = new Lab.Lane(box, {channels: Lab.channels, transport: transport});
    const pause = Lab.one('.pause', box), slider = Lab.one('input[type="range"]', box);

    lane.onState = function (state) {
      Lab.say(pause, () => Lab.word(state === 3 ? 'connectAgain' : 'close'));
      pause.disabled = state === 2;
    };

    lane.onMessage = function (message, delay) {
      const rows = Lab.one('.log', box);
      rows.prepend(Lab.make('li', {'data-id': message.id},
        Lab.make('span.text', null, Lab.readable(message.data)),
        Lab.make('span.when', null, Lab.duration(delay))));
      while (rows.children.length > KEPT) { rows.lastChild.remove(); }
    };

    pause.addEventListener('click', function () {
      if (lane.isOpen()) { lane.close(); } else { lane.reconnect(); }
    });

    if (slider) {
      // Whoever moves it decides, in the place of the server's advice.
      const shown = Lab.one('output', box);
      lane.edit = text => text.replace(/("advice":\{"interval":)\d+/, '$1' + Number(slider.value) * 1000);
      slider.addEventListener('input', () => { shown.textContent = slider.value + ' s'; });
      slider.addEventListener('change', function () {
        if (!lane.isOpen()) { return; }
        lane.close();
        lane.reconnect();
      });
    }
    Lab.whenReady(() => lane.connect(null));
    return lane;
  });

  // A page that nobody sees takes no connections from those that somebody does.
  let asleep = [];
  document.addEventListener('visibilitychange', function () {
    if (document.hidden) {
      asleep = Lab.lanes.filter(lane => lane.isOpen());
      asleep.forEach(lane => lane.close());
    } else {
      asleep.forEach(lane => { if (!lane.isOpen()) { lane.reconnect(); } });
      asleep = [];
    }
  });

  const sums = Lab.all('[data-sum]');
  setInterval(function () {
    sums.forEach(function (field) {
      const sum = Lab.lanes.reduce((all, lane) => all + lane.meters[field.dataset.sum], 0);
      if (field.textContent !== String(sum)) { field.textContent = sum; }
      field.classList.toggle('bad', sum > 0 && field.dataset.sum !== 'messages');
    });
  }, 250);
}(window.Lab));
