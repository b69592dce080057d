"""SQLite's errors in plain words.

What belongs here: which error means "try again", and what is said of the others. What does not:
the trying again (``file``).
"""

from __future__ import annotations

import sqlite3

from ...errors import LogUnavailable

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_REASONS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk does not take or give data (full, over a quota, or failing)",
    sqlite3.SQLITE_READONLY: "it may not be written",
    sqlite3.SQLITE_PERM: "it may not be used by this user",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened (no such folder, no right, or not a file)",
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_NOTADB: "it is not an SQLite database",
}


class Busy(Exception):
    """Somebody else has the file just now: trying again pays."""


def translated(name: str, error: sqlite3.Error) -> Exception:
    """Return what to raise for an ``error`` of the file called ``name``."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended part
    if code in _BUSY:
        return Busy()
    reason = _REASONS.get(code)
    return LogUnavailable(f"{name}: {reason} ({error})" if reason else f"{name}: {error}")


def is_of_request(error: Exception) -> bool:
    """Tell whether ``error`` is about what was asked, and not about the file."""
    return type(error) not in (sqlite3.OperationalError, sqlite3.DatabaseError, LogUnavailable)
