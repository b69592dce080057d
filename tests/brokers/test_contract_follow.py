"""Every broker keeps these promises about following the log."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pushapp.broker.interface import Broker, Follower
from pushapp.message import Draft

from .tools import (
    FEW,
    TIMEOUT,
    A,
    B,
    C,
    append,
    cursor,
    ids,
    listen,
    losses,
    now,
    page_with_news,
    publish,
    receive,
    together,
)


@pytest.fixture
def follower(rx: Broker) -> Iterator[Follower]:
    """The other worker's place in the log; it watches A and FEW."""
    follower = rx.log.follow()
    follower.watch(A)
    follower.watch(FEW)
    yield follower
    follower.close()


def test_a_follower_starts_at_the_head(tx: Broker, rx: Broker) -> None:
    publish(tx, A)
    follower = rx.log.follow()
    follower.watch(A)
    given = publish(tx, A)

    assert ids(receive(follower, 1)) == given
    follower.close()


def test_a_follower_sees_all_in_order_while_many_publish(
    tx: Broker, rx: Broker, follower: Follower
) -> None:
    """Everything of the watched channels in id order, each once, and nothing of others."""
    follower.watch(B)
    given: list[str] = []

    def work(broker: Broker) -> None:
        for _ in range(50):
            given.extend(publish(broker, A, C, B))

    got: list[str] = []
    together(
        *(lambda broker=broker: work(broker) for broker in (tx, rx, tx)),
        lambda: got.extend(ids(receive(follower, 300))),
    )

    numbers = [cursor(i).n for i in got]
    assert numbers == sorted(set(numbers))
    others = ids(tx.log.history(C, 1000)[0])
    assert len(others) == 150 and sorted(got + others) == sorted(given)


def test_a_follower_moves_on_over_what_it_does_not_watch(tx: Broker, follower: Follower) -> None:
    """Channels that nobody watches are not returned, but ``position`` passes them."""
    (theirs,) = publish(tx, C)
    while follower.position.n < cursor(theirs).n:
        assert not follower.next(TIMEOUT).messages
    given = publish(tx, C, A)
    assert ids(receive(follower, 1)) == given[1:]


def test_unwatching_ends_following(tx: Broker, follower: Follower) -> None:
    """What was published after the end of following does not come when it is watched again."""
    follower.unwatch(A)
    given = publish(tx, A, FEW)
    assert ids(receive(follower, 1)) == given[1:]
    follower.watch(A)
    given = publish(tx, A)
    assert ids(receive(follower, 1)) == given


def test_watching_starts_no_later_than_it_returns(
    tx: Broker, rx: Broker, follower: Follower
) -> None:
    """What the follower has not passed when ``watch`` returns will come, whatever it does then."""
    ended = threading.Event()
    got: list[str] = []

    def follow() -> None:
        while not ended.is_set():
            got.extend(ids(follower.next(TIMEOUT).messages))
        while follower.position.n < now(rx).n:
            got.extend(ids(follower.next(TIMEOUT).messages))

    def join() -> None:
        for i in range(200):
            channel = f"many:{i}"
            publish(tx, C, channel)
            follower.watch(channel)
            behind = follower.position
            page = rx.log.read([channel], behind)
            owed.extend(ids(page.messages))
        ended.set()
        follower.wake()

    owed: list[str] = []
    together(follow, join)

    assert set(owed) <= set(got)


def test_a_full_page_says_that_there_is_more(tx: Broker, follower: Follower) -> None:
    """At most 500 messages come at once; the next call goes on where that ended."""
    given = append(tx, *(Draft(A, str(i)) for i in range(700)))

    page = page_with_news(follower)
    assert ids(page.messages) == given[:500] and page.more
    page = page_with_news(follower)
    assert ids(page.messages) == given[500:] and not page.more


def test_a_page_of_large_messages_is_bounded(tx: Broker, follower: Follower) -> None:
    """About 1 MiB of data comes at once."""
    text = f'"{"x" * 300_000}"'
    given = append(tx, *(Draft(A, text) for _ in range(5)))

    page = page_with_news(follower)
    assert ids(page.messages) == given[:3] and page.more
    assert ids(receive(follower, 2)) == given[3:]


def test_a_lost_wake_up_only_delays(tx: Broker, follower: Follower, kind: Any) -> None:
    kind.lose_wake_ups()
    given: list[str] = []
    got: list[str] = []
    together(
        lambda: got.extend(ids(receive(follower, 3))), lambda: given.extend(publish(tx, A, A, A))
    )
    assert got == given


def test_a_follower_that_slept_past_a_trim_is_told_of_the_hole(
    tx: Broker, follower: Follower
) -> None:
    """The hole is named once, and what is kept still comes; others have lost nothing."""
    start = follower.position
    given = publish(tx, FEW, A, *[FEW] * 4)

    messages, lost = listen(follower, lambda messages, lost: len(messages) == 4)
    assert losses(lost) == [(FEW, given[3], "expired")]
    assert lost[0].after == str(start)
    assert ids(messages) == [given[1], *given[3:]]

    given = publish(tx, FEW)
    assert ids(receive(follower, 1)) == given


def test_a_follower_of_a_cleared_channel_is_told(tx: Broker, follower: Follower) -> None:
    """Clearing what a follower has not read is a hole; clearing what it has read is none."""
    given = publish(tx, A)
    assert ids(receive(follower, 1)) == given
    tx.log.clear(A)
    given = publish(tx, A)
    assert ids(receive(follower, 1)) == given

    publish(tx, A)
    tx.log.clear(A)
    given = publish(tx, FEW)
    messages, lost = listen(follower, lambda messages, lost: bool(messages))
    assert losses(lost) == [(A, None, "expired")] and ids(messages) == given


def test_waking_ends_a_wait(follower: Follower) -> None:
    """``wake`` and ``close`` make a waiting ``next`` return, with nothing."""
    pages: list[Any] = []
    together(lambda: pages.append(follower.next(TIMEOUT)), follower.wake)
    together(lambda: pages.append(follower.next(TIMEOUT)), follower.close)
    assert [page.messages for page in pages] == [(), ()]


def test_a_loss_reaches_a_follower_that_reads_page_by_page(tx: Broker, follower: Follower) -> None:
    """A hole is told even where it lies behind thousands of messages for others."""
    publish(tx, FEW)
    for _ in range(6):
        tx.log.append([Draft(f"other:{i}", "0") for i in range(1000)])
    kept = publish(tx, FEW, FEW, FEW)

    messages, lost = listen(follower, lambda messages, lost: len(messages) == 3)
    assert ids(messages) == kept
    assert {(loss.channel, loss.before, loss.reason) for loss in lost} == {
        (FEW, kept[0], "expired")
    }


def test_a_tail_has_everything_that_was_acknowledged(tx: Broker, rx: Broker) -> None:
    """At once, by whichever broker; where that takes waiting, there is none."""
    follower = rx.log.follow()
    try:
        for channel in (A, FEW, FEW, FEW, FEW):
            (published,) = publish(tx, channel)
            tail = follower.tail()
            assert tail is None or tail.cursor == cursor(published)
        assert tail is None or tail.trimmed == tail.cursor.n - 3  # the oldest of four
        tx.log.clear(FEW)
        tail = follower.tail()
        assert tail is None or tail.trimmed == tail.cursor.n
    finally:
        follower.close()
