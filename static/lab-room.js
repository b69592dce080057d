/*
 * The room: presence, what is said to all, and what is said to one. A guest's token comes from the
 * server, which also writes who speaks; so nobody is somebody else.
 */
(function (Lab) {
  'use strict';

  const PREFIX = document.body.dataset.prefix, ROOM = 'demo:room';
  const KEPT = 60; // rows
  const box = Lab.one('#room');
  if (!box) { return; } // the demo is off on this server

  const door = Lab.one('.door', box), inside = Lab.one('.inside', box), rows = Lab.one('.said', box);
  const text = Lab.one('#say'), to = Lab.one('#to'), said = Lab.one('.room-note', box);
  let push = null, token = null, me = null, name = '', coming = false;
  const names = new Map(); // user -> name

  Lab.say(Lab.one('[data-everyone]', box), () => Lab.word('everyone'));

  function called(user, given) {
    const tail = String(user || '').slice(-4);
    return given ? given + ' · ' + tail : Lab.word('guest') + ' ' + tail;
  }

  function note(words, bad) {
    said.classList.toggle('bad', !!bad);
    Lab.say(said, words);
  }

  // push.js asks again before it expires; the old one says which guest wants it.
  function renew(done) {
    Lab.post('/demo/enter', {name: name}, token, function (error, answer) {
      coming = false;
      if (error && error.status === 401 && token) {
        token = null;
        return renew(done);
      }
      if (error) { return note(() => Lab.trouble(error), true); }
      token = answer.token;
      me = answer.user;
      done(answer.token);
    });
  }

  function enter() {
    let fresh = true;
    renew(function () {
      note('');
      door.hidden = true;
      inside.hidden = false;
      push = Push.connect({
        url: PREFIX, channels: [ROOM, 'user:' + me], presence: true, history: 15, share: false, resume: false,
        token: done => { // the first is there already
          if (fresh) { done(token); } else { renew(done); }
          fresh = false;
        }
      });
      push.on('presence', present).on('message', hear)
        .on('history', past => past.messages.forEach(hear))
        .on('state', state => { inside.classList.toggle('waits', state !== 1); });
      text.focus();
    });
  }

  // ---- Who is there

  function present(told) {
    if (told.channel !== ROOM) { return; }
    const list = Lab.one('.people', box), chosen = to.value;
    const guests = told.members.filter(member => member.user);
    const others = told.count - guests.length;
    Lab.one('.count', box).textContent = told.count;
    list.textContent = '';
    while (to.options.length > 1) { to.remove(1); }
    guests.forEach(function (member) {
      const given = member.member && typeof member.member.name === 'string' ? member.member.name : '';
      names.set(member.user, given);
      if (member.user === me) {
        list.prepend(Lab.make('li.me', null, Lab.make('span', null, () => called(me, given) + ' ' + Lab.word('you'))));
        return;
      }
      const button = Lab.make('button.person', {type: 'button'}, () => called(member.user, given));
      button.addEventListener('click', function () {
        to.value = member.user;
        text.focus();
      });
      list.append(Lab.make('li', null, button));
      to.append(Lab.make('option', {value: member.user}, () => called(member.user, given)));
    });
    if (others > 0) { list.append(Lab.make('li.others', null, () => Lab.word('others', others))); }
    to.value = Array.from(to.options).some(option => option.value === chosen) ? chosen : '';
  }

  // ---- What is said

  function hear(message) {
    const data = message.data || {};
    if (typeof data.text !== 'string') {
      row({text: Lab.readable(message.data), who: () => Lab.word('somebody'), time: message.time});
      return;
    }
    const from = typeof data.from === 'string' ? data.from : '', given = typeof data.name === 'string' ? data.name : '';
    row({text: data.text, mine: from === me, alone: message.channel !== ROOM, time: message.time,
      who: () => from === me ? Lab.word('me') : from ? called(from, given) : Lab.word('somebody')});
  }

  function row(it) {
    const when = new Date(it.time * 1000).toTimeString().slice(0, 5);
    const view = rows.parentNode, down = view.scrollHeight - view.scrollTop - view.clientHeight < 40;
    rows.append(Lab.make('li' + (it.mine ? '.mine' : '') + (it.alone ? '.alone' : ''), null,
      Lab.make('p.who', null, Lab.make('span', null, it.who), Lab.make('time', null, when),
        ...(it.alone ? [Lab.make('span.privately', null, () => Lab.word('privately'))] : [])),
      Lab.make('p.words', null, it.text)));
    while (rows.children.length > KEPT) { rows.firstChild.remove(); }
    if (down) { view.scrollTop = view.scrollHeight; }
  }

  Lab.one('.door form', box).addEventListener('submit', function (e) {
    e.preventDefault();
    if (coming) { return; } // two guests otherwise, and one that nobody can send away
    coming = true;
    name = Lab.one('#name').value.trim();
    enter();
  });

  Lab.one('.inside form', box).addEventListener('submit', function (e) {
    e.preventDefault();
    const words = text.value.trim(), user = to.value;
    if (!words) { return; }
    text.value = ''; // now, so that nobody says it twice
    Lab.post('/demo/say', user ? {text: words, to: user} : {text: words}, token, function (error) {
      if (error) {
        text.value = text.value || words;
        return note(() => Lab.trouble(error), true);
      }
      if (user) { // the other one alone gets it
        row({text: words, mine: true, alone: true, time: Date.now() / 1000,
          who: () => Lab.word('meTo', called(user, names.get(user)))});
      }
      note('');
      text.focus();
    });
  });

  Lab.one('.leave', box).addEventListener('click', function () {
    push.close();
    token = null;
    rows.textContent = '';
    inside.hidden = true;
    door.hidden = false;
    Lab.one('#name').focus();
  });
}(window.Lab));
