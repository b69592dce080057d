"""The embedded log where its file is not what it was: after a restart of the machine, or another.

Whoever has a cursor from before is told so, and no id is given out twice in one epoch.
"""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from pushapp.broker.sqlite.schema import JUMP
from pushapp.message import Cursor

from .tools import A, B, Clock, Script, copy, cursor, ids, listen, now, opened, publish, told


def over(source: Path, to: Path) -> None:
    """Copy as another program does: closing the file here would drop our locks on it."""
    subprocess.run(["cp", source, to], check=True)


def settle(path: Path) -> None:
    """Move all that is in the -wal into the file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


# -- the machine was started anew ----------------------------------------------------------------


def test_after_a_restart_of_the_machine_ids_jump(path: Path) -> None:
    """A cursor up to the last id that is there is good; one inside the gap is of a lost tail."""
    with opened(path, boot="1") as broker:
        given = publish(broker, A, A)
    end = cursor(given[-1])
    with opened(path, boot="2") as broker:
        given += publish(broker, A)
        assert cursor(given[-1]) == Cursor(end.epoch, end.n + JUMP + 1)

        page = broker.log.read([A], cursor(given[0]))
        assert not page.lost and ids(page.messages) == given[1:]
        page = broker.log.read([A], end)
        assert not page.lost and ids(page.messages) == given[2:]
        for n in (end.n + 1, end.n + JUMP - 1):
            page = broker.log.read([A], Cursor(end.epoch, n))
            assert told(page) == [(A, given[0], "epoch")] and ids(page.messages) == given
        assert [m.prev for m in broker.log.history(A, 3)[0]] == [
            None,
            *(cursor(i).n for i in given[:2]),
        ]


def test_each_restart_leaves_a_gap_and_no_other_opening_does(path: Path) -> None:
    given: list[str] = []
    for boot in ("1", "2", "2", "3", "3"):
        with opened(path, boot=boot) as broker:
            given += publish(broker, A)
    numbers = [cursor(i).n for i in given]
    assert [b - a for a, b in zip(numbers, numbers[1:], strict=False)] == [JUMP + 1, 1, JUMP + 1, 1]
    with opened(path, boot="3") as broker:
        for n in (numbers[0] + 5, numbers[2] + 5):
            lost = told(broker.log.read([A], Cursor(cursor(given[0]).epoch, n)))
            assert lost == [(A, given[0], "epoch")]
        for start, rest in ((0, 4), (2, 2)):
            page = broker.log.read([A], cursor(given[start]))
            assert not page.lost and len(page.messages) == rest


# -- another file --------------------------------------------------------------------------------


def test_a_file_that_is_replaced_while_open_is_a_new_epoch(path: Path) -> None:
    """With what stands in it and nothing of the old file's tail, which is still beside it."""
    with opened(path) as tx, opened(path) as rx:
        first = publish(tx, A)
        backup = copy(path)
        follower = rx.log.follow()
        follower.watch(A)
        follower.watch(B)
        given = first + publish(tx, A, A)
        listen(follower, lambda messages, lost: len(messages) == 2)
        assert Path(f"{path}-wal").stat().st_size > 0
        backup.replace(path)

        messages, lost = listen(follower, lambda messages, lost: bool(lost))
        epoch = now(tx).epoch
        assert epoch != cursor(given[0]).epoch
        kept = f"{epoch}.{cursor(first[0]).n}"
        assert ids(messages) == [kept]
        assert {(one.channel, one.before, one.reason) for one in lost} == {
            (A, kept, "epoch"),
            (B, None, "epoch"),
        }
        again = publish(tx, A, A) + publish(rx, A)
        assert not set(again) & set(given)
        got, lost = listen(follower, lambda messages, lost: len(messages) == 3)
        assert ids(got) == again and not lost
        page = rx.log.read([A], cursor(given[-1]))
        assert told(page) == [(A, kept, "epoch")] and ids(page.messages) == [kept, *again]
        follower.close()


