/*
 * The lab, started: which language, and what only the browser knows.
 */
(function (Lab) {
  'use strict';

  // Some browsers refuse storage altogether; then the choice lasts as long as the page.
  function remembered(language) {
    try {
      if (language) { localStorage.setItem('language', language); }
      return localStorage.getItem('language');
    } catch (e) {
      return language || null;
    }
  }

  Lab.all('[data-language]').forEach(function (button) {
    button.addEventListener('click', () => Lab.speak(remembered(button.dataset.language)));
  });

  const freeze = Lab.one('#freeze');
  freeze.addEventListener('click', function () {
    Lab.freeze(!Lab.isFrozen());
    freeze.setAttribute('aria-pressed', String(Lab.isFrozen()));
  });

  Lab.all('.host').forEach(element => { element.textContent = location.origin; });
  Lab.all('.channel').forEach(element => { element.textContent = Lab.channel; });
  Lab.heads.learn(document.body.dataset.prefix, document.body.dataset.demo === 'on',
    Lab.channel, Lab.begin);
  Lab.speak(Lab.WORDS[remembered()] ? remembered() : Lab.language());
}(window.Lab));
