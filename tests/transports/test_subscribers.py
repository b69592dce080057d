"""How many wait for a channel, as ``GET /push/channels/NAME`` tells: clients in a worker, now.

What belongs here: that the number rises and falls with them, on every transport. What does not:
members, who have a time to come back (``test_presence``).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from ..server import Server, until
from ..wire import Wire, request
from .conftest import Connect
from .waiting import long_poll, wait_for_subscribers

SOON = 10.0  # seconds; two looks, and a machine that is busy; less than the usual grace time
GRACE = 3  # seconds, and the lease


@contextmanager
def waits(server: Server, connect: Connect, transport: str, channel: str) -> Iterator[None]:
    """Have one client wait; a long poll without an id of its own."""
    if transport == "longpoll":
        wire = Wire(server.port)
        wire.send(request("GET", long_poll(server, channel)))
    else:
        wire = connect(transport, server, [channel]).wire
    try:
        yield
    finally:
        wire.close()


@pytest.mark.parametrize("way", ["longpoll", "sse", "websocket"])
def test_the_number_follows_who_waits(
    server: Server, connect: Connect, channel: str, way: str
) -> None:
    """Up and down with the next looks, whatever the grace time: this server's is 15 s."""
    for count in (1, 3):
        with ExitStack() as stack:
            for _ in range(count):
                stack.enter_context(waits(server, connect, way, channel))
            wait_for_subscribers(server, channel, count)
        until(lambda: subscribers(server, channel) == 0, "they have gone", SOON)


def test_who_asks_and_goes_has_not_waited(server: Server, connect: Connect, channel: str) -> None:
    """A poll is a member where it comes again, and never a subscriber."""
    connect("poll", server, [channel])._read()
    path = f"/push/channels/{channel}"
    until(lambda: server.look(path)["online"] == 1, "it is listed")
    assert subscribers(server, channel) == 0


def test_those_of_a_killed_worker_go_with_its_lease(
    make_server: Callable[..., Server], connect: Connect, channel: str
) -> None:
    """Those of the other one stay."""
    server = make_server(PUSH_PRESENCE_GRACE=GRACE)
    killed, other = server.workers()
    with ExitStack() as stack:
        for worker in (killed, killed, other):
            with server.only(worker):
                stack.enter_context(waits(server, connect, "websocket", channel))
                stack.enter_context(waits(server, connect, "sse", channel))
        wait_for_subscribers(server, channel, 6)
        os.kill(killed, signal.SIGKILL)
        until(lambda: subscribers(server, channel) == 2, "the lease is over", GRACE + SOON)
        server.wait_for_workers()


def subscribers(server: Server, channel: str) -> int:
    count: int = server.look(f"/push/channels/{channel}")["subscribers"]
    return count
