"""A log in memory whose follower moves when the test says so: for tests of the hub alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any

from pushapp.broker.interface import Page, Tail
from pushapp.message import Cursor, Loss, Message


class FakeLog:
    """As much of a log as the hub and the transports read."""

    def __init__(self, epoch: str = "fake") -> None:
        self.epoch = epoch
        self.messages: list[Message] = []
        self.trimmed: set[int] = set()  # numbers of messages that are not kept any more
        self.before_read: Callable[[], None] = lambda: None  # what happens just before a read
        self.after_read: Callable[[], None] = lambda: None  # ... and just after it

    @property
    def head(self) -> Cursor:
        return Cursor(self.epoch, len(self.messages))

    def append(self, channel: str, data: str = "0") -> str:
        last = [m.n for m in self.messages if m.channel == channel]
        n = len(self.messages) + 1
        prev = last[-1] if last else None
        self.messages.append(Message(self.epoch, n, prev, channel, "message", 0.0, None, data))
        return f"{self.epoch}.{n}"

    def read(
        self,
        channels: Collection[str],
        cursor: Cursor | None,
        upto: int | None = None,
        limit: int = 500,
        max_bytes: int = 1 << 20,
    ) -> Page:
        self.before_read()
        page = self._page(channels, cursor, upto)
        self.after_read()
        return page

    def _page(self, channels: Collection[str], cursor: Cursor | None, upto: int | None) -> Page:
        head = self.head if upto is None else Cursor(self.epoch, min(upto, self.head.n))
        if cursor is None:
            return Page(head)
        lost: Sequence[Loss] = ()
        after = cursor.n
        if cursor.epoch != self.epoch:
            lost, after = [Loss(c, str(cursor), None, "epoch") for c in list(channels)], 0
        wanted = [m for m in self.messages if after < m.n <= head.n and m.channel in channels]
        found = [m for m in wanted if m.n not in self.trimmed]
        if not lost:
            gone = sorted({m.channel for m in wanted if m.n in self.trimmed})
            first = {c: next((m.id for m in found if m.channel == c), None) for c in gone}
            lost = [Loss(c, str(cursor), first[c], "expired") for c in gone]
        return Page(head, found, lost=lost)

    def follow(self) -> FakeFollower:
        return FakeFollower(self)


class FakeFollower:
    """Moves on when ``wake`` is called."""

    def __init__(self, log: FakeLog) -> None:
        self._log = log
        self.position = log.head
        self.watched: set[str] = set()
        self._woken = threading.Event()

    def watch(self, *channels: str) -> None:
        self.watched.update(channels)

    def unwatch(self, *channels: str) -> None:
        self.watched.difference_update(channels)

    def next(self, timeout: float) -> Page:
        self._woken.wait(timeout)
        self._woken.clear()
        page = self._log._page(self.watched, self.position, None)
        self.position = page.cursor
        return page

    def tail(self) -> Tail:
        return Tail(self._log.head, max(self._log.trimmed, default=0), 0)

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> None:
        self._woken.set()


class FakeRoster:
    """A roster that believes everything and keeps nothing."""

    def sync(self, worker: str, *brought: object, **options: object) -> bool:
        return True


class FakeBroker:
    """A broker with nothing but a log."""

    def __init__(self) -> None:
        self.log: Any = FakeLog()
        self.schedule = self.leases = self.control = self.roster = None
        self.durability = "none"

    def check(self) -> None:
        """It always answers."""

    def close(self) -> None:
        """There is nothing to let go of."""
