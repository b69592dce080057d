"""What is the embedded log's own: other processes, a full or broken file, its sockets.

What belongs here: the file and the processes around it. What does not: what every broker promises
(``test_contract``), locks (``test_sqlite_locked``), and files that are not what they were
(``test_sqlite_epochs``).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from pushapp.broker.sqlite import wake
from pushapp.broker.sqlite.wake import Bell, Folder
from pushapp.broker.sqlite.wal import Wal
from pushapp.errors import LogUnavailable
from pushapp.message import Draft

from ..server import until
from .roster_tools import bring, count, drop, entry, waiting
from .tools import (
    TIMEOUT,
    A,
    Clock,
    Script,
    append,
    cursor,
    ids,
    now,
    opened,
    publish,
    receive,
    together,
)

# -- other processes -----------------------------------------------------------------------------


def test_another_process_publishes(path: Path, url: str) -> None:
    """What it appends arrives here in order, between what this process appends."""
    with opened(path) as broker:
        follower = broker.log.follow()
        follower.watch(A)
        script = Script(url, "for i in range(50): say(*publish(broker, A))")
        given = [publish(broker, A)[0] for _ in range(50)]
        got = ids(receive(follower, 100))

        assert sorted(got) == sorted(given + script.end())
        assert got == ids(broker.log.history(A, 100)[0])
        follower.close()


def test_killing_a_publisher_loses_nothing_acknowledged(path: Path, url: str) -> None:
    """After kill -9 all it was told is there, ids and ``prev`` are whole, and it goes on."""
    acknowledged: list[str] = []
    with opened(path) as broker:
        for _ in range(4):
            script = Script(url, "while True: say(*publish(broker, A, A))")
            acknowledged += [i for _ in range(20) for i in script.hear().split()]
            acknowledged += [i for line in script.kill() for i in line.split()]

            messages, info = broker.log.history(A, 1000)
            known = ids(messages)
            assert len(known) == info.kept
            # some of those that are kept nobody was told of: they push out others
            kept = [i for i in acknowledged if len(known) < 1000 or cursor(i).n >= messages[0].n]
            assert set(kept) <= set(known)
            assert [m.prev for m in messages[1:]] == [m.n for m in messages[:-1]]
            acknowledged += publish(broker, A)
            assert cursor(acknowledged[-1]).n > messages[-1].n


def test_a_dead_follower_is_swept(path: Path, url: str) -> None:
    """A killed process leaves its socket behind; the next publish clears it away."""
    script = Script(url, "follower = broker.log.follow(); say('follows'); threading.Event().wait()")
    assert script.hear() == "follows"
    bells = path.parent / "push.db-wake"
    assert len(list(bells.glob("*.bell"))) == 1
    script.kill()
    with opened(path) as broker:
        publish(broker, A)
    assert not list(bells.glob("*.bell"))


def test_without_the_wake_folder_a_log_still_works(path: Path) -> None:
    """Somebody has removed it: publishing goes on, and followers look by themselves."""
    with opened(path) as tx, opened(path) as rx:
        follower = rx.log.follow()
        follower.watch(A)
        given = publish(tx, A)
        shutil.rmtree(f"{path}-wake")
        given += publish(tx, A) + publish(rx, A)
        assert ids(receive(follower, 3)) == given
        follower.close()
        with opened(path) as late:
            assert ids(late.log.history(A, 10)[0]) == given
            assert cursor(publish(late, A)[0]).n == cursor(given[-1]).n + 1


# -- full or broken ------------------------------------------------------------------------------

_FULL = """
from resource import RLIMIT_FSIZE, RLIM_INFINITY, setrlimit
setrlimit(RLIMIT_FSIZE, (1_000_000, RLIM_INFINITY))
given = publish(broker, A)
follower = broker.log.follow()
follower.watch(A)
try:
    while True:
        given += append(broker, Draft(A, f'"{"x" * 10_000}"'))
except LogUnavailable as error:
    say(error)
