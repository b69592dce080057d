// Publish from Node, without any package:
//
//     PUSH_URL=https://push.example.com/push PUSH_KEY=… node publish.mjs orders:7 '{"state":"shipped"}'

import {randomUUID} from 'node:crypto';

const {PUSH_URL, PUSH_KEY} = process.env;

/** Publish, and return the message's id. What failed for a while is tried again: its key lets it be published once. */
export async function publish(channel, data, key = randomUUID()) {
  for (let tries = 1; ; tries += 1) {
    const answer = await fetch(`${PUSH_URL}/publish`, {
      method: 'POST',
      headers: {'Authorization': `Bearer ${PUSH_KEY}`, 'Content-Type': 'application/json', 'Idempotency-Key': key},
      body: JSON.stringify({channel, data}),
      signal: AbortSignal.timeout(10_000),
    }).catch((error) => ({status: 0, text: () => String(error.cause ?? error)}));
    if (answer.status === 200) { return (await answer.json()).id; }
    const isOver = answer.status !== 0 && answer.status !== 429 && answer.status < 500;
    if (isOver || tries === 5) { throw new Error(`${answer.status} ${await answer.text()}`); }
    await new Promise((done) => setTimeout(done, 500 * 2 ** tries * Math.random()));
  }
}

const [channel, data] = process.argv.slice(2);
console.log(await publish(channel, JSON.parse(data)));
