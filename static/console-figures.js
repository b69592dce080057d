/*
 * From the feed to what is shown: what each worker has said lately, added up. It knows no page.
 *
 * Counters only grow, so that a rate is the difference of two, by the worker's own clock; a worker
 * that has begun anew is another one. Time is the server's: that of the newest message, and what has
 * passed here since.
 */

export const TRANSPORTS = ['websocket', 'sse', 'longpoll'];
const KEPT = 180; // messages of each worker
export const SILENT = 4; // seconds after which a worker's figures count no longer
const FORGOTTEN = 60; // seconds after which it is not shown either
const SMOOTH = 5; // seconds over which rates and percentiles are taken

const sum = (object) => Object.values(object || {}).reduce((all, value) => all + value, 0);
const atLeastNothing = (value) => Math.max(0, value);

export class Figures {
  constructor(now = () => performance.now() / 1000) {
    this.workers = new Map(); // id -> its messages, oldest first
    this.bounds = {};
    this.newest = null; // the server's time of the newest message
    this.heard = 0; // when it came, on this page's clock
    this._clock = now;
    this._past = new Map(); // second -> all workers then, as it will not change any more
  }

  // A message of the feed.
  take(message) {
    const told = { ...message.data, time: message.time };
    const said = this.workers.get(told.worker.id) || [];
    if (said.length && told.at <= said[said.length - 1].at) return;
    said.push(told);
    if (said.length > KEPT) said.shift();
    this.workers.set(told.worker.id, said);
    if (this.newest === null || message.time >= this.newest) {
      this.newest = message.time;
      this.heard = this._clock();
    }
  }

  // What time it is at the server; null: nothing has come yet.
  get now() { return this.newest === null ? null : this.newest + this._clock() - this.heard; }

  // The time of the oldest message that is known.
  get oldest() { return Math.min(...[...this.workers.values()].map((said) => said[0].time)); }

  // For how many seconds no worker has said anything.
  get silence() { return this.newest === null ? Infinity : this._clock() - this.heard; }

  clear() {
    this.workers.clear();
    this._past.clear();
    this.newest = null;
  }

  // Each worker as of now, those that have just gone included. One is forgotten when others have been
  // heard without it for long: where nobody is heard, it is the line that is silent.
  list() {
    const heirs = new Map(); // host and label -> the worker that has them now
    for (const [id, said] of this.workers) {
      const { worker } = said[said.length - 1], seat = `${worker.host} ${worker.label}`, heir = heirs.get(seat);
      if (worker.label !== null && !(heir && heir.since > worker.since)) heirs.set(seat, { id, since: worker.since });
    }
    for (const [id, said] of this.workers) {
      const { time, worker, numbers } = said[said.length - 1], heir = heirs.get(`${worker.host} ${worker.label}`);
      const hasGone = numbers.draining || (heir && heir.id !== id);
      if (this.newest - time > (hasGone ? SILENT : FORGOTTEN)) this.workers.delete(id);
    }
    const now = this.now;
    return [...this.workers.values()].map((said) => described(said, now)).sort(inOrder);
  }

  // All workers together at each of the last `count` seconds, oldest first.
  series(count) {
    const end = Math.floor(this.now);
    const points = [];
    for (let second = end - count + 1; second <= end; second += 1) {
      const point = this._past.get(second) || this.at(second);
      if (second < end - SILENT) this._past.set(second, point);
      points.push(point);
    }
    this._past.delete(end - count);
    return points;
  }

  // All workers together as of a time of the server's.
  at(time) {
    const total = { time, known: false, in: 0, out: {}, connections: {}, pollers: 0, unsent: 0, behind: 0, most: 0,
      latency: null, append: null, read: null, appends: 0, reads: 0 };
    const histograms = { latency: [], append: [], read: [] };
    for (const said of this.workers.values()) {
      const last = lastBefore(said, time);
      if (last < 0 || time - said[last].time > SILENT) continue;
      const worker = measured(said, last);
      total.known = true;
      total.in += worker.in;
      total.pollers += worker.pollers;
      total.unsent += worker.unsent;
      total.behind += worker.behind;
      total.most += worker.most;
      total.appends += worker.appends;
      total.reads += worker.reads;
      add(total.out, worker.out);
      add(total.connections, worker.connections);
      for (const name of Object.keys(histograms)) histograms[name].push(worker[name]);
    }
    total.latency = this.percentiles('delivery_seconds', histograms.latency);
    total.append = this.percentiles('log_seconds', histograms.append);
    total.read = this.percentiles('log_seconds', histograms.read);
    return total;
  }

  // {half, slowest} in seconds, null where nothing was measured.
  percentiles(name, histograms) {
    const bounds = this.bounds[name] || [];
    const counts = bounds.concat(0).map((_, i) => histograms.reduce((all, one) => all + (one[i] || 0), 0));
    const all = counts.reduce((a, b) => a + b, 0);
    return all ? { half: quantile(bounds, counts, all / 2), slowest: quantile(bounds, counts, all * 0.99) } : null;
  }