say([m.id for m in receive(follower, len(given) - 1)] == given[1:])
setrlimit(RLIMIT_FSIZE, (RLIM_INFINITY, RLIM_INFINITY))
say(*given, *publish(broker, A))
"""


def test_a_full_disk_is_unavailable(path: Path, url: str) -> None:
    """No publish is acknowledged that is not there; what is there can be read; it recovers."""
    error, read, given = Script(url, _FULL).end()

    assert "push.db: the disk " in error and "full" in error
    assert read == "True"
    with opened(path) as broker:
        assert ids(broker.log.history(A, 1000)[0]) == given.split()
        assert len(given.split()) > 10


def test_what_is_no_database_is_unavailable(path: Path) -> None:
    path.write_text("This is no database. " * 1000)
    with opened(path) as broker:
        for use in (broker.check, lambda: publish(broker, A), lambda: broker.log.read([A], None)):
            with pytest.raises(LogUnavailable, match=r"push\.db: it is not an SQLite database"):
                use()
    assert path.read_text().startswith("This is no database.")


def test_a_damaged_file_is_unavailable(path: Path) -> None:
    """Everything says so that meets the damage, and names the file."""
    with opened(path) as broker:
        append(broker, *(Draft(A, f'"{"x" * 1000}"') for _ in range(500)))
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))

    with opened(path) as broker:
        for use in (lambda: publish(broker, A), lambda: broker.log.history(A, 100)):
            with pytest.raises(LogUnavailable, match=r"push\.db: it is damaged"):
                use()
        path.write_bytes(whole)
        assert broker.log.history(A, 1)[1].kept == 500


@pytest.mark.parametrize("place", ["file/push.db", "folder"])
def test_a_place_that_cannot_be_opened_is_unavailable(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with opened(tmp_path / place) as broker:
        with pytest.raises(LogUnavailable, match=Path(place).name):
            broker.check()
        with pytest.raises(LogUnavailable, match=Path(place).name):
            broker.log.follow()


def tables(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the roster's."""
    found = connection.execute(
        "SELECT name FROM sqlite_schema WHERE name GLOB 'roster_*' AND type = 'table'"
    ).fetchall()
    assert len(found) == 5
    return [name for (name,) in found]


def test_a_log_of_the_first_version_is_brought_up(path: Path) -> None:
    """What it lacks is added where it stands: nothing that it has is lost, nor its epoch."""
    with opened(path) as broker:
        given = publish(broker, A)
    with closing(sqlite3.connect(path)) as connection:
        for name in tables(connection):
            connection.execute(f"DROP TABLE {name}")
        connection.execute("PRAGMA user_version = 1")

    with opened(path) as broker:
        bring(broker, "w", entry("c1", "42", A))
        assert broker.roster.members(A).count == 1
        count(broker, "w", {A: 2})
        assert waiting(broker, A) == [2]
        assert ids(broker.log.history(A, 10)[0]) == given
        assert cursor(given[0]).epoch == now(broker).epoch


def test_a_log_of_another_version_is_left_alone(path: Path) -> None:
    """Its format is named, and nothing is written into it."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with opened(path) as broker, pytest.raises(LogUnavailable, match=r"push\.db: .*format 99"):
        publish(broker, A)


# -- the file's size, the disk, the sockets ------------------------------------------------------


def test_who_has_gone_leaves_no_row(path: Path, clock: Clock) -> None:
    """Dropped, or with a worker that died."""
    with opened(path, clock=clock) as broker:
        bring(broker, "w1", entry("c1", "42", A, watches=True), entry("c2", None, A))
        bring(broker, "w2", entry("c1", "42", A), entry("c3", "7", A, observer=True))
        drop(broker, "w2", "c1")
        count(broker, "w1", {A: 2} | {f"x:{i}": 1 for i in range(500)})
        count(broker, "w1", {A: 0})
        clock.forward(60)
        while broker.writer.run(broker.upkeep.roster.sweep):
            pass
        with closing(sqlite3.connect(path)) as connection:
            for table in tables(connection):
                assert not connection.execute(f"SELECT * FROM {table}").fetchall()


def test_a_call_that_brings_nothing_writes_nothing_while_its_lease_is_young(
    path: Path, clock: Clock
) -> None:
    with opened(path, clock=clock) as broker:
        assert not bring(broker, "w")
        before = broker.writer.transactions
        clock.forward(4)
        assert bring(broker, "w")
        assert broker.writer.transactions == before
        clock.forward(2)
        assert bring(broker, "w")
        assert broker.writer.transactions == before + 1
        assert bring(broker, "w", record=True)  # it says something after all
        assert broker.writer.transactions == before + 2


def test_the_write_ahead_log_stays_small(path: Path) -> None:
    """However long several publishers go on without a pause, with readers beside them."""
    wal = Path(f"{path}-wal")
    largest = 0

    def work(broker: object) -> None:
        nonlocal largest
        for _ in range(60):
            append(broker, *(Draft(A, f'"{"x" * 10_000}"') for _ in range(10)))
            largest = max(largest, wal.stat().st_size)

    with opened(path) as tx, opened(path) as rx:
        follower = rx.log.follow()
        publish(tx, A)
        for _ in range(10):
            together(*(lambda broker=broker: work(broker) for broker in (tx, rx)))
            follower.next(0)
        follower.close()

    assert largest < 48 << 20


def test_what_has_been_moved_is_not_moved_again_until_something_is_written(path: Path) -> None:
    """It keeps its size until then: each process would look through it each second."""

    class Counted(Wal):
        moves = 0

        def _move(self, mode: str) -> bool:
            self.moves += 1
            return super()._move(mode)

    def moved(wal: Counted, times: int) -> int:
        wal.moves = 0
        for _ in range(times):
            wal.checkpoint()
        return wal.moves

    def grow() -> None:
        while not wal.is_due:
            append(broker, *(Draft(A, f'"{"x" * 10_000}"') for _ in range(10)))

    wal = Counted(str(path))
    with opened(path) as broker:
        publish(broker, A)
        assert moved(wal, 3) == 0  # it is small
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM channel").fetchall()  # sees what was before
            grow()
            assert moved(wal, 3) == 3  # not to the end
        assert moved(wal, 3) == 1
        publish(broker, A)
        assert moved(wal, 3) == 0  # with that it has begun anew
        grow()
        assert moved(wal, 3) == 1


def test_synchronous_full_works_under_gevent(path: Path, url: str) -> None:
    """Several greenlets publish while each commit waits for the disk in a thread."""
    source = """
