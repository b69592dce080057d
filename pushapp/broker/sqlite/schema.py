"""The tables of the log, and the rule by which an id is never given out twice in one epoch.

What belongs here: what stands in the file, and what is checked before a new connection's first
use. What does not: how connections are kept (``file``), or what is done with the tables.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os.path import basename

from ...errors import LogUnavailable
from ...message import Cursor
from ..names import random_name

Execute = Callable[..., sqlite3.Cursor]

VERSION = 2  # PRAGMA user_version; a file of version 1 lacks the roster, and gets it
JUMP = 1_000_000_000  # ids; more than a power cut can have taken with it

_TABLES = (
    # boot, inode: of the machine's run and of the file when it was last opened
    # trimmed: highest n ever removed; floor: highest last id of a forgotten channel;
    # due: of the next scheduled
    """CREATE TABLE meta (
        epoch TEXT NOT NULL, head INTEGER NOT NULL, trimmed INTEGER NOT NULL,
        floor INTEGER NOT NULL, due REAL,
        boot TEXT NOT NULL, inode INTEGER NOT NULL)""",
    # ids between lo and hi may have been given out before a power cut, and lost by it
    "CREATE TABLE gap (lo INTEGER NOT NULL, hi INTEGER NOT NULL)",
    # base: the floor at its birth; look_at: when to sweep it, or whether to forget it
    """CREATE TABLE channel (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, base INTEGER NOT NULL,
        last INTEGER NOT NULL, last_time REAL NOT NULL, kept INTEGER NOT NULL,
        look_at REAL NOT NULL)""",
    "CREATE INDEX channel_look ON channel (look_at)",
    """CREATE TABLE message (
        n INTEGER PRIMARY KEY, channel INTEGER NOT NULL, prev INTEGER, event TEXT NOT NULL,
        time REAL NOT NULL, expires REAL, data TEXT NOT NULL)""",
    "CREATE INDEX message_channel ON message (channel, n)",
    """CREATE TABLE retained (
        channel INTEGER PRIMARY KEY, n INTEGER NOT NULL, prev INTEGER, event TEXT NOT NULL,
        time REAL NOT NULL, expires REAL, data TEXT NOT NULL)""",
    """CREATE TABLE receipt (
        scope TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, answer TEXT NOT NULL,
        expires REAL NOT NULL, PRIMARY KEY (scope, key)) WITHOUT ROWID""",
    "CREATE INDEX receipt_expires ON receipt (expires)",
    """CREATE TABLE scheduled (
        place INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at REAL NOT NULL,
        channel TEXT NOT NULL, event TEXT NOT NULL, ttl REAL, retain INTEGER NOT NULL,
        data TEXT NOT NULL)""",
    "CREATE INDEX scheduled_at ON scheduled (at, place)",
    """CREATE TABLE lease (
        key TEXT NOT NULL, holder TEXT NOT NULL, value TEXT NOT NULL, expires REAL NOT NULL,
        PRIMARY KEY (key, holder)) WITHOUT ROWID""",
    "CREATE INDEX lease_holder ON lease (holder)",
    "CREATE INDEX lease_expires ON lease (expires)",
    # AUTOINCREMENT: a number that was swept is not used again
    """CREATE TABLE control (
        n INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, body TEXT NOT NULL)""",
)
_ROSTER = (
    # a worker's lease; record: what ends with it is recorded
    # name: '' where it is not known any more; AUTOINCREMENT: each lease is its own, and what is
    # left of one that has ended is not the next one's
    """CREATE TABLE roster_worker (
        id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, expires REAL NOT NULL,
        record INTEGER NOT NULL)""",
    # what a worker says of a connection, the last said last; channels: with commas between
    """CREATE TABLE roster_entry (
        n INTEGER PRIMARY KEY, id TEXT NOT NULL, worker INTEGER NOT NULL, user TEXT, member TEXT,
        transport TEXT NOT NULL, since REAL NOT NULL, channels TEXT NOT NULL,
        watches INTEGER NOT NULL, observer INTEGER NOT NULL)""",
    "CREATE INDEX roster_entry_id ON roster_entry (id)",
    "CREATE INDEX roster_entry_worker ON roster_entry (worker)",
    "CREATE INDEX roster_entry_user ON roster_entry (user, id) WHERE user IS NOT NULL",
    # how many members, connections, and connections that watch; gone with the last connection
    """CREATE TABLE roster_channel (
        name TEXT PRIMARY KEY, members INTEGER NOT NULL, connections INTEGER NOT NULL,
        watchers INTEGER NOT NULL) WITHOUT ROWID""",
    # face: what others see; connections: of the member, in the channel
    """CREATE TABLE roster_member (
        channel TEXT NOT NULL, key TEXT NOT NULL, face TEXT NOT NULL,
        connections INTEGER NOT NULL, PRIMARY KEY (channel, key)) WITHOUT ROWID""",
    # how many a worker has that wait for a channel's messages now
    """CREATE TABLE roster_waiting (
        channel TEXT NOT NULL, worker INTEGER NOT NULL, count INTEGER NOT NULL,
        PRIMARY KEY (channel, worker)) WITHOUT ROWID""",
    "CREATE INDEX roster_waiting_worker ON roster_waiting (worker)",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when a file is opened."""

    path: str
    boot: str  # this run of the machine
    inode: int  # the file at the path
    seen: Sequence[Cursor]  # heads that are known to have been there


