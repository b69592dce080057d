"""A worker's place in the log: waiting for news, and reading what is new for all channels at once.

What belongs here: ``interface.Follower``, and what has to be done now and then while waiting. What
does not: the upkeep itself (``upkeep``).

What this process appends itself it need not read again. A transaction knows where the log ended
when it began; where that is the follower's position, what it has added is all that is new, and
nothing of anybody else's can lie between. In all other cases the log is read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

from ...background import quick_lock
from ...errors import LogUnavailable
from ...message import Cursor, Loss
from ..interface import PAGE_BYTES, PAGE_MESSAGES, Page, Tail
from .file import LogFile
from .rows import channel_row, first_after, loss_of, message, page_of
from .tx import Meta, Tx
from .wake import Bell

LOOK = 1.0  # seconds between looks at a log that nobody rang for

_SCAN = 5000  # messages looked at in one read, whoever they are for

_TAIL = (
    "SELECT m.n, m.prev, m.event, m.time, m.expires, m.data, c.name"
    " FROM message m JOIN channel c ON c.id = m.channel WHERE m.n > ? AND m.n <= ? ORDER BY m.n"
)
_BEYOND = "SELECT n FROM message WHERE n > ? ORDER BY n LIMIT 1 OFFSET ?"

_TOLD = 100  # transactions that are kept while others are handed out, with at most a page in all
_LEAST = PAGE_BYTES // PAGE_MESSAGES  # characters for which a message counts then, at least


class SqliteFollower:
    """See ``interface.Follower``."""

    def __init__(
        self, file: LogFile, bell: Bell, upkeep: Callable[[], float], fire: Callable[[], object]
    ) -> None:
        self._file, self._bell = file, bell
        self._upkeep, self._fire = upkeep, fire
        self._rest = LOOK  # seconds that the upkeep may wait
        self._watched: dict[str, None] = {}  # a set of many takes three times the memory
        self._joined = 0  # how often ``watch`` was called
        self._lock = quick_lock()
        self._due: float | None = None  # Unix seconds of the next scheduled message
        self.closed = False
        self._waits = False
        self._behind = True  # the log may have more than what was told
        self._told: list[Tx] = []  # what this process has appended since
        self._size = 0  # characters of data in it
        self.position = file.snapshot(lambda db, meta: Cursor(meta.epoch, meta.head))

    def watch(self, *channels: str) -> None:
        with self._lock:
            self._watched.update(dict.fromkeys(channels))
            self._joined += 1

    def unwatch(self, *channels: str) -> None:
        with self._lock:
            for channel in channels:
                self._watched.pop(channel, None)

    def next(self, timeout: float) -> Page:
        start, trouble = self.position, None
        try:
            self._chores()  # before reading, or they would never come while there is always news
        except LogUnavailable as error:
            trouble = error
        if self._told or self._behind:
            page = self._move()
            if page.cursor != start:
                return page
        if self.closed:
            return Page(start)
        if trouble is not None:
            raise trouble
        self._waits = True
        try:
            more = self._bell.wait(min(timeout, LOOK, self._rest, self._until_due()))
        finally:
            self._waits = False
        self._behind = self._behind or more
        if self.closed:
            self._bell.close()  # ``close`` leaves it to us: it was in use
            return Page(start)
        if more:
            self._chores()
        return self._move()

    def _chores(self) -> None:
        if self._until_due() <= 0:
            self._fire()
        self._rest = self._upkeep()

    def _move(self) -> Page:
        """Return what is new, and go there."""
        while True:
            joined = self._joined
            page = self._as_told()
            if page is None:
                page = self._read() if self._behind else Page(self.position)
            with self._lock:
                if self._joined == joined:  # else somebody is owed what this may have left out
                    self.position = page.cursor
                    return page
                self._behind = True

    # -- what this process appends -------------------------------------------------------------

    def tell(self, tx: Tx) -> None:
        """Know what ``tx``, which is in the log, has added to it; each is told in its order."""
        if self.closed:
            return
        size = sum([max(len(row[5]), _LEAST) for _, row in tx.fresh])
        with self._lock:
            if len(self._told) < _TOLD and self._size + size <= PAGE_BYTES:
                self._told.append(tx)
                self._size += size
            else:  # it is late: it reads what it can use at a time
                self._told.clear()
                self._size, self._behind = 0, True
        self._bell.tell()

    def _as_told(self) -> Page | None:
        """Return what was told since, where that is all there is; None: nothing was, or others have
        appended in between."""
        with self._lock:
            told, self._told, self._size = self._told, [], 0
        at, found = self.position, []
        for tx in told:
            if tx.before == at:
                at, self._due = tx.after, tx.due
                for channel, row in tx.fresh:
                    if channel in self._watched:
                        found.append(message(tx.epoch, channel, row))
            elif tx.epoch != at.epoch or tx.head > at.n:  # else it was read meanwhile
                self._behind = True
                return None
        # who always has something of its own never waits, and so has not heard of it otherwise
        own = not (self._behind or self._bell.rung)
        return None if at == self.position else Page(at, found, own=own)

    def _until_due(self) -> float:
        return LOOK if self._due is None else max(0.0, self._due - self._file.clock())

    def _read(self) -> Page:
        watched, position = self._watched, self.position

        def snapshot(db: sqlite3.Cursor, meta: Meta) -> Page:
            self._due, self._behind = meta.due, False
            ended = meta.epoch != position.epoch
            after = 0 if ended else position.n
            if not ended and meta.head == after:
                return Page(position)
            beyond = db.execute(_BEYOND, (after, _SCAN)).fetchone()
            bound = meta.head if beyond is None else beyond[0] - 1
            with closing(db.connection.execute(_TAIL, (after, bound))) as rows:
                wanted = ((row[0], row[6], row[:6]) for row in rows if row[6] in watched)
                found, more = page_of(meta.epoch, wanted, PAGE_MESSAGES, PAGE_BYTES)
            cursor = Cursor(meta.epoch, found[-1].n if more else bound)
            self._behind = cursor.n < meta.head
            lost: list[Loss] = []
            if ended or meta.trimmed > after:
                lost = self._losses(db, meta, position, None if ended else after)
            return Page(cursor, found, self._behind, lost)

        return self._file.snapshot(snapshot)

    def _losses(
        self,
        db: sqlite3.Cursor,
        meta: Meta,
        position: Cursor,
        after: int | None,
    ) -> list[Loss]:
        """Check the watched channels for holes; only where something after ``after`` is gone."""
        with self._lock:
            watched = tuple(self._watched)
        lost = []
        for name in watched:
            row = channel_row(db, name)
            first = None if row is None else first_after(db, row.id, after or 0)
            loss = loss_of(meta, name, row, position, after, first)
            if loss is not None:
                lost.append(loss)
        return lost

    def tail(self) -> Tail | None:
        meta = self._file.glance()
        if meta is None:
            return None
        return Tail(Cursor(meta.epoch, meta.head), meta.trimmed, meta.floor)

    def wake(self) -> None:
        self._bell.ring()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            if self._waits:
                self._bell.ring()
            else:
                self._bell.close()
