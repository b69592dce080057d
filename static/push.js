/*!
 * push.js: a jQuery plugin that receives messages from a pushapp server.
 *
 * No build step, ES5 only, any jQuery from 1.12 to 4.0 (a full build: it needs $.ajax and $.Deferred).
 *
 *     var push = $.push({url: '/push', channels: ['demo:chat']});
 *     push.on('message', function (message) { show(message.channel, message.data); });
 *
 * Four transports, one interface; a page need not know which of them runs:
 *
 *   websocket  One socket, open for good, both ways. A message comes the moment it is published.
 *   sse        One GET whose answer never ends (EventSource). As quick, from the server only.
 *   longpoll   One GET that is answered when there is a message, or after 25 s; then the next one.
 *   poll       One GET every few seconds that is answered at once, mostly with nothing.
 *
 * Why nothing is missed and nothing comes twice: the server hands out a cursor ("you have everything
 * up to here") with all it sends. The client keeps the last one, hands it back whenever it connects
 * again, by whatever transport, and drops messages whose id it has seen. It never takes a cursor
 * apart. Where the server no longer has what came after the cursor, it says so: `lost`.
 *
 * Options   url ('/push'), channels, cursor (go on from there; without: from now), history (without a
 *           cursor: also the last N messages of each channel), interval (the longest
 *           wait between polls in ms; without it the server's advice alone decides), transport (one
 *           name) or transports (several, best first: the first that works is kept).
 * Members   readyState (0 to 3, as a WebSocket has it), transport, cursor, channels, stats;
 *           on, off, subscribe, unsubscribe, publish, close.
 * Events    open, message, event:NAME (messages published under that name), history, recovered,
 *           lost, state, error, close (for good: after a failure it connects again by itself).
 */
