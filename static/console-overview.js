/* The overview: is it well, how much is it, who does it. */

import { $, el, keyed, setText } from './console-dom.js';
import { TRANSPORTS } from './console-figures.js';
import { bytes, duration, share, silence, small, whole } from './console-format.js';
import { draw } from './console-plot.js';
import { word } from './console-words.js';

const FEWEST = 30, MOST = 120; // seconds of a plot: it begins with few, and grows
const QUIET = 5; // seconds of silence of a worker, or of the loop that hands out, that are worth a word
const FULL = 0.8; // of the connections that a worker may hold

const total = (object) => Object.values(object).reduce((all, value) => all + value, 0);

// figures: what is known; said: the answer to the last watch; up: whether the line works
export function paintOverview(figures, said, up) {
  const workers = figures.list();
  paintHealth(figures, workers, said, up);
  $('#overview').classList.toggle('old', !up || figures.silence > QUIET);
  if (figures.newest === null) return;
  const points = figures.series(Math.round(Math.min(MOST, Math.max(FEWEST, figures.now - figures.oldest)))), last = points[points.length - 1];
  const now = last.known ? last : figures.at(figures.newest); // old figures, and said to be: no zeros
  paintTiles(points, now, said);
  paintCounts(figures.minute());
  paintWorkers(workers);
  paintBroker(now, said);
}

// ---- Health

function paintHealth(figures, workers, said, up) {
  const found = troubles(figures, workers, said, up);
  const health = $('#health');
  const worst = found.some(([kind]) => kind === 'bad') ? 'bad' : found.some(([kind]) => kind === 'wait') ? 'wait'
    : figures.newest === null ? 'unknown' : 'good';
  health.className = `health ${worst}`;
  if (worst === 'unknown') found.push(['unknown', word('starting')]);
  if (worst === 'good') {
    const connections = figures.at(figures.now).connections;
    const beside = word('wellBeside', word('workers', workers.length), word('clients', total(connections)));
    found.unshift(['good', word('well'), beside]);
  }
  // how many there are changes all the time: nobody wants to be told
  keyed(health, found, ([kind, text]) => kind + text, () => el('p', {}, el('strong'), ' ', el('span', { 'aria-live': 'off' })),
    (line, [kind, text, beside = '']) => {
      line.className = kind;
      setText(line.children[0], text);
      setText(line.children[1], beside);
    });
}

function troubles(figures, workers, said, up) {
  const found = [];
  if (!up) found.push(['bad', word('badLine')]);
  if (said && !said.ready) {
    for (const [name, check] of Object.entries(said.checks)) {
      if (!check.ok) found.push(['bad', `${word('badCheck')} ${word(`check_${name}`) || name}`, check.detail]);
    }
  }
  if (figures.newest === null) return found;
  if (up && figures.silence > QUIET) found.push(['bad', word('badSilence', silence(figures.silence))]);
  for (const worker of workers) {
    const name = nameOf(worker);
    if (worker.draining) found.push(['wait', word('draining', name)]);
    else if (figures.silence <= QUIET && worker.silence > QUIET) {
      found.push(['wait', word('waitWorker', name, silence(worker.silence))]);
    }
    if (worker.follow > QUIET) found.push(['bad', word('badFollow', name, silence(worker.follow))]);
    const held = total(worker.connections) / worker.most;
    if (held > FULL) found.push(['wait', word('waitFull', name, share(held))]);
  }
  const minute = figures.minute();
  if (minute.logErrors) found.push(['bad', word('badLog', whole(minute.logErrors))]);
  if (minute.error) found.push(['bad', word('badErrors', whole(minute.error))]);
  if (minute.slow) found.push(['wait', word('waitSlow', whole(minute.slow))]);
  if (minute.lost) found.push(['wait', word('waitLost', whole(minute.lost))]);
  return found;
}

// ---- Tiles