import gevent
publishers = [gevent.spawn(publish, broker, A, A, A) for _ in range(10)]
say(broker.durability)
say(*(i for p in publishers for i in p.get()))
"""
    durability, given = Script(f"{url}?synchronous=full", source, patched=True).end()
    assert "a power cut" in durability
    with opened(path) as broker:
        messages, _ = broker.log.history(A, 100)
    assert sorted(ids(messages)) == sorted(given.split()) and len(messages) == 30


def test_a_path_longer_than_a_sockets_wakes_too(tmp_path: Path) -> None:
    """A Unix socket's path has at most 107 bytes; a log's may have more."""
    folder = tmp_path / ("long" * 30) / ("longer" * 20)
    path = folder / "push.db"
    with opened(path) as tx, opened(path) as rx:
        follower = rx.log.follow()
        follower.watch(A)
        given = publish(tx, A)
        assert ids(receive(follower, 1)) == given
        follower.close()

    bells = Folder(f"{path}-wake")
    bell = Bell(bells)
    bells.ring()
    start = time.monotonic()
    bell.wait(3 * TIMEOUT)
    assert time.monotonic() - start < TIMEOUT
    bell.close()
    bells.close()


def test_one_who_comes_while_the_folder_is_listed_is_rung_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list had been made, in the same tick of the file system's clock, and then this process
    was kept from its turn for so long that the folder seemed to have settled."""
    bells, come = Folder(str(tmp_path / "wake")), []
    changed = time.time_ns()

    def listed(folder: int) -> list[str]:
        names = given(folder)
        come.append(Bell(bells))
        os.utime(folder, ns=(changed, changed))
        until(lambda: time.time_ns() - changed > 2 * wake._SETTLED, "it seems to have settled")
        return names

    os.utime(tmp_path / "wake", ns=(changed, changed))
    given = os.listdir
    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", listed)
        bells.ring()
    (late,) = come
    bells.ring()
    late._socket.setblocking(False)
    assert late._socket.recv(64) == b"!"
    late.close()
    bells.close()


def test_a_file_tells_its_tail_while_somebody_writes(path: Path) -> None:
    """A glance waits for nobody; where another file or none stands at the path, there is none."""
    with opened(path) as broker:
        follower = broker.log.follow()
        (published,) = publish(broker, A)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        tail = follower.tail()
        assert tail is not None and tail.cursor == cursor(published)
        other.execute("ROLLBACK")
        other.close()
        path.rename(path.with_suffix(".away"))
        assert follower.tail() is None
        follower.close()


def test_a_disk_that_is_nearly_full_is_told_before_it_is_too_late(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``check`` fails, and so /readyz is red, while publishes are still taken."""
    usage = shutil.disk_usage(path.parent)
    with opened(path) as broker:
        publish(broker, A)
        broker.check()
        left = usage._replace(total=100 << 30, free=31 << 20)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: left)
        with pytest.raises(LogUnavailable, match="nearly full: 31 MiB are left"):
            broker.check()
        publish(broker, A)
        small = usage._replace(total=100 << 20, free=6 << 20)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: small)
        broker.check()
