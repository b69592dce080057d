"""The read rule and the epoch rule of the embedded log, each where it is needed most.

What belongs here: reading while somebody appends, and files that have gone back. What does not:
everything else that a log promises (``brokers``). ``test_guards`` shows that each of these tests
fails without the rule that it is for.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pushapp.broker.interface import Published
from pushapp.broker.sqlite import SqliteBroker
from pushapp.message import Cursor, Draft
from pushapp.retention import Retention

A, B = "public:a", "public:b"


@contextmanager
def opened(path: Path, boot: str | None = None) -> Iterator[SqliteBroker]:
    broker = SqliteBroker(str(path), lambda channel: Retention(1000, 3600.0), boot=boot)
    try:
        yield broker
    finally:
        broker.close()


def append(broker: SqliteBroker, *channels: str) -> list[str]:
    receipts = broker.log.append([Draft(channel, "0") for channel in channels])
    return [receipt.id for receipt in receipts if isinstance(receipt, Published)]


class Meanwhile(list[str]):
    """Channels to read, with something that happens whenever a reader goes from A on to B."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__((A, B))
        self._happens = happens

    def __iter__(self) -> Iterator[str]:
        yield A
        self._happens()
        yield B


@pytest.mark.parametrize("before", [(), (A,), (B,), (A, B)])
def test_a_reader_misses_nothing_that_is_appended_while_it_reads(
    tmp_path: Path, before: tuple[str, ...]
) -> None:
    """The read rule: a page's cursor is a point up to which every channel has been read.

    Something for both channels comes between the reading of the one and of the other.
    """
    with opened(tmp_path / "push.db") as tx, opened(tmp_path / "push.db") as rx:
        append(tx, A, B)
        cursor = rx.log.read((), None).cursor
        ids = append(tx, *before) if before else []

        page = rx.log.read(Meanwhile(lambda: ids.extend(append(tx, A, B))), cursor)
        got = [message.id for message in page.messages]
        assert not page.lost
        rest = rx.log.read((A, B), page.cursor)
        got += [message.id for message in rest.messages]

        assert not rest.lost
        assert got == ids


def test_a_restored_file_gives_no_id_out_again(tmp_path: Path) -> None:
    """The epoch rule: another file is another epoch, and every cursor from before is told so."""
    path, kept = tmp_path / "push.db", tmp_path / "copy.db"
    with opened(path) as broker:
        given = append(broker, A, A)
    shutil.copy(path, kept)
    with opened(path) as broker:
        given += append(broker, A, A)
    kept.replace(path)

    with opened(path) as broker:
        again = append(broker, A, A, A)
        told = [broker.log.read([A], Cursor.parse(cursor)) for cursor in given]

    assert not set(given) & set(again)
    for page in told:
        assert [loss.reason for loss in page.lost] == ["epoch"]
        assert len(page.messages) == 5


def test_after_a_power_cut_no_id_is_given_out_again(tmp_path: Path) -> None:
    """The epoch rule: where the last ids may be lost, N jumps, and who had them is told so."""
    path, kept = tmp_path / "push.db", tmp_path / "copy.db"
    with opened(path, boot="before") as broker:
        given = append(broker, A, A)
    shutil.copy(path, kept)
    with opened(path, boot="before") as broker:
        lost = append(broker, A, A)
    path.write_bytes(kept.read_bytes())  # the same file: its last pages never got to the disk

    with opened(path, boot="after") as broker:
        again = append(broker, A, A, A)
        whole = broker.log.read([A], Cursor.parse(given[-1]))
        told = [broker.log.read([A], Cursor.parse(cursor)) for cursor in lost]

    assert not {*given, *lost} & set(again)
    assert not whole.lost and [m.id for m in whole.messages] == again
    for page in told:
        assert [loss.reason for loss in page.lost] == ["epoch"]
        assert [m.id for m in page.messages] == [*given, *again]
