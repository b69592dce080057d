/* Numbers, times, sizes and refusals as a reader wants them, in the language that is spoken. */

import { language, word } from './console-words.js';

const UNITS = {
  en: { ms: 'ms', s: 's', min: 'min', h: 'h', d: 'd' },
  'zh-CN': { ms: '毫秒', s: '秒', min: '分钟', h: '小时', d: '天' }
};

const formats = new Map(); // making one takes a hundred times as long as using it

function number(value, digits) {
  const key = `${language()} ${digits}`;
  if (!formats.has(key)) {
    formats.set(key, new Intl.NumberFormat(language(), { maximumFractionDigits: digits }));
  }
  return formats.get(key).format(value);
}

export const whole = (value) => number(value, 0);

// A rate, or whatever may be small: two figures that count.
export function small(value) {
  return number(value, value >= 100 || value === 0 ? 0 : value >= 10 ? 1 : 2);
}

export const share = (value) => `${number(value * 100, value < 0.1 ? 1 : 0)}%`;

export function duration(seconds) {
  const units = UNITS[language()];
  if (seconds < 1) return `${small(seconds * 1000)} ${units.ms}`;
  if (seconds < 100) return `${number(seconds, seconds < 10 ? 1 : 0)} ${units.s}`;
  if (seconds < 6000) return `${whole(seconds / 60)} ${units.min}`;
  if (seconds < 172800) return `${number(seconds / 3600, 1)} ${units.h}`;
  return `${whole(seconds / 86400)} ${units.d}`;
}

// How long it has been silent, in a live region: it tells a screen reader at 5 s, 10, 20 and so on,
// and not every second.
export const silence = (seconds) => duration(seconds < 10 ? 5 : Math.floor(seconds / 10) * 10);

export function bytes(count) {
  if (count < 1024) return `${whole(count)} B`;
  const step = Math.min(4, Math.floor(Math.log2(count) / 10));
  const value = count / 1024 ** step;
  return `${number(value, value < 10 ? 1 : 0)} ${['KiB', 'MiB', 'GiB', 'TiB'][step - 1]}`;
}

export function clock(unixSeconds) {
  return new Date(unixSeconds * 1000).toLocaleTimeString(language(), { hour12: false });
}

// What went wrong, in this page's words; behind them the server's own, which are English.
export function explained({ status, detail, after }) {
  if (!status) return word('noAnswer');
  const own = after ? word('busy', duration(after)) : word(`status_${status}`) || word('failed');
  return detail ? `${own}${/[：。]$/.test(own) ? '' : ' '}${detail}` : own;
}
