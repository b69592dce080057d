/*
 * What a click on an arrow shows: the bytes that it stands for, and their heads.
 */
(function (Lab) {
  'use strict';

  const SHOWN = 20; // of the arrows that became one
  const LONGEST = 4000; // characters of a body
  const dialog = Lab.one('#bytes');

  function cut(text) { return text.length > LONGEST ? text.slice(0, LONGEST) + ' …' : text; }

  function part(name, text, bytes) {
    return Lab.make('section.part', null,
      Lab.make('h4', null, () => Lab.word(name) + ' · ' + Lab.word('bytes', bytes)),
      Lab.make('pre', {tabindex: '0'}, Lab.make('code', null, cut(text))));
  }

  // Each kind of step, as what came before and after it on the wire.
  const parts = {
    request: trip => [part('headSent', Lab.heads.request(trip), Lab.heads.requestBytes(trip))],
    answer: trip => [
      part('headCame', Lab.heads.answer(trip), Lab.heads.answerBytes(trip)),
      part('bodyCame', trip.text, Lab.size(trip.text))
    ],
    opened: trip => [part('headCame', Lab.heads.answer(trip), Lab.heads.answerBytes(trip))],
    event: (trip, more) => [part('eventCame', more.raw, more.bytes)],
    frame: function (trip, more, masked) {
      if (trip.compresses && !masked) { // a script is not told how it came
        return [Lab.make('p.facts', null, () => Lab.word('inflated')), part('framePayload', more.text, more.bytes)];
      }
      const bytes = Lab.heads.frame(Lab.size(more.text), masked);
      return [part('frameHead', Lab.heads.hex(bytes), bytes.length),
        part('framePayload', more.text, Lab.size(more.text))];
    }
  };

  function fill(item) {
    const body = Lab.one('.body', dialog);
    body.textContent = '';
    item.steps.slice(0, SHOWN).forEach(function (step, i) {
      const trip = step.trip, time = Lab.clock(step.at) + '.' + String(Math.floor(step.at % 1000)).padStart(3, '0');
      const made = parts[step.what] ? parts[step.what](trip, step.more, step.masked) : [];
      const facts = Lab.make('p.facts', null, () => Lab.word('stepAt', time) + ' '
        + (step.facts ? step.facts() : ''));
      if (item.steps.length === 1) {
        body.append(facts, ...made);
      } else {
        const one = Lab.make('details', null, Lab.make('summary', null, () => step.label() + ' · ' + time));
        one.open = i === 0;
        one.append(facts, ...made);
        body.append(one);
      }
    });
    if (item.steps.length > SHOWN) {
      body.append(Lab.make('p.facts', null, () => Lab.word('andMore', item.steps.length - SHOWN)));
    }
  }

  Lab.bytesOf = function (item) {
    Lab.say(Lab.one('h3', dialog), item.words);
    fill(item);
    if (!dialog.open) { dialog.showModal(); }
    Lab.one('.body', dialog).scrollTop = 0;
  };

  dialog.addEventListener('click', function (e) { // beside it, as people expect
    if (e.target === dialog) { dialog.close(); }
  });
  Lab.one('button', dialog).addEventListener('click', () => dialog.close());
}(window.Lab));
