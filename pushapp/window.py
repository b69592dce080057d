"""The hub's recent window: the last messages of channels that clients keep asking about.

What belongs here: which messages a worker has at hand, and from where on it has all of a channel's.
What does not: when they may stand for the log (whoever asks compares ``cursor`` with the log's
``Tail``), who listens (``hub``).

A channel is in the window from the first time somebody asks about it until nobody has for a while.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Collection, Container, Mapping, Sequence

from .broker.interface import Follower, Page, Tail
from .message import Message

INTEREST = 30.0  # seconds that a channel is followed after it was last asked about
_SWEEP = 5.0  # seconds between looks at which channels those are
_CHANNELS = 10_000  # in the window at most
_MESSAGES = 64  # of a channel
_BYTES = 65536  # characters of data of a channel; one message alone may have more
NEVER = 1 << 63  # after every number
_TOTAL = 32 << 20  # ... of all channels together


class Recent:
    """What is at hand of one channel: all of it after ``since``; ``last`` and ``latest`` are of all
    since it was ``begun``."""

    __slots__ = ("asked", "begun", "last", "latest", "messages", "since", "size")

    def __init__(self) -> None:
        self.since = self.begun = NEVER  # until it is followed
        self.last = 0  # number of its newest message; 0: there is none
        self.latest: float | None = None  # its time, Unix seconds
        self.messages: deque[Message] = deque()
        self.size = 0  # characters of data
        self.asked = time.monotonic()

    def add(self, message: Message) -> int:
        """Take a message in; return by how much the size grew."""
        before = self.size
        self.messages.append(message)
        self.last, self.latest = message.n, message.time
        self.size += len(message.data)
        while len(self.messages) > _MESSAGES or (self.size > _BYTES and len(self.messages) > 1):
            self._drop_oldest()
        return self.size - before

    def _drop_oldest(self) -> None:
        oldest = self.messages.popleft()
        self.size -= len(oldest.data)
        self.since = oldest.n

    def forget(self) -> int:
        """Keep no messages; return by how much the size shrank."""
        before, self.size = self.size, 0
        if self.messages:
            self.since = self.messages[-1].n
            self.messages.clear()
        return before


class Window:
    """The recent messages of one worker. The hub adds to it, under its lock."""

    def __init__(self, follower: Follower, lock: threading.RLock, listened: Container[str]) -> None:
        """``listened``: the channels that somebody listens to, which stay followed without us."""
        self._follower, self._lock, self._listened = follower, lock, listened
        self.cursor = follower.position  # of each channel everything up to here is in it
        self._recent: dict[str, Recent] = {}
        self._size = 0
        self._swept = time.monotonic()

    def __contains__(self, channel: str) -> bool:
        return channel in self._recent

    def tail(self) -> Tail | None:
        """Return where the log is now; see ``broker.interface.Follower``."""
        return self._follower.tail()

    def keep(self, channels: Collection[str]) -> None:
        """Have the newest messages of ``channels`` at hand for a while, where there is room.

        Raises:
            LogUnavailable: the channels cannot be followed now.
        """
        with self._lock:
            new = {channel: Recent() for channel in channels if channel not in self._recent}
            if not new or len(self._recent) + len(new) > _CHANNELS:
                return
            self._recent.update(new)  # first, or others may end what we begin
        try:
            self._follower.watch(*new)  # may wait for the broker
        except BaseException:
            with self._lock:
                for channel in new:
                    self._close(channel)
            raise
        with self._lock:
            self._begin(new)

    def _begin(self, new: Mapping[str, Recent]) -> None:
        """Let ``new``, which are followed now, be of use."""
        since = self._follower.position
        for channel, recent in new.items():
            if self._recent.get(channel) is not recent:
                self.unwatch(channel)  # it was let go meanwhile
            elif since.epoch == self.cursor.epoch:
                recent.since = recent.begun = since.n
            else:  # the hub has not heard of this epoch yet
                self._close(channel)

    def unwatch(self, *channels: str) -> None:
        """Follow no longer those of ``channels`` that nobody listens to and that are not in it."""
        idle = [c for c in channels if c not in self._listened and c not in self._recent]
        if idle:
            self._follower.unwatch(*idle)

    def look(self, channels: Collection[str]) -> list[Recent] | None:
        """Return what is at hand of each of ``channels``, and keep it there for another while;
        None where one of them is not in the window."""
        now, found = time.monotonic(), []
        for channel in channels:
            recent = self._recent.get(channel)
            if recent is None:
                return None
            recent.asked = now
            found.append(recent)
        return found

    def add(self, page: Page) -> None:
        """Take in what was read of all followed channels."""
        if page.cursor.epoch != self.cursor.epoch:
            self.clear()
        for loss in page.lost:
            self._close(loss.channel)
        for message in page.messages:
            recent = self._recent.get(message.channel)
            if recent is not None and message.n > recent.since:
                self._size += recent.add(message)
                if self._size > _TOTAL:
                    self._size -= recent.forget()
        self.cursor = page.cursor

    def clear(self) -> None:
        """Let go of all channels."""
        for channel in list(self._recent):
            self._close(channel)

    def sweep(self) -> None:
        """Let go of channels that nobody has asked about for a while."""
        now = time.monotonic()
        if now - self._swept < _SWEEP:
            return
        self._swept = now
        with self._lock:
            for channel in [c for c, r in self._recent.items() if now - r.asked > INTEREST]:
                self._close(channel)

    def _close(self, channel: str) -> None:
        recent = self._recent.pop(channel, None)
        if recent is not None:
            self._size -= recent.size
            self.unwatch(channel)


def after(recents: Sequence[Recent], n: int) -> list[Message]:
    """Return the messages after ``n``, oldest first. None of ``recents`` may begin later."""
    found = [m for recent in recents if recent.last > n for m in recent.messages if m.n > n]
    if len(recents) > 1:
        found.sort(key=_number)
    return found


def _number(message: Message) -> int:
    return message.n
