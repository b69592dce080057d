/*
 * Asking the server, always with the api key that was typed in. The key is in this module and, so
 * that a reload does not ask for it again, in this tab's sessionStorage: never in a URL, nor in a log.
 */

const PLACE = 'pushapp console key';
const WAIT = 15000; // ms until an answer counts as none
const TRANSPORTS = ['websocket', 'longpoll', 'poll']; // an EventSource can send no key

export const BASE = location.pathname.replace(/\/console$/, ''); // the server's prefix

let key = null;

export class Refusal extends Error {
  constructor(status, detail, after = 0) {
    super(detail);
    Object.assign(this, { status, detail, after }); // status 0: no answer; after: seconds
  }
}

export function use(newKey) { key = newKey; }

export function keep() {
  try {
    sessionStorage.setItem(PLACE, key);
  } catch {
    // a browser without storage asks again
  }
}

export function kept() {
  try {
    return sessionStorage.getItem(PLACE);
  } catch {
    return null;
  }
}

export function forget() {
  key = null;
  try {
    sessionStorage.removeItem(PLACE);
  } catch {
    // nothing was kept
  }
}

// ask('GET', '/users/42', {limit: 50}) -> its JSON; a Refusal is thrown.
export async function ask(method, path, query = {}, body = undefined) {
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
  const headers = { Authorization: `Bearer ${key}` };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let reply;
  try {
    reply = await fetch(BASE + path + (text && `?${text}`), {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: 'omit',
      cache: 'no-store', redirect: 'error', signal: AbortSignal.timeout(WAIT)
    });
  } catch {
    throw new Refusal(0, '');
  }
  let answer = null;
  try {
    answer = await reply.json();
  } catch {
    answer = null; // a proxy's own page
  }
  if (reply.ok && answer) return answer;
  const after = Number(reply.headers.get('Retry-After')) || 0;
  throw new Refusal(reply.status, (answer && answer.detail) || reply.statusText, after);
}

// Listens with the product's own client. A line of this tab's own: other tabs may have other keys.
export function listen(channels, history) {
  return Push.connect({
    url: BASE, channels, history, token: key, transports: TRANSPORTS, share: false, resume: false
  });
}

// A part of a path: names of channels and users may have whatever a URL gives a meaning to.
export const part = encodeURIComponent;

// Whether a channel or a user can be called so. The server says as much, but never hears of a name
// with a slash, of "." or of "..": on the way they become part of the path.
export const isName = (text) => /^(?!\.{1,2}$)[A-Za-z0-9_.:@|+~=-]+$/.test(text);
