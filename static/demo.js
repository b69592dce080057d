/*! The demo page: four clients of push.js side by side, the form, and the machine's figures. */
(function ($) {
  'use strict';

  var NAMES = {
    websocket: {en: 'WebSocket', zh: 'WebSocket'},
    sse: {en: 'SSE', zh: 'SSE（服务器推送事件）'},
    longpoll: {en: 'Long polling', zh: '长轮询'},
    poll: {en: 'Polling', zh: '轮询'}
  };
  var PLOTS = [
    {en: 'CPU', zh: 'CPU', top: 100, unit: percent, value: function (d) { return d.cpu; }},
    {en: 'Memory', zh: '内存', top: 100, unit: percent,
      value: function (d) { return d.memory && d.memory.percent; }},
    {en: 'Network in', zh: '网络接收', unit: rate,
      value: function (d) { return d.net && d.net.received; }},
    {en: 'Network out', zh: '网络发送', unit: rate,
      value: function (d) { return d.net && d.net.sent; }},
    {en: 'Disk writes', zh: '磁盘写入', unit: rate,
      value: function (d) { return d.disk && d.disk.write; }}
  ];
  var SHOWN = 6; // messages in a card
  var POINTS = 60; // of a plot: a minute
  var SAID = {
    sent: {en: 'Published as ', zh: '已发布，编号 '},
    failed: {en: 'Not published: ', zh: '发布失败：'},
    lost: {en: 'missing: ', zh: '缺失：'}
  };

  var prefix = $('body').data('prefix');
  var ours = {}; // id → when the form sent it, on this page's own clock

  // ---- Language: the browser's, until somebody chooses.

  function language() { return document.documentElement.getAttribute('data-language'); }

  function speak(code) {
    $('html').attr({lang: code === 'zh' ? 'zh-CN' : 'en', 'data-language': code});
    $('.languages button').each(function () {
      $(this).attr('aria-pressed', String($(this).data('choose') === code));
    });
    $('[data-en]').each(function () { $(this).text($(this).attr('data-' + code)); });
  }

  function both(element, words) {
    return element.attr({'data-en': words.en, 'data-zh': words.zh}).text(words[language()]);
  }

  function remembered() {
    try { return localStorage.getItem('language'); } catch (e) { return null; }
  }

  $('.languages').on('click', 'button', function () {
    var code = $(this).data('choose');
    speak(code);
    try { localStorage.setItem('language', code); } catch (e) { /* it is asked again next time */ }
  });
  speak(remembered() || (/^zh/i.test(navigator.language || '') ? 'zh' : 'en'));

  // ---- The four cards.

  function card(transport) {
    var element = $($('#card').prop('content')).children().clone();
    var list = element.find('.log');
    both(element.find('h3'), NAMES[transport]);
    element.attr({id: 'card-' + transport, 'data-transport': transport}).appendTo('#cards');

    var push = $.push({url: prefix, channels: ['demo:chat'], transport: transport, interval: 2000});
    push.on('state', state).on('message', show).on('lost', function (lost) {
      $.each(lost, function (_, loss) {
        line($('<li class="lost">'), SAID.lost[language()] + loss.channel, loss.reason);
      });
    });

    function state() {
      element.attr('data-state', push.readyState);
      element.find('.name').text($.push.STATES[push.readyState]);
      element.find('.number').text(push.readyState);
    }

    function line(item, what, when) {
      item.append($('<span class="what">').text(what), $('<span class="when">').text(when));
      list.prepend(item).children().slice(SHOWN).remove();
    }

    function show(message) {
      var text = message.data && message.data.text;
      if (typeof text !== 'string') { text = JSON.stringify(message.data); }
      line($('<li class="new">').attr('data-id', message.id), text, clock(message.time));
      latency(message);
    }

    // For what this page has sent itself both ends are one clock; else it is the server's word.
    function latency(message) {
      var now = Date.now();
      setTimeout(function () { // the form learns the id only when its own answer is here
        var sent = ours[message.id], ms = sent ? now - sent : now - message.time * 1000;
        element.find('.latency').text(Math.max(0, Math.round(ms)) + ' ms');
      }, 300);
    }

    setInterval(function () {
      element.find('.messages').text(push.stats.messages);
      element.find('.requests').text(push.stats.requests);
      element.find('.empty').text(push.stats.empty);
    }, 250);
    state();
    return push;
  }

  function clock(seconds) { return new Date(seconds * 1000).toLocaleTimeString(); }

  // A browser gives a host six connections over HTTP/1.1; these use four, the figures share one.
  $.each(['websocket', 'sse', 'longpoll', 'poll'], function (_, name) { card(name); });

  // ---- The form.

  $('#publish').on('submit', function (e) {
    var sent = Date.now(), text = $('#text').val();
    e.preventDefault();
    $.ajax({
      url: '/demo/publish',
      type: 'POST',
      contentType: 'application/json',
      dataType: 'json',
      data: JSON.stringify({channel: 'demo:chat', data: {text: text}})
    }).done(function (answer) {
      ours[answer.id] = sent;
      $('#text').val('').trigger('focus');
      $('#said').removeClass('bad').text(SAID.sent[language()] + answer.id);
    }).fail(function (xhr) {
      var problem = xhr.responseJSON || {};
      $('#said').addClass('bad').text(SAID.failed[language()] + (problem.detail || xhr.statusText));
    });
  });

  $('#curl').text([
    'curl -X POST ' + location.origin + prefix + '/publish \\',
    '  -H "Authorization: Bearer $PUSH_API_KEY" -H "Content-Type: application/json" \\',
    '  -d \'{"channel":"demo:chat","data":{"text":"hello from a shell"}}\''
  ].join('\n'));

  // ---- The machine's figures: history brings the retained value, so that there is one at once.

  $.each(PLOTS, function (_, plot) {
    plot.element = $($('#plot').prop('content')).children().clone().appendTo('#plots');
    plot.points = [];
    both(plot.element.find('.title'), plot);
    plot.element.find('svg').attr('aria-label', plot.en);
  });

  $.push({url: prefix, channels: ['demo:system'], history: POINTS}).on('history', function (past) {
    $.each(past.messages, function (_, message) { draw(message); });
  }).on('message', draw);

  function draw(message) {
    if (!message.data) { return; }
    $('#system-empty').prop('hidden', true);
    $('#plots').prop('hidden', false);
    $.each(PLOTS, function (_, plot) {
      var value = plot.value(message.data);
      if (typeof value !== 'number') { return; }
      plot.points.push(value);
      if (plot.points.length > POINTS) { plot.points.shift(); }
      plot.element.find('output').text(plot.unit(value));
      trace(plot);
    });
  }

  function trace(plot) {
    var top = plot.top || Math.max.apply(null, plot.points.concat(1024)) * 1.1;
    var left = POINTS - plot.points.length, path = '';
    $.each(plot.points, function (i, value) {
      var x = (left + i) * 240 / (POINTS - 1), y = 58 - 56 * value / top;
      path += (i ? 'L' : 'M') + x.toFixed(1) + ' ' + y.toFixed(1);
    });
    plot.element.find('.line').attr('d', path);
    plot.element.find('.area').attr('d',
      path + 'L240 60L' + (left * 240 / (POINTS - 1)).toFixed(1) + ' 60Z');
  }

  function percent(value) { return value.toFixed(1) + ' %'; }

  function rate(value) {
    var units = ['B/s', 'KB/s', 'MB/s', 'GB/s'], i = 0;
    while (value >= 1000 && i < units.length - 1) { value /= 1024; i += 1; }
    return value.toFixed(i ? 1 : 0) + ' ' + units[i];
  }
}(jQuery));
