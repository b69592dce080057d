"""The moments in which a message could fall through, each forced to happen.

What belongs here: what a subscriber gets when the log moves on between two of its steps. What does
not: what it gets otherwise (``test_hub``, ``transports``). ``test_guards`` shows that each of
these tests fails without the rule that it is for.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from pushapp.auth import Grant
from pushapp.broker.interface import Page
from pushapp.departures import Departures
from pushapp.errors import LogUnavailable
from pushapp.hub import Hub
from pushapp.message import Bundle, Cursor, Loss
from pushapp.outlet import Lot
from pushapp.presence import Presence
from pushapp.subscriber import Subscriber
from pushapp.transports.context import Context
from pushapp.transports.longpoll import LongPoll
from pushapp.transports.params import Asked
from pushapp.transports.sse import Sse
from pushapp.waiter import Waiter

from .fake_log import FakeBroker, FakeFollower, FakeLog, FakeRoster
from .server import until
from .wire import TIMEOUT

CHANNEL = "public:a"
HOLD = 2.0  # seconds that a long poll waits here; only a lost message makes it wait


class HeldFollower(FakeFollower):
    """Reads the log when woken, and hands out what it has read when it is let go."""

    def __init__(self, log: FakeLog) -> None:
        super().__init__(log)
        self.has_read = threading.Event()
        self.may_hand_out = threading.Event()

    def next(self, timeout: float) -> Page:
        if not self._woken.wait(timeout):
            return Page(self.position)
        page = super().next(timeout)
        self.has_read.set()
        self.may_hand_out.wait(TIMEOUT)
        return page


class HeldLog(FakeLog):
    """A log whose one follower is held."""

    def follow(self) -> HeldFollower:
        self.follower = HeldFollower(self)
        return self.follower


@pytest.fixture
def log() -> HeldLog:
    return HeldLog()


@pytest.fixture
def hub(log: HeldLog) -> Iterator[Hub]:
    broker = FakeBroker()
    broker.log = log
    hub = Hub(broker)
    yield hub
    log.follower.may_hand_out.set()
    hub.close()


def once(log: FakeLog, do: Callable[[], None]) -> Callable[[], None]:
    """Return ``do`` for the next time alone that the log is read."""

    def done() -> None:
        log.after_read = lambda: None
        do()

    return done


def presence() -> Presence:
    """Return one that has nobody to tell, and whose loop has ended."""
    nobody: Any = FakeRoster()
    idle = Presence(nobody, 15.0)
    idle.close()
    return idle


def long_poll(hub: Hub, cursor: Cursor) -> list[str]:
    """Return the ids in the answer of a long poll from ``cursor``."""
    lot = Lot(hub.wheel, 1 << 20, 1 << 24, heartbeat=25)
    asked = Asked((CHANNEL,), cursor)
    subscriber = LongPoll(hub, lot, presence(), asked, "c1", parks=False)
    subscriber.begin(HOLD)
    assert isinstance(hub.log, HeldLog)
    hub.log.follower.may_hand_out.set()
    answer = json.loads(subscriber.wait(TIMEOUT).body())
    return [message["id"] for message in answer["messages"]]


def stream(hub: Hub, cursor: Cursor, marker: Callable[[], str]) -> list[str]:
    """Return the ids that a stream from ``cursor`` sends, up to that of a marker."""
    lot = Lot(hub.wheel, 1 << 20, 1 << 24, heartbeat=25)
    departures = Departures(hub.tally)
    context = Context(hub, lot, presence(), 25, lambda *_: Grant(None, None), departures)
    asked = Asked((CHANNEL,), cursor)
    sse = Sse(context, asked, "c1", Grant(None, None), {})
    waiter = Waiter(lot, sse)
    sse.begin(waiter, asked)
    assert isinstance(hub.log, HeldLog)
    hub.log.follower.may_hand_out.set()
    last = marker()
    sent = b""
    while f'"id":"{last}"'.encode() not in sent:
        data = waiter.read(TIMEOUT)
        assert data, f"the marker does not come: {sent!r}"
        sent += data
    sse.hang_up()
    lines = [line for line in sent.split(b"\n") if line.startswith(b'data: {"id"')]
    return [json.loads(line.removeprefix(b"data: "))["id"] for line in lines]


@pytest.mark.parametrize("transport", ["longpoll", "sse"])
def test_what_is_published_after_a_client_has_read_is_handed_out_to_it(
    hub: Hub, log: HeldLog, transport: str
) -> None:
    """The worker follows a channel before the client reads it: register, then read.

    The worker reads the log for its listeners when the client has read and does not wait yet; what
    it has read is handed out only when the client waits.
    """
    log.append(CHANNEL)
    start = log.head

    def publish() -> None:
        log.append(CHANNEL)
        log.follower.wake()
        assert log.follower.has_read.wait(TIMEOUT)

    def marker() -> str:
        until(lambda: hub.position == log.head, "what was read is handed out")
        published = log.append(CHANNEL)
        log.follower.wake()
        return published

    log.after_read = once(log, publish)
    if transport == "longpoll":
        assert long_poll(hub, start) == ["fake.2"]
    else:
        assert stream(hub, start, marker) == ["fake.2", "fake.3"]


@pytest.mark.parametrize("transport", ["longpoll", "sse"])
def test_what_was_handed_out_before_a_client_waits_is_read_by_it(
    hub: Hub, log: HeldLog, transport: str
) -> None:
    """A client goes live only where it has read as far as the worker has handed out.

    The worker has handed out a newer message, to all who waited, when the client comes to wait.
    """
    log.append(CHANNEL)
    start = log.head
    log.follower.may_hand_out.set()

    def publish() -> None:
        log.append(CHANNEL)
        log.follower.wake()
        until(lambda: hub.position == log.head, "the worker has handed it out")

    def marker() -> str:
        published = log.append(CHANNEL)
        log.follower.wake()
        return published

    log.after_read = once(log, publish)
    if transport == "longpoll":
        assert long_poll(hub, start) == ["fake.2"]
    else:
        assert stream(hub, start, marker) == ["fake.2", "fake.3"]


def test_a_long_poll_whose_channels_cannot_be_followed_takes_no_place(
    hub: Hub, log: HeldLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Valkey server that is silent then would take up its user's seats, one after the other."""

    def refuse(*channels: str) -> None:
        raise LogUnavailable("on purpose")

    monkeypatch.setattr(log.follower, "watch", refuse)
    with pytest.raises(LogUnavailable):
        long_poll(hub, log.head)
    assert len(hub) == hub.channels == 0


