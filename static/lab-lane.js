/*
 * A line to the server with its diagram and its meters: one client, and what it really does.
 */
(function (Lab) {
  'use strict';

  const PREFIX = document.body.dataset.prefix;
  const lanes = [];

  function Lane(box, options) {
    const self = this;
    this.box = box;
    this.options = options;
    this.meters = new Lab.Meters();
    this.spans = new Map(); // trip, or what it is about -> span
    this.due = new Map(); // ids that are published and have not come -> when
    this.heardOf = new Set(); // ids of which it is known that they are due, or have come
    this.diagram = new Lab.Diagram(Lab.one('.paper', box));
    this.diagram.onStep = (item, step) => self.list(item, step);
    this.fields = Lab.all('[data-meter]', box);
    const steps = Lab.one('.steps', box);
    if (steps) { steps.addEventListener('toggle', () => { if (steps.open) { self.listAll(); } }); }
    lanes.push(this);
  }

  Lane.prototype.connect = function (cursor) {
    const self = this;
    const push = this.push = Push.connect(Object.assign({
      url: location.origin + PREFIX, // its own ladder: what the lab breaks teaches no other page
      share: false, resume: false, cursor: cursor || null
    }, this.options));
    push.on('debug', step => {
      if (step.what === 'request') { Lab.wire.claim(self); }
      if (step.what === 'wait') { self.rest('retry'); }
    });
    push.on('state', () => self.showState()).on('open', () => self.showState());
    push.on('message', message => self.heard(message));
    push.on('lost', lost => { self.meters.lost += lost.length; });
    push.on('close', () => self.showState());
    this.showState();
  };

  Lane.prototype.close = function () { if (this.push) { this.push.close(); } };

  Lane.prototype.isOpen = function () { return this.push && this.push.readyState < 2; };

  Lane.prototype.reconnect = function () { this.connect(this.push.cursor); };

  Lane.prototype.showState = function () {
    const state = this.push.readyState, chip = Lab.one('.state', this.box);
    chip.className = 'state is-' + state;
    Lab.one('.state-number', chip).textContent = state;
    Lab.one('.state-name', chip).textContent = Push.STATES[state];
    if (this.onState) { this.onState(state); }
  };

  // ---- What travels

  Lane.prototype.onWire = function (what, trip, more) {
    const now = performance.now();
    this[what](trip, more, now);
  };

  const PATHS = {'/poll': 'poll', '/longpoll': 'longpoll', '/sse': 'sse', '/ws': 'websocket'};

  // While the server holds the answer back it waits; the request was there half a round trip later.
  Lane.prototype.hold = function (trip, kind, side, label) {
    this.spans.set(trip, this.diagram.span({
      side: side, kind: kind + ' ' + PATHS[trip.path], from: trip.at + Lab.heads.oneWay(), label: label
    }));
  };

  Lane.prototype.sent = function (trip, more, now) {
    const bytes = Lab.heads.requestBytes(trip);
    this.meters.requests += 1;
    this.meters.up += bytes;
    this.wake();
    this.step({at: now, to: 'server', kind: 'request', what: 'request', trip: trip,
      label: () => trip.method + ' ' + trip.path, facts: () => Lab.word('bytes', bytes)});
    if (trip.path === '/longpoll') { this.hold(trip, 'waits', 'server', () => Lab.word('waits')); }
  };

  Lane.prototype.answered = function (trip, more, now) {
    const answer = parse(trip.text), messages = answer && answer.messages || [];
    const bytes = Lab.heads.answerBytes(trip) + Lab.size(trip.text);
    const empty = answer && answer.messages && !messages.length;
    this.meters.down += bytes;
    if (empty) { this.meters.empty += 1; }
    this.end(trip, now);
    this.step({at: now, to: 'browser', kind: empty ? 'empty' : trip.status < 300 ? 'news' : 'failed',
      what: 'answer', trip: trip,
      label: () => empty ? Lab.word('nothingNew') : trip.status >= 300 ? String(trip.status)
        : carries(messages), facts: () => Lab.word('tookBytes', Lab.duration(now - trip.at), bytes)});
    if (trip.path === '/poll') { this.rest('sleeps'); }
  };

  Lane.prototype.opened = function (trip, more, now) {
    const bytes = Lab.heads.answerBytes(trip);
    this.meters.down += bytes;
    this.hold(trip, 'open', 'line');
    this.step({at: now, to: 'browser', kind: 'opens', what: 'opened', trip: trip,
      label: () => Lab.word(trip.kind === 'sse' ? 'answerBegins' : 'switching'),
      facts: () => Lab.word('tookBytes', Lab.duration(now - trip.at), bytes)});
  };

  Lane.prototype.came = function (trip, more, now) {
    const frame = parse(more.text) || {}, type = more.type && more.type !== 'message' ? more.type : frame.type;
    this.meters.down += more.bytes;
    this.step({at: now, to: 'browser', kind: type === 'heartbeat' ? 'heartbeat' : type ? 'control' : 'news',
      what: trip.kind === 'sse' ? 'event' : 'frame', trip: trip, more: more,
      label: () => type || carries([frame]), facts: () => Lab.word('bytes', more.bytes)});
  };

  Lane.prototype.went = function (trip, more, now) {
    const op = parse(more.text) || {};
    this.meters.up += more.bytes;
    this.step({at: now, to: 'server', kind: 'control', what: 'frame', masked: true, trip: trip, more: more,
      label: () => op.op || '', facts: () => Lab.word('bytes', more.bytes)});
  };

  Lane.prototype.ended = function (trip) {
    const now = trip.until;
    this.end(trip, now);
    if (trip.failed) {
      this.step({at: now, to: 'server', kind: 'failed', what: 'request', trip: trip,
        label: () => Lab.word(trip.isOpen ? 'brokenOff' : 'noAnswer')});
    } else if (trip.kind !== 'request') {
      this.step({at: now, to: 'server', kind: 'control', what: 'request', trip: trip,
        label: () => Lab.word('closes')});
    }
  };

  Lane.prototype.step = function (step) {
    step.way = PATHS[step.trip.path];
    this.diagram.arrow(step);
  };

  Lane.prototype.end = function (trip, at) {
    const span = this.spans.get(trip);
    if (span) {
      span.end(at);
      this.spans.delete(trip);
    }
  };

  // Between two requests the browser sleeps; or it waits a moment before it tries again.
  Lane.prototype.rest = function (why) {
    this.wake();
    this.resting = this.diagram.span({
      side: 'browser', kind: why, from: performance.now(), label: () => Lab.word(why)
    });
  };

  Lane.prototype.wake = function () {
    if (this.resting) { this.resting.end(); }
    this.resting = null;
  };

  // ---- Messages

  Lane.prototype.heard = function (message) {
    const now = performance.now(), at = Lab.heads.here(message.time);
    if (!this.meters.take(message)) { return; }
    this.meters.delay(now - at);
    Lab.published(message.id, at);
    this.heardOf.add(message.id);
    this.due.delete(message.id);
    if (!this.due.size && this.lateness) {
      this.lateness.end(now);
      this.lateness = null;
    }
    if (this.onMessage) { this.onMessage(message, now - at); }
  };

  // Something is in the log: from then on it is late, until it is here.
  Lane.prototype.owes = function (id, at) {
    if (this.heardOf.has(id) || this.meters.seen.has(id)) { return; }
    this.heardOf.add(id);
    if (this.heardOf.size > 5000) { this.heardOf.clear(); }
    this.diagram.mark(at);
    if (!this.push || this.push.readyState === 3) { return; }
    this.due.set(id, at);
    if (!this.lateness) {
      this.lateness = this.diagram.span({side: 'dwell', kind: 'late', from: at});
    }
  };

  Lab.published = function (id, at) { lanes.forEach(lane => lane.owes(id, at)); };

  function parse(text) {
    try {
      return JSON.parse(text);
    } catch (e) {
      return null;
    }
  }

  Lab.readable = function (data) {
    if (typeof data === 'string') { return data; }
    return data && typeof data.text === 'string' ? data.text : JSON.stringify(data);
  };

  function carries(messages) {
    const first = messages[0] && Lab.readable(messages[0].data) || '';
    if (messages.length > 1) { return Lab.word('messages', messages.length); }
    return first.length > 18 ? first.slice(0, 17) + '…' : first;
  }

  // ---- Meters, and the same steps as a list, for those who cannot see or click arrows

  Lane.prototype.show = function () {
    const meters = this.meters, open = this.isOpen();
    this.fields.forEach(function (field) {
      const name = field.dataset.meter;
      const text = name === 'memory' ? (open ? Lab.WAITING[field.dataset.of] : 0) + ' KiB' : meters.text(name);
      if (field.textContent !== text) { field.textContent = text; }
    });
  };

  Lane.prototype.list = function (item, step) {
    const steps = Lab.one('.steps', this.box), rows = steps && Lab.one('ol', steps);
    if (!steps || !steps.open) { return; }
    const button = Lab.make('button.step', {type: 'button'}, () =>
      Lab.clock(step.at) + ' ' + (item.to === 'server' ? '→' : '←') + ' ' + step.label());
    button.addEventListener('click', () => Lab.bytesOf({words: step.label, steps: [step]}));
    rows.prepend(Lab.make('li', null, button));
    while (rows.children.length > 30) { rows.lastChild.remove(); }
  };

  Lane.prototype.listAll = function () {
    Lab.one('.steps ol', this.box).textContent = '';
    this.diagram.items.slice(-20).forEach(item => item.steps.slice(-3).forEach(step => this.list(item, step)));
  };

  // Requests and bytes come and go without an event of the client's.
  setInterval(() => lanes.forEach(lane => lane.show()), 250);

  Lab.Lane = Lane;
  Lab.lanes = lanes;
}(window.Lab));
