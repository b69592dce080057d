"""A hub and real streams against a ledger: however a client reads, asks for more, is cut off and
comes back, it has every message of its channels once and in order, or was told which it lacks.

What belongs here: WebSockets that read slowly, of channels that keep everything and of such that
keep the newest alone. What does not: sockets (``transports``), the hub by itself
(``test_hub_model``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pushapp.auth import Grant
from pushapp.background import spawn
from pushapp.broker.interface import Page
from pushapp.departures import Departures
from pushapp.hub import Hub
from pushapp.message import Cursor
from pushapp.outlet import Lot
from pushapp.presence import Presence
from pushapp.transports.context import Context
from pushapp.transports.frames import Opcode
from pushapp.transports.params import Asked
from pushapp.transports.websocket import WebSocket
from pushapp.waiter import Waiter

from .fake_log import FakeBroker, FakeRoster
from .test_hub_model import MovingLog
from .wire import TIMEOUT

LATEST = ("latest:a", "latest:b")
CHANNELS = (*LATEST, "all:c")
BUFFER = 2000  # bytes
MOST = BUFFER // 2  # of a message, as in a server's settings
LITTLE = 1, 3, 1000  # frames that a client reads at a time, and all
channels = st.lists(st.sampled_from(CHANNELS), unique=True, min_size=1) | st.just(list(LATEST))
some = st.integers(0, 99)


def is_latest_only(channel: str) -> bool:
    return channel.startswith("latest:")


class KeepingLog(MovingLog):
    """One that keeps the newest message alone of some channels, and reads in short pages."""

    def append(self, channel: str, data: str = "0") -> str:
        with self.lock:
            given = super().append(channel, data)
            if is_latest_only(channel):
                older = (m.n for m in self.messages[:-1] if m.channel == channel)
                self.trimmed.update(older)
            return given

    def read(
        self,
        channels: Collection[str],
        cursor: Cursor | None,
        upto: int | None = None,
        limit: int = 500,
        max_bytes: int = 1 << 20,
    ) -> Page:
        page = super().read(channels, cursor, upto)
        size = 0
        for place, message in enumerate(page.messages):
            size += len(message.data)
            if place and size > max_bytes:
                at = Cursor(message.epoch, page.messages[place - 1].n)
                return Page(at, page.messages[:place], more=True, lost=page.lost)
        return page


class Everybody:
    """Ops that are granted."""

    def may_subscribe(self, sketch: object, channels: object) -> Grant:
        return Grant(None, None)


class Client:
    """One that keeps its cursor; on one connection after the other."""

    def __init__(self, context: Context, channels: tuple[str, ...], cursor: Cursor) -> None:
        self.context = context
        self.channels = channels
        self.cursor = str(cursor)
        self.since = dict.fromkeys(channels, cursor.n)  # it wants what is after this
        self.got: set[int] = set()
        self.told: list[tuple[str, int, int]] = []  # channel, after, before
        self.asked: list[int] = []
        self.asked_for_more = False
        self.connect()

    @property
    def place(self) -> Cursor:
        """Where it goes on: while an op is not answered, not behind what that asked for."""
        own = Cursor.parse(self.cursor)
        return Cursor(own.epoch, min([own.n, *self.asked]))

    def connect(self) -> None:
        grant: Any = Grant(None, None)
        self.cursor = str(self.place)
        asked = Asked(self.channels, self.place)
        self.asked: list[int] = []  # what ops that are not answered yet begin behind
        more: Any = ({}, Everybody(), 1 << 16)
        self.stream = WebSocket(self.context, asked, "c1", grant, *more)
        self.waiter = Waiter(self.context.lot, self.stream)
        self.here: list[int] = []  # what came on this connection
        self._unread = b""
        spawn(self.stream._start, self.waiter)

    def cut(self) -> None:
        """The line breaks; what is unread is gone."""
        self.stream.over("gone")
        self.waiter.close()
        self.connect()

    def subscribe(self, added: list[str], n: int) -> None:
        """Ask for what ``added`` have after ``n``."""
        self.asked_for_more = True
        self.channels = (*self.channels, *added)
        self.since |= dict.fromkeys(added, n)
        self.asked.append(n)
        op = {"op": "subscribe", "channels": added, "cursor": f"{self.place.epoch}.{n}"}
        self.stream._heard(Opcode.TEXT, json.dumps(op).encode())

    def read(self, timeout: float, most: int = 1000) -> None:
        """Take at most so many frames. One that was cut off comes back."""
        if not self._unread:
            data = self.waiter.read(timeout)
            if data is None:
                self.connect()
                return
            self._unread = data
        while most and (frame := self._frame()) is not None:
            self._file(frame)
            most -= 1

    def _frame(self) -> Any:
        data = self._unread
        if len(data) < 2:
            return None
        length, at = data[1], 2
        if length == 126:
            length, at = int.from_bytes(data[2:4]), 4
        if len(data) < at + length:
            return None
        self._unread = data[at + length :]
        return json.loads(data[at : at + length]) if data[0] == 0x81 else {"type": "close"}

    def _file(self, frame: Any) -> None:
        if "type" not in frame:
            n = Cursor.parse(frame["id"]).n
            assert frame["channel"] in self.since, "of no channel of its own"
            self.here.append(n)
            self.got.add(n)
        if frame.get("type") == "reply":
            assert frame["ok"] is True, frame
            del self.asked[0]
        for loss in frame.get("lost", ()):
            after, before = Cursor.parse(loss["after"]).n, loss["before"]
            # where nothing is kept, what has been published since may not be meant
            upto = self.context.hub.log.head.n + 1 if before is None else Cursor.parse(before).n
            self.told.append((loss["channel"], after, upto))
        self.cursor = frame.get("cursor") or frame.get("id") or self.cursor

    def lacks(self, ledger: list[tuple[int, str]]) -> list[int]:
        """Return what it wants, and neither has nor was told of."""
        return [
            n
            for n, channel in ledger
            if channel in self.since and n > self.since[channel] and n not in self.got
            if not any(c == channel and after < n < before for c, after, before in self.told)
        ]

    def plight(self, ledger: list[tuple[int, str]]) -> str:
        s = self.stream
        return (
            f"{self.lacks(ledger)} never come to {self.channels}, at {self.cursor}, asked"
            f" {self.asked}, here {self.here[-9:]}; live {s.live}, ended {s.reason!r}"
        )

    def check(self) -> None:
        if not self.asked_for_more:  # which goes back, and may be told again
            assert all(a < b for a, b in pairwise(self.here)), "each once, in the log's order"
            for channel, after, before in self.told:
                span = {m.n for m in self.context.hub.log.messages if m.channel == channel}
                span &= set(range(after + 1, before))
                assert span - self.got, f"told of {channel} {after} to {before}, and has it all"


class StreamMachine(RuleBasedStateMachine):
    """A log, a hub, clients, and a ledger of all that was ever appended."""

    @initialize()
    def begin(self) -> None:
        broker: Any = FakeBroker()
        self.log = broker.log = KeepingLog()
        self.hub = Hub(broker)
        nobody: Any = FakeRoster()
        presence, departures = Presence(nobody, 15.0), Departures(self.hub.tally)
        presence.close()
        lot = Lot(self.hub.wheel, BUFFER, 1 << 24, 25.0)
        self.context = Context(
            self.hub,
            lot,
            presence,
            25.0,
            lambda *_: Grant(None, None),
            departures,
            is_latest_only=is_latest_only,
        )
        self.ledger: list[tuple[int, str]] = []
        self.clients: list[Client] = []

    def teardown(self) -> None:
        self.settle()
        for client in self.clients:
            client.stream.over("gone")
            client.waiter.close()
        self.hub.close()

    @rule(to=st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=6), size=st.integers(1, MOST))
    def append(self, to: list[str], size: int) -> None:
        for channel in to:
            self.log.append(channel, f'"{"x" * size}"')
            self.ledger.append((self.log.head.n, channel))
        self.hub._follower.wake()

    @rule(to=channels, back=st.integers(0, 20))
    def come(self, to: list[str], back: int) -> None:
        cursor = Cursor(self.log.epoch, max(0, self.log.head.n - back))
        self.clients.append(Client(self.context, tuple(to), cursor))

    @precondition(lambda self: self.clients)
    @rule(which=some, most=st.sampled_from(LITTLE))
    def read(self, which: int, most: int) -> None:
        self.one(which).read(0.001, most)

    @precondition(lambda self: self.clients)
    @rule(which=some)
    def cut(self, which: int) -> None:
        client = self.one(which)
        client.check()
        client.cut()

    @precondition(lambda self: self.clients)
    @rule(which=some, more=channels, back=st.integers(0, 20))
    def ask_for_more(self, which: int, more: list[str], back: int) -> None:
        client = self.one(which)
        added = [channel for channel in more if channel not in client.channels]
        if added:
            client.subscribe(added, max(0, self.log.head.n - back))

    @precondition(lambda self: self.clients)
    @rule()
    def settle(self) -> None:
        """Everybody has read all that there is."""
        until = time.monotonic() + TIMEOUT
        self.hub._follower.wake()
        for client in self.clients:
            while client.lacks(self.ledger):
                client.read(0.02)
                assert time.monotonic() < until, client.plight(self.ledger)
            client.check()

    def one(self, which: int) -> Client:
        return self.clients[which % len(self.clients)]


def test_every_client_has_everything_or_is_told_what_it_lacks() -> None:
    """100 times 50 steps of any kind."""
    run_state_machine_as_test(
        StreamMachine,
        settings=settings(
            max_examples=100,
            stateful_step_count=50,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
