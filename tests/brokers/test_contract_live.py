"""Every broker keeps these promises about what moves: following, the schedule, leases, control."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pushapp.broker.interface import Broker, Follower, Scheduled
from pushapp.message import Draft

from .tools import (
    FEW,
    TIMEOUT,
    A,
    B,
    C,
    Clock,
    append,
    cursor,
    data,
    ids,
    listen,
    now,
    publish,
    receive,
    together,
    told,
)


@pytest.fixture
def follower(rx: Broker) -> Iterator[Follower]:
    """The other worker's place in the log; it watches A and FEW."""
    follower = rx.log.follow()
    follower.watch(A)
    follower.watch(FEW)
    yield follower
    follower.close()


def schedule(broker: Broker, at: float, text: str, channel: str = A) -> str:
    (receipt,) = broker.log.append([Draft(channel, text, at=at)])
    assert isinstance(receipt, Scheduled) and receipt.at == at
    return receipt.id


# -- following -----------------------------------------------------------------------------------


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
        got.extend(ids(follower.next(0).messages))

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

    page = follower.next(TIMEOUT)
    assert ids(page.messages) == given[:500] and page.more
    page = follower.next(TIMEOUT)
    assert ids(page.messages) == given[500:] and not page.more


def test_a_page_of_large_messages_is_bounded(tx: Broker, follower: Follower) -> None:
    """About 1 MiB of data comes at once."""
    text = f'"{"x" * 300_000}"'
    given = append(tx, *(Draft(A, text) for _ in range(5)))

    page = follower.next(TIMEOUT)
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

    page = follower.next(TIMEOUT)
    assert told(page) == [(FEW, given[3], "expired")]
    assert page.lost[0].after == str(start)
    assert ids(page.messages) == [given[1], *given[3:]]

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
    publish(tx, FEW)
    page = follower.next(TIMEOUT)
    assert told(page) == [(A, None, "expired")] and len(page.messages) == 1


def test_waking_ends_a_wait(follower: Follower) -> None:
    """``wake`` and ``close`` make a waiting ``next`` return, with nothing."""
    pages: list[Any] = []
    together(lambda: pages.append(follower.next(TIMEOUT)), follower.wake)
    together(lambda: pages.append(follower.next(TIMEOUT)), follower.close)
    assert [page.messages for page in pages] == [(), ()]


# -- the schedule --------------------------------------------------------------------------------


def test_what_is_scheduled_comes_when_it_is_due(tx: Broker, rx: Broker, clock: Clock) -> None:
    """Not before; then it is a message like others, with the id and the time of that moment."""
    start = now(tx)
    schedule(tx, clock.now + 10, "1")
    assert rx.schedule.fire_due() == 10.0
    assert rx.log.read([A], start).cursor == start
    given = publish(tx, A)

    clock.forward(11)
    assert rx.schedule.fire_due() is None

    page = tx.log.read([A], cursor(given[0]))
    (message,) = page.messages
    assert (message.data, message.time, message.prev) == ("1", clock.now, cursor(given[0]).n)


def test_a_time_that_has_passed_is_now(tx: Broker, clock: Clock) -> None:
    assert len(append(tx, Draft(A, "1", at=clock.now), Draft(A, "2", at=clock.now - 9))) == 2


def test_what_is_due_is_published_in_the_order_of_its_times(
    tx: Broker, rx: Broker, clock: Clock
) -> None:
    """By ``at``, then in the order in which it was scheduled; many at once, too."""
    for at, text in [(30, "30"), (10, "10"), (20, "20"), (10, "10 too")]:
        schedule(tx, clock.now + at, text)
    tx.log.append([Draft(A, str(i), at=clock.now + 40) for i in range(250)])

    assert rx.schedule.fire_due() == 10.0
    clock.forward(20)
    assert rx.schedule.fire_due() == 10.0
    assert data(tx.log.history(A, 10)[0]) == ["10", "10 too", "20"]
    clock.forward(20)
    assert tx.schedule.fire_due() is None
    assert data(tx.log.history(A, 251)[0]) == ["30", *map(str, range(250))]


def test_the_schedule_keeps_all_that_a_draft_says(tx: Broker, rx: Broker, clock: Clock) -> None:
    """Event, ttl (from when it falls due) and retain."""
    tx.log.append([Draft(A, "1", event="moved", ttl=5.0, retain=True, at=clock.now + 10)])
    assert rx.log.history(A, 1)[1].retained is None
    clock.forward(10)
    rx.schedule.fire_due()

    (message,), info = tx.log.history(A, 1)
    assert (message.event, message.expires) == ("moved", clock.now + 5.0)
    assert info.retained is not None and info.retained.id == message.id


def test_racing_brokers_fire_each_once(tx: Broker, rx: Broker, clock: Clock) -> None:
    for i in range(120):
        schedule(tx, clock.now + 1, str(i))
    clock.forward(1)
    together(*(broker.schedule.fire_due for broker in (tx, rx, tx, rx)))
    assert data(rx.log.history(A, 1000)[0]) == [str(i) for i in range(120)]


