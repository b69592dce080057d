/*
 * SHA-1 (RFC 3174), as the WebSocket handshake uses it. The browser's own is missing where the page
 * came without TLS, and this is needed to show the sum, not to guard anything.
 */
(function (Lab) {
  'use strict';

  const K = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6];

  function turned(word, bits) { return word << bits | word >>> 32 - bits; }

  // The bytes of the text's digest; each character stands for one byte.
  Lab.sha1 = function (text) {
    const bytes = Array.from(text, character => character.charCodeAt(0) & 255), length = bytes.length;
    let state = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
    bytes.push(0x80);
    while (bytes.length % 64 !== 56) { bytes.push(0); }
    for (let shift = 56; shift >= 0; shift -= 8) { bytes.push(Math.floor(length * 8 / Math.pow(2, shift)) & 255); }
    for (let start = 0; start < bytes.length; start += 64) {
      const w = [];
      for (let i = 0; i < 80; i += 1) {
        const at = start + 4 * i;
        w.push(i < 16 ? bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3]
          : turned(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1));
      }
      let [a, b, c, d, e] = state;
      w.forEach(function (word, i) {
        const turn = Math.floor(i / 20);
        const f = turn === 0 ? b & c | ~b & d : turn === 2 ? b & c | b & d | c & d : b ^ c ^ d;
        const next = turned(a, 5) + f + e + K[turn] + word | 0;
        [e, d, c, b, a] = [d, c, turned(b, 30), a, next];
      });
      state = [a, b, c, d, e].map((word, i) => word + state[i] | 0);
    }
    return state.reduce((all, word) => all.concat([24, 16, 8, 0].map(shift => word >>> shift & 255)), []);
  };
}(window.Lab));