class Watcher(Subscriber):
    """Notes, whenever anybody is served, which cursors the others would be handed now."""

    def __init__(self, hub: Hub, channel: str, others: list[Watcher]) -> None:
        super().__init__((channel,))
        self.hub, self.others = hub, others
        self.got: list[int] = []
        self.errors: list[str] = []

    def deliver(self, bundle: Bundle) -> None:
        self.got += [message.n for message in bundle.messages]
        for other in self.others:
            cursor = self.hub.position_of(other)
            has = max(other.got, default=2)
            if cursor.n > has:
                self.errors.append(f"{other.channels} would get {cursor}, but has only {has}")

    def tell(self, cursor: Cursor, lost: Sequence[Loss]) -> None:
        raise AssertionError("nothing is lost here")

    def on_due(self) -> float | None:
        return None


def test_no_cursor_is_newer_than_what_its_client_was_handed(hub: Hub, log: HeldLog) -> None:
    """While a page is handed out, a heartbeat of one who waits for its part tells no newer point.

    Two clients with a channel each: whoever is served first sees the other one unserved.
    """
    names = ["public:a", "public:b"]
    for name in names:
        log.append(name)
    watchers: list[Watcher] = []
    for name in names:
        watcher = Watcher(hub, name, watchers)
        hub.join(watcher, watcher.channels)
        with hub.lock:
            assert hub.go_live(watcher, log.head)
        watchers.append(watcher)

    for name in names:
        log.append(name)
    log.follower.may_hand_out.set()
    log.follower.wake()
    until(lambda: hub.position == log.head, "both are served")

    assert [watcher.got for watcher in watchers] == [[3], [4]]
    assert [watcher.errors for watcher in watchers] == [[], []]
    assert all(hub.position_of(watcher) == log.head for watcher in watchers)
    for watcher in watchers:
        hub.leave(watcher)
