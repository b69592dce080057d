/* A small plot: the last two minutes, right is now. Areas stand on each other, lines do not. */

import { svg } from './console-dom.js';

const WIDTH = 240, HEIGHT = 64;

// series: [{name, values}], a value is a number or null (not known); the newest is the last.
export function draw(plot, series, { stacked = false, floor = 1 } = {}) {
  const count = series[0].values.length;
  const base = new Array(count).fill(0);
  const tops = series.map(({ values }) => values.map((value, i) => {
    if (value === null) return null;
    base[i] = stacked ? base[i] + value : value;
    return base[i];
  }));
  const most = Math.max(floor, ...tops.flat().filter((value) => value !== null)) * 1.08;
  const x = (i) => (i / (count - 1)) * WIDTH;
  const y = (value) => HEIGHT - (value / most) * (HEIGHT - 2) - 1;
  const shapes = [];
  series.forEach(({ name }, n) => {
    const under = stacked && n ? tops[n - 1] : null;
    for (const [from, to] of runs(tops[n])) {
      const top = tops[n].slice(from, to).map((value, i) => `${x(from + i).toFixed(1)} ${y(value).toFixed(1)}`);
      const bottom = [];
      for (let i = to - 1; i >= from; i -= 1) {
        bottom.push(`${x(i).toFixed(1)} ${y(under ? under[i] ?? 0 : 0).toFixed(1)}`);
      }
      shapes.push(svg('path', { class: `area ${name}`, d: `M${top.concat(bottom).join('L')}Z` }));
      shapes.push(svg('path', { class: `edge ${name}`, d: `M${top.join('L')}` }));
    }
  });
  plot.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
  plot.setAttribute('preserveAspectRatio', 'none');
  plot.replaceChildren(...shapes);
}

// Where values are known: [from, to) of each stretch of two or more.
function runs(values) {
  const found = [];
  let from = -1;
  values.concat(null).forEach((value, i) => {
    if (value !== null && from < 0) from = i;
    if (value === null && from >= 0) {
      if (i - from > 1) found.push([from, i]);
      from = -1;
    }
  });
  return found;
}
