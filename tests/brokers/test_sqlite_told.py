"""What a process has appended itself its follower need not read: it is told, and nothing changes.

What belongs here: the order of what is told and of what is read. What does not: what a follower
promises whoever appends (``test_contract_follow``).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import gevent
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pushapp.broker.interface import PAGE_BYTES, PAGE_MESSAGES, Follower, Page
from pushapp.broker.sqlite import wake
from pushapp.message import Draft

from ..server import until
from .tools import FEW, A, B, C, append, ids, opened, publish, receive

#: Who does what: the follower's own process appends, another one does, or the follower is asked.
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["own", "other"]),
            st.lists(st.sampled_from([A, B, C, FEW]), min_size=1, max_size=5),
        ),
        st.tuples(st.just("next"), st.just([])),
    ),
    max_size=25,
)


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_what_is_told_and_what_is_read_come_in_one_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, list[str]]]
) -> None:
    """Whoever appends, and whenever it is asked: all of what is watched, once."""
    path = tmp_path_factory.mktemp("log") / "push.db"
    with opened(path) as own, opened(path) as other:
        follower = own.log.follow()
        follower.watch(A, B)
        published, got = [], []
        for who, channels in steps:
            if who == "next":
                got += ids(follower.next(0.001).messages)
                continue
            broker = own if who == "own" else other
            given = append(broker, *(Draft(channel, "1") for channel in channels))
            published += [i for i, c in zip(given, channels, strict=True) if c in (A, B)]
        while len(got) < len(published):
            page = follower.next(0.001)
            assert not page.lost
            got += ids(page.messages)
        assert got == published
        mark = publish(own, A)
        assert ids(receive(follower, 1)) == mark
        follower.close()


def test_what_was_told_is_not_read(path: Path) -> None:
    """It comes although nobody could read it any more."""
    with opened(path) as broker:
        follower = broker.log.follow()
        follower.watch(A)
        follower.next(0.001)
        given = publish(broker, A, A)
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("DELETE FROM message")
        assert ids(follower.next(0.001).messages) == given
        follower.close()


def test_what_is_trimmed_at_once_was_told(path: Path) -> None:
    """More in one step than the channel keeps: whoever listens gets all of it."""
    with opened(path) as broker:
        follower = broker.log.follow()
        follower.watch(FEW)
        follower.next(0.001)
        given = append(broker, *(Draft(FEW, str(n)) for n in range(8)))
        page = follower.next(0.001)
        assert ids(page.messages) == given and not page.lost
        follower.close()


@pytest.mark.parametrize(
    ("count", "size"), [(PAGE_MESSAGES + 1, 1), (30, PAGE_BYTES // 20), (1, PAGE_BYTES + 1)]
)
def test_one_that_is_late_reads(path: Path, count: int, size: int) -> None:
    """No more than a page is kept of what is told; the rest is in the log."""
    with opened(path) as broker:
        follower = broker.log.follow()
        follower.watch(A)
        follower.next(0.001)
        data = f'"{"x" * size}"'
        given = [append(broker, Draft(A, data))[0] for _ in range(count)]
        page = follower.next(0.001)
        assert len(page.messages) <= PAGE_MESSAGES
        got = ids(page.messages)
        assert got + ids(receive(follower, count - len(got))) == given
        follower.close()


def test_its_own_says_so_unless_somebody_rang(path: Path) -> None:
    """What another process appends or orders is never taken for its own, however they mix."""
    with opened(path) as broker, opened(path) as other:
        follower = broker.log.follow()
        follower.watch(A)
        follower.next(0.001)
        publish(broker, A)
        assert follower.next(0.001).own
        for speak in (lambda: other.control.tell({"kick": "c1"}), lambda: publish(other, B)):
            speak()
            publish(broker, A)
            pages = [follower.next(5.0)]
            while pages[-1].own:  # the ring is heard after what it had been told
                pages.append(follower.next(5.0))
            assert len(pages) <= 2
            publish(broker, A)
            assert receive_page(follower).own, "and then it is alone again"
        follower.close()


def test_one_that_never_waits_hears_of_others(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is something of its own each time it looks: a busy worker, which gevent has patched."""
    monkeypatch.setattr(wake, "is_patched", lambda: True)
    with opened(path) as broker, opened(path) as other:
        follower: Any = broker.log.follow()
        follower.watch(A)
        follower._bell.tell()  # so that nothing is waited for
        follower.next(5.0)
        publish(broker, A)
        assert follower.next(5.0).own
        other.control.tell({"kick": "c1"})
        publish(broker, A)

        def is_own() -> bool:
            gevent.sleep(0.001)  # the loop hears of it
            publish(broker, A)
            return bool(follower.next(5.0).own)

        until(lambda: not is_own(), "it hears that somebody has rung")
        assert not is_own(), "and does not forget it before it has looked"
        follower.close()


def test_what_was_told_while_somebody_rang_is_not_taken_for_all(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It appends between hearing the ring and looking: whoever rang has said something else."""
    with opened(path) as broker, opened(path) as other:
        follower: Any = broker.log.follow()
        follower.watch(A)
        follower.next(0.001)
        hear, given = follower._bell.wait, []

        def wait(timeout: float) -> bool:
            more: bool = hear(timeout)
            given.extend(publish(broker, A))
            return more

        monkeypatch.setattr(follower._bell, "wait", wait)
        other.control.tell({"kick": "c1"})
        page = follower.next(5.0)
        assert ids(page.messages) == given and not page.own
        follower.close()


def receive_page(follower: Follower) -> Page:
    """Return the next page with messages."""
    while not (page := follower.next(5.0)).messages:
        pass
    return page
