// An EventSource client on Node: its own (or, where this Node is too old, undici, of which it is made), or the package
// eventsource. Usage: node eventsource.js own|package URL CHANNEL
'use strict';

const [which, url, channel] = process.argv.slice(2);
const {EventSource} =
  which === 'package' ? require('eventsource') : globalThis.EventSource ? globalThis : require('undici');
let cursor = '', current;

function open() {
  const query = new URLSearchParams({channels: channel, cursor});
  const source = current = new EventSource(`${url}/push/sse?${query}`);
  source.onmessage = (event) => {
    cursor = event.lastEventId;
    console.log(JSON.stringify(JSON.parse(event.data).data));
  };
  source.addEventListener('live', (event) => {
    cursor = event.lastEventId;
    console.log(JSON.parse(event.data).recovered ? 'live' : 'lost');
  });
  // It comes back by itself after most failures; after some it gives up, and closes. Node's own gives up whenever it
  // cannot connect, and says so before it does (nodejs/undici#4247).
  source.onerror = () => setTimeout(() => {
    if (source === current && source.readyState === 2) { open(); }
  }, 100);
}

open();
setInterval(() => {}, 1 << 30); // Node's own does not keep the process alive while it waits to come back
