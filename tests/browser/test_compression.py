"""A real browser agrees on compression where it is on, and gets what it gets without."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ..server import Server
from ..transports.test_deflate import BASE, LONG
from .tab import Tab

pytestmark = pytest.mark.browser

_SPEAK = """([channel, cursor]) => new Promise((resolve, reject) => {
  const query = new URLSearchParams({channels: channel, cursor});
  const socket = new WebSocket(`ws://${location.host}/push/ws?${query}`);
  const heard = [];
  socket.onopen = () => socket.send(JSON.stringify({op: 'ping', ref: 'again and '.repeat(500)}));
  socket.onclose = event => reject(new Error(`closed with ${event.code}`));
  socket.onmessage = event => {
    heard.push(JSON.parse(event.data));
    const [reply, message] = [heard.find(one => one.ref), heard.find(one => one.data)];
    if (reply && message) { resolve([socket.extensions, reply.ref.length, message.data]); }
  };
})"""


def test_chromium_compresses_and_inflates(
    make_server: Callable[..., Server], open_tab: Callable[..., Tab], channel: str
) -> None:
    """By a WebSocket of its own, which compresses all that it sends, and by push.js."""
    server = make_server(WEB_CONCURRENCY=1, PUSH_DEFLATE=1)
    cursor = server.publish(channel, "before")
    server.publish(channel, LONG)
    tab = open_tab(server)
    said = tab.page.evaluate(_SPEAK, [channel, cursor])
    assert said == [BASE.decode(), 5000, LONG]
    tab.listen("websocket", [channel])
    tab.wait_open("websocket")
    server.publish(channel, LONG)
    server.publish(channel, "and on")
    assert tab.hear("websocket", "and on") == [LONG, "and on"]
