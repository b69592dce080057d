/* Publishing one message. */

import { $, setText } from './console-dom.js';
import { explained } from './console-format.js';
import { ask, Refusal } from './console-server.js';
import { whenSpoken, word } from './console-words.js';

export class Publisher {
  constructor() {
    this.key = null; // of the message as it stands: sent again after no answer, it comes once
    this.outcome = null; // [word, ...values], or a Refusal
    const form = $('#publisher');
    form.addEventListener('input', () => { this.key = null; this.paint(); });
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.send();
    });
    whenSpoken(() => this.paint());
  }

  // may: whether this key may
  allow(may) {
    $('#may-not').hidden = may;
    for (const field of $('#publisher').elements) field.disabled = !may;
  }

  show(channel) {
    if (channel) {
      $('#publisher').elements.to.value = 'channel';
      $('#publish-to').value = channel;
    }
    this.paint();
  }

  paint() {
    const text = $('#publish-data').value;
    setText($('#data-kind'), text ? word(read(text).isJson ? 'asJson' : 'asText') : '');
    const said = $('#published'), outcome = this.outcome, failed = outcome instanceof Refusal;
    said.className = failed ? 'bad' : outcome ? 'good' : '';
    setText(said, failed ? explained(outcome) : outcome ? word(...outcome) : '');
  }

  async send() {
    const to = $('#publisher').elements.to.value;
    const message = { [to]: $('#publish-to').value.trim(), data: read($('#publish-data').value).value };
    const event = $('#publish-event').value.trim();
    if (event) message.event = event;
    for (const name of ['ttl', 'delay']) {
      const value = $(`#publish-${name}`).value;
      if (value) message[name] = Number(value);
    }
    if ($('#publish-retain').checked) message.retain = true;
    this.key = this.key || crypto.randomUUID?.() || `${Date.now()}${Math.random()}`;
    message.idempotency_key = this.key;
    try {
      const answer = await ask('POST', '/publish', {}, message);
      this.key = null;
      this.outcome = answer.id ? ['published', answer.id] : ['scheduled', answer.scheduled];
    } catch (error) {
      this.outcome = error;
    }
    this.paint();
  }
}

function read(text) {
  try {
    return { isJson: true, value: JSON.parse(text) };
  } catch {
    return { isJson: false, value: text };
  }
}
