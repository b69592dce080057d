/*
 * The machine's own figures, drawn as they come: a line a figure, the last two minutes.
 */
(function (Lab) {
  'use strict';

  const POINTS = 120, WIDTH = 240, HEIGHT = 72;
  const percent = value => value.toFixed(0) + ' %', rate = value => Lab.bytes(value) + '/s';
  const sum = (a, b) => a === null && b === null ? null : a + b;

  const PLOTS = {
    cpu: {most: 100, of: figures => figures.cpu, text: percent},
    memory: {most: 100, of: figures => figures.memory.percent, text: percent},
    load: {least: 1, of: figures => figures.load[0], text: value => value.toFixed(2)},
    disk: {least: 1024, of: figures => sum(figures.disk.read, figures.disk.write), text: rate},
    net: {least: 1024, of: figures => sum(figures.net.sent, figures.net.received), text: rate}
  };

  // The next round number above: 1, 2 or 5 times a power of ten.
  function round(value) {
    const power = Math.pow(10, Math.floor(Math.log10(value)));
    return [1, 2, 5, 10].map(n => n * power).filter(n => n >= value)[0];
  }

  function draw(box, plot) {
    const step = WIDTH / (POINTS - 1), start = WIDTH - step * (plot.values.length - 1);
    const most = plot.most || round(Math.max.apply(null, plot.values.concat(plot.least)));
    const points = plot.values.map((value, i) =>
      (start + i * step).toFixed(1) + ' ' + (HEIGHT - 2 - (HEIGHT - 6) * Math.min(1, value / most)).toFixed(1));
    Lab.one('.line', box).setAttribute('d', 'M' + points.join('L'));
    Lab.one('.area', box).setAttribute('d', 'M' + start.toFixed(1) + ' ' + HEIGHT + 'L' + points.join('L') + 'L' + WIDTH + ' ' + HEIGHT + 'Z');
    Lab.one('.most', box).textContent = plot.text(most);
  }

  function show(figures) {
    Lab.one('#feed-idle').hidden = true;
    Lab.one('.plots').classList.add('live');
    Object.keys(PLOTS).forEach(function (name) {
      const plot = PLOTS[name], box = Lab.one('[data-plot="' + name + '"]');
      const value = plot.of(figures);
      if (value === null) { return; } // a machine that does not tell
      plot.values = (plot.values || []).concat(value).slice(-POINTS);
      Lab.one('.value', box).textContent = plot.text(value);
      draw(box, plot);
    });
  }

  const feed = Push.connect({url: document.body.dataset.prefix, channels: ['demo:system'], resume: false});
  feed.on('message', message => show(message.data));
  feed.on('open', () => Lab.say(Lab.one('#feed-transport'), () => Lab.word('via', Lab.word(feed.transport))));
}(window.Lab));
