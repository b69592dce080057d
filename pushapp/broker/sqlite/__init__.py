"""The embedded default: the log in one SQLite file, shared by every process of a machine.

What belongs here: putting the parts together, and the three small interfaces. What does not: the
log (``log``), following it (``follow``), who is connected (``roster``).
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Mapping

from ...errors import LogUnavailable
from ...message import Cursor, Draft
from ...retention import Retention
from ..interface import Control, Leases, Log, Schedule
from ..internal import with_internal
from ..roster import Roster
from .file import LogFile
from .follow import SqliteFollower
from .log import SqliteLog
from .roster import SqliteRoster
from .tx import Meta, Tx
from .upkeep import Upkeep
from .wake import Folder, bell
from .wal import Wal
from .writer import Writer

log = logging.getLogger(__name__)

_DUE = 100  # scheduled messages fired in one transaction
_ROOM = 32 << 20  # bytes that are to be free on the disk, or a twentieth of a small one


class SqliteBroker:
    """See ``interface.Broker``. ``clock`` (Unix seconds) and ``boot`` are for tests."""

    def __init__(
        self,
        path: str,
        retention: Callable[[str], Retention],
        *,
        synchronous: str = "normal",
        clock: Callable[[], float] = time.time,
        boot: str | None = None,
    ) -> None:
        self._file = LogFile(path, full=synchronous == "full", clock=clock, boot=boot)
        self._folder: Folder | None = None
        self._followers: list[SqliteFollower] = []
        self.writer = Writer(self._file, self._ring, Wal(self._file.path))
        retention = with_internal(retention)
        own = SqliteLog(self._file, self.writer, retention, self._follow)
        roster = SqliteRoster(self._file, self.writer, own)
        self.upkeep = Upkeep(self._file, self.writer, retention, roster)
        self.log: Log = own
        self.roster: Roster = roster
        self.schedule: Schedule = SqliteSchedule(self._file, self.writer, own)
        self.leases: Leases = SqliteLeases(self._file, self.writer)
        self.control: Control = SqliteControl(self._file, self.writer)
        survives = "a power cut" if synchronous == "full" else "the death of any process"
        self.durability = f"SQLite, synchronous={synchronous}: survives {survives}"

    def _follow(self) -> SqliteFollower:
        self._file.snapshot(lambda db, meta: None)  # makes the folder
        own = bell(self._bells())
        try:
            made = SqliteFollower(self._file, own, self.upkeep.tick, self.schedule.fire_due)
        except BaseException:
            own.close()
            raise
        self._followers = [one for one in self._followers if not one.closed] + [made]
        return made

    def _bells(self) -> Folder:
        if self._folder is None:
            self._folder = Folder(self._file.wake_folder)
        return self._folder

    def _ring(self, tx: Tx) -> None:
        for follower in self._followers:
            follower.tell(tx)
        try:
            self._bells().ring()
        except OSError as error:  # a ring that gets lost only delays
            log.debug("nobody was told: %s", error)

    def check(self) -> None:
        disk = shutil.disk_usage(os.path.dirname(self._file.path))
        if disk.free < min(_ROOM, disk.total // 20):
            left = f"{disk.free >> 20} MiB are left"
            raise LogUnavailable(f"{self._file.name}: the disk is nearly full: {left}")

        def work(tx: Tx) -> None:
            # a full or read-only disk shows; an UPDATE that changes nothing would write nothing
            tx.execute("INSERT INTO lease VALUES ('', '', '', 0)")
            tx.execute("DELETE FROM lease WHERE key = ''")

        self.writer.run(work)

    def close(self) -> None:
        self._file.close()
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.close()


class SqliteSchedule:
    """See ``interface.Schedule``."""

    def __init__(self, file: LogFile, writer: Writer, log: SqliteLog) -> None:
        self._file, self._writer, self._log = file, writer, log

    def fire_due(self) -> float | None:
        due = self._file.snapshot(lambda db, meta: meta.due)
        while due is not None and due <= self._file.clock():
            due = self._writer.run(self._fire)
        return None if due is None else max(0.0, due - self._file.clock())

    def _fire(self, tx: Tx) -> float | None:
        rows = tx.execute(
            "SELECT place, channel, data, event, ttl, retain FROM scheduled WHERE at <= ?"
            " ORDER BY at, place LIMIT ?",
            (tx.now, _DUE),
        ).fetchall()
        if rows:
            drafts = [
                Draft(ch, data, event, ttl, bool(keep)) for _, ch, data, event, ttl, keep in rows
            ]
            self._log.publish(tx, drafts)
            for place, *_ in rows:
                tx.execute("DELETE FROM scheduled WHERE place = ?", (place,))
        return _next_due(tx)

    def cancel(self, scheduled_id: str) -> bool:
        def work(tx: Tx) -> bool:
            found = tx.execute("DELETE FROM scheduled WHERE id = ?", (scheduled_id,)).rowcount > 0
            _next_due(tx)
            return found

        return self._writer.run(work)


def _next_due(tx: Tx) -> float | None:
    (tx.due,) = tx.execute("SELECT min(at) FROM scheduled").fetchone()
    return tx.due


class SqliteLeases:
    """See ``interface.Leases``."""

    def __init__(self, file: LogFile, writer: Writer) -> None:
        self._file, self._writer = file, writer

    def renew(self, holder: str, values: Mapping[str, str], ttl: float) -> None:
        def work(tx: Tx) -> None:
            tx.execute("DELETE FROM lease WHERE holder = ?", (holder,))
            for key, value in values.items():
                tx.execute(
                    "INSERT INTO lease VALUES (?, ?, ?, ?)", (key, holder, value, tx.now + ttl)
                )

        self._writer.run(work)

    def read(self, key: str) -> dict[str, str]:
        def snapshot(db: sqlite3.Cursor, meta: Meta) -> dict[str, str]:
            rows = db.execute(
                "SELECT holder, value FROM lease WHERE key = ? AND expires > ?",
                (key, self._file.clock()),
            )
            return dict(rows.fetchall())

        return self._file.snapshot(snapshot)

    def release(self, holder: str) -> None:
        self.renew(holder, {}, 0)

    def claim(self, key: str, ttl: float, holder: str | None = None) -> bool:
        def work(tx: Tx) -> bool:
            # A claim is a receipt of no publisher's: it is there once, and swept as those are.
            tx.execute(
                "DELETE FROM receipt WHERE scope = '' AND key = ?"
                " AND (expires <= ? OR fingerprint = ?)",  # NULL equals nothing
                (key, tx.now, holder),
            )
            return (
                tx.execute(
                    "INSERT OR IGNORE INTO receipt VALUES ('', ?, ?, '', ?)",
                    (key, holder or "", tx.now + ttl),
                ).rowcount
                > 0
            )

        return self._writer.run(work)


class SqliteControl:
    """See ``interface.Control``."""

    def __init__(self, file: LogFile, writer: Writer) -> None:
        self._file, self._writer = file, writer
        self._since = file.clock()  # Unix seconds
        self._heard: Cursor | None = None  # the last order that ``orders`` returned

    def tell(self, order: Mapping[str, object]) -> None:
        def work(tx: Tx) -> None:
            tx.execute(
                "INSERT INTO control (time, body) VALUES (?, ?)", (tx.now, json.dumps(order))
            )
            tx.news = True

        self._writer.run(work)

    def orders(self) -> list[Mapping[str, object]]:
        def snapshot(db: sqlite3.Cursor, meta: Meta) -> list[tuple[int, str]]:
            if self._heard is None:
                (before,) = db.execute(
                    "SELECT max(n) FROM control WHERE time < ?", (self._since,)
                ).fetchone()
                self._heard = Cursor(meta.epoch, before or 0)
            elif self._heard.epoch != meta.epoch:
                self._heard = Cursor(meta.epoch, 0)
            rows = db.execute(
                "SELECT n, body FROM control WHERE n > ? ORDER BY n", (self._heard.n,)
            ).fetchall()
            if rows:
                self._heard = Cursor(meta.epoch, rows[-1][0])
            return rows

        return [json.loads(body) for _, body in self._file.snapshot(snapshot)]
