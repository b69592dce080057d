"""A write transaction, and the figures of the log that it leaves.

What belongs here: what work within a transaction needs and leaves behind. What does not: beginning
and committing it (``file``), what is written (``log``, ``roster``, ``upkeep``).
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from ...message import Cursor


class Meta(NamedTuple):
    """The log's own figures; see ``schema``."""

    epoch: str
    head: int
    trimmed: int
    floor: int
    due: float | None


READ_META = "SELECT epoch, head, trimmed, floor, due FROM meta"

#: The fields of a message as they stand in its row.
Row = tuple[int, int | None, str, float, float | None, str]


class Tx:
    """A write transaction, and the log's figures as they will be at its end."""

    __slots__ = (
        *("_before", "due", "epoch", "execute", "floor", "fresh"),
        *("head", "news", "now", "trimmed"),
    )

    def __init__(self, cursor: sqlite3.Cursor, meta: Meta, now: float) -> None:
        self.execute = cursor.execute
        self.now = now  # Unix seconds
        self.news = False  # followers have something to see
        self.fresh: list[tuple[str, Row]] = []  # by channel: all that it adds to the log
        self._before = meta
        self.epoch, self.head, self.trimmed, self.floor, self.due = meta

    @property
    def before(self) -> Cursor:
        """The log's end when it began."""
        return Cursor(self._before.epoch, self._before.head)

    @property
    def after(self) -> Cursor:
        """The log's end as it leaves it."""
        return Cursor(self.epoch, self.head)

    def flush(self) -> None:
        """Write the figures where they changed."""
        figures = self.epoch, self.head, self.trimmed, self.floor, self.due
        if figures != self._before:
            self.execute("UPDATE meta SET head=?, trimmed=?, floor=?, due=?", figures[1:])
