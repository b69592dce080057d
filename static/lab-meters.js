/*
 * What a line cost and how late it was: counted from what travelled, not from what the client says.
 */
(function (Lab) {
  'use strict';

  const KEPT = 500; // delays, for the middle one

  // KiB of a worker's memory that a client takes while it waits, as docs/benchmarks.md has it.
  const WAITING = {poll: 0, longpoll: 1.2, sse: 1.3, websocket: 1.1};

  function Meters() {
    this.requests = this.empty = this.up = this.down = this.messages = this.lost = this.repeated = 0;
    this.delays = [];
    this.worst = 0;
    this.last = new Map(); // channel -> id of its last message
    this.seen = new Set(); // ids
  }

  Meters.prototype.delay = function (ms) {
    this.delays.push(ms);
    if (this.delays.length > KEPT) { this.delays.shift(); }
    this.worst = Math.max(this.worst, ms);
  };

  Meters.prototype.middle = function () {
    const sorted = this.delays.slice().sort((a, b) => a - b);
    return sorted.length ? sorted[Math.floor((sorted.length - 1) / 2)] : null;
  };

  // Each message names the one before it in its channel: that is the proof.
  Meters.prototype.take = function (message) {
    const before = this.last.get(message.channel);
    if (this.seen.has(message.id)) {
      this.repeated += 1;
      return false;
    }
    if (before && message.prev !== before) { this.lost += 1; }
    this.last.set(message.channel, message.id);
    this.seen.add(message.id);
    if (this.seen.size > 5000) { this.seen.delete(this.seen.values().next().value); }
    this.messages += 1;
    return true;
  };

  Meters.prototype.text = function (name) {
    const middle = this.middle();
    switch (name) {
      case 'up': return Lab.bytes(this.up);
      case 'down': return Lab.bytes(this.down);
      case 'middle': return middle === null ? '–' : Lab.duration(middle);
      case 'worst': return middle === null ? '–' : Lab.duration(this.worst);
      default: return String(this[name]);
    }
  };

  Lab.Meters = Meters;
  Lab.WAITING = WAITING;
}(window.Lab));
