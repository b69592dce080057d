"""The embedded log while its file is locked, and publishers that are killed while they wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pushapp.broker.interface import Append
from pushapp.broker.sqlite.file import LogFile
from pushapp.broker.sqlite.tx import Tx
from pushapp.broker.sqlite.wal import Wal
from pushapp.broker.sqlite.writer import Writer
from pushapp.errors import LogUnavailable
from pushapp.message import Draft

from .tools import (
    TIMEOUT,
    A,
    Script,
    append,
    ids,
    locked,
    opened,
    publish,
    together,
)

_WAITING = """
import gevent
turns = 0
def turn():
    global turns
    while turns < 200:
        gevent.sleep(0.001)
        turns += 1
    say("turned", not publishing.ready())
gevent.spawn(turn)
publishing = gevent.spawn(publish, broker, A)
say(publishing.get()[0])
"""


@pytest.mark.parametrize("synchronous", ["normal", "full"])
def test_other_greenlets_run_while_the_file_is_locked(
    path: Path, url: str, synchronous: str
) -> None:
    """200 turns of another greenlet pass while a publish waits; then it succeeds."""
    with opened(path) as broker:
        publish(broker, A)
        with locked(path):
            script = Script(f"{url}?synchronous={synchronous}", _WAITING, patched=True)
            assert script.hear() == "turned True"
        assert script.end() == ids(broker.log.history(A, 1)[0])


def test_a_file_that_stays_locked_is_unavailable(path: Path) -> None:
    """A publish gives up and says why; reading goes on, and publishing later does."""
    with opened(path) as broker:
        given = publish(broker, A)
        assert broker.log.history(A, 1)[1].kept == 1
        with locked(path):
            with pytest.raises(LogUnavailable, match=r"push\.db: locked by another process"):
                publish(broker, A)
            assert ids(broker.log.history(A, 10)[0]) == given
        given += publish(broker, A)
        assert ids(broker.log.history(A, 10)[0]) == given


def together_behind_a_lock(path: Path, work: Callable[[], None], count: int) -> None:
    """Have ``count`` threads do ``work``, in a file that is locked until all of them are there."""
    holds, arrived = threading.Event(), threading.Semaphore(0)

    def hold() -> None:
        with locked(path):
            holds.set()
            for _ in range(count):
                assert arrived.acquire(timeout=TIMEOUT)

    def arrive_and_work() -> None:
        arrived.release()
        work()

    holder = threading.Thread(target=hold)
    holder.start()
    assert holds.wait(TIMEOUT)
    together(*[arrive_and_work] * count)
    holder.join(TIMEOUT)


def test_who_waits_is_committed_together(path: Path) -> None:
    """What waits for a locked file takes fewer transactions than publishes."""
    with opened(path) as broker:
        publish(broker, A)
        before = broker.writer.transactions
        given: list[str] = []

        def work() -> None:
            given.extend(publish(broker, A))

        together_behind_a_lock(path, work, 30)

        assert broker.writer.transactions - before < 30
        assert set(given) < set(ids(broker.log.history(A, 100)[0])) and len(given) == 30


def test_what_is_committed_together_is_bounded(path: Path) -> None:
    """A thousand messages each: the file is not held for all of them at once, and the event loop
    is not held for more than one of them."""
    with opened(path) as broker:
        publish(broker, A)
        before = broker.writer.transactions
        thousand = [Draft(A, "1")] * 1000

        def work() -> None:
            append(broker, *thousand)

        together_behind_a_lock(path, work, 8)
        assert broker.writer.transactions == before + 8

        assert broker.log.append_now([Append(thousand)] * 2) is None
        assert broker.writer.transactions == before + 8
        assert broker.log.append_now([Append(thousand)]) is not None


def test_a_publisher_hears_nothing_of_a_bell_that_fails(path: Path) -> None:
    """What it published is in the log: an error would have it published again."""

    def ring(tx: Tx) -> None:
        raise RuntimeError("the bell is broken")

    def work(tx: Tx) -> str:
        tx.news = True
        return "done"

    file = LogFile(str(path), full=False, clock=time.time, boot=None)
    writer = Writer(file, ring, Wal(str(path)))
    assert writer.run(work) == "done"
    assert writer.run_now([work], 0) == ["done"]
    file.close()


_KILLED = """
import gevent
publishers = [gevent.spawn(publish, broker, A) for _ in range(4)]
gevent.sleep(0)
publishers[0].kill()
publishers[2].kill()
say("killed", *(p.ready() for p in publishers))
say(*publishers[1].get(), *publishers[3].get(), *publish(broker, A))
"""


def test_a_publisher_that_is_killed_while_it_waits_stops_nobody(path: Path, url: str) -> None:
    """Whether it was the one whose transaction it is, or one of those who wait for it."""
    with opened(path) as broker:
        publish(broker, A)
        with locked(path):
            script = Script(url, _KILLED, patched=True)
            assert script.hear() == "killed True False True False"
        (line,) = script.end()
        assert set(line.split()) <= set(ids(broker.log.history(A, 10)[0]))


_KILLED_ANYWHERE = """
import gevent, random
given = []
def work(i):
    given.append(append(broker, Draft(A, str(i)))[0])
for i in range(300):
    publishers = [gevent.spawn(work, 3 * i + j) for j in range(3)]
    for _ in range(random.randrange(8)):
        gevent.sleep(0)
    random.choice(publishers).kill()
    gevent.joinall(publishers)
say(*given, *publish(broker, A))
"""


@pytest.mark.parametrize("synchronous", ["normal", "full"])
def test_publishers_may_be_killed_at_any_time(path: Path, url: str, synchronous: str) -> None:
    """The others are acknowledged, and nothing is there twice."""
    script = Script(f"{url}?synchronous={synchronous}", _KILLED_ANYWHERE, patched=True)
    given = script.hear().split()
    script.end()
    assert 600 < len(given)
    with opened(path) as broker:
        messages, _ = broker.log.history(A, 1000)
    assert set(given) <= set(ids(messages))
    assert len({m.data for m in messages}) == len(messages)
