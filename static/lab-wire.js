/*
 * What really travels. The browser's own XMLHttpRequest, WebSocket and EventSource are wrapped before
 * any client starts, so that the lab sees each request, answer and frame with its bytes; and so that
 * it can break the network: what is open is cut, what would open fails.
 *
 * Whose the next connection is, a client's debug stream says the moment before it opens it: `claim`.
 * What nobody claims (the page's own requests) is left alone. An owner has onWire(what, trip, more):
 *
 *   sent        a request left               trip.url, method, headers, body
 *   answered    ... and was answered         trip.status, answerHead, text
 *   opened      a stream or a socket is open trip.isOpen
 *   came        an event or a frame came     more: {text, raw, bytes}
 *   went        a frame went                 more: {text, bytes}
 *   ended       it is over                   trip.failed, trip.code
 */
(function (Lab) {
  'use strict';

  const Native = {
    XMLHttpRequest: window.XMLHttpRequest, WebSocket: window.WebSocket, EventSource: window.EventSource
  };
  const EVENTS = ['message', 'welcome', 'history', 'live', 'heartbeat', 'presence', 'reconnect'];

  let owner = null; // whose the next connection is
  let away = null; // 'offline' or 'down': nothing gets through
  const live = new Set(); // trips that are under way

  function take() {
    const whose = owner;
    owner = null;
    return whose;
  }

  function blocked(trip) { return away || trip.owner.blocks && trip.owner.blocks(trip.path); }

  function begin(whose, kind, method, url) {
    const anchor = document.createElement('a');
    anchor.href = url;
    const path = anchor.pathname.slice(anchor.pathname.lastIndexOf('/'));
    const trip = {
      owner: whose, kind: kind, method: method, url: anchor.pathname + anchor.search, path: path,
      at: performance.now(), until: null, headers: [], body: ''
    };
    live.add(trip);
    return trip;
  }

  function tell(what, trip, more) {
    if (what === 'opened') { trip.isOpen = true; }
    if (what === 'ended') {
      if (trip.until !== null) { return; }
      trip.until = performance.now();
      live.delete(trip);
    }
    trip.owner.onWire(what, trip, more || {});
  }

  function fails(trip, then) {
    setTimeout(function () {
      trip.failed = true;
      tell('ended', trip);
      then();
    }, 20);
  }

  // ---- Requests

  class Request extends Native.XMLHttpRequest {
    constructor() {
      super();
      this.whose = take();
      if (!this.whose) { return; }
      // Before the client's own handlers, which may ask again at once.
      this.addEventListener('load', () => {
        const trip = this.trip;
        trip.status = this.status;
        trip.statusText = this.statusText;
        trip.answerHead = this.getAllResponseHeaders();
        trip.text = super.responseText;
        tell('answered', trip);
        tell('ended', trip);
      });
      this.addEventListener('error', () => {
        this.trip.failed = true;
        tell('ended', this.trip);
      });
      this.addEventListener('timeout', () => {
        this.trip.failed = true;
        tell('ended', this.trip);
      });
      this.addEventListener('abort', () => { tell('ended', this.trip); });
    }

    open(method, url) {
      if (this.whose) { this.trip = begin(this.whose, 'request', method, url); }
      super.open(method, url);
    }

    setRequestHeader(name, value) {
      if (this.trip) { this.trip.headers.push(name + ': ' + value); }
      super.setRequestHeader(name, value);
    }

    // A lane may stand in for the server's advice; what is shown is what came.
    get responseText() {
      const text = super.responseText;
      return this.whose && this.whose.edit ? this.whose.edit(text) : text;
    }

    send(body) {
      const trip = this.trip;
      if (!trip) { return super.send(body); }
      trip.body = body || '';
      trip.cut = () => {
        trip.failed = true;
        tell('ended', trip);
        super.abort();
        this.dispatchEvent(new ProgressEvent('error'));
      };
      tell('sent', trip);
      if (blocked(trip)) { return fails(trip, () => this.dispatchEvent(new ProgressEvent('error'))); }
      super.send(body);
    }
  }

  // ---- Streams

  // What a blocked connection looks like: it never opens, and ends.
  function dead(trip, type, event) {
    const nothing = {readyState: 0, addEventListener: (name, handler) => { handlers[name] = handler; }};
    const handlers = {};
    nothing.send = () => {};
    nothing.close = function () {
      nothing.readyState = 3;
      if (nothing.onclose) { setTimeout(nothing.onclose, 0, event); }
    };
    fails(trip, function () {
      nothing.readyState = 3;
      const handler = nothing['on' + type] || handlers[type];
      if (handler) { handler(event); }
    });
    return nothing;
  }

  class Source extends Native.EventSource {
    constructor(url, options) {
      const whose = take(), trip = whose && begin(whose, 'sse', 'GET', url);
      if (trip) {
        tell('sent', trip);
        if (blocked(trip)) { return dead(trip, 'error', {type: 'error'}); }
      }
      super(url, options);
      if (!trip) { return; }
      this.trip = trip;
      this.addEventListener('open', () => { tell('opened', trip); });
      EVENTS.forEach(type => this.addEventListener(type, e => {
        const raw = (type === 'message' ? '' : 'event: ' + type + '\n')
          + (e.lastEventId && type !== 'welcome' ? 'id: ' + e.lastEventId + '\n' : '')
          + 'data: ' + e.data + '\n\n';
        tell('came', trip, {type: type, text: e.data, raw: raw, bytes: Lab.heads.chunked(raw)});
      }));
      this.addEventListener('error', e => { // the server's own has data
        if (typeof e.data === 'string') { return; }
        trip.failed = true;
        tell('ended', trip);
      });
      trip.cut = () => {
        trip.failed = true;
        super.close();
        this.dispatchEvent(new Event('error'));
      };
    }

    close() {
      if (this.trip) { tell('ended', this.trip); }
      super.close();
    }
  }

  class Socket extends Native.WebSocket {
    constructor(url, protocols) {
      const whose = take(), trip = whose && begin(whose, 'websocket', 'GET', url);
      if (trip) {
        tell('sent', trip);
        if (blocked(trip)) { return dead(trip, 'close', {type: 'close', code: 1006, reason: ''}); }
      }
      super(url, protocols || []);
      if (!trip) { return; }
      this.trip = trip;
      this.addEventListener('open', () => {
        trip.compresses = !!this.extensions;
        tell('opened', trip);
      });
      this.addEventListener('message', e => {
        const bytes = Lab.size(e.data);
        tell('came', trip, {text: e.data, raw: e.data, bytes: bytes + Lab.heads.frame(bytes).length});
      });
      this.addEventListener('close', e => {
        trip.code = e.code;
        trip.failed = e.code === 1006; // nobody has said goodbye
        tell('ended', trip);
      });
      trip.cut = () => {
        const handler = this.onclose;
        this.onopen = this.onmessage = this.onclose = null;
        trip.failed = true;
        trip.code = 1006;
        tell('ended', trip);
        this.close();
        if (handler) { handler.call(this, {type: 'close', code: 1006, reason: ''}); }
      };
    }

    // Closed while it connects, a browser complains in its console: then it is closed once it is open.
    close(...how) {
      if (this.readyState !== 0) { return super.close(...how); }
      this.addEventListener('open', () => super.close(...how));
    }

    send(data) {
      if (this.trip) {
        const bytes = Lab.size(data);
        tell('went', this.trip, {text: data, raw: data, bytes: bytes + Lab.heads.frame(bytes, true).length});
      }
      super.send(data);
    }
  }

  window.XMLHttpRequest = Request;
  if (Native.EventSource) { window.EventSource = Source; }
  if (Native.WebSocket) { window.WebSocket = Socket; }

  function cut(which) {
    Array.from(live).filter(which).forEach(trip => { if (trip.cut) { trip.cut(); } });
  }

  Lab.wire = {
    claim: whose => { owner = whose; },
    isAway: () => away,

    // Cuts what one owner has open.
    cut: (whose, path) => cut(trip => trip.owner === whose && (!path || trip.path === path)),

    // Nothing gets through for so long (ms). Browsers notice 'offline', and tell; a server that is
    // 'down' nobody tells of.
    leave: function (why, ms, back) {
      if (away) { return false; }
      away = why;
      if (why === 'offline') {
        Object.defineProperty(navigator, 'onLine', {configurable: true, get: () => false});
      }
      cut(() => true);
      setTimeout(function () {
        away = null;
        delete navigator.onLine;
        if (why === 'offline') { window.dispatchEvent(new Event('online')); }
        back();
      }, ms);
      return true;
    }
  };
}(window.Lab));
