/* The channels: which there are, what is in one, and following it live. */

import { $, el, keyed, setText } from './console-dom.js';
import { clock, explained, small, whole } from './console-format.js';
import { paintFacts } from './console-overview.js';
import { ask, isName, part } from './console-server.js';
import { whenSpoken, word } from './console-words.js';

const FOUND = 50; // channels of a search
const SHOWN = 100; // messages in the list
const SEEN = 2000; // ids that are remembered, so that nothing is shown twice
const PAINT = 150; // ms between two paints of it: a channel may be faster than any eye
const PAST = 20; // kept messages that it begins with
const FRESH = 5000; // ms between two looks at a channel that is open
const WIDE = 80; // characters of data that stand in one line
const PAUSE = 250; // ms after a key before it is searched for

export class Channels {
  // line(): the client that the feed comes by; null: there is none
  constructor(figures, line) {
    this.figures = figures;
    this.line = line;
    this.open = null; // the name of the channel that is shown
    this.prefix = '';
    this.found = null; // what the search has found; null: nothing is searched for
    this.following = null; // the name of the channel that is followed
    this.note = null; // [word, ...values], or {error: () => its words}
    $('#find-channel').addEventListener('submit', (event) => {
      event.preventDefault();
      const name = $('#channel-name').value.trim();
      if (name) location.hash = `#channels/${part(name)}`;
    });
    $('#channel-name').addEventListener('input', () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.search(), PAUSE);
    });
    $('#channel .follow').addEventListener('click', () => (this.following ? this.unfollow() : this.follow()));
    whenSpoken(() => { this.paint(); this.paintChannel(); });
  }

  // ---- The list

  async search() {
    const prefix = $('#channel-name').value.trim();
    this.prefix = prefix;
    if (!prefix) {
      this.found = null;
    } else {
      try {
        const answer = await ask('GET', '/channels', { prefix, limit: FOUND });
        if (prefix !== this.prefix) return; // typed on meanwhile
        this.found = answer.channels.map(({ channel }) => channel);
      } catch {
        this.found = [];
      }
    }
    this.paint();
  }

  paint() {
    const live = this.figures.newest === null ? new Map() : this.figures.channels();
    const names = this.found || [...live.keys()];
    const rows = names.map((name) => live.get(name) || { name, subscribers: null, rate: null });
    if (!this.found) rows.sort((a, b) => b.subscribers - a.subscribers || b.rate - a.rate || (a.name < b.name ? -1 : 1));
    setText($('#channels-note'), this.found ? (rows.length ? word('found', rows.length) : word('noSuchChannels'))
      : word(rows.length ? 'busiest' : 'noChannels'));
    $('#channel-list').hidden = !rows.length;
    keyed($('#channel-list tbody'), rows, ({ name }) => name, ({ name }) => el('tr', {},
      el('th', { scope: 'row' }, el('a', { href: `#channels/${part(name)}` }, name)),
      el('td', { class: 'number' }), el('td', { class: 'number' })
    ), (row, { name, subscribers, rate }) => {
      row.classList.toggle('open', name === this.open);
      setText(row.children[1], subscribers === null ? '·' : whole(subscribers));
      setText(row.children[2], rate === null ? '·' : small(rate));
    });
  }

  // ---- One channel

  show(name) {
    if (name === this.open) return;
    this.unfollow();
    clearInterval(this.looking);
    this.open = name;
    this.facts = null;
    this.note = null;
    $('#channel .nothing').hidden = Boolean(name);
    $('#channel .about').hidden = !name;
    $('#channel .messages').replaceChildren();
    this.paint();
    if (!name) return;
    setText($('#channel-title'), name);
    $('#channel .actions').hidden = $('#channel .facts').hidden = !isName(name);
    $('#channel .publish-here').href = `#publish/${part(name)}`;
    $('#channel-title').focus({ preventScroll: innerWidth > 900 });
    if (!isName(name)) {
      this.note = { error: () => word('noName') };
      this.paintChannel();
      return;
    }
    this.looking = setInterval(() => this.look(), FRESH);
    this.look();
    this.paintChannel();
  }

  async look() {
    const name = this.open;
    try {
      const facts = await ask('GET', `/channels/${part(name)}`);
      if (name !== this.open) return;
      this.facts = facts;
      if (this.note && this.note.error) this.note = null;
    } catch (error) {
      if (name !== this.open) return;
      this.note = { error: () => explained(error) };
    }
    this.paintChannel();
  }

  paintChannel() {
    if (!this.open) return;
    const facts = this.facts, live = this.figures.newest === null ? null : this.figures.channels().get(this.open);
    paintFacts($('#channel .facts'), [
      [word('subscribers'), facts ? whole(facts.subscribers) : '–'],
      [word('online'), facts ? whole(facts.online) : '–'],
      [word('rate'), live ? small(live.rate) : small(0)],
      [word('kept'), facts ? whole(facts.kept) : '–'],
      [word('last'), facts ? facts.last || word('none') : '–'],
      [word('retained'), facts ? (facts.retained ? short(facts.retained.data) : word('none')) : '–']
    ]);
    const button = $('#channel .follow');
    setText(button, word(this.following ? 'unfollow' : 'follow'));
    button.setAttribute('aria-pressed', String(Boolean(this.following)));
    const note = this.note;
    setText($('#channel .note'), !note ? '' : note.error ? note.error() : word(...note));
    $('#channel .note').classList.toggle('bad', Boolean(note && note.error));
    for (const item of $('#channel .messages').children) item.paint();
  }

  // ---- Following, on the line that the feed comes by: the api key opens both

  async follow() {
    const name = this.open;
    this.following = name;
    this.waiting = [];
    this.seen = new Set();
    this.skipped = 0;
    $('#channel .messages').replaceChildren();
    this.note = ['notYet'];
    this.line().subscribe(name);
    this.paintChannel();
    try { // what is kept of it; what comes twice is told by its id
      const past = await ask('GET', `/channels/${part(name)}/history`, { limit: PAST });
      if (this.following !== name) return;
      const live = this.waiting;
      this.waiting = [];
      this.seen.clear();
      for (const message of past.messages.concat(live)) this.heard(message);
    } catch (error) {
      if (this.following === name) this.note = { error: () => explained(error) };
    }
    this.paintChannel();
  }

  unfollow() {
    const name = this.following, line = this.line();
    this.following = null;
    clearTimeout(this.painting);
    this.painting = null;
    if (!name) return;
    if (line) line.unsubscribe(name);
    this.note = ['stopped'];
    this.paintChannel();
  }

  // A message that has come on the line.
  heard(message) {
    if (message.channel !== this.following || this.seen.has(message.id)) return;
    this.seen.add(message.id);
    this.waiting.push(message);
    if (this.waiting.length > SHOWN) {
      this.waiting.shift();
      this.skipped += 1;
    }
    if (!this.painting) this.painting = setTimeout(() => this.paintMessages(), PAINT);
  }

  // Messages are missing on the line.
  lost(losses) {
    if (!losses.some(({ channel }) => channel === this.following)) return;
    this.note = ['followLost'];
    this.paintChannel();
  }

  paintMessages() {
    const list = $('#channel .messages');
    this.painting = null;
    for (const message of this.waiting) list.prepend(item(message));
    if (this.skipped) list.prepend(skipped(this.skipped));
    this.waiting = [];
    this.skipped = 0;
    if (this.seen.size > SEEN) this.seen = new Set([...this.seen].slice(-SHOWN));
    while (list.childElementCount > SHOWN) list.lastElementChild.remove();
    this.note = ['following'];
    this.paintChannel();
  }
}

function short(data) {
  const text = JSON.stringify(data);
  return text.length > WIDE ? `${text.slice(0, WIDE)}…` : text;
}

function readable(data) {
  const text = JSON.stringify(data);
  return text.length > WIDE ? JSON.stringify(data, null, 2) : text;
}

function item(message) {
  const text = el('pre');
  const one = el('li', {},
    el('p', { class: 'head' }, el('time'), ' ', el('b', {}, message.event), ' ', el('code', {}, message.id)), text);
  one.paint = () => {
    setText($('time', one), clock(message.time));
    setText(text, message.expired ? word('expired') : readable(message.data));
  };
  one.paint();
  return one;
}

function skipped(count) {
  const one = el('li', { class: 'skipped' });
  one.paint = () => setText(one, word('skipped', whole(count)));
  one.paint();
  return one;
}
