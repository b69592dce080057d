"""What has to be done now and then, by whichever process has time: once a second, a little.

What belongs here: when that is, removing what is too old, forgetting channels. What does not:
retention by count, which each append does itself; checkpoints (``wal``).
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable

from ...background import spawn
from ...errors import LogUnavailable
from ...retention import Retention
from .file import LogFile
from .native import call_blocking
from .roster import SqliteRoster
from .rows import trim
from .tx import Tx
from .writer import Writer

EVERY = 1.0  # seconds
FORGET = 86400.0  # seconds that a channel with nothing in it is remembered
CONTROL_TTL = 60.0  # seconds that orders are kept
_CHANNELS = 50  # looked at in one transaction
_MESSAGES = 500  # of one channel removed in one transaction


class Upkeep:
    """Keeps the file small. ``tick`` may be called as often as one likes."""

    def __init__(
        self,
        file: LogFile,
        writer: Writer,
        retention: Callable[[str], Retention],
        roster: SqliteRoster,
    ) -> None:
        self._file, self._writer, self._retention = file, writer, retention
        self.roster = roster
        self._next = 0.0
        self._noting = threading.Lock()
        self._trouble: OSError | None = None  # what came of it

    def tick(self) -> float:
        """Do what is due; return for how many seconds it may rest then.

        Raises:
            LogUnavailable: the log cannot be written now.
        """
        now = time.monotonic()
        if now < self._next:
            return EVERY
        self._next = now + EVERY
        due, over = self._file.snapshot(self._is_due)
        rest = EVERY
        if due and self._writer.run(self.sweep):
            self._next = now  # there is more of it, and time for that
        if over and self._writer.run(self.roster.sweep):
            self._next, rest = now, 0.0  # people wait to see who has gone
        self._writer.wal.checkpoint()
        self._note()
        return rest

    def _note(self) -> None:
        """Note how far the log is, beside: a rename on a busy disk was seen to take 0.4 s."""
        if not self._file.is_noted and self._noting.acquire(blocking=False):
            spawn(self._note_beside)
        trouble, self._trouble = self._trouble, None
        if trouble is not None:
            raise LogUnavailable(f"{self._file.name}: {trouble.strerror}") from trouble

    def _note_beside(self) -> None:
        try:
            call_blocking(self._file.note_alone)
        except OSError as error:
            self._trouble = error  # the next tick says so
        finally:
            self._noting.release()

    def _is_due(self, db: sqlite3.Cursor, _: object) -> tuple[int, int]:
        """Return 1 where something is too old, and where a worker's lease is over."""
        now = self._file.clock()
        due = db.execute(
            "SELECT EXISTS (SELECT 1 FROM channel WHERE look_at <= ?)"
            " OR EXISTS (SELECT 1 FROM receipt WHERE expires <= ?)"
            " OR EXISTS (SELECT 1 FROM lease WHERE expires <= ?)"
            " OR EXISTS (SELECT 1 FROM control WHERE time <= ?),"
            " EXISTS (SELECT 1 FROM roster_worker WHERE expires <= ?)",
            (now, now, now, now - CONTROL_TTL, now),
        )
        found: tuple[int, int] = due.fetchone()
        return found

    def sweep(self, tx: Tx) -> bool:
        """Remove what is too old, a bounded part of it; tell whether there is more."""
        now = tx.now
        tx.execute("DELETE FROM receipt WHERE expires <= ?", (now,))
        tx.execute("DELETE FROM lease WHERE expires <= ?", (now,))
        tx.execute("DELETE FROM control WHERE time <= ?", (now - CONTROL_TTL,))
        rows = tx.execute(
            "SELECT id, name, last, last_time, kept FROM channel WHERE look_at <= ?"
            " ORDER BY look_at LIMIT ?",
            (now, _CHANNELS),
        ).fetchall()
        more = len(rows) == _CHANNELS
        for channel, name, last, last_time, kept in rows:
            look_at = now
            if kept:
                kept, look_at = self._sweep_channel(tx, channel, kept, self._retention(name).ttl)
                more = more or look_at <= now
            if not kept:
                look_at = last_time + FORGET
                if look_at <= now:
                    if not _has_value(tx, channel):
                        tx.execute("DELETE FROM channel WHERE id = ?", (channel,))
                        tx.floor = max(tx.floor, last)
                        continue
                    look_at = now + FORGET
            tx.execute(
                "UPDATE channel SET kept = ?, look_at = ? WHERE id = ?", (kept, look_at, channel)
            )
        return more

    def _sweep_channel(self, tx: Tx, channel: int, kept: int, ttl: float) -> tuple[int, float]:
        """Remove the messages older than ``ttl``; return how many stay, and when to look again.

        What stays is always a suffix, wherever the clock has been set to in between.
        """
        rows = tx.execute(
            "SELECT time FROM message WHERE channel = ? ORDER BY n LIMIT ?", (channel, _MESSAGES)
        ).fetchall()
        old = next((i for i, (at,) in enumerate(rows) if at > tx.now - ttl), len(rows))
        if old:
            trim(tx, channel, old)
        kept -= old
        if not kept or old == len(rows):
            return kept, tx.now
        return kept, rows[old][0] + ttl


def _has_value(tx: Tx, channel: int) -> bool:
    return tx.execute("SELECT 1 FROM retained WHERE channel = ?", (channel,)).fetchone() is not None
