/*
 * The lab, from the ground up: elements, and text that follows the page's language.
 *
 * The page's own text stands in lab.html in both languages, and the style sheet shows one of them.
 * What scripts write stands in lab-words.js; it is a function here, called again for another language.
 * Nothing of a message is ever parsed as markup: all text goes through textContent.
 */
window.Lab = {};

(function (Lab) {
  'use strict';

  const SVG = 'http://www.w3.org/2000/svg';
  const SWEEP = 10000; // ms
  const spoken = new Set(); // elements with words of their own, while they are in the page

  function fill(element, text) { element.textContent = typeof text === 'function' ? text() : text; }

  // say(element, () => Lab.word('open')): now, and whenever the language changes.
  Lab.say = function (element, text) {
    element.said = text;
    if (typeof text === 'function') { spoken.add(element); } else { spoken.delete(element); }
    fill(element, text);
    return element;
  };

  Lab.language = () => document.documentElement.lang;

  Lab.speak = function (language) {
    document.documentElement.lang = language;
    document.querySelectorAll('[data-language]').forEach(function (button) {
      button.setAttribute('aria-pressed', String(button.dataset.language === language));
    });
    document.querySelectorAll('[data-label]').forEach(function (element) {
      element.setAttribute('aria-label', Lab.word(element.dataset.label));
    });
    document.querySelectorAll('[data-hint]').forEach(function (element) {
      element.placeholder = Lab.word(element.dataset.hint);
    });
    document.title = Lab.word('title');
    sweep();
    spoken.forEach(element => fill(element, element.said));
  };

  // An arrow that has left the picture would stay in memory, with all that it stands for.
  function sweep() {
    spoken.forEach(element => { if (!element.isConnected) { spoken.delete(element); } });
  }

  setInterval(sweep, SWEEP);

  function attributes(element, given) {
    Object.keys(given || {}).forEach(function (name) {
      if (given[name] !== null && given[name] !== undefined) { element.setAttribute(name, given[name]); }
    });
    return element;
  }

  // make('p.note', {title: 'x'}, text or element, ...)
  Lab.make = function (what, given, ...children) {
    const [name, ...classes] = what.split('.');
    const element = attributes(document.createElement(name), given);
    if (classes.length) { element.className = classes.join(' '); }
    children.forEach(function (child) {
      if (typeof child === 'function') { Lab.say(element, child); } else { element.append(child); }
    });
    return element;
  };

  Lab.shape = (name, given) => attributes(document.createElementNS(SVG, name), given);

  Lab.one = (selector, within) => (within || document).querySelector(selector);

  Lab.all = (selector, within) => Array.from((within || document).querySelectorAll(selector));

  // Lines begin when it is known what the page's requests look like; else the first would be
  // counted without their heads.
  let ready = false;
  const queue = [];
  Lab.whenReady = act => { if (ready) { act(); } else { queue.push(act); } };
  Lab.begin = function () {
    ready = true;
    queue.splice(0).forEach(act => act());
  };

  // A channel of this page's own beside the one that all share: a burst is nobody else's concern.
  Lab.channel = 'demo:lab-' + Math.random().toString(36).slice(2, 8);
  Lab.channels = [Lab.channel, 'demo:chat'];

  // ---- Figures

  Lab.duration = ms => ms < 1000 ? Math.round(ms) + ' ms' : (ms / 1000).toFixed(ms < 10000 ? 1 : 0) + ' s';

  Lab.bytes = function (count) {
    const units = ['B', 'KB', 'MB', 'GB'];
    let i = 0;
    while (count >= 999.5 && i < units.length - 1) { count /= 1024; i += 1; }
    return count.toFixed(i && count < 10 ? 1 : 0) + ' ' + units[i];
  };

  Lab.clock = function (at) { // a time of the page (ms), as the clock on the wall has it
    const date = new Date(performance.timeOrigin + at);
    const two = n => String(n).padStart(2, '0');
    return two(date.getHours()) + ':' + two(date.getMinutes()) + ':' + two(date.getSeconds());
  };

  const utf8 = new TextEncoder();

  Lab.size = text => utf8.encode(text).length; // bytes of it in UTF-8

  Lab.calm = matchMedia('(prefers-reduced-motion: reduce)');
}(window.Lab));
