/* What the page's own code would do, and notes of all that it is told. */
(function () {
  'use strict';

  window.record = {
    heard: [], // numbers, in the order in which they came
    first: null, // s from connecting to the first message
    slowest: 0, // s from publishing a message to its arrival; both clocks are of one machine
    said: {} // event -> what came with it, each time
  };

  // `moment`: ms since 1970, so that tabs can begin together, as a browser that restores them does.
  window.connect = function (options, moment) {
    setTimeout(begin, moment - Date.now(), options);
  };

  function begin(options) {
    var begun = Date.now();
    var push = window.push = window.$ ? $.push(options) : Push.connect(options);
    push.on('message', function (message) {
      var now = Date.now();
      if (record.first === null) { record.first = (now - begun) / 1000; }
      record.slowest = Math.max(record.slowest, now / 1000 - message.time);
      record.heard.push(message.data);
    });
    ['open', 'lost', 'recovered', 'error', 'close'].forEach(function (name) {
      record.said[name] = [];
      push.on(name, function (value) { record.said[name].push(value); });
    });
  }

  window.result = function () {
    return {
      heard: record.heard, first: record.first, slowest: record.slowest, said: record.said,
      state: push.readyState, transport: push.transport
    };
  };
}());
