"""What tests of waiting clients share: how to begin to wait, and to see who waits.

What belongs here: helpers of several test modules here. What does not: fixtures (``conftest``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlencode

import pytest

from ..server import Server, until
from ..wire import Reply, Wire

BOTH = pytest.mark.parametrize("path", ["/push/poll", "/push/longpoll"])

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def now(server: Server, channel: str) -> str:
    """Return a cursor of now."""
    cursor: str = server.ask("GET", f"/push/poll?channels={channel}").json["cursor"]
    return cursor


def long_poll(server: Server, channel: str, **params: object) -> str:
    """Return the target of a long poll that waits."""
    query = {"channels": channel, "cursor": now(server, channel), "timeout": 55, **params}
    return f"/push/longpoll?{urlencode(query)}"


def wait_for_subscribers(server: Server, channel: str, count: int) -> None:
    """Wait until so many clients wait for this channel, over all workers."""

    def counted() -> bool:
        info = server.look(f"/push/channels/{channel}")
        return bool(info["subscribers"] == count)

    until(counted, f"{count} subscribers of {channel}")


def open_sockets(server: Server) -> int:
    """Return how many sockets the workers hold, connected or not."""
    count = 0
    for pid in server.workers():
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                count += os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")
            except FileNotFoundError:
                continue  # closed since it was listed
    return count


def ask(
    wire: Wire, path: str, channel: str, headers: Mapping[str, str] | None = None, **params: object
) -> Reply:
    return wire.ask("GET", f"{path}?{urlencode({'channels': channel, **params})}", headers)


def first_cursor(wire: Wire, channel: str) -> str:
    cursor: str = ask(wire, "/push/poll", channel).json["cursor"]
    return cursor
