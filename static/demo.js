/*
 * The demo page: four clients of push.js on one channel, a form that publishes, the system feed.
 *
 * What messages hold is anybody's: it goes into the page as text, never as markup.
 */
jQuery(function ($) {
  'use strict';

  var PREFIX = document.body.getAttribute('data-prefix');
  var CHAT = 'demo:chat', SYSTEM = 'demo:system';
  var KEPT = 5; // messages shown in a card
  var POINTS = 60; // of a plot: a minute
  var SLOWEST = 10000; // ms; the right end of the scale of a card, whose left end is 1 ms

  var WORDS = {
    'en': {
      published: 'Published as', failed: 'Not published', recovered: 'Back; nothing was missed.',
      lost: 'Back; some messages are no longer kept.', away: 'Connection lost; trying again.',
      closed: 'Closed by you.', via: 'It came by', before: 'before', tooMany: 'too many at once; wait a moment'
    },
    'zh-CN': {
      published: '已发布，编号', failed: '未能发布', recovered: '已恢复，没有错过任何消息。',
      lost: '已恢复，部分消息已不再保留。', away: '连接中断，正在重试。',
      closed: '已由您断开。', via: '传输方式：', before: '此前', tooMany: '发得太快，请稍等'
    }
  };

  // ---- Language. Both stand in the page; <html lang> says which is seen.

  var repaint = []; // what has words of its own, to be called when the language changes

  function word(name) { return WORDS[document.documentElement.lang][name]; }

  function speak(language) {
    document.documentElement.lang = language;
    $('[data-language]').each(function () {
      $(this).attr('aria-pressed', String($(this).attr('data-language') === language));
    });
    $.each(repaint, function (_, paint) { paint(); });
  }

  // Some browsers refuse storage altogether; then the choice lasts as long as the page.
  function remembered(language) {
    try {
      if (language) { localStorage.setItem('language', language); }
      return localStorage.getItem('language');
    } catch (e) {
      return null;
    }
  }

  $('[data-language]').on('click', function () {
    speak(remembered($(this).attr('data-language')) || $(this).attr('data-language'));
  });

  // Text that is written by the script and has words in it.
  function say($element, text) {
    function paint() { $element.text(text()); }
    $element.data('say', paint);
    paint();
  }
  repaint.push(function () {
    $('.says').each(function () { ($(this).data('say') || $.noop)(); });
  });

  // ---- Cards

  var published = {}; // key of a message of this page's form -> when it was sent (ms of the page)

  function Card($card) {
    var self = this;
    this.$ = $card;
    this.totals = {requests: 0, empty: 0, messages: 0}; // of the clients before the current one
    $card.find('.note').addClass('says');
    $card.find('.pause').on('click', function () { self.push.close(); });
    $card.find('.resume').on('click', function () { self.connect(self.push.cursor); });
    this.connect(null);
  }

  Card.prototype.connect = function (cursor) {
    var self = this;
    this.push = $.push({
      url: PREFIX, channels: [CHAT], transport: this.$.attr('data-transport'), cursor: cursor,
      history: KEPT, interval: 3000,
      share: false // each card shows a line of its own
    });
    this.push
      .on('state', function () { self.showState(); })
      .on('history', function (past) {
        $.each(past.messages, function (_, message) { self.show(message, null); });
      })
      .on('message', function (message) { self.heard(message); })
      .on('recovered', function () { self.note('recovered'); })
      .on('lost', function () { self.note('lost'); })
      .on('error', function () { self.note('away'); })
      .on('open', function () { if (self.noted === 'away') { self.note(null); } })
      .on('close', function () { self.close(); });
    this.note(null);
    this.showState();
    this.$.find('.pause').prop('hidden', false);
    this.$.find('.resume').prop('hidden', true);
  };

  Card.prototype.close = function () {
    var totals = this.totals;
    $.each(this.push.stats, function (name, count) {
      if (name in totals) { totals[name] += count; }
    });
    this.push.stats = {requests: 0, empty: 0, messages: 0};
    this.note('closed');
    this.$.find('.pause').prop('hidden', true);
    this.$.find('.resume').prop('hidden', false);
  };

  Card.prototype.note = function (name) {
    this.noted = name;
    say(this.$.find('.note'), function () { return name ? word(name) : ''; });
  };

  Card.prototype.showState = function () {
    var state = this.push.readyState;
    this.$.find('.state').toggleClass('open', state === this.push.OPEN)
      .toggleClass('closed', state === this.push.CLOSED);
    this.$.find('.state-number').text(state);
    this.$.find('.state-name').text($.push.STATES[state]);
  };

  Card.prototype.showStats = function () {
    var self = this;
    $.each(this.totals, function (name, before) {
      var $number = self.$.find('.' + name), text = String(before + self.push.stats[name]);
      if ($number.text() !== text) { $number.text(text); }
    });
  };

  Card.prototype.heard = function (message) {
    var latency = Math.max(0, Date.now() - message.time * 1000);
    var sent = published[(message.data || {}).key];
    if (sent !== undefined) { this.$.find('.round-trip').text(duration(performance.now() - sent)); }
    this.show(message, latency, sent !== undefined);
    var parts = duration(latency).split(' ');
    this.$.find('.latency-number').text(parts[0]);
    this.$.find('.latency-unit').text(parts[1]);
    // A scale of powers of ten, because the four differ by a factor of a thousand.
    var share = Math.log(Math.max(1, latency)) / Math.log(SLOWEST);
    this.$.find('.bar').css('width', Math.min(100, 2 + 98 * share) + '%');
    this.showStats();
  };

  // Without a latency it is of the past.
  Card.prototype.show = function (message, latency, mine) {
    var $log = this.$.find('.log');
    var $when = $('<span class="when"></span>');
    if (latency === null) { say($when.addClass('says'), function () { return word('before'); }); }
    else { $when.text(duration(latency)); }
    $('<li></li>').toggleClass('new', latency !== null).attr('data-id', message.id)
      .append($('<span class="text"></span>').toggleClass('mine', !!mine).text(readable(message.data)))
      .append($when)
      .prependTo($log);
    $log.children().slice(KEPT).remove();
  };

  function readable(data) {
    if (typeof data === 'string') { return data; }
    return data && typeof data.text === 'string' ? data.text : JSON.stringify(data);
  }

  function duration(ms) {
    return ms < 1000 ? Math.round(ms) + ' ms' : (ms / 1000).toFixed(ms < 10000 ? 1 : 0) + ' s';
  }

  var cards = $('.card').map(function () { return new Card($(this)); }).get();

  // Requests and empty answers come and go without an event.
  setInterval(function () {
    $.each(cards, function (_, card) { card.showStats(); });
  }, 250);

  // ---- The form

  $('#published').addClass('says');
  $('#publish').on('submit', function (e) {
    var key = Math.random().toString(36).slice(2);
    e.preventDefault();
    published[key] = performance.now();
    $.ajax({
      url: '/demo/publish', type: 'POST', contentType: 'application/json', dataType: 'json',
      data: JSON.stringify({channel: CHAT, data: {text: $('#text').val(), key: key}})
    }).done(function (answer) {
      tell(false, function () { return word('published') + ' ' + answer.id; });
    }).fail(function (xhr) {
      var why = (xhr.responseJSON || {}).detail || xhr.statusText;
      tell(true, function () {
        return word('failed') + ': ' + (xhr.status === 429 ? word('tooMany') : why);
      });
    });
    $('#text').trigger('select');
  });

  function tell(bad, text) { say($('#published').toggleClass('bad', bad), text); }

  // ---- The system feed: one client that takes the best transport there is.

  var PLOTS = {
    cpu: {most: 100, of: function (figures) { return figures.cpu; }, text: percent},
    memory: {most: 100, of: function (figures) { return figures.memory.percent; }, text: percent},
    disk: {of: function (figures) { return sum(figures.disk.read, figures.disk.write); }, text: rate},
    net: {of: function (figures) { return sum(figures.net.sent, figures.net.received); }, text: rate}
  };

  function sum(a, b) { return a === null && b === null ? null : a + b; }

  function percent(value) { return value.toFixed(0) + ' %'; }

  function rate(bytes) {
    var units = ['B/s', 'KB/s', 'MB/s', 'GB/s'], i = 0;
    while (bytes >= 999.5 && i < units.length - 1) { bytes /= 1024; i += 1; }
    return bytes.toFixed(bytes < 10 && i ? 1 : 0) + ' ' + units[i];
  }

  function draw($plot, plot) {
    var step = 120 / (POINTS - 1), start = 120 - step * (plot.values.length - 1);
    var most = plot.most || Math.max.apply(null, plot.values.concat(1024)) * 1.15;
    var line = $.map(plot.values, function (value, i) {
      return (start + i * step).toFixed(2) + ' ' + (38 - 34 * value / most).toFixed(2);
    }).join('L');
    $plot.find('.line').attr('d', 'M' + line);
    $plot.find('.area').attr('d', 'M' + start.toFixed(2) + ' 40L' + line + 'L120 40Z');
  }

  var feed = $.push({url: PREFIX, channels: [SYSTEM]}).on('message', function (message) {
    $('#feed-idle').prop('hidden', true);
    $.each(PLOTS, function (name, plot) {
      var $plot = $('[data-plot="' + name + '"]'), value = plot.of(message.data);
      if (value === null) { return; } // a machine that does not tell
      plot.values = (plot.values || []).concat(value).slice(-POINTS);
      $plot.find('.value').text(plot.text(value));
      draw($plot, plot);
    });
  }).on('open', function () {
    say($('#feed-transport').addClass('says'), function () {
      return word('via') + ' ' + feed.transport + (document.documentElement.lang === 'en' ? '.' : '。');
    });
  });

  // ---- What only the browser knows

  $('.host').text(location.origin);
  speak(WORDS[remembered()] ? remembered() : document.documentElement.lang);
});
