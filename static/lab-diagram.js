/*
 * A live sequence diagram: browser left, server right, time running down, now at the bottom. What
 * happens is put in once, at its true time; the whole then moves up by the clock. Who prefers less
 * motion sees it move once a second.
 *
 * Arrows that come within a few pixels of each other are drawn a little lower, so that each can be
 * seen; where there are too many for that, arrows of a kind become one, with their number.
 */
(function (Lab) {
  'use strict';

  const SCALE = 0.036; // pixels a millisecond
  const GAP = 16; // pixels between two arrows
  const DRIFT = 36; // pixels that an arrow may be drawn too low, before it joins another
  const FOOT = 26; // pixels below now
  const EDGE = 26, NARROW_EDGE = 14; // pixels from each side to its line
  const NARROW = 200; // pixels: two diagrams beside each other on a phone
  const FRAME = 1000 / 30, CALM_FRAME = 1000; // ms between two pictures
  const MOST = 300; // arrows at a time
  const TIDY = 10000; // ms

  const all = [];
  let frozen = null; // the time at which the picture stands still

  function Diagram(box) {
    const self = this;
    this.box = box;
    this.items = []; // arrows, oldest first
    this.spans = [];
    this.ticks = [];
    this.bottom = -Infinity; // where the last arrow was drawn
    this.nextTick = 0;
    this.svg = Lab.shape('svg', {class: 'diagram', role: 'img'});
    this.svg.dataset.label = box.dataset.diagram;
    this.rails = this.svg.appendChild(Lab.shape('g', {class: 'rails'}));
    this.paper = this.svg.appendChild(Lab.shape('g'));
    this.under = this.paper.appendChild(Lab.shape('g'));
    this.over = this.paper.appendChild(Lab.shape('g'));
    this.now = this.svg.appendChild(Lab.shape('line', {class: 'now'}));
    this.left = this.rails.appendChild(Lab.shape('line', {class: 'rail'}));
    this.right = this.rails.appendChild(Lab.shape('line', {class: 'rail'}));
    box.append(this.svg);
    this.onStep = () => {};
    this.measure();
    this.origin = performance.now();
    new ResizeObserver(() => self.measure()).observe(box);
    new IntersectionObserver(entries => {
      self.seen = entries[entries.length - 1].isIntersecting;
    }, {rootMargin: '100px'}).observe(box);
    all.push(this);
  }

  Diagram.prototype.measure = function () {
    const width = Math.max(100, this.box.clientWidth), height = Math.max(200, this.box.clientHeight);
    if (width === this.width && height === this.height) { return; }
    this.width = width;
    this.height = height;
    const edge = width < NARROW ? NARROW_EDGE : EDGE;
    this.x = {browser: edge, server: width - edge};
    this.svg.setAttribute('viewBox', '0 0 ' + width + ' ' + height);
    [[this.left, 'browser'], [this.right, 'server']].forEach(pair => {
      pair[0].setAttribute('x1', this.x[pair[1]]);
      pair[0].setAttribute('x2', this.x[pair[1]]);
      pair[0].setAttribute('y1', 0);
      pair[0].setAttribute('y2', height);
    });
    this.now.setAttribute('x1', 0);
    this.now.setAttribute('x2', width);
    this.now.setAttribute('y1', height - FOOT);
    this.now.setAttribute('y2', height - FOOT);
    this.items.forEach(item => this.place(item));
    this.spans.forEach(span => this.stretch(span));
    this.ticks.forEach(tick => this.placeTick(tick));
  };

  Diagram.prototype.y = function (at) { return (at - this.origin) * SCALE; };

  // An arrow: {at, to: 'browser' or 'server', kind, label, and what lab-bytes.js shows of it}.
  Diagram.prototype.arrow = function (step) {
    const exact = this.y(step.at);
    let y = Math.max(exact, this.bottom + GAP);
    if (y - exact > DRIFT) {
      for (let i = this.items.length - 1; i >= 0 && this.items[i].y > exact - DRIFT; i -= 1) {
        const other = this.items[i];
        if (other.kind === step.kind && other.to === step.to) {
          other.steps.push(step);
          other.text.textContent = other.words();
          return this.onStep(other, step);
        }
      }
    }
    const item = {
      kind: step.kind, to: step.to, y: y, steps: [step],
      tall: Math.min(34, Math.max(3, Lab.heads.oneWay() * SCALE)) // its way took time, too
    };
    this.bottom = y;
    item.g = Lab.shape('g', {class: 'arrow ' + step.kind + ' ' + step.way});
    item.hit = item.g.appendChild(Lab.shape('line', {class: 'hit'}));
    item.line = item.g.appendChild(Lab.shape('line', {class: 'shaft'}));
    item.head = item.g.appendChild(Lab.shape('path', {class: 'head'}));
    item.text = item.g.appendChild(Lab.shape('text', {}));
    item.words = function () {
      const labels = Array.from(new Set(item.steps.map(one => one.label()))), many = item.steps.length;
      if (labels.length === many) { return labels.slice(0, 3).join(', ') + (many > 3 ? ' … ×' + many : ''); }
      return labels[0] + ' ×' + many;
    };
    Lab.say(item.text, item.words);
    item.g.addEventListener('click', () => Lab.bytesOf(item));
    this.items.push(item);
    if (this.items.length > MOST) { this.items.shift().g.remove(); } // nobody looks at this one
    this.place(item);
    this.over.append(item.g);
    this.onStep(item, step);
  };

  Diagram.prototype.place = function (item) {
    const right = item.to === 'server', sign = right ? 1 : -1;
    const from = right ? this.x.browser + 6 : this.x.server - 6;
    const to = right ? this.x.server - 6 : this.x.browser + 6;
    const failed = item.kind === 'failed';
    const end = failed ? from + (to - from) * 0.6 : to, y = item.y, tip = y + item.tall;
    [item.line, item.hit].forEach(line => {
      line.setAttribute('x1', from);
      line.setAttribute('x2', end);
      line.setAttribute('y1', y);
      line.setAttribute('y2', tip);
    });
    item.head.setAttribute('d', failed
      ? 'M' + (end - 4) + ' ' + (tip - 4) + 'l8 8m0 -8l-8 8'
      : 'M' + (end - 7 * sign) + ' ' + (tip - 4) + 'L' + end + ' ' + tip + 'L' + (end - 7 * sign) + ' ' + (tip + 4));
    item.text.setAttribute('x', this.width / 2);
    item.text.setAttribute('y', (y + tip) / 2 - 3);
  };

  // A stretch of time: {side: 'browser', 'server' or 'line', from, kind, label}; it grows until
  // end(at) is called.
  Diagram.prototype.span = function (given) {
    const span = Object.assign({until: null}, given);
    span.g = Lab.shape('g', {class: 'span ' + span.kind + ' at-' + span.side});
    span.box = span.g.appendChild(Lab.shape('rect', {}));
    if (span.label) { span.text = span.g.appendChild(Lab.say(Lab.shape('text', {}), span.label)); }
    this.under.append(span.g);
    this.spans.push(span);
    this.stretch(span);
    span.end = at => {
      if (span.until !== null) { return; }
      span.until = at === undefined ? performance.now() : at;
      span.g.classList.add('over');
      this.stretch(span);
    };
    return span;
  };

  Diagram.prototype.stretch = function (span) {
    const top = this.y(span.from), end = span.until === null ? Lab.time() : span.until;
    const tall = Math.max(2, this.y(end) - top);
    const wide = {line: this.x.server - this.x.browser, dwell: 4}[span.side] || 10;
    const x = span.side === 'line' ? this.x.browser
      : span.side === 'dwell' ? this.x.server + 8 : this.x[span.side] - wide / 2;
    span.box.setAttribute('x', x);
    span.box.setAttribute('y', top);
    span.box.setAttribute('width', wide);
    span.box.setAttribute('height', tall);
    if (span.text) {
      // In the part that can be seen, beside the bar.
      const from = Math.max(top, this.y(Lab.time()) - this.height + FOOT);
      span.text.setAttribute('x', span.side === 'line' ? this.width / 2
        : span.side === 'browser' ? x + wide + 8 : x - 8);
      span.text.setAttribute('y', (from + top + tall) / 2 + 4);
      span.text.setAttribute('visibility', top + tall - from > 44 ? 'visible' : 'hidden');
    }
  };

  // A point: something was published at the server.
  Diagram.prototype.mark = function (at) {
    const y = this.y(at), x = this.x.server, last = this.lastMark;
    if (last && Math.abs(last - y) < 5) { return; }
    this.lastMark = y;
    const path = Lab.shape('path', {class: 'mark', d: 'M0 -6L6 0L0 6L-6 0Z'});
    path.setAttribute('transform', 'translate(' + x + ' ' + y + ')');
    this.ticks.push({g: path, y: y, mark: true});
    this.over.append(path);
  };

  Diagram.prototype.placeTick = function (tick) {
    if (tick.mark) { tick.g.setAttribute('transform', 'translate(' + this.x.server + ' ' + tick.y + ')'); }
  };

  // A line across, with words: what happened to the network.
  Diagram.prototype.note = function (at, words) {
    const y = Math.max(this.y(at), this.bottom + GAP);
    this.bottom = y + 4;
    const g = Lab.shape('g', {class: 'across'});
    g.append(Lab.shape('line', {x1: 0, x2: 2000, y1: y, y2: y}));
    const text = Lab.shape('text', {x: this.width / 2, y: y - 4});
    g.append(Lab.say(text, words));
    this.ticks.push({g: g, y: y});
    this.over.append(g);
  };

  Diagram.prototype.draw = function (now) {
    const bottom = this.y(now);
    this.paper.setAttribute('transform', 'translate(0 ' + (this.height - FOOT - bottom).toFixed(2) + ')');
    const first = Math.ceil((now - this.height / SCALE) / 1000) * 1000;
    for (this.nextTick = Math.max(this.nextTick, first); this.nextTick <= now; this.nextTick += 1000) {
      const y = this.y(this.nextTick), g = Lab.shape('g', {class: 'tick'});
      g.append(Lab.shape('line', {x1: this.x.browser - 3, x2: this.x.browser + 3, y1: y, y2: y}));
      this.ticks.push({g: g, y: y});
      this.under.prepend(g);
    }
    this.spans.forEach(span => {
      if (span.until === null || span.text && this.y(span.until) > bottom - this.height) { this.stretch(span); }
    });
    this.forget(now);
  };

  // What is above the picture, of now and of the time at which it stands still, goes.
  Diagram.prototype.forget = function (now) {
    const tall = this.height + 60, gone = this.y(now) - tall;
    const still = frozen === null ? gone : this.y(frozen);
    const stays = (top, end) => end > gone || end > still - tall && top < still;
    function keep(each, top, end) {
      if (stays(top, end)) { return true; }
      each.g.remove();
      return false;
    }
    this.items = this.items.filter(item => keep(item, item.y, item.y));
    this.ticks = this.ticks.filter(tick => keep(tick, tick.y, tick.y));
    this.spans = this.spans.filter(span =>
      keep(span, this.y(span.from), span.until === null ? Infinity : this.y(span.until)));
  };

  // ---- One clock for all of them

  let last = 0;

  function frame(now) {
    requestAnimationFrame(frame);
    if (frozen !== null || now - last < (Lab.calm.matches ? CALM_FRAME : FRAME)) { return; }
    last = now;
    all.forEach(diagram => { if (diagram.seen) { diagram.draw(now); } });
  }

  requestAnimationFrame(frame);

  // What nobody sees is not drawn, and a page that is left open gathers it for days.
  setInterval(() => all.forEach(diagram => diagram.forget(performance.now())), TIDY);

  Lab.time = () => frozen === null ? performance.now() : frozen;
  Lab.freeze = function (still) { frozen = still ? performance.now() : null; };
  Lab.isFrozen = () => frozen !== null;
  Lab.Diagram = Diagram;
}(window.Lab));
