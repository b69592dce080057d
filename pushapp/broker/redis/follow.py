"""A worker's place in the log: hearing of news, and reading what is new for its channels.

What belongs here: ``interface.Follower``. What does not: the connection that wake-ups come on
(``ear``), reading itself (``log``).

The log is the truth, a wake-up only tells where to look. It names a channel and a number; wake-ups
come in the order of the log, so whoever has heard of N has heard of everything up to N in each
channel that it is subscribed to. ``_heard`` is that N. Channels that were heard of, or of which
something may have been missed (newly watched, or after a lost connection), are *owed*; a page is
what the owed channels have between ``position`` and ``_heard``, and after it ``position`` is there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from ...errors import LogUnavailable
from ...message import Cursor, Loss, Message
from ..interface import PAGE_BYTES, PAGE_MESSAGES, Page, Tail
from .ear import Ear
from .line import Line
from .log import read
from .scripts import TICK
from .server import Server

log = logging.getLogger(__name__)

LOOK = 1.0  # seconds between looks at a log that nobody was woken for
LINGER = 60.0  # seconds that a channel without interest stays subscribed: people come back
_CHECKED = 100  # watched channels that each look compares with the log, in turn
_CHUNK = 200  # channels read by one script


class RedisFollower:
    """See ``interface.Follower``."""

    def __init__(
        self,
        server: Server,
        reads: Line,
        fire: Callable[[], float | None],
        sweep: Callable[[], bool],
    ) -> None:
        self._reads, self._fire, self._sweep = reads, fire, sweep
        self._lock = threading.Lock()
        self._moving = threading.Lock()  # while a page is read
        self._bell = threading.Event()
        self._watched: dict[str, None] = {}
        self._idle: dict[str, float] = {}  # subscribed and not watched: since when
        self._owed: dict[str, int] = {}  # which have to be read: channel → when that was found
        self._found = 0  # counts those findings
        self._heard: Cursor | None = None
        self._next_look = 0.0
        self._next_due: float | None = None
        self._overdue = False  # what is due could not be published
        self._checks: Iterator[str] = iter(())
        self._told: dict[str, int] = {}  # up to where a channel's loss was named, beyond position
        self._closed = False
        epoch, n, *_ = reads.head(TICK, "")
        self.position = Cursor(epoch, int(n))
        self._ear = Ear(server, self)

    # -- watching --------------------------------------------------------------------------------

    def watch(self, *channels: str) -> None:
        with self._lock:
            new = [channel for channel in channels if channel not in self._watched]
            for channel in new:
                self._watched[channel] = None
                self._idle.pop(channel, None)
        waited = self._ear.subscribe(channels)
        # What came before the subscription nobody told of; those that had lingered were not
        # listened to.
        if new or waited:
            with self._moving:  # a page that is being read leaves them out, and moves on
                self._owe([*new, *waited])

    def unwatch(self, *channels: str) -> None:
        now = time.monotonic()
        with self._lock:
            for channel in channels:
                self._watched.pop(channel, None)
                self._owed.pop(channel, None)
                self._idle[channel] = now

    def _owe(self, channels: list[str]) -> None:
        with self._lock:
            self._found += 1
            wanted = (channel for channel in channels if channel in self._watched)
            self._owed.update(dict.fromkeys(wanted, self._found))

    # -- what the ear tells ----------------------------------------------------------------------

    def wanted(self) -> list[str]:
        """Return what has to be subscribed to."""
        with self._lock:
            return list(self._watched)

    def forget(self) -> None:
        """A new connection is subscribed to what is wanted, and to nothing that lingered."""
        with self._lock:
            self._idle.clear()

    def begin(self) -> None:
        """All of ``wanted`` are subscribed to: from now on nothing is missed, before that all may
        have been."""
        self._owe(self.wanted())
        self._next_look = 0.0  # a look says where the log is
        self._bell.set()

    def hear(self, channel: str | None, at: Cursor) -> None:
        """There is a message ``at`` in ``channel``; None: everything up to ``at`` was told."""
        with self._lock:
            if (self._heard or self.position).epoch != at.epoch:
                self._found += 1
                self._owed = dict.fromkeys(self._watched, self._found)
            self._heard = at
            if channel in self._watched:
                self._found += 1
                self._owed[channel] = self._found
            if self._owed or channel is None:
                self._bell.set()

    def tail(self) -> Tail | None:
        return None  # wake-ups come on another connection, so only reading tells

    def wake(self) -> None:
        self._next_look = 0.0
        self._bell.set()

    # -- following -------------------------------------------------------------------------------

    def next(self, timeout: float) -> Page:
        start, trouble = self.position, None
        try:
            self._chores()
        except LogUnavailable as error:  # what can be read is not held back by what cannot be done
            trouble = error
        page = self._move()
        if page.cursor != start or self._closed:
            return page
        if trouble is not None:
            raise trouble
        self._ear.wait_until_it_hears(min(timeout, 2 * LOOK))
        self._bell.wait(max(0.0, min(timeout, self._until_chores())))
        self._bell.clear()
        if self._closed:
            return page
        self._chores()
        return self._move()

    def _chores(self) -> None:
        """Once a second: have the log tidied, learn where it is, let go of channels."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + LOOK
            due_in, over, more = self._reads.run(TICK, self._ear.mark, first=True)
            self._ear.expect_mark(now)
            self._next_due = None if due_in == "" else now + float(due_in)
            if (over and self._sweep()) or more:
                self._next_look = now  # a bit at a time: messages come in between
            self._check_some()
            self._let_go(now)
        if self._next_due is not None and now >= self._next_due:
            self._fire_due(now)

    def _fire_due(self, now: float) -> None:
        self._next_due = now + LOOK
        try:
            due = self._fire()
        except LogUnavailable as error:  # full, or too slow: what was published has to go on
            if not self._overdue:
                log.error("what is due cannot be published: %s", error)
            self._overdue = True
        else:
            self._overdue = False
            self._next_due = None if due is None else now + due

    def _let_go(self, now: float) -> None:
        with self._lock:
            gone = [channel for channel, since in self._idle.items() if now - since > LINGER]
            for channel in gone:
                del self._idle[channel]
        self._ear.unsubscribe(gone)

    def _check_some(self) -> None:
        """Compare some channels with the log: what nothing should be able to hide shows here."""
        names = [name for name, _ in zip(self._checks, range(_CHECKED), strict=False)]
        if len(names) < _CHECKED:
            with self._lock:
                self._checks = iter(list(self._watched))
        position = self.position
        if names:
            page, lasts = read(self._reads, names, None, None, 1, 1, first=True)
            if page.cursor.epoch == position.epoch:
                self._owe([name for name, last in lasts.items() if last > position.n])

    def expect(self, seconds: float) -> None:
        """Something was scheduled for then."""
        due = time.monotonic() + max(0.0, seconds)
        if self._next_due is None or due < self._next_due:
            self._next_due = due
            self._bell.set()

    def _until_chores(self) -> float:
        until = self._next_look if self._next_due is None else min(self._next_look, self._next_due)
        return until - time.monotonic()

    def _move(self) -> Page:
        """Return what is new, and go there."""
        with self._moving:
            with self._lock:
                heard, owed = self._heard or self.position, dict(self._owed)
            position = self.position
            if heard.epoch == position.epoch and heard.n <= position.n:
                return Page(position)
            page, lasts = self._read(list(owed), position, heard) if owed else (Page(heard), {})
            with self._lock:
                self.position = page.cursor
                for channel, last in lasts.items():
                    # Above may be more of it, or what was published before the subscription.
                    if self._owed.get(channel) == owed[channel] and last <= page.cursor.n:
                        del self._owed[channel]
            if page.cursor.epoch != position.epoch:
                self._told.clear()  # numbers of another epoch
            self._remember(page, lasts)
            return page

    def _remember(self, page: Page, lasts: Mapping[str, int]) -> None:
        """A hole may reach beyond a page: the next one need not name it again."""
        for loss in page.lost:
            end = Cursor.parse(loss.before).n - 1 if loss.before else lasts[loss.channel]
            self._told[loss.channel] = end
        here = page.cursor.n
        self._told = {name: end for name, end in self._told.items() if end > here}

    def _read(
        self, channels: list[str], position: Cursor, heard: Cursor
    ) -> tuple[Page, dict[str, int]]:
        """Return a page of ``channels`` up to ``heard``, by several scripts where they are many."""
        chunks = [channels[i : i + _CHUNK] for i in range(0, len(channels), _CHUNK)]
        room = max(PAGE_BYTES // len(chunks), PAGE_BYTES // 16)
        messages: list[Message] = []
        lost: list[Loss] = []
        lasts: dict[str, int] = {}
        cursor, more = heard, False
        for chunk in chunks:
            page, own = read(
                self._reads, chunk, position, cursor.n, PAGE_MESSAGES, room, True, self._told
            )
            if page.cursor.epoch != heard.epoch:
                self.wake()  # an epoch that began just now; the next look tells of it
                return Page(position), {}
            messages += page.messages
            lost += page.lost
            lasts |= own
            if page.cursor.n < cursor.n:
                cursor, more = page.cursor, True
        messages = [message for message in messages if message.n <= cursor.n]
        messages.sort(key=_number)
        return Page(cursor, messages, more, lost), lasts

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._bell.set()
            self._ear.close()


def _number(message: Message) -> int:
    return message.n
