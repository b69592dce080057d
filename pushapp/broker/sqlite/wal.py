"""The write-ahead log beside the file: moving it into the file before it grows far.

What belongs here: when that is due, and doing it. What does not: who looks after it, and when
(``writer``, ``upkeep``).
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing
from typing import NamedTuple

from .file import WAL, attempts
from .native import call_blocking

_LIMIT = 16 << 20  # ... after which publishers wait for that
_PATIENCE = 1.0  # seconds to get hold of the file for that


class _State(NamedTuple):
    """What tells whether anything was written."""

    size: int  # bytes
    inode: int
    written: int  # ns since 1970


class Wal:
    """The one of the log at ``path``."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._busy = threading.Lock()
        self._moved: _State | None = None  # how it was when all of it had been moved

    @property
    def is_due(self) -> bool:
        """Whether it has grown enough."""
        return self._state().size > WAL

    def checkpoint(self) -> None:
        """Move it into the file when it has grown; once that is done, not before something is
        written: until then it keeps its size.

        Other processes' publishers go on meanwhile. But those that never pause always add something
        before the end is reached, and then it does not start anew: where it has grown far, they are
        made to wait.
        """
        state = self._state()
        if state.size > WAL and state != self._moved and self._busy.acquire(blocking=False):
            try:
                if self._move_all(state.size):
                    self._moved = state
            finally:
                self._busy.release()

    def _move_all(self, size: int) -> bool:
        """Move it, as far as others let us; tell whether that was to the end."""
        if size <= _LIMIT:
            return call_blocking(lambda: self._move("PASSIVE"))
        return any(
            call_blocking(lambda: self._move("RESTART"))
            for _ in attempts(time.monotonic() + _PATIENCE)
        )

    def _state(self) -> _State:
        try:
            found = os.stat(f"{self._path}-wal")
        except OSError:
            return _State(0, 0, 0)
        return _State(found.st_size, found.st_ino, found.st_mtime_ns)

    def _move(self, mode: str) -> bool:
        """Do it, as far as ``mode`` does without waiting; tell whether that was to the end."""
        try:
            with closing(sqlite3.connect(self._path, timeout=0)) as connection:
                row = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        except sqlite3.Error:
            return False  # somebody else is at it, or will say what is wrong with the file
        busy, pages, moved = row
        return not busy and pages == moved
