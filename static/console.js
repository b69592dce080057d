/*
 * The console: the door, the line to the feed, and which view is seen.
 *
 * It is fed by the product's own push: a line of push.js on the server's internal channel, which the
 * workers fill while somebody asks them to (POST /console/watch), again every half minute.
 */

import { Channels } from './console-channels.js';
import { $, $$, setText } from './console-dom.js';
import { Figures } from './console-figures.js';
import { explained, silence } from './console-format.js';
import { paintOverview } from './console-overview.js';
import { People } from './console-people.js';
import { Publisher } from './console-publish.js';
import { ask, forget, keep, kept, listen, use } from './console-server.js';
import { startSpeaking, whenSpoken, word } from './console-words.js';

const WATCH = 25000; // ms between two requests for the feed; it goes on for 90 s after each
const AGAIN = 2000; // ms until a line that has ended for good is begun anew
const HISTORY = 120; // messages of the feed that a new line begins with

const figures = new Figures();
let said = null; // the last answer to a watch
let line = null; // the client that listens to the feed
let up = false;
let watching, refusal = null; // refusal: why the door is shut, () => its words
let visit = 0; // one more with each sign-out: an answer of the visit before says nothing any more

const people = new People(() => Boolean(said && said.may_publish));
const channels = new Channels(figures, () => line);
const publisher = new Publisher();

// ---- The door

// Whether the answer still counts.
async function enter() {
  const mine = visit, answer = await ask('POST', '/console/watch');
  if (mine !== visit) return false;
  said = answer;
  figures.bounds = said.bounds;
  publisher.allow(said.may_publish);
  return true;
}

async function open(button) {
  refusal = null;
  if (button) button.disabled = true;
  try {
    if (await enter()) {
      keep();
      inside();
    }
  } catch (error) {
    forget();
    shut(error);
  }
  if (button) button.disabled = false;
}

function reason(error) {
  if (error.status === 401) return word('wrongKey');
  if (error.status === 403) return word('mayNotLook');
  return explained(error);
}

function shut(error) {
  refusal = error ? () => reason(error) : null;
  leave();
  paintDoor();
  const field = $('#key');
  if (field) field.focus();
}

function paintDoor() {
  const place = $('#refusal');
  if (!place) return;
  setText(place, refusal ? refusal() : '');
  $('#key').setAttribute('aria-invalid', String(Boolean(refusal)));
}

function inside() {
  $('#door').hidden = true;
  $('#inside').hidden = $('#leave').hidden = $('#line').hidden = false;
  connect();
  clearInterval(watching);
  watching = setInterval(watch, WATCH);
  route();
}

function connect() {
  const take = (message) => (message.channel === said.channel ? figures.take(message) : channels.heard(message));
  const client = line = listen([said.channel].concat(channels.following || []), HISTORY);
  client
    .on('history', ({ messages }) => messages.forEach(take))
    .on('message', take)
    .on('lost', (losses) => channels.lost(losses))
    .on('state', () => { up = client === line && client.readyState === client.OPEN; paint(); })
    .on('close', () => { if (client === line) ended(); });
}

// The line ends for good where the key was refused, came too late, or somebody ended this very
// connection: asking tells which it was.
async function ended() {
  const client = line;
  await watch();
  setTimeout(() => { if (client === line && line) connect(); }, AGAIN);
}

async function watch() {
  const mine = visit;
  try {
    await enter();
  } catch (error) {
    if (mine === visit && (error.status === 401 || error.status === 403)) lost();
  }
}

// The server takes the key no more.
function lost() {
  forget();
  shut();
  refusal = () => word('keyGone');
  paintDoor();
}

function leave() {
  visit += 1;
  channels.show(null);
  const client = line;
  line = null;
  up = false;
  clearInterval(watching);
  if (client) client.close();
  figures.clear();
  said = null;
  $('#door').hidden = false;
  $('#inside').hidden = $('#leave').hidden = $('#line').hidden = true;
}

// ---- The views

function route() {
  if (!line) return;
  const [, name, rest] = location.hash.match(/^#(\w+)(?:\/(.*))?$/) || [null, 'overview'];
  const view = $$('.view').find(({ id }) => id === name) || $('#overview');
  if (view.hidden) scrollTo(0, 0);
  for (const other of $$('.view')) other.hidden = other !== view;
  for (const link of $$('nav a')) {
    if (link.hash === `#${view.id}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  let argument = null;
  try {
    argument = rest === undefined ? null : decodeURIComponent(rest);
  } catch {
    argument = null; // a % that begins nothing
  }
  if (view.id === 'channels') channels.show(argument);
  else channels.unfollow();
  if (view.id === 'people') people.show(argument || '');
  if (view.id === 'publish') publisher.show(argument);
  paint();
}

function paint() {
  if (!line) return;
  const silent = figures.newest !== null && figures.silence > 5;
  const place = $('#line');
  place.className = `line ${!up ? 'bad' : silent ? 'wait' : 'good'}`;
  setText(place, !up ? word(figures.newest === null ? 'connecting' : 'lost')
    : silent ? word('silent', silence(figures.silence)) : word('live'));
  if (!$('#overview').hidden) paintOverview(figures, said, up || figures.newest === null);
  if (!$('#channels').hidden) channels.paint();
}

// ---- Start

if ($('#enter')) {
  $('#enter').addEventListener('submit', (event) => {
    event.preventDefault();
    use($('#key').value.trim());
    open($('#enter button'));
    $('#key').value = '';
  });
}
$('#leave').addEventListener('click', () => {
  forget();
  shut();
});
addEventListener('hashchange', route);
whenSpoken(paint);
whenSpoken(paintDoor);
startSpeaking();
setInterval(paint, 1000);
if (kept()) {
  use(kept());
  open();
}
