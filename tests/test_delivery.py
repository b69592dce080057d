"""Deliveries straight into the kernel put on the wire what those through a queue do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from pushapp.auth import Grant
from pushapp.departures import Departures
from pushapp.hub import Hub
from pushapp.message import Bundle, Message
from pushapp.outlet import Lot
from pushapp.parking import ParkedSocket
from pushapp.presence import Presence
from pushapp.transports.context import Context
from pushapp.transports.sse import ChunkedSse, Sse
from pushapp.transports.stream import Stream
from pushapp.transports.websocket import WebSocket
from pushapp.waiter import Waiter

from .fake_log import FakeBroker, FakeRoster

CHANNEL = "public:a"
LARGE = 20_000  # bytes of data; a few of them are more than a socket's buffer takes


@pytest.fixture
def context() -> Iterator[Context]:
    hub = Hub(FakeBroker())
    lot = Lot(hub.wheel, 1 << 26, 1 << 28, 25.0)
    nobody: Any = FakeRoster()
    presence, departures = Presence(nobody, 15.0), Departures(hub.tally)
    presence.close()
    yield Context(hub, lot, presence, 25.0, lambda *_: Grant(None, None), departures)
    hub.close()


def stream(kind: type[Stream], context: Context) -> Stream:
    asked: Any = SimpleNamespace(
        channels=(CHANNEL,), listens=(CHANNEL,), presence=False, cursor=None, history=0
    )
    more: Any = (None, 1 << 16) if kind is WebSocket else ()
    return kind(context, asked, "c1", Grant(None, None), {}, *more)


def bundles() -> list[Bundle]:
    sizes = [1, 50, 200, LARGE] * 20
    return [
        Bundle([Message("e", n, n - 1, CHANNEL, "message", 0.0, None, f'"{"x" * size}"')])
        for n, size in enumerate(sizes, 1)
    ]


def through_a_queue(kind: type[Stream], context: Context) -> bytes:
    """Return what all of the bundles are on the wire of a client that is not parked."""
    subscriber = stream(kind, context)
    waiter = Waiter(context.lot, subscriber)
    subscriber.outlet = waiter
    for bundle in bundles():
        subscriber.deliver(bundle)
    waiter.finish()
    return b"".join(iter(waiter.read, None))


@pytest.mark.parametrize("kind", [WebSocket, ChunkedSse, Sse])
@pytest.mark.parametrize("reads_at", [1, 7, 1000])
def test_bytes_are_the_same_whatever_the_kernel_takes(
    kind: type[Stream], context: Context, reads_at: int
) -> None:
    """At once, in part, or not at all: whole and in order, when the client reads in the end."""
    subscriber = stream(kind, context)
    mine, theirs = socket.socketpair()
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    theirs.setblocking(False)
    parked = ParkedSocket(mine.detach(), context.lot, subscriber)
    subscriber.welcome(parked)
    subscriber.live = True
    came = bytearray()

    def read() -> None:
        try:
            while data := theirs.recv(65536):
                came.extend(data)
        except BlockingIOError:
            return

    short = 0
    for place, bundle in enumerate(bundles(), 1):
        with context.hub.lock:
            context.hub.delivery.hand(bundle, [subscriber])
        short += subscriber.ready is None
        if place % reads_at == 0:
            read()
            gevent.sleep(0)  # the loop writes what there is room for
    while parked.unsent:
        read()
        gevent.sleep(0)
    assert short, "the kernel took everything at once: nothing was tried here"
    assert subscriber.ready is not None, "once all is out, the short way is open again"
    subscriber.end(1000, "", "asked")
    assert subscriber.ready is None
    read()
    goodbye = subscriber.farewell(1000, "")
    assert bytes(came) == through_a_queue(kind, context) + goodbye
    parked.close()
    theirs.close()


def test_a_client_that_has_left_is_let_go(context: Context) -> None:
    """The kernel says so at a delivery."""
    subscriber = stream(WebSocket, context)
    mine, theirs = socket.socketpair()
    parked = ParkedSocket(mine.detach(), context.lot, subscriber)
    subscriber.welcome(parked)
    context.hub.join(subscriber, (CHANNEL,))
    subscriber.live = True
    theirs.close()
    with context.hub.lock:
        context.hub.delivery.hand(bundles()[0], [subscriber])
    assert parked.closed and len(context.hub) == 0


def test_what_is_written_soon_leaves_with_what_follows(context: Context) -> None:
    """In one send; and alone, at the end of the loop's turn, where nothing does."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # as it was sent
    theirs.settimeout(5)
    parked = ParkedSocket(mine.detach(), context.lot, stream(WebSocket, context))
    parked.write_soon(b"alone")
    gevent.idle()
    assert theirs.recv(100) == b"alone"
    parked.write_soon(b"welcome ")
    parked.write_soon(b"live ")
    parked.write(b"news")
    assert theirs.recv(100) == b"welcome live news"
    parked.write_soon(b"welcome ")
    parked.write_soon(b"x" * LARGE)
    assert theirs.recv(2 * LARGE) == b"welcome " + b"x" * LARGE
    parked.write_soon(b"history")
    assert parked.wait_drained(5)
    assert theirs.recv(100) == b"history"
    parked.write_soon(b"welcome")  # which is not what it is cut for
    parked.cut(b"slow")
    assert [theirs.recv(100), theirs.recv(100)] == [b"welcomeslow", b""]
    parked.close()
    theirs.close()


def test_nothing_gets_before_what_is_written_soon(context: Context) -> None:
    """Nor does what the hub hands out in the same turn."""
    subscriber = stream(WebSocket, context)
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.settimeout(5)
    parked = ParkedSocket(mine.detach(), context.lot, subscriber)
    subscriber.welcome(parked)
    parked.write_soon(b"first")
    subscriber.live = True
    for bundle in bundles()[:2]:
        with context.hub.lock:
            context.hub.delivery.hand(bundle, [subscriber])
    first, second = theirs.recv(1000), theirs.recv(1000)
    assert first.startswith(b"first") and first.count(b'"id"') == second.count(b'"id"') == 1
    parked.close()
    theirs.close()
