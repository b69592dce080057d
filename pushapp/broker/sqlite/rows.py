"""Rows of the log, and what they say: shared by the log's reader and its followers.

What belongs here: from rows to messages, pages and losses. What does not: when they are read
(``log``, ``follow``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ...message import Cursor, Loss, Message
from ..continuity import is_complete
from .tx import Meta, Row, Tx

FIELDS = "n, prev, event, time, expires, data"
_CHANNEL = "SELECT id, base, last, last_time, kept FROM channel WHERE name = ?"
AFTER = f"SELECT {FIELDS} FROM message WHERE channel = ? AND n > ? ORDER BY n"


class Channel(NamedTuple):
    """A channel's row."""

    id: int
    base: int  # the floor at its birth
    last: int  # number of its last message, kept or not
    last_time: float  # Unix seconds
    kept: int


def first_after(db: sqlite3.Cursor, channel: int, after: int) -> Row | None:
    """Return the first kept message of a channel after ``after``."""
    row: Row | None = db.execute(f"{AFTER} LIMIT 1", (channel, after)).fetchone()
    return row


def is_ours(db: sqlite3.Cursor, meta: Meta, cursor: Cursor) -> bool:
    """Tell whether this log gave ``cursor`` out, and still knows what came before it."""
    if cursor.epoch != meta.epoch or cursor.n > meta.head:
        return False
    gap = db.execute("SELECT 1 FROM gap WHERE lo < ? AND hi > ?", (cursor.n, cursor.n))
    return gap.fetchone() is None


def loss_of(
    meta: Meta,
    name: str,
    row: Channel | None,
    cursor: Cursor,
    after: int | None,  # None: the cursor is of another epoch
    first: Row | None,  # the first kept after it
) -> Loss | None:
    """Return what is missing of a channel between ``cursor`` and ``first``."""
    before = None if first is None else f"{meta.epoch}.{first[0]}"
    if after is None:
        return Loss(name, str(cursor), before, "epoch")
    if row is None:
        complete = is_complete(after, None, meta.floor)
    else:
        prev = None if first is None else row.base if first[1] is None else first[1]
        complete = is_complete(after, prev, row.last)
    return None if complete else Loss(name, str(cursor), before, "expired")


def page_of(
    epoch: str, rows: Iterable[tuple[int, str, Row]], limit: int, max_bytes: int
) -> tuple[list[Message], bool]:
    """Return as many messages as make a page, at least one, and whether ``rows`` has more.

    ``rows`` is read no further than needed: what is kept may be far more than a page.
    """
    found: list[Message] = []
    size = 0
    for _, channel, row in rows:
        data = row[5]
        size += len(data) if data.isascii() else len(data.encode())
        if found and (size > max_bytes or len(found) == limit):
            return found, True
        found.append(message(epoch, channel, row))
    return found, False


def named(channel: str, rows: Iterable[Row]) -> Iterator[tuple[int, str, Row]]:
    return ((row[0], channel, row) for row in rows)


def message(epoch: str, channel: str, row: Row) -> Message:
    """Return the message that a row holds."""
    n, prev, event, time, expires, data = row
    return Message(epoch, n, prev, channel, event, time, expires, data)


def trim(tx: Tx, channel: int, count: int) -> None:
    """Remove the ``count`` oldest messages of a channel."""
    oldest = tx.execute(
        "SELECT n FROM message WHERE channel = ? ORDER BY n LIMIT ?", (channel, count)
    ).fetchall()
    if oldest:
        tx.execute("DELETE FROM message WHERE channel = ? AND n <= ?", (channel, oldest[-1][0]))
        tx.trimmed = max(tx.trimmed, oldest[-1][0])


def channel_row(db: sqlite3.Cursor | Tx, name: str) -> Channel | None:
    """Return what is known of a channel."""
    row = db.execute(_CHANNEL, (name,)).fetchone()
    return None if row is None else Channel(*row)


def last_of(meta: Meta, row: Channel) -> str | None:
    return f"{meta.epoch}.{row.last}" if row.last > row.base else None