def test_cancelling_takes_one_out(tx: Broker, rx: Broker, clock: Clock) -> None:
    """Once; what has been published, or never was, cannot be cancelled."""
    first = schedule(tx, clock.now + 10, "1")
    second = schedule(tx, clock.now + 20, "2")

    assert rx.schedule.cancel(first) is True
    assert tx.schedule.cancel(first) is False
    assert rx.schedule.fire_due() == 20.0
    clock.forward(20)
    assert tx.schedule.fire_due() is None
    assert rx.schedule.cancel(second) is False
    assert rx.schedule.cancel("snever") is False
    assert data(tx.log.history(A, 10)[0]) == ["2"]


def test_cancelling_and_firing_race(tx: Broker, rx: Broker, clock: Clock) -> None:
    """What was cancelled does not come, what was not does."""
    scheduled = [schedule(tx, clock.now + 1, str(i)) for i in range(60)]
    clock.forward(1)
    cancelled: list[str] = []

    def cancel() -> None:
        for i, entry in enumerate(scheduled):
            if tx.schedule.cancel(entry):
                cancelled.append(str(i))

    together(cancel, rx.schedule.fire_due)
    published = data(tx.log.history(A, 100)[0])
    assert sorted(cancelled + published) == sorted(str(i) for i in range(60))


def test_what_fell_due_while_nobody_was_there_comes_at_once(
    open_log: Callable[[], Broker], clock: Clock
) -> None:
    """A follower does that by itself; nobody has to ask."""
    broker = open_log()
    schedule(broker, clock.now + 10, "1")
    broker.close()
    clock.forward(1000)

    follower = open_log().log.follow()
    follower.watch(A)
    assert data(receive(follower, 1)) == ["1"]
    follower.close()


# -- leases --------------------------------------------------------------------------------------


def test_leases_of_all_holders_are_read_by_key(tx: Broker, rx: Broker) -> None:
    tx.leases.renew("w1", {"a": "1", "b": "2"}, 60.0)
    rx.leases.renew("w2", {"a": "3"}, 60.0)

    assert tx.leases.read("a") == rx.leases.read("a") == {"w1": "1", "w2": "3"}
    assert tx.leases.read("b") == {"w1": "2"}
    assert tx.leases.read("c") == {}


def test_renewing_replaces_all_that_a_holder_said(tx: Broker, rx: Broker) -> None:
    tx.leases.renew("w1", {"a": "1", "b": "2"}, 60.0)
    tx.leases.renew("w1", {"b": "3"}, 60.0)
    assert rx.leases.read("a") == {}
    assert rx.leases.read("b") == {"w1": "3"}


def test_a_lease_expires_unless_renewed(tx: Broker, rx: Broker, clock: Clock, kind: Any) -> None:
    tx.leases.renew("w1", {"a": "1"}, 60.0)
    rx.leases.renew("w2", {"a": "2"}, 60.0)
    clock.forward(59)
    kind.tidy(tx)
    tx.leases.renew("w1", {"a": "1"}, 60.0)
    assert rx.leases.read("a") == {"w1": "1", "w2": "2"}
    clock.forward(1)
    assert rx.leases.read("a") == {"w1": "1"}
    kind.tidy(tx)
    assert rx.leases.read("a") == {"w1": "1"}


def test_released_is_gone_at_once(tx: Broker, rx: Broker) -> None:
    tx.leases.renew("w1", {"a": "1", "b": "1"}, 60.0)
    rx.leases.renew("w2", {"a": "2"}, 60.0)
    tx.leases.release("w1")
    assert (rx.leases.read("a"), rx.leases.read("b")) == ({"w2": "2"}, {})


# -- control -------------------------------------------------------------------------------------


def test_each_broker_gets_each_order_once(tx: Broker, rx: Broker) -> None:
    """In order, the teller too."""
    assert tx.control.orders() == rx.control.orders() == []
    tx.control.tell({"kick": "c1"})
    rx.control.tell({"kick": "c2", "ü": [1, None]})
    assert tx.control.orders() == [{"kick": "c1"}, {"kick": "c2", "ü": [1, None]}]
    tx.control.tell({"kick": "c3"})
    assert [order["kick"] for order in rx.control.orders()] == ["c1", "c2", "c3"]
    assert tx.control.orders() == [{"kick": "c3"}]
    assert tx.control.orders() == rx.control.orders() == []


def test_orders_count_from_the_opening_on(
    open_log: Callable[[], Broker], tx: Broker, clock: Clock
) -> None:
    """What was told before is not for a broker that is opened later; what comes after is."""
    tx.control.tell({"n": 1})
    clock.forward(0.1)
    late = open_log()
    tx.control.tell({"n": 2})
    assert late.control.orders() == [{"n": 2}]
    assert tx.control.orders() == [{"n": 1}, {"n": 2}]


def test_old_orders_are_not_told_again(tx: Broker, rx: Broker, clock: Clock, kind: Any) -> None:
    """Orders are kept for a while only; what is told later still comes, once."""
    tx.control.tell({"n": 1})
    assert rx.control.orders() == [{"n": 1}]
    clock.forward(3600)
    kind.tidy(tx)
    tx.control.tell({"n": 2})
    assert rx.control.orders() == [{"n": 2}]


def test_an_order_wakes_the_followers(tx: Broker, rx: Broker, follower: Follower) -> None:
    """A worker hears of it as soon as of a message."""
    heard: list[Any] = []

    def hear() -> None:
        while not heard:
            follower.next(TIMEOUT)
            heard.extend(rx.control.orders())

    together(hear, lambda: tx.control.tell({"n": 1}))
    assert heard == [{"n": 1}]


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