def adopt(cursor: sqlite3.Cursor, place: Place) -> Cursor:
    """Make sure, in one transaction, that nothing here is given out twice; return the head.

    * No tables yet: a new log, in a new epoch. Of an older version: those that it lacks are added.
    * The file is another one than it was (restored, replaced, copied), or its head is below what
      was seen: a new epoch.
    * The machine was started anew since: a power cut may have taken the last ids, so the head
      jumps, and the gap is remembered.
    """
    with Transaction(cursor):
        (version,) = cursor.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in _TABLES:
                cursor.execute(statement)
            cursor.execute(
                "INSERT INTO meta VALUES (?, 0, 0, 0, NULL, ?, ?)",
                (new_epoch(), place.boot, place.inode),
            )
        if version in (0, 1):
            for statement in _ROSTER:
                cursor.execute(statement)
            cursor.execute(f"PRAGMA user_version = {VERSION}")
        elif version != VERSION:
            raise LogUnavailable(
                f"{basename(place.path)}: has format {version}; this version reads {VERSION}"
            )
        epoch, head, boot, inode = cursor.execute(
            "SELECT epoch, head, boot, inode FROM meta"
        ).fetchone()
        if inode != place.inode or any(went_back(seen, epoch, head) for seen in place.seen):
            epoch = begin_epoch(cursor)
        if boot != place.boot:
            cursor.execute("INSERT INTO gap VALUES (?, ?)", (head, head + JUMP))
            head += JUMP
        if boot != place.boot or inode != place.inode:
            cursor.execute(
                "UPDATE meta SET head = ?, boot = ?, inode = ?", (head, place.boot, place.inode)
            )
    return Cursor(epoch, head)


def went_back(seen: Cursor, epoch: str, head: int) -> bool:
    """Tell whether a log at ``head`` has lost ids that were ``seen``."""
    return epoch == seen.epoch and head < seen.n


def begin_epoch(cursor: sqlite3.Cursor) -> str:
    """Begin a new epoch, inside a write transaction; return its name."""
    epoch = new_epoch()
    cursor.execute("UPDATE meta SET epoch = ?", (epoch,))
    cursor.execute("DELETE FROM gap")  # it is about cursors of the old one
    cursor.execute("DELETE FROM control")  # orders were heard, as far as anybody was there
    # Each worker brings its connections again; until its old lease is over nobody seems to leave.
    cursor.execute("UPDATE roster_worker SET name = ''")
    return epoch


def new_epoch() -> str:
    """Return a name that no log ever had."""
    return random_name(10)


class Transaction:
    """``BEGIN IMMEDIATE`` … ``COMMIT``; rolled back where an error leaves it."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor

    def __enter__(self) -> Execute:
        execute = self._cursor.execute
        execute("BEGIN IMMEDIATE")
        return execute

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            try:
                self._cursor.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
        else:
            self._roll_back()

    def _roll_back(self) -> None:
        if self._cursor.connection.in_transaction:
            self._cursor.execute("ROLLBACK")
