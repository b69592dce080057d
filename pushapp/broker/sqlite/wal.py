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

from .file import WAL, attempts
from .native import call_blocking

_LIMIT = 16 << 20  # ... after which publishers wait for that
_PATIENCE = 1.0  # seconds to get hold of the file for that


class Wal:
    """The one of the log at ``path``."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._busy = threading.Lock()

    @property
    def is_due(self) -> bool:
        """Whether it has grown enough."""
        return self._size() > WAL

    def checkpoint(self) -> None:
        """Move it into the file when it has grown.

        Other processes' publishers go on meanwhile. But those that never pause always add something
        before the end is reached, and then it does not start anew: where it has grown far, they are
        made to wait.
        """
        size = self._size()
        if size > WAL and self._busy.acquire(blocking=False):
            try:
                if size <= _LIMIT:
                    call_blocking(lambda: self._move("PASSIVE"))
                    return
                for _ in attempts(time.monotonic() + _PATIENCE):
                    if call_blocking(lambda: self._move("RESTART")):
                        return
            finally:
                self._busy.release()

    def _size(self) -> int:
        try:
            return os.stat(f"{self._path}-wal").st_size
        except OSError:
            return 0

    def _move(self, mode: str) -> bool:
        """Do it, as far as ``mode`` does without waiting; tell whether that was to the end."""
        try:
            with closing(sqlite3.connect(self._path, timeout=0)) as connection:
                (busy, *_) = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        except sqlite3.Error:
            return False  # somebody else is at it, or will say what is wrong with the file
        return not busy
