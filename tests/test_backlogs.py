"""A page that many share is what each would have read, and is read once."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pushapp import backlogs
from pushapp.backlogs import Backlogs
from pushapp.broker.interface import Page
from pushapp.broker.sqlite import SqliteBroker
from pushapp.message import Cursor

from .brokers.kinds import Sqlite
from .brokers.tools import BRIEF, FEW, A, Clock, now, publish

CHANNELS = (A, FEW, BRIEF)
WHOLE = 1 << 20  # bytes that are more than there are
channel = st.sampled_from(CHANNELS)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), channel),
        st.tuples(st.just("append"), channel),
        st.tuples(st.just("clear"), channel),
        st.tuples(st.just("age"), st.just("")),
    ),
    min_size=5,
    max_size=30,
)


class Counted:
    """A log that counts how often it is read."""

    def __init__(self, log: Any) -> None:
        self._log, self.reads = log, 0
        self.read_messages = 0

    def read(self, channels: Collection[str], cursor: Cursor | None, **bounds: Any) -> Page:
        self.reads += 1
        page: Page = self._log.read(channels, cursor, **bounds)
        self.read_messages += len(page.messages)
        return page


class Looking:
    """As much of the hub's window as is asked for where the log is."""

    def __init__(self, broker: SqliteBroker) -> None:
        self.follower = broker.log.follow()
        self.blind = False

    def tail(self) -> Any:
        return None if self.blind else self.follower.tail()


class Worker:
    def __init__(self, kind: Sqlite) -> None:
        self.kind, self.clock = kind, Clock()
        self.broker = kind.open(self.clock)
        self.log: Any = Counted(self.broker.log)
        self.window: Any = Looking(self.broker)
        self.backlogs = Backlogs(self.log, self.window)
        self.cursors = [now(self.broker)]  # that somebody may have

    def close(self) -> None:
        self.window.follower.close()
        self.broker.close()

    def append(self, name: str) -> None:
        publish(self.broker, name)
        self.cursors.append(now(self.broker))

    def clear(self, name: str) -> None:
        self.broker.log.clear(name)

    def age(self, _: str) -> None:
        self.clock.forward(60)
        self.kind.tidy(self.broker)

    def check(self, names: tuple[str, ...], cursor: Cursor, max_bytes: int) -> None:
        """What is shared is what is read."""
        page = self.broker.log.read(names, cursor, max_bytes=max_bytes)
        shared = self.backlogs.read(names, cursor, max_bytes)
        assert shared.page.cursor == page.cursor
        assert (shared.page.more, list(shared.page.lost)) == (page.more, list(page.lost))
        assert [m.body() for m in shared.page.messages] == [m.body() for m in page.messages]
        held = [] if shared.bundle is None else list(shared.bundle.messages)
        assert held == list(shared.page.messages)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(Sqlite(tmp_path, None))
    yield worker
    worker.close()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_a_shared_page_is_what_the_log_says(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    """Whatever was published, trimmed and cleared between two who ask; also page by page."""
    worker = Worker(Sqlite(tmp_path_factory.mktemp("log"), None))
    try:
        for name, argument in steps:
            getattr(worker, name)(argument)
            for names in ((A,), (FEW,), (A, BRIEF)):
                for cursor in (worker.cursors[0], worker.cursors[-1], worker.cursors[-3:][0]):
                    worker.check(names, cursor, WHOLE)
                    worker.check(names, cursor, 30)
    finally:
        worker.close()


def test_a_crowd_reads_once(worker: Worker) -> None:
    """And has one bundle, so that it is encoded once."""
    for _ in range(20):
        worker.append(A)
    start = worker.cursors[0]
    bundles = {id(worker.backlogs.read((A,), start, WHOLE).bundle) for _ in range(50)}
    assert (len(bundles), worker.log.reads) == (1, 1)


def test_what_is_published_meanwhile_is_all_that_is_read(worker: Worker) -> None:
    """Not the backlog again."""
    for _ in range(20):
        worker.append(A)
    worker.check((A,), worker.cursors[0], WHOLE)
    worker.append(A)
    worker.check((A,), worker.cursors[0], WHOLE)
    assert worker.log.read_messages == 21


def test_a_log_that_cannot_be_looked_at_is_believed_for_a_second(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within it, what is new is read; after it, all."""
    time = [0.0]
    monkeypatch.setattr(backlogs, "time", type("", (), {"monotonic": lambda: time[0]}))
    worker.window.blind = True
    for _ in range(5):
        worker.append(A)
    worker.check((A,), worker.cursors[0], WHOLE)
    worker.append(A)
    worker.check((A,), worker.cursors[0], WHOLE)
    assert worker.log.read_messages == 6
    time[0] = backlogs.BLIND + 0.1
    worker.clear(A)
    worker.check((A,), worker.cursors[0], WHOLE)


def test_pages_are_kept_within_bounds(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """In number, in bytes and in time; the one unused longest goes first."""
    time = [0.0]
    monkeypatch.setattr(backlogs, "time", type("", (), {"monotonic": lambda: time[0]}))
    monkeypatch.setattr(backlogs, "_PAGES", 3)
    for _ in range(6):
        worker.append(A)
    for cursor in worker.cursors[:5]:
        worker.check((A,), cursor, WHOLE)
    kept = worker.backlogs._kept
    assert [cursor for _, cursor, _ in kept] == worker.cursors[2:5]
    assert worker.backlogs._size == sum(backlog.size for backlog in kept.values())
    monkeypatch.setattr(backlogs, "_BYTES", 1)
    worker.check((A,), worker.cursors[1], WHOLE)
    assert not kept and worker.backlogs._size == 0
    monkeypatch.setattr(backlogs, "_BYTES", 1 << 20)
    worker.check((A,), worker.cursors[1], WHOLE)
    time[0] = backlogs._UNUSED + 1
    worker.check((A,), worker.cursors[2], WHOLE)
    assert [cursor for _, cursor, _ in kept] == [worker.cursors[2]]
