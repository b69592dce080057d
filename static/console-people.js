/* People: who is connected and how, and ending a connection. */

import { $, el, keyed, setText } from './console-dom.js';
import { duration, explained } from './console-format.js';
import { ask, isName, part } from './console-server.js';
import { whenSpoken, word } from './console-words.js';

const PAGE = 50; // connections
const NAMES = 3; // channels of one that are named
const NEWS = 1500; // ms until the list has the end of one: workers bring news once a second
const SURE = 6000; // ms for which a second press ends it

export class People {
  // may(): whether this key may end connections
  constructor(may) {
    this.may = may;
    this.user = null; // whose; '': everybody's; null: nobody has been asked for
    this.found = null; // the answer
    this.error = null; // () => its words
    this.ended = new Set(); // ids
    $('#find-user').addEventListener('submit', (event) => {
      event.preventDefault();
      const name = $('#user-name').value.trim();
      if (`#people/${part(name)}` === location.hash) this.look();
      else location.hash = `#people/${part(name)}`;
    });
    $('#more').addEventListener('click', () => this.look(this.found.connections.at(-1).id));
    $('#end-all').addEventListener('click', () => twice($('#end-all'), 'sureAll', () => this.end(
      `/users/${part(this.user)}/connections`, this.found.connections.map(({ id }) => id))));
    whenSpoken(() => this.paint());
  }

  show(user) {
    this.user = user;
    $('#user-name').value = user;
    this.ended.clear();
    this.look();
  }

  async look(after = '') {
    const user = this.user;
    if (user && !isName(user)) {
      this.found = null;
      this.error = () => word('noName');
      this.paint();
      return;
    }
    try {
      const answer = user ? await ask('GET', `/users/${part(user)}`, { after, limit: PAGE })
        : await ask('GET', '/connections', { after, limit: PAGE });
      if (user !== this.user) return;
      if (after) answer.connections = this.found.connections.concat(answer.connections);
      this.found = answer;
      this.error = null;
    } catch (error) {
      if (user !== this.user) return;
      this.error = () => explained(error);
      this.found = null;
    }
    this.paint();
  }

  paint() {
    const found = this.found, person = $('#person');
    person.replaceChildren();
    person.classList.toggle('bad', Boolean(this.error));
    const list = found ? found.connections : [];
    if (this.error) person.append(el('p', {}, this.error()));
    else if (found && this.user) {
      person.append(el('h2', { class: 'name' }, found.user), el('p', { class: found.online ? 'good' : '' }, found.online
        ? `${word('onlineSince', ago(found.since))}, ${word('by', found.transports.map((name) => word(name)).join(', '))}`
        : word('offline')));
      if (!found.online) person.append(el('p', { class: 'hint' }, word('nobodyHere')));
    } else if (found) {
      person.append(el('h2', {}, word('everybody')));
      if (!list.length) person.append(el('p', { class: 'hint' }, word('nobody')));
    }
    if (list.length && !this.may()) person.append(el('p', { class: 'hint' }, word('mayNotEnd')));
    $('#connections').hidden = !list.length;
    $('#connections').classList.toggle('of-one', Boolean(this.user));
    $('#more').hidden = !(found && found.more);
    $('#end-all').hidden = !(this.user && list.length && this.may());
    if (this.user) calm($('#end-all'), word('endAll', this.user));
    keyed($('#connections tbody'), list, ({ id }) => id, (one) => this.row(one), (row, one) => this.fill(row, one));
  }

  row(one) {
    const button = el('button', { type: 'button', class: 'button small danger' });
    button.addEventListener('click', () => twice(button, 'sure', () => this.end(`/connections/${part(one.id)}`, [one.id])));
    return el('tr', {},
      el('th', { scope: 'row' }, el('code', { title: one.id, id: `one-${one.id}` }, `${one.id.slice(0, 10)}…`)),
      el('td'), el('td'), el('td', { class: 'number' }), el('td', { class: 'names' }), el('td', { class: 'number' }, button));
  }

  fill(row, one) {
    const user = one.user === undefined ? this.user : one.user;
    const [, who, transport, since, channels, last] = row.children;
    who.replaceChildren(user === null ? el('span', { class: 'faint' }, word('anonymous'))
      : el('a', { href: `#people/${part(user)}` }, user));
    setText(transport, word(one.transport));
    transport.className = one.transport;
    setText(since, ago(one.since));
    const more = one.channels.length - NAMES;
    setText(channels, one.channels.slice(0, NAMES).join(', ') + (more > 0 ? ` ${word('andMore', more)}` : ''));
    channels.title = one.channels.join(', ');
    const button = $('button', last), over = this.ended.has(one.id);
    row.classList.toggle('over', over);
    button.hidden = !this.may();
    button.disabled = over;
    button.setAttribute('aria-describedby', `one-${one.id}`);
    calm(button, word(over ? 'ended' : 'end'));
  }

  async end(path, ids) {
    try {
      await ask('DELETE', path);
      ids.forEach((id) => this.ended.add(id));
      setTimeout(() => this.look(), NEWS);
    } catch (error) {
      this.error = () => explained(error);
    }
    this.paint();
  }
}

const ago = (since) => duration(Math.max(0, Date.now() / 1000 - since));

// Does it at the second press; without one the button is soon as it was.
function twice(button, question, act) {
  if (button.dataset.sure) {
    calm(button, button.textContent);
    act();
    return;
  }
  const before = button.textContent;
  button.dataset.sure = 'asked';
  button.textContent = word(question);
  button.timer = setTimeout(() => calm(button, before), SURE);
}

function calm(button, text) {
  clearTimeout(button.timer);
  delete button.dataset.sure;
  setText(button, text);
}
