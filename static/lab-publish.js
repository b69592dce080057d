/*
 * Publishing: once, ten a second, a burst. The page's own requests, which no meter counts.
 */
(function (Lab) {
  'use strict';

  const BURST = 100, EVERY = 100, LONGEST = 60000; // messages; ms between two, and of all of them
  const form = Lab.one('#publish');
  if (!form) { return; } // the demo is off on this server

  const said = Lab.one('#published'), steady = Lab.one('#steady');
  let number = 0, timer = 0, until = 0, due = 0, busy = false;

  Lab.post = function (path, body, token, done) {
    const xhr = new XMLHttpRequest();
    xhr.open('POST', path);
    xhr.setRequestHeader('Content-Type', 'application/json');
    if (token) { xhr.setRequestHeader('Authorization', 'Bearer ' + token); }
    xhr.onloadend = function () {
      let answer = {};
      try {
        answer = JSON.parse(xhr.responseText);
      } catch (e) {
        answer = {detail: xhr.statusText}; // a proxy's own page, or none
      }
      done(xhr.status >= 200 && xhr.status < 300 ? null : {status: xhr.status, detail: answer.detail}, answer);
    };
    xhr.send(JSON.stringify(body));
  };

  Lab.trouble = error => error.status === 429 ? Lab.word('tooMuch')
    : !error.status ? Lab.word('nobodyAnswers')
    : Lab.word('failed') + ' ' + (error.detail || error.status);

  function tell(text, bad) {
    said.classList.toggle('bad', !!bad);
    Lab.say(said, text);
  }

  // done(answer): it was taken; over(): there is an answer, whatever it is.
  function publish(body, done, over) {
    if (Lab.wire.isAway()) { // its own connection would get through
      return tell(() => Lab.word('cannotNow'), true);
    }
    Lab.post('/demo/publish', body, null, function (error, answer) {
      if (over) { over(); }
      if (error) {
        stop();
        return tell(() => Lab.trouble(error), true);
      }
      done(answer);
    });
  }

  const one = text => ({channel: Lab.channel, data: {text: text}});

  form.addEventListener('submit', function (e) {
    e.preventDefault();
    const text = Lab.one('#text').value.trim();
    if (!text) { return; }
    publish(one(text), answer => tell(() => Lab.word('published', answer.id)));
    Lab.one('#text').select();
  });

  Lab.one('#burst').addEventListener('click', function () {
    const messages = [];
    for (let i = 0; i < BURST; i += 1) { messages.push(one('#' + (number += 1))); }
    publish({messages: messages}, answer => tell(() => Lab.word('burstDone', answer.ids.length)));
  });

  function stop() {
    said.setAttribute('aria-live', 'polite');
    clearInterval(timer);
    timer = due = 0;
    steady.setAttribute('aria-pressed', 'false');
  }

  // One request at a time, so that they arrive in their order: what falls due meanwhile comes next.
  function flow() {
    if (busy || !due || Lab.wire.isAway()) { return; }
    const messages = [];
    for (; due; due -= 1) { messages.push(one('#' + (number += 1))); }
    busy = true;
    publish({messages: messages}, function (answer) {
      if (!timer) { return; } // it is told that it has stopped
      tell(() => Lab.word('published', answer.ids[answer.ids.length - 1]));
      flow();
    }, () => { busy = false; });
  }

  steady.addEventListener('click', function () {
    if (timer) {
      stop();
      return tell(() => Lab.word('stopped'));
    }
    said.setAttribute('aria-live', 'off'); // ten a second are too much for a screen reader
    until = performance.now() + LONGEST;
    steady.setAttribute('aria-pressed', 'true');
    timer = setInterval(function () {
      if (performance.now() > until || document.hidden) {
        stop();
        return tell(() => Lab.word('stopped'));
      }
      if (Lab.wire.isAway()) { return; }
      due += 1;
      flow();
    }, EVERY);
  });
}(window.Lab));
