"""The log's file: connections to it, snapshots of it, and single transactions on it.

What belongs here: one attempt at reading or writing with all checks, and the waiting of readers
where the file is locked. What does not: what is read and written (``tx``), and how writers wait
and share a transaction (``writer``).

SQLite's own busy wait would stop every greenlet of the worker (0.77 s were seen), so connections
have none: a locked file is ``Busy`` at once, and the wait is a sleep out here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from ...errors import LogUnavailable
from ...message import Cursor
from .native import call_blocking
from .schema import Place, Transaction, adopt, begin_epoch, went_back
from .stale import Note, inode_of, locked, open_place, read_note, write_note
from .trouble import Busy, translated
from .tx import READ_META, Meta, Tx

T = TypeVar("T")

log = logging.getLogger(__name__)

WAL = 4 << 20  # bytes of the write-ahead log that are kept; one that has grown larger is due
PATIENCE = 5.0  # seconds that a locked file is waited for
_FIRST_PAUSE = 0.0005  # seconds; most locks last for one transaction, 0.1 ms
_LAST_PAUSE = 0.02  # seconds; a lock of a second costs 60 attempts of 5 µs


@dataclass(frozen=True, slots=True)
class _Link:
    """A connection, and the file that it is open on."""

    connection: sqlite3.Connection
    cursor: sqlite3.Cursor
    inode: int


class LogFile:
    """This process's view of the file.

    Connections are made when needed, and anew when another file stands at the path.
    """

    def __init__(
        self, path: str, *, full: bool, clock: Callable[[], float], boot: str | None
    ) -> None:
        self.path = os.path.abspath(path)
        self.name = os.path.basename(path)  # in errors, which clients get to see
        self.wake_folder = self.path + "-wake"
        self.clock = clock
        self._seen = Cursor("", 0)  # the highest head that this process knows of
        self._full = full
        self._boot = boot or _boot_id()
        self._reading = threading.Lock()
        self._reader: _Link | None = None
        self._writer: _Link | None = None  # of whoever writes, one at a time
        self._closed = False
        self._noted = Cursor("", 0)
        self._inodes = 0, 0  # of the file and its -wal, as they were opened last

    @property
    def waits(self) -> bool:
        """Whether a commit waits for the disk."""
        return self._full

    def snapshot(self, read: Callable[[sqlite3.Cursor, Meta], T]) -> T:
        """Return what ``read`` finds in the log at one moment.

        Raises:
            LogUnavailable: the log cannot be read now.
        """
        for _ in attempts(time.monotonic() + PATIENCE):
            try:
                with self._reading:  # nothing in here yields to another greenlet
                    return self._snapshot(read)
            except Busy:
                continue
        raise self.locked()

    def _snapshot(self, read: Callable[[sqlite3.Cursor, Meta], T]) -> T:
        old, self._reader = self._reader, None  # until it is known to be usable again
        link = self._current(old)
        seen = self._seen  # taken before the snapshot, which cannot be older then
        try:
            link.cursor.execute("BEGIN")
            meta = Meta._make(link.cursor.execute(READ_META).fetchone())
            if went_back(seen, meta.epoch, meta.head):
                raise Busy  # the next connection begins a new epoch
            result = read(link.cursor, meta)
            link.cursor.execute("COMMIT")
        except sqlite3.Error as error:
            link.connection.close()
            raise translated(self.name, error) from error
        except BaseException:
            link.connection.close()
            raise
        self._reader = link
        self._saw(meta.epoch, meta.head)
        return result

    def glance(self) -> Meta | None:
        """Return the log's figures as they are now; None where somebody would have to wait for
        them, or find out what is wrong. One statement is a snapshot: 5 µs, with the look at the
        path."""
        with self._reading:
            link = self._reader
            try:
                if link is None or self._closed or link.inode != inode_of(self.path):
                    return None
                # to the end, which ends the snapshot
                rows = link.cursor.execute(READ_META).fetchall()
            except (OSError, sqlite3.Error) as error:
                log.debug("%s: no glance at it: %s", self.path, error)  # a reader will say so
                return None
        meta = Meta._make(rows[0])
        return None if went_back(self._seen, meta.epoch, meta.head) else meta

    def transact(
        self, work: Callable[[Tx], object], done: Callable[[], object] = lambda: None
    ) -> Tx:
        """Do ``work``; call ``done`` as soon as it is in the log, whatever becomes of the caller.
        Return the transaction, which has been.

        One attempt; to be called by one at a time.

        Raises:
            Busy: nothing was written: the file is locked, or was replaced meanwhile.
            LogUnavailable: nothing was written: the file is not usable.
        """
        link = self._writer  # whether its file is still at the path is seen at the end
        if link is None:
            link = self._writer = self._current(None)
        try:
            # with synchronous=full a commit waits for the disk
            if self._full:
                tx = call_blocking(partial(self._attempt, link, work, done))
            else:
                tx = self._attempt(link, work, done)
        except sqlite3.Error as error:
            failure = translated(self.name, error)
            if not isinstance(failure, Busy):
                self._writer = None
                link.connection.close()
            raise failure from error
        self._saw(tx.epoch, tx.head)
        return tx

    def _attempt(self, link: _Link, work: Callable[[Tx], object], done: Callable[[], object]) -> Tx:
        seen = self._seen
        with Transaction(link.cursor) as execute:
            meta = Meta._make(execute(READ_META).fetchone())
            if went_back(seen, meta.epoch, meta.head):
                meta = meta._replace(epoch=begin_epoch(link.cursor))
            tx = Tx(link.cursor, meta, self.clock())
            work(tx)
            tx.flush()
        if inode_of(self.path) != link.inode:  # it went into a file that is gone
            self._writer = None
            link.connection.close()
            raise Busy
        done()
        return tx

    def _saw(self, epoch: str, head: int) -> None:
        if epoch != self._seen.epoch or head > self._seen.n:
            self._seen = Cursor(epoch, head)

    def _current(self, link: _Link | None) -> _Link:
        """Return ``link``, or a new one where there is none or another file is at the path.

        Raises:
            Busy, LogUnavailable: there is none to be had now.
        """
        if self._closed:
            raise LogUnavailable(f"{self.name}: this broker was closed")
        try:
            if link is not None:
                if link.inode == inode_of(self.path):
                    return link
                link.connection.close()
            Path(self.wake_folder).mkdir(parents=True, exist_ok=True)
            with locked(self.wake_folder):
                return self._connect()
        except BlockingIOError as error:
            raise Busy from error
        except OSError as error:
            raise LogUnavailable(f"{self.name}: {error.strerror}") from error
        except sqlite3.Error as error:
            raise translated(self.name, error) from error

    def _connect(self) -> _Link:
        note = read_note(self.wake_folder)
        inode = open_place(self.path, note)
        # After a power cut the ids jump instead: then the log may well be behind the note.
        noted = Cursor(note.epoch, note.head) if note.boot == self._boot else Cursor("", 0)
        connection = sqlite3.connect(
            self.path, timeout=0, isolation_level=None, check_same_thread=False
        )
        try:
            cursor = connection.cursor()
            # of a new file: half of SQLite's default costs a quarter less per publish, because a
            # commit writes whole pages (50 to 38 µs with SQLite 3.40; no more for 60,000 bytes)
            cursor.execute("PRAGMA page_size = 2048")
            # 300 KiB of pages, where the default is 2 MB. Reads of the file, over 2,000 channels: a
            # publish 0.3 with either, one of 50 messages 9 → 15, one of 1,000 messages 0 → 380
            cursor.execute("PRAGMA cache_size = -300")
            cursor.execute("PRAGMA journal_mode = WAL").fetchone()
            cursor.execute(f"PRAGMA synchronous = {'FULL' if self._full else 'NORMAL'}")
            # no publish pays for a checkpoint, and the WAL's size tells when one is due: ``wal``
            cursor.execute("PRAGMA wal_autocheckpoint = 0").fetchone()
            # it is not cut shorter when it starts anew: to write over it costs 3 µs a publish less
            cursor.execute(f"PRAGMA journal_size_limit = {WAL}").fetchone()
            head = adopt(cursor, Place(self.path, self._boot, inode, (self._seen, noted)))
            self._saw(*head)
            self._noted = Cursor("", 0)  # the -wal may be another one
            self._inodes = inode, inode_of(f"{self.path}-wal")
            self.note()
        except BaseException:
            connection.close()
            raise
        return _Link(connection, cursor, inode)

    def note(self) -> None:
        """Note how far the log is, for whoever opens the file next; never less than is noted."""
        seen = epoch, head = self._seen
        # Another file at the path is its opener's to note: noted as the owner of the old one's -wal
        # it would get that applied, and a number of ours may be another file's by now.
        if self.is_noted or self._inodes != self._inodes_there():
            return
        known = read_note(self.wake_folder)
        if (known.boot, known.epoch) == (self._boot, epoch):
            head = max(head, known.head)
        write_note(self.wake_folder, Note(*self._inodes, self._boot, epoch, head))
        self._noted = seen

    def _inodes_there(self) -> tuple[int, int]:
        return inode_of(self.path), inode_of(f"{self.path}-wal")

    def note_alone(self) -> None:
        """The same, unless the file is being opened just now; for a native thread."""
        with contextlib.suppress(BlockingIOError), locked(self.wake_folder):
            self.note()

    @property
    def is_noted(self) -> bool:
        """Whether there is nothing new to note."""
        return not self._seen.epoch or self._seen == self._noted

    def locked(self) -> LogUnavailable:
        """Return the error of one who has waited long enough."""
        return LogUnavailable(f"{self.name}: locked by another process for {PATIENCE:g} s")

    def close(self) -> None:
        """Close all connections; idempotent."""
        if not self._closed:
            self._closed = True
            try:
                self.note()
            except OSError as error:  # the next to open it knows a second less
                log.warning("%s: how far the log is could not be noted: %s", self.path, error)
        with self._reading:
            links, self._reader, self._writer = (self._reader, self._writer), None, None
        for link in links:
            if link is not None:
                link.connection.close()


def attempts(deadline: float) -> Iterator[float]:
    """Yield the time (monotonic) at least once, and with growing pauses until ``deadline``."""
    pause = _FIRST_PAUSE
    yield time.monotonic()
    while (now := time.monotonic()) < deadline:
        time.sleep(min(pause * random.uniform(0.5, 1.5), deadline - now))
        pause = min(pause * 1.5, _LAST_PAUSE)
        yield time.monotonic()


def _boot_id() -> str:
    """Return what tells this run of the machine from the one before a power cut."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux: every process counts, and each costs a jump of ids
        return uuid.uuid4().hex
