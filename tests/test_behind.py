"""What one thread may do to another's work in just the wrong moment, each forced to happen.

What belongs here: a client that falls behind while it asks for something, and what is due late.
What does not: all moments together (``test_stream_model``), sockets (``transports``).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pushapp.auth import Grant
from pushapp.departures import Departures
from pushapp.hub import Hub
from pushapp.outlet import Lot
from pushapp.transports.context import Context
from pushapp.transports.frames import Opcode
from pushapp.transports.params import Asked
from pushapp.transports.websocket import WebSocket
from pushapp.waiter import Waiter
from pushapp.wheel import TICK, Wheel

from .fake_log import FakeBroker
from .server import until
from .test_interleavings import presence
from .wire import TIMEOUT

CHANNEL = "latest:a"
BUFFER = 2000  # bytes


class Ops:
    """Grants everything, after something else has happened."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] = lambda: None

    def may_subscribe(self, sketch: object, channels: object) -> Grant:
        self.meanwhile()
        return Grant(None, None)


class Client:
    """One that reads when it is asked to."""

    def __init__(self, hub: Hub) -> None:
        self.hub, self.ops = hub, Ops()
        lot = Lot(hub.wheel, BUFFER, 1 << 24, heartbeat=25)
        context = Context(
            *(hub, lot, presence(), 25, lambda *_: Grant(None, None), Departures(hub.tally)),
            is_latest_only=lambda _: True,
        )
        asked = Asked((CHANNEL,), hub.log.read((), None).cursor)
        more: Any = (Grant(None, None), {}, self.ops, 1 << 16)
        self.stream = WebSocket(context, asked, "c1", *more)
        self.waiter = Waiter(lot, self.stream)
        self.stream._start(self.waiter)
        self.came = b""

    def says(self, op: dict[str, object]) -> None:
        self.stream._heard(Opcode.TEXT, json.dumps(op).encode())

    def read_up_to(self, text: bytes) -> None:
        while text not in self.came:
            data = self.waiter.read(TIMEOUT)
            assert data, f"{text!r} does not come, {self.stream.reason!r}: {self.came[-300:]!r}"
            self.came += data

    def falls_behind(self) -> None:
        """Publish more than it may have unsent."""

        def is_behind() -> bool:
            log: Any = self.hub.log
            log.trimmed.update(message.n for message in log.messages)
            log.append(CHANNEL, json.dumps("x" * (BUFFER // 2)))
            self.hub._follower.wake()
            return not self.stream.live

        until(is_behind, "it is behind")


@pytest.fixture
def client() -> Iterator[Client]:
    hub = Hub(FakeBroker())
    client = Client(hub)
    yield client
    client.stream.over("gone")
    client.waiter.close()
    hub.close()


def test_an_op_that_has_not_begun_waits_for_who_falls_behind(client: Client) -> None:
    """It may ask how far the stream has been served."""
    stream = client.stream
    with client.hub.lock:  # which whoever does the op needs before it begins
        client.says({"op": "ping", "ref": "later"})
        stream._soon(lambda: stream.write(stream.named("sooner", "")))
    client.read_up_to(b"later")
    client.read_up_to(b"sooner")
    assert client.came.index(b"sooner") < client.came.index(b"later")


def test_who_falls_behind_while_it_is_asked_whether_it_may_goes_on_later(client: Client) -> None:
    """As an app's own function that looks into a database asks; it stays connected."""
    client.ops.meanwhile = client.falls_behind
    client.says({"op": "subscribe", "channels": ["latest:b"], "ref": "added"})
    until(lambda: not client.stream.live, "it is behind")
    client.read_up_to(b'"ref":"added","ok":true')
    assert client.stream.reason == "" and client.stream.channels == (CHANNEL, "latest:b")
    log: Any = client.hub.log
    last = log.append("latest:b", '"live again"')
    client.hub._follower.wake()
    client.read_up_to(b"live again")
    assert last.encode() in client.came


def test_a_slot_of_the_wheel_that_has_just_passed_is_due_all_the_same() -> None:
    """Real threads: it passes between the question which it is and putting something into it."""
    is_due = threading.Event()

    class Late:
        slot: dict[Any, None] | None = None

        def on_due(self) -> None:
            is_due.set()

    wheel, late = Wheel(threading.RLock()), Late()
    late.slot = wheel._slots[int(time.monotonic() / TICK) - 5] = {late: None}
    turning = threading.Thread(target=wheel.run)
    turning.start()
    try:
        assert is_due.wait(TIMEOUT)
    finally:
        wheel.close()
        turning.join(TIMEOUT)