(function ($) {
  'use strict';

  var CONNECTING = 0, OPEN = 1, CLOSING = 2, CLOSED = 3;

  var WELCOME_WAIT = 3000; // ms; the server greets at once: silence is a proxy that holds it back
  var HEARTBEATS = 1.5; // intervals without a sign of life that make a stream a dead one
  var HOLD = 25; // s that a long poll may wait: many proxies cut a silent answer after 30
  var ANSWER_WAIT = 15000; // ms for an answer, on top of what the server may wait
  var POLL_INTERVAL = 3000; // ms, until the server advises
  var EARLY = 500; // ms; a long poll that is answered sooner than this with nothing did not wait
  var BACKOFF = 500, BACKOFF_MAX = 30000; // ms; the bound of the first wait, and of any
  var STABLE = 10000; // ms open after which a failure counts as a first one
  var SEEN_MAX = 2000; // ids remembered: four of the largest answers
  var URL_MAX = 2000; // characters of parameters; longer ones are posted, since servers limit URLs

  // Asking again would get the same answer: the request is wrong, or the right is missing.
  var FINAL_STATUS = {400: true, 401: true, 403: true};
  var FINAL_CODE = {1008: true};

  // What an EventSource has to be told to listen for; messages are its unnamed events.
  var SSE_EVENTS = ['welcome', 'history', 'live', 'heartbeat', 'reconnect', 'error'];

  // ---- Transports. Each opens a link and hands it frames: the JSON objects of the WebSocket
  // protocol, into which the others translate what they get. What open() returns can close it again.

  var transports = {
    websocket: {
      stream: true,
      startsEmpty: true, // channels may be added later
      usable: function () { return 'WebSocket' in window; },
      open: function (link) {
        var socket = new WebSocket(link.address('/ws').replace(/^http/, 'ws'));
        socket.onmessage = function (e) { link.text(e.data); };
        socket.onclose = function (e) { link.failed({code: e.code, detail: e.reason || 'closed'}); };
        return {
          send: function (op) { socket.send(JSON.stringify(op)); },
          close: function (done) {
            socket.onmessage = null;
            socket.onclose = done;
            socket.close(1000);
          }
        };
      }
    },

    sse: {
      stream: true,
      usable: function () { return 'EventSource' in window; },
      open: function (link) {
        var source = new EventSource(link.address('/sse'));
        function receive(e) {
          // The browser's own `error` has no data, the server's has. The browser would come back
          // by itself, but without jitter: the core does that. It tells no status either, so that
          // a missing right looks like any other failure, and is tried again.
          if (typeof e.data === 'string') {
            link.text(e.data, e.type === 'message' ? undefined : e.type, e.lastEventId);
          } else {
            link.failed({detail: 'closed'});
          }
        }
        source.onmessage = receive;
        $.each(SSE_EVENTS, function (_, type) { source.addEventListener(type, receive); });
        return {close: function (done) { source.close(); done(); }};
      }
    },

    longpoll: polling('/longpoll', function (answer, asked) {
      var early = !answer.messages.length && Date.now() - asked < EARLY;
      return early ? POLL_INTERVAL : 0;
    }),

    poll: polling('/poll', function (answer, asked, options) {
      var advised = (answer.advice || {}).interval || POLL_INTERVAL;
      return answer.more ? 0 : Math.min(advised, options.interval || advised);
    })
  };

  function polling(path, pause) {
    var holds = path === '/longpoll';
    return {
      usable: function () { return true; },
      open: function (link) {
        var push = link.push, request, timer, first = true;

        function ask() {
          var data = link.parameters(), asked = Date.now();
          if (push.connection) { data.connection = push.connection; }
          // The first answer tells that the line works and what was missed: it should not wait.
          if (holds) { data.timeout = first ? 1 : HOLD; }
          link.requested();
          request = $.ajax({
            url: push.options.url + path,
            type: $.param(data).length > URL_MAX ? 'POST' : 'GET',
            data: data,
            dataType: 'json',
            cache: false, // some proxies store what says no-store
            global: false, // else a page's ajaxStart spinner would turn for ever
            timeout: (data.timeout || 0) * 1000 + ANSWER_WAIT
          }).done(function (answer, status, xhr) {
            var reconnect = (answer.advice || {}).reconnect;
            push.stats.bytes += xhr.responseText.length;
            if (!answer.messages.length) { push.stats.empty += 1; }
            frames(link, answer);
            if (!link.isCurrent()) { return; } // a handler of the page has closed it
            var wait = reconnect ? jittered(reconnect) : first && holds ? 0
              : pause(answer, asked, push.options);
            first = false;
            // Not through a timer of 0: hidden tabs are held to one timer a minute.
            if (wait) { timer = setTimeout(ask, wait); } else { ask(); }
          }).fail(function (xhr) {
            link.failed(problem(xhr));
          });
        }

        ask();
        return {close: function (done) { clearTimeout(timer); request.abort(); done(); }};
      }
    };
  }

  // A poll's answer is a stream in small: welcome, history, messages, live.
  function frames(link, answer) {
    link.receive({type: 'welcome', connection: answer.connection});
    $.each(answer.history || {}, function (channel, messages) {
      link.receive({type: 'history', channel: channel, messages: messages});
    });
    $.each(answer.messages, function (_, message) { link.receive(message); });
    link.receive({
      type: 'live', cursor: answer.cursor, recovered: answer.recovered, lost: answer.lost
    });
  }

  // ---- A link: one try of one transport, and the transport's only way to the core. One that was
  // let go of is deaf, because what its transport still says is of the past.

  function Link(push, name) {
    this.push = push;
    this.name = name;
    this.opened = 0; // ms since 1970; 0: not yet
  }

  Link.prototype.isCurrent = function () { return this.push._link === this; };

  Link.prototype.requested = function () { this.push.stats.requests += 1; };

  Link.prototype.parameters = function () {
    var push = this.push, data = {};
    if (push.channels.length) { data.channels = push.channels.join(','); }
    if (push.cursor) {
      data.cursor = push.cursor;
    } else if (push.options.history) {
      data.history = push.options.history;
    }
    return data;
  };

  Link.prototype.address = function (path) {
    var anchor = document.createElement('a'); // resolves a relative URL, in every browser
    anchor.href = this.push.options.url + path + '?' + $.param(this.parameters());
    this.requested();
    return anchor.href;
  };

  Link.prototype.text = function (text, type, cursor) {
    var frame;
    this.push.stats.bytes += text.length;
    try {
      frame = JSON.parse(text);
    } catch (e) {
      return this.failed({detail: 'not JSON: ' + text.slice(0, 80)});
    }
    if (type) { frame.type = type; }
    this.receive(frame, cursor);
  };

  Link.prototype.receive = function (frame, cursor) {
    if (this.isCurrent()) { this.push._receive(this, frame, cursor); }
  };

  Link.prototype.failed = function (error) {
    if (this.isCurrent()) { this.push._failed(this, error); }
  };

  // ---- The core: state, cursor, what was seen, and when to try again. It knows no transport.

  function Push(options) {
    var self = this;
    this.options = $.extend({url: '/push', transports: ['websocket', 'sse', 'longpoll', 'poll']},
      options);
    this.readyState = CONNECTING;
    this.transport = null;
    this.channels = [].concat(this.options.channels || []);
    this.cursor = this.options.cursor || null;
    this.connection = null; // the id that the server knows this client by
    this.stats = {requests: 0, empty: 0, messages: 0, duplicates: 0, bytes: 0, reconnects: 0};
    this._ladder = $.grep([].concat(this.options.transport || this.options.transports),
      function (name) {
        if (!transports[name]) { throw new Error('push.js: there is no transport ' + name); }
        return transports[name].usable();
      });
    this._step = 0; // of the ladder
    this._works = false; // a step that has worked once is kept
    this._tries = 0; // failures in a row
    this._link = null;
    this._handlers = {};
    this._seen = Object.create(null);
    this._order = []; // of the ids in _seen, oldest first
    this._replies = {}; // ref -> who waits for the reply to it
    this._ref = 0;
    // A browser ends what is open when it leaves a page and calls that errors; and it may show the
    // page again, just as it was.
    this._events = '.push' + Date.now() + Math.random().toString().slice(2);
    $(window).on('pagehide' + this._events, function () { self._drop(); })
      .on('pageshow' + this._events, function (e) {
        if (e.originalEvent.persisted) { self._restart(0); }
      });
    // Later, so that handlers that are attached to what $.push() returned miss nothing.
    this._timer = setTimeout(function () { self._open(); });
  }

  Push.prototype.CONNECTING = CONNECTING;
  Push.prototype.OPEN = OPEN;
  Push.prototype.CLOSING = CLOSING;
  Push.prototype.CLOSED = CLOSED;

  Push.prototype.on = function (name, handler) {
    (this._handlers[name] = this._handlers[name] || []).push(handler);
    return this;
  };

  // Without a handler: all of them.
  Push.prototype.off = function (name, handler) {
    this._handlers[name] = $.grep(this._handlers[name] || [], function (other) {
      return handler && other !== handler;
    });
    return this;
  };

  // New channels start where the client is: at its cursor.
  Push.prototype.subscribe = function (channels) {
    var self = this, added = without([].concat(channels), this.channels);
    this.channels = this.channels.concat(added);
    this._change({op: 'subscribe', channels: added, cursor: this.cursor || undefined},
      function () { self.channels = without(self.channels, added); });
    return this;
  };

  Push.prototype.unsubscribe = function (channels) {
    var kept = without(this.channels, [].concat(channels));
    var removed = without(this.channels, kept);
    this.channels = kept;
    this._change({op: 'unsubscribe', channels: removed}, $.noop);
    return this;
  };

  // Returns a promise of the server's answer; options: event, ttl, retain, idempotency_key, …
  Push.prototype.publish = function (channel, data, options) {
    var message = $.extend({}, options, {channel: channel, data: data});
    if (this._canSend()) { return this._send($.extend({op: 'publish'}, message)); }
    return $.ajax({
      url: this.options.url + '/publish',
      type: 'POST',
      contentType: 'application/json',
      dataType: 'json',
      data: JSON.stringify(message)
    }).then(function (answer) { return answer; },
      function (xhr) { return $.Deferred().reject(problem(xhr)); });
  };

  Push.prototype.close = function () {
    var self = this;
    if (this.readyState < CLOSING) {
      this._state(CLOSING);
      this._drop(function () { self._ended(); });
    }
    return this;
  };

  Push.prototype._open = function () {
    var link, transport = transports[this._ladder[this._step]];
    if (!transport) { return this._failed(null, {detail: 'this browser has none of the transports'}); }
    if (!this.channels.length && !transport.startsEmpty) { return; } // until subscribe()
    link = this._link = new Link(this, this._ladder[this._step]);
    this.transport = link.name;
    this._resuming = !!this.cursor;
    // On a line that is slow and not dead, more patience each time will do.
    if (transport.stream) { this._watch(link, WELCOME_WAIT * Math.pow(2, Math.min(this._tries, 3))); }
    link.handle = transport.open(link);
  };

  // Takes a stream that stays silent for so long (ms) as dead; until the next call.
  Push.prototype._watch = function (link, silence) {
    clearTimeout(this._alarm);
    this._silence = silence;
    this._alarm = setTimeout(function () { link.failed({detail: 'silent'}); }, silence);
  };

  Push.prototype._receive = function (link, frame, cursor) {
    var self = this;
    if (transports[link.name].stream) { this._watch(link, this._silence); }
    switch (frame.type) {
      case undefined:
        this.cursor = frame.cursor || cursor || frame.id;
        this._message(frame);
        break;
      case 'welcome':
        this.connection = frame.connection || this.connection;
        if (frame.heartbeat) { this._watch(link, frame.heartbeat * 1000 * HEARTBEATS); }
        if (!link.opened) {
          link.opened = Date.now();
          if (this._works) { this.stats.reconnects += 1; }
          this._works = true;
          this._state(OPEN);
          this._emit('open', {transport: link.name});
        }
        break;
      case 'history':
        frame.messages = $.grep(frame.messages, function (message) { return self._isNew(message.id); });
        this._emit('history', frame);
        break;
      case 'heartbeat':
        this.cursor = frame.cursor || cursor || this.cursor;
        break;
      case 'live':
        this.cursor = frame.cursor || cursor || this.cursor;
        this._continuity(frame);
        break;
      case 'reply':
        this.cursor = frame.cursor || this.cursor;
        this._replied(frame);
        break;
      case 'reconnect':
        this._restart(jittered(frame.after || 0));
        break;
      case 'error':
        if (FINAL_STATUS[frame.status]) { link.failed(frame); } else { this._emit('error', frame); }
        break;
      // Frames of types that are not known here are of a later server, and no harm.
    }
  };

  Push.prototype._message = function (message) {
    if (!this._isNew(message.id)) {
      this.stats.duplicates += 1;
    // One that outlived its ttl has moved the cursor, and one of a channel that was left may still
    // have been on its way; neither is the page's concern.
    } else if (!message.expired && $.inArray(message.channel, this.channels) >= 0) {
      this.stats.messages += 1;
      this._emit('message', message);
      this._emit('event:' + message.event, message);
    }
  };

  Push.prototype._isNew = function (id) {
    if (this._seen[id]) { return false; }
    this._seen[id] = true;
    if (this._order.push(id) > SEEN_MAX) { delete this._seen[this._order.shift()]; }
    return true;
  };

  // Tells the page the truth: once after each coming back, and whenever something is gone.
  Push.prototype._continuity = function (frame) {
    if (frame.recovered === false) {
      this._emit('lost', frame.lost || []);
    } else if (this._resuming) {
      this._emit('recovered', {cursor: this.cursor});
    }
    this._resuming = false;
  };

  Push.prototype._failed = function (link, error) {
    var opened = link && link.opened, last = this._ladder.length - 1;
    this._drop();
    error.transport = link && link.name;
    if (!link || FINAL_STATUS[error.status] || FINAL_CODE[error.code]) {
      this._emit('error', error);
      return this._ended();
    }
    if (opened && Date.now() - opened > STABLE) { this._tries = 0; }
    error.wait = 0; // ms
    if (!this._works && this._step < last) {
      this._step += 1; // this network may let another one through: no need to wait
    } else {
      if (!this._works) { this._step = 0; }
      // Full jitter: after a restart everyone comes back, but not at once.
      error.wait = Math.random() * Math.min(BACKOFF_MAX, BACKOFF * Math.pow(2, this._tries));
      error.wait += error.after || 0;
      this._tries += 1;
    }
    this._emit('error', error);
    if (this.readyState < CLOSING) { this._restart(error.wait); } // unless that handler closed it
  };

  Push.prototype._restart = function (wait) {
    var self = this;
    this._drop();
    this._state(CONNECTING);
    this._timer = setTimeout(function () { self._open(); }, wait);
  };

  // Lets go of the link, whatever state it is in.
  Push.prototype._drop = function (done) {
    var link = this._link, replies = this._replies;
    this._link = null;
    this._replies = {};
    clearTimeout(this._timer);
    clearTimeout(this._alarm);
    $.each(replies, function (_, reply) { reply.reject({detail: 'the connection ended'}); });
    if (link) { link.handle.close(done || $.noop); } else if (done) { done(); }
  };

  Push.prototype._ended = function () {
    $(window).off(this._events);
    this._state(CLOSED);
    this._emit('close', {cursor: this.cursor});
  };

  Push.prototype._canSend = function () {
    return this.readyState === OPEN && this._link && this._link.handle.send;
  };

  Push.prototype._send = function (op) {
    var reply = $.Deferred();
    op.ref = this._ref += 1;
    this._replies[op.ref] = reply;
    this._link.handle.send(op);
    return reply.promise();
  };

  Push.prototype._replied = function (frame) {
    var reply = this._replies[frame.ref];
    delete this._replies[frame.ref];
    if (!reply) { return; }
    if (frame.ok) { reply.resolve(frame); } else { reply.reject(frame.error); }
  };

  // In place where there is a way to tell the server, else by coming back with the new channels.
  Push.prototype._change = function (op, refused) {
    var self = this;
    if (!op.channels.length || this.readyState >= CLOSING) { return; }
    if (!this._canSend()) { return this._restart(0); }
    this._send(op).done(function (reply) {
      if (reply.recovered === false) { self._continuity(reply); }
    }).fail(function (error) {
      if (error.status) { // else the connection ended, and the next one has the new channels
        refused();
        self._emit('error', error);
      }
    });
  };

  Push.prototype._state = function (state) {
    if (state !== this.readyState) {
      this.readyState = state;
      this._emit('state', state);
    }
  };

  Push.prototype._emit = function (name, value) {
    var self = this;
    $.each((this._handlers[name] || []).slice(), function (_, handler) {
      try {
        handler.call(self, value);
      } catch (e) {
        // The page should see its own error, and still get the messages behind this one.
        setTimeout(function () { throw e; });
      }
    });
  };

  function without(list, others) {
    return $.grep(list, function (item) { return $.inArray(item, others) < 0; });
  }

  function jittered(ms) { return ms * (1 + Math.random() / 2); }

  // What went wrong with a request, as the server tells it (RFC 9457), or as the browser does.
  function problem(xhr) {
    var seconds = Number(xhr.getResponseHeader('Retry-After')) || 0;
    return $.extend({detail: xhr.statusText}, xhr.responseJSON,
      {status: xhr.status, after: seconds * 1000});
  }

  $.push = function (options) { return new Push(options); };
  $.push.STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'];
}(jQuery));
