/*
 * push.js: receives messages from a pushapp server, on whatever the network lets through.
 *
 * No build step, ES5 only. With jQuery (1.12 to 4.0, loaded before) or without it:
 *
 *     var push = $.push({url: '/push', channels: ['demo:chat']});      // or Push.connect({...})
 *     push.on('message', function (message) { show(message.channel, message.data); });
 *
 * Options, members and events are listed with their types in push.d.ts.
 *
 * Why nothing is missed and nothing comes twice: the server hands out a cursor ("you have everything
 * up to here") with all it sends. The client keeps the last one, hands it back whenever it connects
 * again, by whatever transport and on the next page too, and drops messages whose id it has seen. It
 * never takes a cursor apart. A message names the one before it in its channel (`prev`): where that
 * is not the last one seen, the client reads again before it goes on. What the server no longer has,
 * it says so: `lost`.
 *
 * From the bottom up: transports (how bytes come), a line (which transport, when to try again), tabs
 * (which tab has the line for all), and the client of a page (cursor, order, events).
 */
(function (root) {
  'use strict';

  var VERSION = '0.1.0';
  var CONNECTING = 0, OPEN = 1, CLOSING = 2, CLOSED = 3;

  // The first try starts at the top and has this long (ms) before a poll is sent beside it, which
  // works everywhere. Measured, first message: where all works 40 ms either way, but a poll first costs
  // each page two requests more; where WebSocket is swallowed 0.44 s, and where event streams are held
  // back as well 0.52 s, instead of the 3.0 s and 6.0 s that falling step by step takes.
  var HEAD_START = 400;
  var WELCOME_WAIT = 3000; // ms; the server greets at once: silence is a proxy that holds it back
  var HEARTBEATS = 1.5; // intervals without a sign of life that make a stream a dead one
  var HOLD = 25; // s that a long poll may wait: many proxies cut a silent answer after 30
  var ANSWER_WAIT = 10000; // ms for an answer, on top of what the server may wait
  var POLL_INTERVAL = 3000; // ms, until the server advises
  var SLOW_POLL = 10000; // ms, for a tab that must leave the few connections to others
  var LATE = 2000; // ms; a timer that comes so late has slept
  var EARLY = 500; // ms; a long poll that is answered sooner than this with nothing did not wait
  var BACKOFF = 500, BACKOFF_MAX = 30000; // ms; the bound of the first wait, and of any
  var OFFLINE_WAIT = 60000; // ms; browsers can be wrong about being offline
  var STABLE = 10000; // ms that a link must live to count as one that works
  var REST = 60000, REST_MAX = 3600000; // ms until a step that failed is tried again; it doubles
  var URL_MAX = 2000; // characters of parameters; longer ones are posted, since servers limit URLs
  var CHANNELS_MAX = 100; // that a connection may have
  var RESUME = 300000; // ms for which another page goes on where this one was
  var SLOTS = 2, LEASE = 60000; // tabs that may hold an HTTP connection each where none is shared; ms
  var SYNC_WAIT = 60000; // ms without a sign of a leader whose heartbeat is not known
  var LINES = 50; // of the log that inspect() shows

  // Asking again would get the same answer: the request is wrong, or the right is missing.
  var FINAL_STATUS = {400: true, 401: true, 403: true};
  var FINAL_CODE = {1008: true, 4001: true};

  // What an EventSource has to be told to listen for; messages are its unnamed events.
  var SSE_EVENTS = ['welcome', 'history', 'live', 'heartbeat', 'presence', 'reconnect', 'error'];

  var FORM = 'application/x-www-form-urlencoded', JSON_TYPE = 'application/json';

  var $ = root.jQuery, locks = (root.navigator || {}).locks;
  var TAB = random(), places = map();

  // ---- Small tools

  function noop() {}

  // Names of channels and events come from anywhere, `__proto__` is one.
  function map() { return Object.create(null); }

  function copy(target, source) {
    Object.keys(source || {}).forEach(function (name) {
      if (name !== '__proto__') { target[name] = source[name]; }
    });
    return target;
  }

  function without(list, others) {
    return list.filter(function (item) { return others.indexOf(item) < 0; });
  }

  // Names of channels, as a list or with commas.
  function names(given) { return [].concat(given || []).join().split(',').filter(Boolean); }

  // Digits: what is asked with them is known again by the server's express lane.
  function random() { return (Math.random() + '').slice(2); }

  // ms until then; 0 where that is past, or further off than it can have been meant: then the clock
  // has been set back, and a browser remembers what another time of day had written.
  function left(until, most) {
    var ms = until - Date.now();
    return ms > 0 && ms <= most ? ms : 0;
  }

  function jittered(ms) { return (ms || 0) * (1 + Math.random() / 2); }

  // Reads a value from a storage, writes it, or removes it (null). Browsers may refuse storage
  // altogether; then nothing is kept.
  function store(area, key, value) {
    try {
      area = root[area];
      if (value === undefined) { return JSON.parse(area.getItem(key)); }
      if (value === null) { area.removeItem(key); } else { area.setItem(key, JSON.stringify(value)); }
    } catch (e) {
      return null;
    }
  }

  // What a JWT says of itself; the server alone can tell whether it is true.
  function claims(token) {
    try {
      return JSON.parse(root.atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')));
    } catch (e) {
      return {}; // some other kind of token
    }
  }

  function query(data) {
    return Object.keys(data).filter(function (name) { return data[name]; }).map(function (name) {
      return name + '=' + encodeURIComponent(data[name]);
    }).join('&');
  }

  // done(error) or done(null, answer, size). Not $.ajax: it would turn a page's ajaxStart spinners.
  function request(options, method, url, body, type, token, wait, done) {
    var xhr = new XMLHttpRequest();
    xhr.open(method, url);
    xhr.timeout = wait;
    if (options.withCredentials) { xhr.withCredentials = true; }
    if (token) { xhr.setRequestHeader('Authorization', 'Bearer ' + token); }
    if (type) { xhr.setRequestHeader('Content-Type', type); }
    xhr.onload = function () {
      var answer = null;
      try {
        answer = JSON.parse(xhr.responseText);
      } catch (e) {
        answer = null; // a proxy's own page
      }
      if (xhr.status < 300 && answer) { return done(null, answer, xhr.responseText.length); }
      answer = answer || {};
      // What went wrong, as the server tells it (RFC 9457)
      done({
        status: xhr.status, title: answer.title, field: answer.field,
        detail: answer.detail || 'not JSON',
        // A portal may name weeks, which no timer can hold.
        after: Math.max(0, Math.min(REST_MAX, 1000 * xhr.getResponseHeader('Retry-After') || 0))
      });
    };
    xhr.onerror = xhr.ontimeout = function (e) { done({status: 0, detail: e.type}); };
    xhr.send(body);
    return xhr;
  }

  // ---- Transports. Each opens a link and hands it frames: the JSON objects of the WebSocket
  // protocol, into which the others translate what they get. What open() returns can close it again;
  // `wake` (optional) makes it show a sign of life, `ask` (optional) takes up a change of channels.

  var transports = {
    websocket: {
      stream: true,
      usable: function () { return root.WebSocket; },
      open: function (link, token) {
        var socket = new WebSocket(link.address('/ws').replace(/^http/, 'ws'));
        function send(op) {
          var text = JSON.stringify(op);
          link.note('op', op.op, text.length);
          socket.send(text);
        }
        socket.onopen = function () { if (token) { send({op: 'refresh', token: token}); } };
        socket.onmessage = function (e) { link.text(e.data); };
        socket.onclose = function (e) { link.failed({code: e.code, detail: e.reason || 'closed'}); };
        return {
          send: send,
          wake: function () { send({op: 'ping'}); },
          close: function (done) {
            socket.onopen = socket.onmessage = null;
            socket.onclose = done;
            socket.close(1000);
          }
        };
      }
    },

    sse: {
      stream: true,
      slot: true, // one of the six connections that a browser makes to a host over HTTP/1.1
      usable: function () { return root.EventSource; },
      open: function (link, token) {
        var source, asking;
        function receive(e) {
          // The browser's own `error` has no data, the server's has. The browser would come back
          // by itself, but without jitter: the line does that. It tells no status either, so that
          // a missing right looks like any other failure, and the next step tells it.
          if (typeof e.data === 'string') {
            link.text(e.data, e.type === 'message' ? undefined : e.type, e.lastEventId);
          } else {
            link.failed({detail: 'closed'});
          }
        }
        function open(ticket) {
          source = new EventSource(link.address('/sse', ticket),
            {withCredentials: !!link.options.withCredentials});
          source.onmessage = receive;
          SSE_EVENTS.forEach(function (type) { source.addEventListener(type, receive); });
        }
        if (token) { // an EventSource sends no headers
          asking = link.request('/ticket', {}, token, ANSWER_WAIT, function (error, answer) {
            if (error) { link.failed(error); } else { open(answer.ticket); }
          });
        } else {
          open();
        }
        return {close: function (done) {
          if (source) { source.close(); } else { asking.abort(); }
          done();
        }};
      }
    },

    longpoll: polling('/longpoll', function (link, answer, asked) {
      var early = !answer.messages.length && Date.now() - asked < EARLY;
      return early ? POLL_INTERVAL : 0;
    }),

    poll: polling('/poll', function (link, answer) {
      var advised = (answer.advice || {}).interval || POLL_INTERVAL;
      return answer.more ? 0 : link.crowded() ? Math.max(SLOW_POLL, advised)
        : Math.min(advised, link.options.interval || advised);
    })
  };

  function polling(path, pause) {
    var holds = path === '/longpoll';
    return {
      slot: holds,
      usable: function () { return true; },
      open: function (link, token) {
        var xhr, timer, first = true;

        function ask(token) {
          var data = link.parameters(), asked = Date.now();
          stop();
          // The first answer tells that the line works and what was missed: it should not wait.
          if (holds) { data.timeout = first ? 1 : link.step.hold || HOLD; }
          xhr = link.request(path, data, token, (data.timeout || 0) * 1000 + ANSWER_WAIT,
            function (error, answer, size) {
              var waited = (Date.now() - asked) / 1000, reconnect, wait;
              xhr = null;
              if (error) {
                // Something on the way cuts a silent answer: wait less than it does. A machine that
                // slept believes that it has waited for hours.
                if (data.timeout > 2 && waited > 2) {
                  link.step.hold = Math.ceil(Math.min(waited, data.timeout) / 2);
                }
                return link.failed(error);
              }
              if (!answer.messages.length) { link.stats.empty += 1; }
              link.stats.bytes += size;
              asFrames(answer, link.receive);
              if (!link.isAlive()) { return; } // a handler of the page has closed it
              reconnect = (answer.advice || {}).reconnect;
              wait = reconnect ? jittered(reconnect) : first && holds ? 0
                : pause(link, answer, asked);
              first = false;
              // Not through a timer of 0: hidden tabs are held to one timer a minute.
              if (wait) { timer = setTimeout(again, wait); } else { again(); }
            });
        }

        function again() { link.token(ask); }

        function stop() {
          clearTimeout(timer);
          if (xhr) { xhr.abort(); }
        }

        ask(token);
        return {
          wake: function () {
            first = true; // what a dead connection swallows is soon noticed
            again();
          },
          ask: again,
          close: function (done) {
            stop();
            done();
          }
        };
      }
    };
  }

  // A poll's answer is a stream in small: welcome, history, messages, live.
  function asFrames(answer, receive) {
    receive({type: 'welcome', connection: answer.connection});
    function each(type) {
      Object.keys(answer[type] || {}).forEach(function (channel) {
        var told = answer[type][channel];
        receive(copy({type: type, channel: channel}, type === 'history' ? {messages: told} : told));
      });
    }
    each('history');
    answer.messages.forEach(receive);
    each('presence'); // later: it moves the cursor beyond the messages
    receive({type: 'live', cursor: answer.cursor, recovered: answer.recovered, lost: answer.lost});
  }

  // ---- A line to the server: it picks the transport, notices when one is dead, and comes back.
  //
  // At most two links are open: the one that carries, and one on trial, better than that. With the
  // first frame after its welcome the trial takes over, from the same cursor; what both have brought is
  // dropped by id.
  //
  // The client that owns the line answers `wants` (channels, cursor), `isAlone` and `isRunning`, and
  // hears of `frame`, `up`, `down`, `refused`, `end` and `note`.

  function Line(options, stats, client) {
    var memory = 'push.js ladder ' + options.url;
    var link = null, trial = null;
    var tries = 0, downSince = 0; // failures in a row, and since when
    var refused = 0; // tokens in a row
    var worked = []; // the channels that were last allowed
    var retry, head, climbing, renewal; // timers
    var connection; // the id that the server knows this client by
    var token, tokenUntil, asking, awaited = []; // who waits for a token
    var replies = map(), ref = 0;
    var rests = store('localStorage', memory) || {};
    var steps = [].concat(options.transport || options.transports).map(function (name) {
      if (Object.keys(transports).indexOf(name) < 0) {
        throw new Error('push.js: no transport ' + name);
      }
      return copy({name: name, transport: transports[name], rest: 0, count: 0, brief: 0},
        copy({}, rests[name]));
    }).filter(function (step) { return step.transport.usable(); });

    steps.forEach(function (step, i) { step.index = i; });

    function isOpen() { return link && link.opened; }

    function isAlive(it) { return it === link || it === trial; }

    // The first step from `i` on that has not failed of late.
    function next(i) {
      return steps.filter(function (step) {
        return step.index >= i && !left(step.rest, REST_MAX)
          && !(step.transport.slot && crowded());
      })[0];
    }

    // Without a leader for all tabs, each may count in what all can see, if that can be seen.
    function taken() {
      var slots = store('localStorage', 'push.js slots') || {};
      Object.keys(slots).forEach(function (tab) {
        if (!left(slots[tab], LEASE)) { delete slots[tab]; }
      });
      return slots;
    }

    function crowded() {
      var slots = client.isAlone() ? taken() : {};
      // Tabs that began together have all seen room: those that come last in the list give way.
      return Object.keys(slots).filter(function (tab) {
        return !slots[TAB] || tab < TAB;
      }).length >= SLOTS;
    }

    function lease(it, until) {
      var slots;
      if (!it.step.transport.slot || !client.isAlone()) { return; }
      slots = taken();
      slots[TAB] = until;
      store('localStorage', 'push.js slots', slots);
    }

    // Renews the slot of a link; gives the link up, and tells so, where others come first.
    function keeps(it) {
      lease(it, Date.now() + LEASE);
      if (!it.step.transport.slot || !crowded()) { return true; }
      away(jittered(BACKOFF));
    }

    function note(what, it, detail, size) { client.note(what, it && it.step.name, detail, size); }

    // Calls then(token), which may take a while; then(undefined) where the page has none.
    function withToken(then, failed) {
      var result;
      function answer(i, value) {
        var waiting = awaited;
        clearTimeout(asking);
        awaited = [];
        waiting.forEach(function (each) { each[i](value); });
      }
      function take(fresh) {
        var its = claims(fresh);
        // The page's clock may be wrong: what counts is how long the token was made to last.
        var life = its.iat ? (its.exp - its.iat) * 1000
          : Math.max(its.exp * 1000 - Date.now(), REST);
        token = fresh;
        tokenUntil = life === life ? Date.now() + Math.max(0.8 * life, 2000) : Infinity;
        answer(0, fresh);
      }
      function fail(e) { 
        answer(1, {detail: 'no token: ' + (e && (e.message || e.status) || e)});
      }
      if (typeof options.token !== 'function') { return then(options.token); }
      if (token && Date.now() < tokenUntil) { return then(token); }
      awaited.push([then, failed]);
      if (awaited.length > 1) { return; }
      asking = setTimeout(fail, ANSWER_WAIT, 'no answer');
      note('token asked for');
      try {
        result = options.token(take);
      } catch (e) {
        return fail(e);
      }
      if (result && result.then) { result.then(take, fail); } else if (result) { take(result); }
    }

    // -- links

    function open(step, onTrial) {
      var it = {
        step: step, options: options, stats: stats, opened: 0, heard: 0, welcome: {},
        channels: client.wants().channels,
        isAlive: function () { return isAlive(it); },
        crowded: crowded,
        note: function (what, detail, size) { note(what, it, detail, size); },
        receive: function (frame) { if (isAlive(it)) { receive(it, frame); } },
        failed: function (error) { if (isAlive(it)) { failed(it, error); } },
        token: function (then) {
          withToken(function (token) { if (isAlive(it)) { then(token); } }, it.failed);
        },
        parameters: function () { return from(it); },
        address: function (path, ticket) {
          var anchor = root.document.createElement('a'); // resolves a relative URL, in every browser
          anchor.href = options.url + path + '?' + query(copy({ticket: ticket}, from(it)));
          asked(it, path);
          return anchor.href;
        },
        request: function (path, data, token, wait, done) {
          var since = Date.now();
          asked(it, path);
          return ask(path, data, token, wait, function (error, answer, size) {
            note('answer', it, (error ? error.status + ' ' + error.detail : '200') + ' after '
              + (Date.now() - since) + ' ms', size);
            if (isAlive(it)) { done(error, answer, size); }
          });
        },
        text: function (text, type, cursor) {
          var frame;
          stats.bytes += text.length;
          try {
            frame = JSON.parse(text);
            frame.type = type || frame.type;
          } catch (e) {
            return it.failed({detail: 'not JSON: ' + text.slice(0, 80)});
          }
          if (cursor) { frame.cursor = frame.cursor || cursor; }
          note('frame', it, frame.type || frame.id, text.length);
          it.receive(frame);
        }
      };
      if (onTrial) { trial = it; } else { link = it; }
      // On a line that is slow and not dead, more patience each time will do.
      watch(it, step.transport.stream ? WELCOME_WAIT * Math.pow(2, Math.min(tries + step.count, 3))
        : ANSWER_WAIT + 2000);
      lease(it, Date.now() + LEASE);
      it.token(function (token) {
        try {
          it.handle = step.transport.open(it, token);
        } catch (e) { // what the browser or the page's policy forbids
          return it.failed({detail: String(e)});
        }
        // The browser may have told that it failed before it told us what.
        if (!isAlive(it)) { it.handle.close(noop); }
      });
    }

    function from(it) {
      var data = parameters();
      it.cursor = data.cursor;
      return copy({connection: connection}, data); // who comes back by another way is the same one
    }

    function asked(it, path) {
      stats.requests += 1;
      note('request', it, path);
    }

    function parameters() {
      var wants = client.wants();
      return {
        channels: wants.channels.join(','), cursor: wants.cursor,
        history: wants.cursor ? 0 : options.history, presence: options.presence ? 1 : 0,
        _: random() // some proxies store what says no-store
      };
    }

    function ask(path, data, token, wait, done) {
      var form = query(data), posts = !form || form.length > URL_MAX;
      return request(options, posts ? 'POST' : 'GET', options.url + path + (posts ? '' : '?' + form),
        posts ? form : null, form && posts ? FORM : null, token, wait,
        function (error, answer, size) {
          if (!error && data.channels && !answer.messages) {
            error = {status: 0, detail: 'no answer'};
          }
          if (!error) {
            refused = 0;
            if (data.channels) { worked = data.channels.split(','); }
          }
          done(error, answer, size);
        });
    }

    // Takes a link that stays silent for so long (ms) as dead; until the next call.
    function watch(it, silence) {
      var since = Date.now();
      clearTimeout(it.alarm);
      it.alarm = setTimeout(function () {
        // A page that slept finds its timers due before it can read what has come meanwhile.
        if (Date.now() - since > silence + LATE) {
          watch(it, WELCOME_WAIT);
        } else {
          it.failed({detail: 'silent'});
        }
      }, silence);
    }

    // Lets go of a link, whatever state it is in; it is deaf from now on.
    function drop(it, done) {
      if (it) {
        clearTimeout(it.alarm);
        lease(it, 0);
        if (it === link) { link = null; }
        if (it === trial) { trial = null; }
        if (it.handle) { return it.handle.close(done || noop); }
      }
      if (done) { done(); }
    }

    function receive(it, frame) {
      it.heard = Date.now();
      if (it.silence) { watch(it, it.silence); }
      if (frame.type === 'welcome') {
        connection = frame.connection || connection;
        it.welcome = frame;
        if (!keeps(it)) { return; }
        // Then the server may wait for 5 s for a token; `live` or a message says that it goes on.
        if (!it.opened) { return it.step.transport.stream && watch(it, 2 * WELCOME_WAIT); }
      } else if (frame.type === 'heartbeat') {
        if (!keeps(it)) { return; }
      } else if (frame.type === 'reconnect') {
        return away(jittered(frame.after));
      } else if (frame.type === 'reply' && replies[frame.ref]) {
        replies[frame.ref](frame);
        delete replies[frame.ref];
      } else if (frame.type === 'error' && (FINAL_STATUS[frame.status] || !it.opened)) {
        return failed(it, frame);
      } else if (!it.opened && frame.type !== 'reply') {
        // It would go on from where the line has not been, or tell once more what is lost.
        if (it.stale) {
          drop(it);
          return open(it.step, true);
        }
        up(it);
        if (it === link) { client.frame(it.welcome); }
      }
      if (it === link) {
        if (trial && frame.type === 'live' && (!trial.cursor || frame.recovered === false)) {
          trial.stale = true;
        }
        client.frame(frame);
      }
    }

    function up(it) {
      it.opened = it.heard;
      it.step.bad = false;
      refused = 0;
      if (it.step.transport.stream) {
        worked = it.channels;
        it.silence = client.silence = (it.welcome.heartbeat || HOLD) * 1000 * HEARTBEATS;
        watch(it, it.silence);
      } else {
        clearTimeout(it.alarm); // each request has its own time
      }
      if (it === trial) {
        drop(link);
        link = it;
        trial = null;
      }
      clearTimeout(head);
      note('open', it);
      client.up(it.step.name);
      if (it !== link) { return; } // a handler of the page has closed it
      if (it.handle.send) { renew(it); }
      if (it.step.transport.stream && String(client.wants().channels) !== String(it.channels)) {
        change();
      }
      settle();
    }

    // A token that was refused is asked for again, unless that has just been done.
    function renews(error) {
      if ((error.status !== 401 && error.code !== 4001) || typeof options.token !== 'function'
          || refused > 1) {
        return false;
      }
      refused += 1;
      token = null;
      return true;
    }

    // A token is replaced in place before it expires, where there is a way to.
    function renew(it, wait) {
      var left = wait || tokenUntil - Date.now();
      clearTimeout(renewal);
      if (!token || left > 0x7fffffff) { return; }
      renewal = setTimeout(function () {
        withToken(function (fresh) {
          if (it !== link) { return; }
          it.handle.send({op: 'refresh', token: fresh});
          renew(it);
        }, function () { // what it has is good for a while
          if (it === link) { renew(it, jittered(POLL_INTERVAL)); }
        });
      }, left);
    }

    function failed(it, error) {
      var onTrial = it === trial, step = it.step, wait = 0, renewed, lower, added;
      var after = error.after || 1000 * error.retry_after || 0;
      var life = (error.detail === 'silent' ? it.heard : Date.now()) - it.opened;
      drop(it);
      forget();
      error.transport = step.name;
      step.failed = [error.status || error.code, error.detail].filter(Boolean).join(' ');
      note('failed', it, step.failed);
      if (renews(error)) {
        renewed = refused < 2;
      } else if (error.title && FINAL_STATUS[error.status] || FINAL_CODE[error.code]) {
        stop();
        added = untried();
        if (!added.length) { return client.end(error); }
        client.refused(error, added);
        return client.isRunning() && start();
      } else if (error.status === 429) {
        step.rest = Date.now() + after; // it is not the network: no other way would do
      } else if (!it.opened) {
        step.bad = true;
        lower = next(step.index + 1);
        // This network may let another one through: no need to wait.
        if (lower && (!link || lower.index < link.step.index)) {
          return open(lower, onTrial);
        }
      } else if (life >= STABLE) {
        tries = downSince = step.brief = step.count = 0;
      } else if ((step.brief += 1) > (step.transport.stream ? 1 : 3)) {
        rest(step); // it opens, and never lasts
      }
      if (link) { return settle(); }
      if (!renewed) {
        // Full jitter: after a restart everyone comes back, but not at once. Nobody stays away longer
        // than about as long again as the trouble has lasted.
        downSince = Math.min(downSince || Infinity, Date.now());
        wait = Math.random() * Math.min(BACKOFF_MAX, BACKOFF * Math.pow(2, tries),
          Math.max(BACKOFF, Date.now() - downSince));
        wait = Math.max(wait, navigator.onLine === false ? OFFLINE_WAIT : 0) + after;
        tries += 1;
      }
      error.wait = wait;
      if (trial) { // it goes down the ladder by itself, and may take long for that
        head = setTimeout(beside, wait);
        return it.opened && client.down(error);
      }
      away(wait, error);
    }

    // What was added to channels that work: where it is refused, they go on.
    function untried() {
      var wants = client.wants().channels, added = without(wants, worked);
      return added.length < wants.length ? added : [];
    }

    // Steps that failed where a lower one works are left in peace for a while, on other pages too.
    function rest(step) {
      if (step.index === steps.length - 1) { return; }
      step.bad = false;
      step.brief = 0;
      step.rest = Date.now() + Math.min(REST_MAX, REST * Math.pow(2, step.count));
      step.count += 1;
      remember();
    }

    function remember() {
      var kept = {};
      steps.forEach(function (step) {
        if (step.rest) { kept[step.name] = {rest: step.rest, count: step.count}; }
      });
      store('localStorage', memory, kept);
    }

    // Looks for a better way, now or when its rest is over, while the line works.
    function settle() {
      var at = Infinity;
      clearTimeout(climbing);
      if (!isOpen() || trial) { return; }
      steps.slice(0, link.step.index).forEach(function (step) {
        if (step.bad) { rest(step); }
        at = Math.min(at, step.transport.slot && crowded() ? REST : left(step.rest, REST_MAX));
      });
      if (at < Infinity) {
        climbing = setTimeout(function () {
          var better = next(0);
          if (isOpen() && !trial && better && better.index < link.step.index) {
            open(better, true);
          } else {
            climbing = setTimeout(settle, REST);
          }
        }, at + 1);
      }
    }

    // Whoever waits for a reply on a socket that has gone is told.
    function forget() {
      var lost = replies;
      if (isOpen() && link.handle.send) { return; }
      replies = map();
      Object.keys(lost).forEach(function (ref) {
        lost[ref]({ok: false, error: {detail: 'connection ended'}});
      });
    }

    function stop(done) {
      [retry, head, climbing, renewal].forEach(clearTimeout);
      retry = 0;
      drop(trial);
      drop(link, done);
      forget();
    }

    function start() {
      var first = next(0) || steps[0];
      stop();
      if (!first) { return client.end({detail: 'no transport'}); }
      if (!client.wants().channels.length) { return client.down(); } // until subscribe()
      open(first, true);
      if (!first.transport.stream) { return; }
      head = setTimeout(beside, HEAD_START);
    }

    // Opens what works everywhere beside a stream that has not said anything.
    function beside() {
      var safe = trial && trial.step.transport.stream && steps.filter(function (step) {
        return step.index > trial.step.index && !step.transport.stream
          && !(step.transport.slot && crowded());
      })[0];
      if (!link && safe) { open(safe); }
    }

    function away(wait, error) {
      client.down(error);
      if (!client.isRunning()) { return; } // a handler of the page has closed it
      stop();
      note('wait', null, Math.round(wait) + ' ms');
      retry = setTimeout(start, wait);
    }

    // Calls done(reply), and tells whether it could be sent.
    function send(op, done) {
      if (!isOpen() || !link.handle.send) { return false; }
      op.ref = ref += 1;
      replies[ref] = done;
      link.handle.send(op);
      return true;
    }

    // Takes up the channels that are wanted now: in place where that can be told, else by coming
    // back with them.
    function change() {
      var wants = client.wants(), added, removed;
      if (!wants.channels.length || !(link || trial || retry)) { return start(); }
      if (!isOpen()) { return; } // it will be seen to when it is
      drop(trial);
      added = without(wants.channels, link.channels);
      removed = without(link.channels, wants.channels);
      if (!link.handle.send) {
        if (link.handle.ask) {
          link.handle.ask();
          settle();
        } else if (added.concat(removed).length) {
          start();
        }
        return;
      }
      link.channels = wants.channels;
      if (added.length) {
        send({op: 'subscribe', channels: added, cursor: wants.cursor || undefined}, function (reply) {
          if (reply.ok) {
            worked = wants.channels;
            return;
          }
          if (FINAL_STATUS[reply.error.status]) {
            client.refused(reply.error, added);
            if (isOpen()) {
              link.channels = without(link.channels, added);
              change();
            }
          } else if (isOpen()) {
            failed(link, reply.error); // the next one has the new channels
          }
        });
      }
      if (removed.length) { send({op: 'unsubscribe', channels: removed}, noop); }
      settle();
    }

    return {
      start: start,
      stop: stop,
      send: send,
      renews: renews,
      untried: untried,
      withToken: withToken,

      poll: function (token, done) {
        asked(null, '/poll');
        return ask('/poll', parameters(), token, ANSWER_WAIT, done);
      },

      post: function (path, body, token, done) {
        return request(options, 'POST', options.url + path, JSON.stringify(body), JSON_TYPE, token,
          ANSWER_WAIT, done);
      },

      change: change,

      // The network or the page is back: look now rather than later. `fresh`: it may be another one.
      wake: function (fresh) {
        if (fresh) {
          steps.forEach(function (step) { step.rest = step.count = step.hold = 0; });
          tries = downSince = 0;
        }
        if (isOpen()) {
          if (Date.now() - link.heard > link.silence) {
            return failed(link, {detail: 'silent'});
          }
          if (link.handle.wake) {
            link.handle.wake();
            if (link.silence) { watch(link, WELCOME_WAIT); }
          } else if (fresh || Date.now() - link.heard > link.silence / 4) {
            return start(); // from the cursor, so that it costs nothing but a connection
          }
          settle();
        } else if (retry) {
          start();
        }
      },

      inspect: function () {
        return steps.map(function (step) {
          return {
            transport: step.name, failed: step.failed || null,
            rests: left(step.rest, REST_MAX)
          };
        });
      }
    };
  }

  // ---- Tabs. The tabs of one origin that want the same share the line of one of them, the leader:
  // whoever holds the lock. The browser hands it on when that tab closes or crashes; the others take
  // it away from one that is silent, as a frozen page is. What is told over the channel:
  //
  //   join (channels), leave                     a follower to the leader
  //   joined (to, transport, silence)            the leader has its channels: all from now on comes
  //   lead, frame, up (transport), down, gone    the leader to all; gone (to): for itself from now on
  //   who, here                                  is there a leader that lives?

  function Tabs(name, client) {
    var id = random(), channel = new BroadcastChannel(name);
    var leader = null, leading = false, running = true, members = map();
    var queued, release = noop, alarm;

    function say(what, message) {
      if (running) { channel.postMessage(copy({what: what, from: id}, message)); }
    }

    function join() { say('join', {channels: client.channels()}); }

    // Until the next call: a leader that is silent for so long (ms) is asked, then replaced.
    function watch(silence, ask) {
      clearTimeout(alarm);
      alarm = setTimeout(function () {
        if (ask) {
          say('who');
          watch(jittered(WELCOME_WAIT), false); // one steals first, and its `lead` stops the others
        } else {
          client.note('leader silent');
          elect(true);
          watch(SYNC_WAIT, true);
        }
      }, silence);
    }

    function elect(steals) {
      if (queued) { queued.abort(); }
      queued = steals ? null : new AbortController();
      locks.request(name, steals ? {steal: true} : {signal: queued.signal}, function () {
        if (!running) { return; }
        queued = null;
        leading = true;
        leader = id;
        members = map();
        clearTimeout(alarm);
        client.lead();
        return new Promise(function (resolve) { release = resolve; });
      }).then(null, function (error) {
        if (!running) { return; }
        if (error.name !== 'AbortError') { // no locks for this page
          self.stop();
          client.alone();
        } else if (leading) { // another tab took it, because this one was frozen
          leading = false;
          leader = null;
          client.follow();
          elect();
          say('who'); // some may have joined this tab while it did not know
          join();
        }
      });
    }

    function heard(message) {
      var from = message.from, known;
      if (leading) {
        if (message.what === 'who') { say('here'); }
        if (message.what === 'leave') {
          delete members[from];
          client.changed();
        }
        if (message.what === 'join') {
          known = members[from];
          members[from] = message.channels;
          if (client.wants().channels.length > CHANNELS_MAX) {
            delete members[from];
            return say('gone', {to: from});
          }
          // Its lock becomes free when it ends, however it ends.
          if (!known) {
            locks.request(from, function () {
              heard({what: 'leave', from: from});
            }).then(null, noop);
          }
          client.changed();
          // Before there is a cursor, nobody could tell from where on all comes: `lead` follows.
          if (client.cursor()) { say('joined', copy({to: from}, client.state())); }
        }
        return;
      }
      if (message.what === 'lead' || message.what === 'here' && from !== leader) {
        join();
      } else if (message.what === 'joined' && message.to === id) {
        leader = from;
        client.joined(message);
      } else if (from === leader && message.what === 'frame') {
        client.receive(message.frame);
      } else if (message.to ? message.to === id && message.what === 'gone'
          : from === leader && message.what in {up: 1, down: 1, gone: 1}) {
        client[message.what](message.transport);
      }
      if (from === leader || message.what === 'lead' || message.what === 'here') {
        watch(client.silence || SYNC_WAIT, true);
      }
    }

    var self = {
      say: say,
      join: join,
      channels: function () {
        var all = [];
        Object.keys(members).forEach(function (member) {
          all = all.concat(without(members[member], all));
        });
        return all;
      },
      // Whoever wants one of these channels is on their own; tells whether there was one.
      alone: function (channels) {
        return Object.keys(members).filter(function (member) {
          if (without(members[member], channels).length === members[member].length) { return false; }
          delete members[member];
          say('gone', {to: member});
          return true;
        }).length;
      },
      count: function () { return Object.keys(members).length; },
      stop: function () {
        say('leave');
        running = leading = false;
        clearTimeout(alarm);
        if (queued) { queued.abort(); }
        release();
        alive();
        channel.close();
      }
    };

    var alive = noop; // lets go of the lock that says that this tab lives
    channel.onmessage = function (e) { heard(e.data); };
    locks.request(id, function () {
      join(); // not sooner: the leader would take it for a tab that has gone
      return running && new Promise(function (resolve) { alive = resolve; });
    }).then(null, noop); // elect() sees to it where there are no locks
    elect();
    watch(WELCOME_WAIT, true);
    return self;
  }

  // ---- The client of a page: its channels, its cursor, the order of messages, and what it is told.

  function connect(given) {
    var options = copy({url: '/push', transports: ['websocket', 'sse', 'longpoll', 'poll']}, given);
    var push = {
      readyState: CONNECTING, transport: null, cursor: options.cursor || null,
      channels: names(options.channels), members: map(), options: options,
      stats: {requests: 0, empty: 0, messages: 0, duplicates: 0, bytes: 0, reconnects: 0},
      CONNECTING: CONNECTING, OPEN: OPEN, CLOSING: CLOSING, CLOSED: CLOSED
    };
    var stats = push.stats, handlers = map(), log = [];
    var role = null, tabs = null; // null: away
    var newest = map(); // channel and epoch -> N of the last message: ids of an epoch may be compared
    var last = map(); // channel -> id of its last message
    var checked = map(); // channels with a message on this stream: `prev` proves the next one
    var listed = map(); // channel -> as of where its members are known
    var suspect = null; // id of a message before which something seems to be missing
    var sync = null; // {xhr, frames}: while it reads by itself, what comes meanwhile waits
    var carrier = null; // the transport of the line that is open
    var resuming = !!push.cursor, opened = false, saving, retry;
    var place = 'push.js ' + options.url + ' ' + push.channels.slice().sort() + ' 1';
    while (places[place]) { place += '1'; } // another client of this page wants the same
    places[place] = true;

    var client = {
      silence: 0,
      channels: function () { return push.channels; },
      cursor: function () { return push.cursor; },
      isAlone: function () { return role === 'alone'; },
      isRunning: function () { return role && push.readyState < CLOSING; },
      wants: function () {
        return {
          channels: push.channels.concat(
            role === 'leader' ? without(tabs.channels(), push.channels) : []),
          cursor: push.cursor
        };
      },
      state: function () {
        return {transport: carrier, silence: client.silence};
      },
      note: note,

      // of the line
      frame: function (frame) {
        if (role === 'leader') { tell('frame', {frame: frame}); }
        receive(frame);
      },
      up: function (transport) {
        if (role === 'leader') { tell('up', {transport: transport}); }
        carrier = transport;
        if (!sync || role !== 'follower') { open(); }
      },
      down: function (error) {
        if (role === 'leader') { tell('down'); }
        carrier = null;
        resuming = !!push.cursor;
        state(CONNECTING);
        if (error && error.detail) { emit('error', error); }
      },
      end: function (error) {
        // One tab's fault is not the others': each finds out for itself.
        if (role === 'leader' && tabs.count()) {
          tell('gone');
          return client.gone();
        }
        emit('error', error);
        ended();
      },

      // of the tabs
      lead: function () {
        desync();
        role = 'leader';
        note('leader');
        if (push.cursor) { tabs.say('lead'); }
        line.start();
      },
      follow: function () {
        role = 'follower';
        line.stop();
        client.down();
      },
      joined: function (it) {
        client.silence = it.silence;
        carrier = it.transport;
        note('follower', carrier);
        if (push.channels.length) { read([]); }
      },
      changed: function () { line.change(); },
      refused: refused,
      gone: function () {
        tabs.stop();
        alone();
      },
      alone: alone,
      receive: receive
    };
    var line = Line(options, stats, client);

    function tell(what, message) { if (tabs.count()) { tabs.say(what, message); } }

    function alone() {
      desync();
      tabs = null;
      role = 'alone';
      line.start();
    }

    // -- what comes

    function receive(frame) {
      if (sync) { sync.frames.push(frame); } else { handle(frame); }
    }

    function handle(frame) {
      switch (frame.type) {
        case undefined:
          message(frame);
          break;
        case 'welcome':
          checked = map();
          break;
        case 'history':
          frame = copy({}, frame);
          frame.messages = frame.messages.filter(function (message) {
            return mine(message) && isNew(message);
          });
          if (push.channels.indexOf(frame.channel) >= 0) { emit('history', frame); }
          break;
        case 'heartbeat':
          moved(frame.cursor);
          break;
        case 'live':
          moved(frame.cursor);
          continuity(frame);
          break;
        case 'reply':
          moved(frame.cursor);
          if (frame.recovered === false) { continuity(frame); }
          break;
        case 'presence':
          presence(frame);
          break;
        case 'error':
          emit('error', frame);
          break;
        // `reconnect` is the line's; types that are not known here are of a later server, no harm.
        case 'reconnect':
      }
    }

    // A list replaces what was known; changes that are not newer are in it already.
    function presence(frame) {
      var channel = frame.channel, given = frame.members, list = given || push.members[channel];
      var at = placeOf({channel: channel, id: frame.version}), before = listed[channel] || [];
      var old = at[0] === before[0] && at[1] < before[1] + !given;
      if (mine(frame) && list && !old) {
        frame.changes.forEach(function (change) {
          list = list.filter(function (member) {
            return member.user !== change.user || member.anonymous !== change.anonymous;
          });
          if (change.event === 'join') {
            list.push({user: change.user, anonymous: change.anonymous, member: change.member});
          }
        });
        listed[channel] = at;
        push.members[channel] = list;
        frame.members = list;
        emit('presence', frame);
      }
      if (!given) { moved(frame.version); }
    }

    function mine(message) { return push.channels.indexOf(message.channel) >= 0; }

    function message(it) {
      var channel = it.channel, gap;
      if (mine(it)) {
        gap = last[channel] && it.prev && it.prev !== last[channel]
          && (checked[channel] || it.id === suspect);
        if (isOld(it)) {
          stats.duplicates += 1;
        } else if (gap && it.id !== suspect && !(sync && sync.reads)) {
          suspect = it.id; // something on the way took one out: read again, and go on from there
          note('gap before', it.id);
          return read([it]);
        } else {
          // It is missing in the log as well.
          if (gap) {
            emit('lost', [{channel: channel, after: push.cursor, before: it.id, reason: 'gap'}]);
          }
          isNew(it);
          checked[channel] = true;
          // One that outlived its ttl has moved the cursor, and is not the page's concern.
          if (!it.expired) {
            stats.messages += 1;
            moved(it.cursor || it.id);
            emit('message', it);
            return emit('event:' + it.event, it);
          }
        }
      }
      moved(it.cursor || it.id);
    }

    // An id is EPOCH.N, and N grows; those of several epochs cannot be compared.
    function placeOf(message) {
      var parts = message.id.split('.'), n = Number(parts.pop());
      return [message.channel + ' ' + parts, n];
    }

    function isOld(message) {
      var at = placeOf(message);
      return at[1] <= newest[at[0]];
    }

    // Remembers a message; tells whether it had not been seen.
    function isNew(message) {
      var at = placeOf(message);
      if (isOld(message)) { return false; }
      newest[at[0]] = at[1];
      last[message.channel] = message.id;
      return true;
    }

    // The last cursor handed out is true, even where it is older than the one before.
    function moved(cursor) {
      if (!cursor) { return; }
      if (!push.cursor && role === 'leader') {
        push.cursor = cursor;
        tabs.say('lead'); // now others may join
      }
      push.cursor = cursor;
      if (!saving && options.resume) { saving = setTimeout(save, 200); }
    }

    // Tells the page the truth: once after each coming back, and whenever something is gone.
    function continuity(frame) {
      var lost = (frame.lost || []).filter(mine);
      if (frame.recovered === false) { checked = map(); }
      if (lost.length) {
        emit('lost', lost);
      } else if (resuming) {
        emit('recovered', {cursor: push.cursor});
      }
      resuming = false;
    }

    // Reads what there is from the cursor on; `frames` and what comes meanwhile are looked at after
    // it. This is how a follower joins, and how a gap is closed.
    function read(frames) {
      var mySync = sync = {frames: frames};
      function failed(error) {
        var added;
        if (sync !== mySync) { return; }
        note('read failed', null, error.detail);
        if (line.renews(error)) { return read(mySync.frames); }
        if (error.title && FINAL_STATUS[error.status]) {
          added = line.untried();
          if (!added.length) {
            emit('error', error);
            return ended();
          }
          refused(error, added);
          if (sync === mySync) {
            changed();
            read(mySync.frames);
          }
          return;
        }
        // What waits will be in the next answer, too.
        mySync.frames = [];
        retry = setTimeout(function () { read([]); }, jittered(error.after || POLL_INTERVAL));
      }
      line.withToken(function (token) {
        if (sync !== mySync) { return; }
        mySync.xhr = line.poll(token, function (error, answer) {
          if (sync !== mySync) { return; }
          if (error) { return failed(error); }
          mySync.reads = true;
          asFrames(answer, function (frame) {
            if (sync !== mySync) { return; }
            // The line comes back from this cursor for all, so all have to have what was before it.
            if (role === 'leader') { tell('frame', {frame: frame}); }
            handle(frame);
          });
          if (sync !== mySync) { return; } // a handler has closed it
          mySync.reads = false;
          if (answer.more) { return read(mySync.frames); }
          sync = null;
          if (carrier) { open(); }
          while (mySync.frames.length && !sync) { handle(mySync.frames.shift()); }
          if (sync) { sync.frames = sync.frames.concat(mySync.frames); }
        });
      }, failed);
    }

    function desync() {
      clearTimeout(retry);
      if (sync && sync.xhr) { sync.xhr.abort(); }
      sync = null;
    }

    // -- over page loads

    function save() {
      clearTimeout(saving);
      saving = 0;
      if (place && options.resume && push.cursor) {
        store('sessionStorage', place, {at: Date.now(), cursor: push.cursor, newest: newest});
      }
    }

    // The next client of this page that wants the same has this one's place.
    function vacate() {
      if (place) {
        store('sessionStorage', place, null);
        delete places[place];
        place = null;
      }
    }

    function resume() {
      var kept = store('sessionStorage', place);
      if (options.resume === undefined) { // frames of a page would take each other's place
        options.resume = !options.cursor && !options.history && root === root.top;
      }
      if (options.resume && push.channels.length && !push.cursor && kept
          && Date.now() - kept.at < RESUME) {
        push.cursor = kept.cursor;
        copy(newest, kept.newest);
        resuming = true;
      }
    }

    // -- the page comes and goes. What is open when a page is left, the browser would end, and call
    // that errors; and it may show the page again, just as it was.

    function arrive() {
      if (role || push.readyState >= CLOSING) { return; }
      role = 'follower'; // until it is known
      client.down();
      if (options.share === false || !locks || !root.BroadcastChannel) { return alone(); }
      line.withToken(function (token) {
        var user = token && claims(token).sub, share = options.share;
        if (role !== 'follower' || tabs) { return; }
        if (token && !user && typeof share !== 'string') { return alone(); }
        try {
          tabs = Tabs(['push.js', options.url, options.transport || options.transports, share,
            user, !!options.presence].join(' '), client);
        } catch (e) { // a browser that refuses storage may refuse channels, too
          alone();
        }
      }, function (error) {
        if (role !== 'follower' || tabs) { return; }
        role = null;
        error.wait = jittered(POLL_INTERVAL);
        retry = setTimeout(arrive, error.wait);
        emit('error', error);
      });
    }

    function leave(done) {
      save();
      desync();
      if (tabs) { tabs.stop(); }
      role = tabs = null;
      line.stop(done);
    }

    function ended() {
      if (push.readyState === CLOSED) { return; } // a handler has closed what was about to end
      leave();
      vacate();
      events.forEach(function (each) { each[0].removeEventListener(each[1], each[2]); });
      state(CLOSED);
      emit('close', {cursor: push.cursor});
    }

    var document = root.document;
    var events = [
      [root, 'pagehide', function () { leave(); }],
      [root, 'pageshow', function (e) { if (e.persisted) { arrive(); } }],
      [document, 'freeze', function () { leave(); }],
      [document, 'resume', arrive],
      [root, 'online', function () { if (role) { line.wake(true); } }],
      [document, 'visibilitychange', function () {
        if (role && document.visibilityState === 'visible') { line.wake(); }
      }]
    ];

    // -- what the page is told

    function open() {
      var news = push.transport !== carrier || push.readyState !== OPEN;
      if (!push.channels.length) { return; } // what is open is for other tabs
      push.transport = carrier;
      if (push.readyState !== OPEN) {
        if (opened) { stats.reconnects += 1; }
        opened = true;
      }
      state(OPEN);
      if (news) { emit('open', {transport: carrier}); }
    }

    function state(value) {
      if (value !== push.readyState && push.readyState < CLOSED) {
        push.readyState = value;
        note('state', null, value);
        emit('state', value);
      }
    }

    function emit(name, value) {
      (handlers[name] || []).slice().forEach(function (handler) {
        try {
          handler.call(push, value);
        } catch (e) {
          // The page should see its own error, and still get the messages behind this one.
          setTimeout(function () { throw e; });
        }
      });
    }

    function note(what, transport, detail, size) {
      var at = Date.now(), text = [new Date(at).toISOString().slice(11, 23), what, transport, detail,
        size && size + ' characters'].filter(function (part) { return part || part === 0; }).join(' ');
      log = log.slice(1 - LINES).concat(text);
      if (options.debug && root.console) { root.console.log('push.js ' + text); }
      if (handlers.debug) {
        emit('debug', {at: at, what: what, transport: transport, detail: detail, size: size});
      }
    }

    // -- what the page may do

    push.on = function (name, handler) {
      (handlers[name] = handlers[name] || []).push(handler);
      return push;
    };

    // Without a handler: all of them.
    push.off = function (name, handler) {
      handlers[name] = (handlers[name] || []).filter(function (other) {
        return handler && other !== handler;
      });
      return push;
    };

    // New channels start where the client is: at its cursor.
    push.subscribe = function (channels) {
      return change(push.channels.concat(without(names(channels), push.channels)));
    };

    push.unsubscribe = function (channels) {
      return change(without(push.channels, names(channels)));
    };

    function change(channels) {
      if (channels.length !== push.channels.length) {
        without(push.channels, channels).forEach(function (channel) {
          delete last[channel];
          delete checked[channel];
          delete listed[channel];
          delete push.members[channel];
        });
        push.channels = channels;
        if (!client.wants().channels.length) { push.cursor = null; } // nothing to go on with
        if (!channels.length && role) {
          desync();
          state(CONNECTING);
        }
        changed();
      }
      return push;
    }

    function changed() {
      if (role === 'follower') {
        if (tabs) { tabs.join(); }
      } else if (role) {
        line.change();
        if (carrier) { open(); } // a leader's line may have been there for others
      }
    }

    function refused(error, added) {
      var kept = without(push.channels, added);
      if (role === 'leader' && tabs.alone(added)) { return; }
      if (kept.length === push.channels.length) { return; } // who wanted it has let go meanwhile
      push.channels = kept;
      emit('error', error);
    }

    // Returns a promise of the server's answer where the browser or jQuery has promises.
    push.publish = function (channel, data, more) {
      var body = copy(copy({}, more), {channel: channel, data: data});
      function run(resolve, reject) {
        var sent = role !== 'follower' && line.send(copy({op: 'publish'}, body), function (reply) {
          if (reply.ok) { resolve(reply); } else { reject(reply.error); }
        });
        if (sent) { return; }
        line.withToken(function (token) {
          line.post('/publish', body, token, function (error, answer) {
            if (error) { reject(error); } else { resolve(answer); }
          });
        }, reject);
      }
      var deferred = $ && $.Deferred && $.Deferred(); // the slim jQuery 4.0 has none
      if (!deferred) { return root.Promise ? new Promise(run) : run(noop, noop); }
      run(deferred.resolve, deferred.reject);
      return deferred.promise();
    };

    push.close = function () {
      if (push.readyState < CLOSING) {
        state(CLOSING);
        vacate();
        leave(ended);
      }
      return push;
    };

    push.inspect = function () {
      return {
        version: VERSION, jquery: $ ? $.fn.jquery : null, readyState: push.readyState,
        transport: push.transport, role: role, channels: push.channels, cursor: push.cursor,
        stats: copy({}, stats), ladder: line.inspect(), online: root.navigator.onLine,
        visible: document.visibilityState, log: log
      };
    };

    resume();
    events.forEach(function (each) { each[0].addEventListener(each[1], each[2]); });
    // Later, so that handlers that are attached to what this returns miss nothing.
    setTimeout(arrive);
    return push;
  }

  root.Push = {
    connect: connect, VERSION: VERSION, STATES: ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED']
  };
  if ($) {
    $.push = connect;
    $.push.STATES = root.Push.STATES;
  }
}(window));