def test_who_leaves_a_file_that_was_replaced_notes_nothing_of_the_new_one(path: Path) -> None:
    """As its owner the new one would get the old one's tail, which is still beside it."""
    with opened(path) as stays:
        with opened(path) as leaves:
            first = publish(leaves, A)
            assert ids(stays.log.history(A, 10)[0]) == first
            backup = copy(path)
            publish(leaves, A, A)
            backup.replace(path)
        with opened(path) as late:
            (message,) = late.log.history(A, 10)[0]
            assert message.n == cursor(first[0]).n


_LEAVES_A_WAL = """
given = publish(broker, A)
with closing(sqlite3.connect(broker._file.path)) as connection:
    connection.execute("VACUUM INTO ?", (broker._file.path + ".copy",))
say(*given, *publish(broker, A, A))
threading.Event().wait()
"""


def test_a_file_that_is_replaced_while_closed_is_a_new_epoch(path: Path) -> None:
    """What a killed process has left beside the old one is not applied to the new one."""
    script = Script(f"sqlite:///{path}", _LEAVES_A_WAL)
    given = script.hear().split()
    script.kill()
    assert Path(f"{path}-wal").stat().st_size > 0
    Path(f"{path}.copy").replace(path)

    with opened(path) as broker:
        assert [m.n for m in broker.log.history(A, 10)[0]] == [cursor(given[0]).n]
        assert told(broker.log.read([A], cursor(given[0])))[0][2] == "epoch"
        assert not set(publish(broker, A, A)) & set(given)


def test_a_file_that_is_deleted_while_open_is_a_new_log(path: Path) -> None:
    """Publishing goes on in a new epoch, and everybody meets there."""
    with opened(path) as tx, opened(path) as rx:
        follower = rx.log.follow()
        follower.watch(A)
        given = publish(tx, A, A)
        listen(follower, lambda messages, lost: len(messages) == 2)
        path.unlink()

        again = publish(tx, A)
        assert cursor(again[0]).epoch != cursor(given[0]).epoch
        messages, lost = listen(follower, lambda messages, lost: len(messages) == 1)
        assert ids(messages) == again and {one.reason for one in lost} == {"epoch"}
        again += publish(rx, A)
        assert ids(tx.log.history(A, 10)[0]) == again
        follower.close()


def test_a_log_that_went_back_under_a_process_is_a_new_epoch(path: Path) -> None:
    """An older copy written over the same file: those who have seen more know it."""
    older = path.with_name("older.db")
    with opened(path) as tx, opened(path) as rx:
        publish(tx, A)
        settle(path)
        over(path, older)
        given = publish(tx, A, A)
        follower = rx.log.follow()
        follower.watch(A)
        settle(path)
        over(older, path)

        messages, lost = listen(follower, lambda messages, lost: bool(lost))
        assert [m.n for m in messages] == [1] and lost[0].reason == "epoch"
        again = publish(tx, A, A) + publish(rx, A)
        assert not set(again) & set(given)
        assert told(tx.log.read([A], cursor(given[0])))[0][2] == "epoch"
        follower.close()


def test_a_publish_into_a_log_that_went_back_begins_the_new_epoch(path: Path) -> None:
    """No read has to come first."""
    older = path.with_name("older.db")
    with opened(path) as broker:
        publish(broker, A)
        settle(path)
        over(path, older)
        given = publish(broker, A, A)
        settle(path)
        over(older, path)

        again = publish(broker, A, A)
        assert {cursor(i).epoch for i in again} != {cursor(given[0]).epoch}
        assert ids(broker.log.history(A, 2)[0]) == again


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_orders_are_heard_in_a_new_epoch(path: Path, how: str) -> None:
    """What is told after the file went is told once to each, what was told before is not again."""
    clock = Clock()
    with opened(path, clock=clock) as tx, opened(path, clock=clock) as rx:
        for n in range(3):
            tx.control.tell({"n": n})
        assert len(tx.control.orders()) == len(rx.control.orders()) == 3
        if how == "deleted":
            path.unlink()
        else:
            copy(path).replace(path)
        tx.control.tell({"n": 3})
        assert tx.control.orders() == rx.control.orders() == [{"n": 3}]
        rx.control.tell({"n": 4})
        assert tx.control.orders() == rx.control.orders() == [{"n": 4}]
