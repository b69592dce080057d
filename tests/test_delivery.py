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
from pushapp.transports.sse import ChunkedSse, Sse
from pushapp.transports.stream import Context, Stream
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
            context.hub.hand(bundle, [subscriber])
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
        context.hub.hand(bundles()[0], [subscriber])
    assert parked.closed and len(context.hub) == 0


def test_a_first_word_gets_there_where_nothing_follows(context: Context) -> None:
    """The kernel keeps it for a moment, so that it leaves with what does; and in its place."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname(), 5)
        mine, _ = listener.accept()
    parked = ParkedSocket(mine.detach(), context.lot, stream(WebSocket, context))
    parked.write_first(b"alone")
    assert theirs.recv(100) == b"alone"
    parked.write_first(b"welcome ")
    parked.write(b"live")
    came = b""
    while len(came) < 12:
        came += theirs.recv(100)
    assert came == b"welcome live"
    parked.close()
    theirs.close()
