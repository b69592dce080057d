"""The log in its tables: appending and reading.

What belongs here: what ``interface.Log`` promises, as SQL. What does not: following
(``follow``), cleaning up (``upkeep``), the file (``file``).
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, closing
from itertools import chain, takewhile

from ...message import Cursor, Draft, Loss, Message
from ...retention import Retention
from ..interface import (
    PAGE_BYTES,
    PAGE_MESSAGES,
    Append,
    AppendKey,
    ChannelInfo,
    Follower,
    Page,
    Published,
    Receipt,
    Scheduled,
)
from ..internal import ranges_of_clients
from ..names import random_name
from .file import LogFile
from .receipts import remember, remembered
from .rows import (
    AFTER,
    FIELDS,
    Channel,
    channel_row,
    is_ours,
    last_of,
    loss_of,
    message,
    named,
    page_of,
    trim,
)
from .tx import Meta, Row, Tx
from .writer import Writer

_ROW = 1024  # bytes that a message counts for beside its data: what it takes in time

_INSERT = (
    "INSERT INTO message (n, prev, event, time, expires, data, channel)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_GROW = "UPDATE channel SET last = ?, last_time = ?, kept = ? WHERE id = ?"


class _Growing:
    """A channel within a transaction that appends to it; made where there is none."""

    __slots__ = ("id", "kept", "last", "size")

    def __init__(self, tx: Tx, name: str, retention: Retention) -> None:
        self.id, base, last, _, self.kept = _open(tx, name, retention)
        self.last = last if last > base else None  # None: it had none that we know of
        self.size = retention.size

    def trim(self, tx: Tx) -> None:
        """Remove what it has too much."""
        if self.kept > self.size:
            trim(tx, self.id, self.kept - self.size)
            self.kept = self.size


class SqliteLog:
    """See ``interface.Log``."""

    def __init__(
        self,
        file: LogFile,
        writer: Writer,
        retention: Callable[[str], Retention],
        follow: Callable[[], Follower],
    ) -> None:
        self._file, self._writer, self._retention = file, writer, retention
        self.follow = follow

    # -- appending -----------------------------------------------------------------------------

    def append(self, drafts: Sequence[Draft], key: AppendKey | None = None) -> list[Receipt]:
        size = sum([len(draft.data) + _ROW for draft in drafts])
        return self._writer.run(self._appending(drafts, key), size)

    def append_now(self, asked: Sequence[Append]) -> list[list[Receipt] | Exception] | None:
        size = sum([len(draft.data) + _ROW for drafts, _ in asked for draft in drafts])
        return self._writer.run_now([self._appending(*one) for one in asked], size)

    def _appending(
        self, drafts: Sequence[Draft], key: AppendKey | None
    ) -> Callable[[Tx], list[Receipt]]:
        def work(tx: Tx) -> list[Receipt]:
            if key is not None:
                known = remembered(tx, key)
                if known is not None:
                    return known
            receipts = self.publish(tx, drafts)
            if key is not None:
                remember(tx, key, receipts)
            return receipts

        return work

    def publish(self, tx: Tx, drafts: Sequence[Draft]) -> list[Receipt]:
        """Give ``drafts`` their ids and put them into the log, or into the schedule, within
        ``tx``."""
        channels: dict[str, _Growing] = {}
        receipts: list[Receipt] = []
        prefix, now = f"{tx.epoch}.", tx.now
        for draft in drafts:
            name, data, event, ttl, retain, at = draft
            if at is not None and at > now:
                receipts.append(_schedule(tx, draft, at))
                continue
            channel = channels.get(name)
            if channel is None:
                channel = channels[name] = _Growing(tx, name, self._retention(name))
            n = tx.head = tx.head + 1
            row = n, channel.last, event, now, None if ttl is None else now + ttl, data
            channel.last = n
            channel.kept += 1
            tx.execute(_INSERT, (*row, channel.id))
            tx.fresh.append((name, row))
            receipts.append(Published(prefix + str(n)))
            if retain:
                _retain(tx, channel.id, row)
        for channel in channels.values():
            channel.trim(tx)
            tx.execute(_GROW, (channel.last, now, channel.kept, channel.id))
            tx.news = True
        return receipts

    # -- reading -------------------------------------------------------------------------------

    def read(
        self,
        channels: Collection[str],
        cursor: Cursor | None,
        upto: int | None = None,
        limit: int = PAGE_MESSAGES,
        max_bytes: int = PAGE_BYTES,
    ) -> Page:
        def snapshot(db: sqlite3.Cursor, meta: Meta) -> Page:
            bound = meta.head if upto is None else min(meta.head, upto)
            rows = [channel_row(db, name) for name in channels]
            latest = max((row.last_time for row in rows if row is not None), default=None)
            if cursor is None:
                return Page(Cursor(meta.epoch, bound), latest=latest)
            ours = is_ours(db, meta, cursor)
            after = cursor.n if ours else 0
            lost: list[Loss] = []
            with ExitStack() as cursors:
                streams = []
                for name, row in zip(channels, rows, strict=True):
                    first, rest = None, None
                    if row is not None:
                        rest = db.connection.execute(AFTER, (row.id, after))
                        cursors.callback(rest.close)
                        first = rest.fetchone()
                    loss = loss_of(meta, name, row, cursor, after if ours else None, first)
                    if loss is not None:
                        lost.append(loss)
                    if first is not None and rest is not None:
                        streams.append(named(name, chain((first,), rest)))
                merged = takewhile(lambda row: row[0] <= bound, heapq.merge(*streams))
                found, more = page_of(meta.epoch, merged, limit, max_bytes)
            at = found[-1].n if more else bound
            return Page(Cursor(meta.epoch, at), found, more, lost, latest)

        return self._file.snapshot(snapshot)

    def history(
        self,
        channel: str,
        limit: int,
        before: int | None = None,
        max_bytes: int = PAGE_BYTES,
    ) -> tuple[list[Message], ChannelInfo]:
        def snapshot(db: sqlite3.Cursor, meta: Meta) -> tuple[list[Message], ChannelInfo]:
            row = channel_row(db, channel)
            if row is None:
                return [], ChannelInfo(channel, None, 0, None)
            rows = db.connection.execute(
                f"SELECT {FIELDS} FROM message WHERE channel = ? AND n < ? ORDER BY n DESC LIMIT ?",
                (row.id, meta.head + 1 if before is None else before, limit),
            )
            with closing(rows):
                found, _ = page_of(meta.epoch, named(channel, rows), limit, max_bytes)
            value = db.execute(
                f"SELECT {FIELDS} FROM retained WHERE channel = ?", (row.id,)
            ).fetchone()
            retained = None if value is None else message(meta.epoch, channel, value)
            info = ChannelInfo(channel, last_of(meta, row), row.kept, retained)
            return found[::-1], info

        return self._file.snapshot(snapshot)

    def clear(self, channel: str) -> int:
        def work(tx: Tx) -> int:
            row = channel_row(tx, channel)
            if row is None:
                return 0
            trim(tx, row.id, row.kept)
            tx.execute("DELETE FROM retained WHERE channel = ?", (row.id,))
            tx.execute("UPDATE channel SET kept = 0 WHERE id = ?", (row.id,))
            return row.kept

        return self._writer.run(work)

    def channels(self, prefix: str = "", after: str = "", limit: int = 100) -> list[ChannelInfo]:
        def snapshot(db: sqlite3.Cursor, meta: Meta) -> list[ChannelInfo]:
            found: list[ChannelInfo] = []
            # "~" is the last character that a name may have
            for low, high in ranges_of_clients(prefix, prefix + "\x7f"):
                rows = db.execute(
                    "SELECT name, id, base, last, last_time, kept FROM channel"
                    " WHERE name >= ? AND name < ? AND name > ? ORDER BY name LIMIT ?",
                    (low, high, after, limit - len(found)),
                )
                for name, *rest in rows:
                    row = Channel(*rest)
                    found.append(ChannelInfo(name, last_of(meta, row), row.kept, None))
            return found

        return self._file.snapshot(snapshot)


def _open(tx: Tx, name: str, retention: Retention) -> Channel:
    """Return the channel, made where there is none; see that it will be swept."""
    channel = channel_row(tx, name)
    if channel is None:
        made = tx.execute(
            "INSERT INTO channel (name, base, last, last_time, kept, look_at)"
            " VALUES (?, ?, ?, ?, 0, ?)",
            # until it has a message its last is the floor, as for a channel that nobody knows
            (name, tx.floor, tx.floor, tx.now, tx.now + retention.ttl),
        )
        assert made.lastrowid is not None  # it was an INSERT
        return Channel(made.lastrowid, tx.floor, tx.floor, tx.now, 0)
    if not channel.kept:
        tx.execute(
            "UPDATE channel SET look_at = min(look_at, ?) WHERE id = ?",
            (tx.now + retention.ttl, channel.id),
        )
    return channel


def _retain(tx: Tx, channel: int, row: Row) -> None:
    if row[-1] == "null":
        tx.execute("DELETE FROM retained WHERE channel = ?", (channel,))
    else:
        tx.execute("INSERT OR REPLACE INTO retained VALUES (?, ?, ?, ?, ?, ?, ?)", (channel, *row))


def _schedule(tx: Tx, draft: Draft, at: float) -> Scheduled:
    name = f"s{random_name(19)}"
    tx.execute(
        "INSERT INTO scheduled (id, at, channel, event, ttl, retain, data)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (name, at, draft.channel, draft.event, draft.ttl, int(draft.retain), draft.data),
    )
    if tx.due is None or at < tx.due:
        tx.due = at
        tx.news = True  # somebody has to wake up earlier now
    return Scheduled(name, at)
