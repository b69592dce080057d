// A WebSocket client on Node: its own (or, where this Node is too old, undici, of which it is made), or the package ws.
// Usage: node websocket.js own|ws URL CHANNEL
'use strict';

const [which, url, channel] = process.argv.slice(2);
const {WebSocket} = which === 'ws' ? require('ws') : globalThis.WebSocket ? globalThis : require('undici');
let cursor = '';

function open() {
  const query = new URLSearchParams({channels: channel, cursor});
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/push/ws?${query}`);
  socket.onopen = () => {
    console.log(`extensions "${socket.extensions}"`);
    if (which === 'ws') { speak(socket); }
  };
  socket.onmessage = (event) => {
    const frame = JSON.parse(event.data);
    if (!frame.type) {
      cursor = frame.cursor || frame.id;
      console.log(JSON.stringify(frame.data));
    } else {
      cursor = frame.cursor || cursor;
      if (frame.type === 'live') { console.log(frame.recovered ? 'live' : 'lost'); }
      if (frame.type === 'reply') { console.log(frame.ref); }
    }
  };
  // Where it cannot connect, Node 20's own says `error` alone; others say `error` and then `close`.
  let timer;
  socket.onerror = socket.onclose = () => { timer = timer || setTimeout(open, 100); };
}

// What a browser cannot do: a ping of the protocol's own, and one text in three frames.
function speak(socket) {
  socket.on('pong', (data) => console.log(`pong ${data}`));
  socket.ping('are you there');
  socket.send('{"op":"pi', {fin: false});
  socket.send('ng","ref":"in ', {fin: false});
  socket.send('fragments"}', {fin: true});
}

open();