function paintTiles(points, now, said) {
  const line = (pick) => points.map((point) => (point.known ? pick(point) : null));
  // a transport that had nothing would be a line on top of another one's
  const byTransport = (pick, names) => names.map((name) => ({ name, values: line((p) => pick(p)[name] || 0) }))
    .filter(({ values }, i) => !i || values.some(Boolean));
  const quantiles = (pick) => ['slowest', 'half'].map(
    (name) => ({ name, values: line((p) => (pick(p) ? pick(p)[name] * 1000 : null)) }));
  const everyTransport = [...TRANSPORTS, 'poll'];

  tile('connections', whole(total(now.connections)), word('most', whole(now.most)),
    byTransport((p) => p.connections, TRANSPORTS), { stacked: true, floor: 4 },
    [...TRANSPORTS.map((name) => [name, word(name), whole(now.connections[name] || 0)]),
      ['poll', word('poll'), whole(now.pollers)]]);
  tile('in', small(now.in), word('perSecond'), [{ name: 'plain', values: line((p) => p.in) }], {},
    [['', word('peak', small(Math.max(...points.map((p) => p.in)))), '']]);
  tile('out', small(total(now.out)), word('perSecond'), byTransport((p) => p.out, everyTransport),
    { stacked: true }, everyTransport.map((name) => [name, word(name), small(now.out[name] || 0)]));
  const latency = now.latency;
  tile('latency', latency ? duration(latency.half) : '–',
    latency ? word('p99', duration(latency.slowest)) : word('noMessages'), quantiles((p) => p.latency), { floor: 2 },
    [['half', word('half'), ''], ['slowest', word('slowest'), '']]);
  tile('unsent', bytes(now.unsent), now.behind ? word('behind', whole(now.behind)) : word('nobodyBehind'),
    [{ name: 'plain', values: line((p) => p.unsent) }], { floor: 65536 },
    said ? [['', word('most', bytes(said.limits.buffer_total)), '']] : []);
  const append = now.append;
  tile('log', append ? duration(append.half) : '–', append ? word('p99', duration(append.slowest)) : '',
    quantiles((p) => p.append), { floor: 2 }, [['half', word('half'), ''], ['slowest', word('slowest'), '']]);
}

function tile(name, value, beside, series, options, legend) {
  const tile = $(`#tile-${name}`);
  setText($('strong', tile), value);
  setText($('.beside', tile), beside);
  draw($('.plot', tile), series, options);
  keyed($('.legend', tile), legend, ([key, text]) => key || text,
    () => el('li', {}, el('span', { class: 'label' }), ' ', el('b')),
    (item, [key, text, count]) => {
      item.className = key;
      setText(item.children[0], text);
      setText(item.children[1], count);
    });
}

function paintCounts(minute) {
  for (const [name, count] of Object.entries({ ...minute, 'log-errors': minute.logErrors })) {
    const box = $(`#count-${name}`);
    if (!box) continue;
    setText($('dd', box), whole(count));
    box.classList.toggle('some', count > 0);
  }
}

// ---- Workers

export const nameOf = (worker) => worker.label ?? worker.pid;

function paintWorkers(workers) {
  const severalHosts = new Set(workers.map((worker) => worker.host)).size > 1;
  keyed($('#workers tbody'), workers, (worker) => worker.id, () => el('tr', {},
    el('th', { scope: 'row' }, el('span'), ' ', el('small')),
    ...Array.from({ length: 10 }, () => el('td', { class: 'number' }))
  ), (row, worker) => {
    row.classList.toggle('silent', worker.silence > QUIET);
    setText(row.children[0].children[0], severalHosts ? `${worker.host} ${nameOf(worker)}` : nameOf(worker));
    setText(row.children[0].children[1], `pid ${worker.pid}`);
    const cells = [
      ...TRANSPORTS.map((name) => whole(worker.connections[name] || 0)),
      whole(worker.pollers), small(worker.in), small(total(worker.out)), share(worker.cpu), bytes(worker.memory),
      bytes(worker.unsent),
      worker.silence < 2 ? word('onTime') : word('ago', duration(Math.round(worker.silence)))
    ];
    cells.forEach((text, i) => setText(row.children[i + 1], text));
  });
}

// ---- The log

function paintBroker(now, said) {
  const times = (found, rate) => (found
    ? `${duration(found.half)} · ${word('p99', duration(found.slowest))} · ${word('ratePerSecond', small(rate))}` : '–');
  const [log, ...others] = Object.entries(said ? said.checks : {}).map(
    ([name, check]) => [word(`check_${name}`) || name, check.detail, check.ok ? 'good' : 'bad', true]);
  const facts = [[word('appends'), times(now.append, now.appends)], [word('reads'), times(now.read, now.reads)]];
  paintFacts($('#broker'), [...(log ? [log] : []), ...facts, ...others]);
}

// facts: [name, value, class, whether it is the server's own English]
export function paintFacts(list, facts) {
  keyed(list, facts, (_, i) => i, () => el('div', {}, el('dt'), el('dd')), (row, [name, value, kind, isTheirs]) => {
    row.className = kind;
    setText(row.children[0], name);
    setText(row.children[1], value);
    row.children[1].classList.toggle('as-it-came', Boolean(isTheirs));
    if (isTheirs) row.children[1].lang = 'en';
    else row.children[1].removeAttribute('lang');
  });
}