  // How much counters have grown in the last minute, or in what is known of it.
  minute() {
    const grown = { recovered: 0, lost: 0, slow: 0, refused: 0, error: 0, logErrors: 0 };
    for (const said of this.workers.values()) {
      const last = said[said.length - 1].numbers;
      const first = said[Math.max(0, lastBefore(said, this.now - 60))].numbers;
      const more = (metric, fits) => Object.entries(last[metric] || {}).reduce(
        (all, [label, value]) => all + (fits(label) ? value - ((first[metric] || {})[label] || 0) : 0), 0);
      grown.recovered += more('recoveries', (label) => label.endsWith('.recovered'));
      grown.lost += more('recoveries', (label) => !/\.(recovered|skipped)$/.test(label));
      grown.slow += more('ended', (label) => label.endsWith('.slow'));
      grown.error += more('ended', (label) => label.endsWith('.error'));
      grown.refused += more('refusals', () => true);
      grown.logErrors += more('log_errors', () => true);
    }
    return grown;
  }

  // Channel -> {subscribers, rate}. Each worker sees all messages of a channel that it follows, and
  // those that it published itself; what nobody follows, its publishers alone tell.
  channels() {
    const found = new Map();
    for (const said of this.workers.values()) {
      const recent = said.filter((told) => this.now - told.time < SMOOTH);
      if (!recent.length || this.now - recent[recent.length - 1].time > SILENT) continue;
      const seconds = recent.reduce((all, told) => all + told.seconds, 0);
      const own = new Map();
      for (const told of recent) {
        for (const [name, [, followed, published]] of Object.entries(told.channels)) {
          const counts = own.get(name) || [0, 0];
          own.set(name, [counts[0] + followed, counts[1] + published]);
        }
      }
      const latest = recent[recent.length - 1].channels;
      for (const [name, [followed, published]] of own) {
        const channel = found.get(name) || { name, subscribers: 0, followed: 0, published: 0 };
        channel.subscribers += Object.hasOwn(latest, name) ? latest[name][0] : 0;
        channel.followed = Math.max(channel.followed, followed / seconds);
        channel.published += published / seconds;
        channel.rate = Math.max(channel.followed, channel.published);
        found.set(name, channel);
      }
    }
    return found;
  }
}

// The place of the last message that had come by then; -1: none.
function lastBefore(said, time) {
  let at = said.length - 1;
  while (at >= 0 && said[at].time > time) at -= 1;
  return at;
}

function add(total, own) {
  for (const [name, value] of Object.entries(own)) total[name] = (total[name] || 0) + value;
}

// What a worker did in the few seconds up to its message at this place.
function measured(said, place) {
  const last = said[place], numbers = last.numbers;
  let from = place;
  while (from > 0 && last.time - said[from - 1].time <= SMOOTH) from -= 1;
  const first = said[from], before = first.numbers, seconds = last.at - first.at;
  const rate = (now, then) => (seconds > 0 ? atLeastNothing((now || 0) - (then || 0)) / seconds : 0);
  const out = {};
  for (const [transport, value] of Object.entries(numbers.deliveries)) {
    out[transport] = rate(value, before.deliveries[transport]);
  }
  const grown = (now = [], then = []) => now.slice(0, -1).map((value, i) => value - (then[i] || 0));
  const histogram = (name, label) => (from === place ? []
    : label ? grown(numbers[name][label], before[name][label]) : grown(numbers[name], before[name]));
  const append = histogram('log_seconds', 'append'), read = histogram('log_seconds', 'read');
  return {
    in: rate(numbers.published, before.published),
    out,
    connections: numbers.connections,
    pollers: (numbers.present || {}).poller || 0,
    unsent: numbers.unsent_bytes,
    behind: numbers.unsent_connections,
    most: numbers.connections_limit,
    cpu: rate(numbers.cpu_seconds, before.cpu_seconds),
    latency: histogram('delivery_seconds'),
    append,
    read,
    appends: seconds > 0 ? sum(append) / seconds : 0,
    reads: seconds > 0 ? sum(read) / seconds : 0
  };
}

function described(said, now) {
  const last = said[said.length - 1];
  return {
    ...measured(said, said.length - 1),
    id: last.worker.id,
    host: last.worker.host,
    pid: last.worker.pid,
    label: last.worker.label,
    since: last.worker.since,
    memory: last.numbers.resident_bytes,
    follow: last.numbers.follow_age_seconds,
    draining: Boolean(last.numbers.draining),
    silence: atLeastNothing(now - last.time)
  };
}

function inOrder(a, b) {
  return a.host.localeCompare(b.host) || (a.label ?? Infinity) - (b.label ?? Infinity) || a.pid - b.pid;
}

// Within its bucket a value is taken to lie as far as it does in the counts; above all bounds: the last.
function quantile(bounds, counts, rank) {
  let below = 0;
  for (let i = 0; i < bounds.length; i += 1) {
    if (below + counts[i] >= rank) {
      const low = i ? bounds[i - 1] : 0;
      return low + (bounds[i] - low) * ((rank - below) / counts[i]);
    }
    below += counts[i];
  }
  return bounds[bounds.length - 1];
}
