"""Who is connected, in tables of the log's own file: so each change and its message are one step.

What belongs here: leases of workers, what they bring, what is read of it. What does not: what a
change does to a channel (``tally``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby

from ...message import Cursor
from ..bring import STEP, Count, in_steps, together
from ..roster import NOBODY, Connection, Entry, Member, Members
from .file import LogFile
from .log import SqliteLog
from .tally import ENTRY, Held, Tally
from .tx import Meta, Tx
from .writer import Writer

_SWEPT = 50  # connections of a lease that has ended that go in one step
_FRESH = 2 / 3  # of a lease's time must be left where a call that brings nothing may leave it
_LEASE = "SELECT id, expires, record FROM roster_worker WHERE name = ?"
# What is left of a lease that is over, or is not known any more, has been said anew by now.
_WAITING = (
    "SELECT coalesce(sum(s.count), 0) FROM roster_waiting s JOIN roster_worker w ON w.id = s.worker"
    " WHERE s.channel = ? AND w.expires > ? AND w.name <> ''"
)
_CONNECTIONS = (
    f"SELECT {ENTRY}, w.name FROM roster_entry e JOIN roster_worker w ON w.id = e.worker"
    " WHERE e.id IN ({}) ORDER BY e.id, e.n DESC"
)


class SqliteRoster:
    """See ``broker.roster.Roster``."""

    def __init__(self, file: LogFile, writer: Writer, log: SqliteLog) -> None:
        self._file, self._writer, self._log = file, writer, log

    def sync(
        self,
        worker: str,
        came: Sequence[Entry],
        gone: Collection[str],
        waiting: Mapping[str, int] = NOBODY,
        *,
        ttl: float,
        record: bool = False,
    ) -> bool:
        if not (came or gone or waiting) and self._is_fresh(worker, ttl, record):
            return True  # without writing anything

        def step(
            brought: Sequence[Entry], dropped: Sequence[str], counts: Sequence[Count]
        ) -> tuple[bool, int]:
            def work(tx: Tx) -> tuple[bool, int]:
                lease, known = _renew(tx, worker, ttl, record)
                tally = Tally(tx, record)
                for entry in brought:
                    tally.bring(lease, entry)
                _count(tx, lease, counts)
                return known, self._drop(tx, tally, lease, dropped)

            return self._writer.run(work)

        return in_steps(came, gone, step, waiting)

    def _is_fresh(self, worker: str, ttl: float, record: bool) -> bool:
        def snapshot(db: sqlite3.Cursor, meta: Meta) -> bool:
            lease = db.execute(_LEASE, (worker,)).fetchone()
            if lease is None:
                return False
            _, expires, records = lease
            return bool(expires - self._file.clock() > _FRESH * ttl and records == record)

        return self._file.snapshot(snapshot)

    def _drop(self, tx: Tx, tally: Tally, lease: int, ids: Sequence[str]) -> int:
        """Drop as many of a lease's connections as one step may, and tell of all that it did;
        return how many those were."""
        done = 0
        while done < len(ids) and tally.places < STEP:
            tally.drop(lease, ids[done])
            done += 1
        drafts = tally.close()
        if drafts:
            self._log.publish(tx, drafts)
        return done

    def sweep(self, tx: Tx) -> bool:
        """Drop some of what a lease that has ended leaves behind; tell whether there is more."""
        lease = tx.execute(
            "SELECT id, record FROM roster_worker WHERE expires <= ? ORDER BY id", (tx.now,)
        ).fetchone()
        if lease is None:
            return False
        worker, record = lease
        held = tx.execute(
            "SELECT id FROM roster_entry WHERE worker = ? LIMIT ?", (worker, _SWEPT)
        ).fetchall()
        done = self._drop(tx, Tally(tx, record), worker, [id for (id,) in held])
        if done == len(held) < _SWEPT and _forget(tx, worker):
            tx.execute("DELETE FROM roster_worker WHERE id = ?", (worker,))
        return True

    def members(self, channel: str, after: str = "", limit: int = 100) -> Members:
        def snapshot(db: sqlite3.Cursor, meta: Meta) -> Members:
            version = Cursor(meta.epoch, meta.head)
            row = db.execute(
                "SELECT members, connections, watchers FROM roster_channel WHERE name = ?",
                (channel,),
            ).fetchone()
            count, connections, watchers = row or (0, 0, 0)
            (waiting,) = db.execute(_WAITING, (channel, self._file.clock())).fetchone()
            rows = db.execute(
                "SELECT key, face FROM roster_member WHERE channel = ? AND key > ?"
                " ORDER BY key LIMIT ?",
                (channel, after, limit + 1 if limit else 0),
            ).fetchall()
            page = [Member(*row) for row in rows[:limit]]
            return Members(version, count, connections, watchers, waiting, page, len(rows) > limit)

        return self._file.snapshot(snapshot)

    def connections(
        self, user: str | None = None, after: str = "", limit: int = 100
    ) -> list[Connection]:
        if user is None:
            wanted = "SELECT DISTINCT id FROM roster_entry WHERE id > ? ORDER BY id LIMIT ?"
            return self._connections(wanted, after, limit)
        wanted = (
            "SELECT DISTINCT id FROM roster_entry WHERE user = ? AND id > ? ORDER BY id LIMIT ?"
        )
        return self._connections(wanted, user, after, limit)

    def connection(self, id: str) -> Connection | None:
        return next(iter(self._connections("SELECT ?", id)), None)

    def _connections(self, wanted: str, *values: object) -> list[Connection]:
        def snapshot(db: sqlite3.Cursor, meta: Meta) -> list[Connection]:
            rows = db.execute(_CONNECTIONS.format(wanted), values).fetchall()
            said = ((row[-1], Held(*row[:-1]).entry) for row in rows)
            return [together(list(own)) for _, own in groupby(said, lambda pair: pair[1].id)]

        return self._file.snapshot(snapshot)


def _renew(tx: Tx, name: str, ttl: float, record: bool) -> tuple[int, bool]:
    """Return the number of the worker's lease, a new one where it had none, and whether it had."""
    lease = tx.execute(_LEASE, (name,)).fetchone()
    if lease is not None:
        id, expires, _ = lease
        if expires > tx.now:
            tx.execute(
                "UPDATE roster_worker SET expires = ?, record = ? WHERE id = ?",
                (tx.now + ttl, record, id),
            )
            return id, True
        # What it held is let go by and by, of this lease and not of the next.
        tx.execute("UPDATE roster_worker SET name = '' WHERE id = ?", (id,))
    made = tx.execute(
        "INSERT INTO roster_worker (name, expires, record) VALUES (?, ?, ?)",
        (name, tx.now + ttl, record),
    )
    assert made.lastrowid is not None  # it was an INSERT
    return made.lastrowid, False


def _count(tx: Tx, lease: int, counts: Sequence[Count]) -> None:
    """Note how many a worker has that wait."""
    for channel, count in counts:
        if count:
            tx.execute(
                "INSERT OR REPLACE INTO roster_waiting VALUES (?, ?, ?)", (channel, lease, count)
            )
        else:
            tx.execute(
                "DELETE FROM roster_waiting WHERE channel = ? AND worker = ?", (channel, lease)
            )


def _forget(tx: Tx, lease: int) -> bool:
    """Drop some of what a lease says of who waits; tell whether that was all."""
    done = tx.execute(
        "DELETE FROM roster_waiting WHERE worker = ?1 AND channel IN"
        " (SELECT channel FROM roster_waiting WHERE worker = ?1 LIMIT ?2)",
        (lease, STEP),
    )
    return done.rowcount < STEP
