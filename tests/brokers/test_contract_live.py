"""Every broker keeps these promises about what moves: the schedule, leases, control."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pushapp.broker.interface import Broker, Scheduled
from pushapp.message import Draft

from .tools import (
    TIMEOUT,
    A,
    Clock,
    append,
    cursor,
    data,
    now,
    publish,
    receive,
    together,
)


def schedule(broker: Broker, at: float, text: str, channel: str = A) -> str:
    (receipt,) = broker.log.append([Draft(channel, text, at=at)])
    assert isinstance(receipt, Scheduled) and receipt.at == at
    return receipt.id


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


# -- claims --------------------------------------------------------------------------------------


def test_a_claim_is_won_once(tx: Broker, rx: Broker) -> None:
    """By the first who comes, and by nobody again, on any broker; other keys are other claims."""
    assert tx.leases.claim("a", 60.0)
    assert not rx.leases.claim("a", 60.0)
    assert not tx.leases.claim("a", 60.0)
    assert rx.leases.claim("b", 60.0)


def test_of_a_race_for_a_claim_one_wins(tx: Broker, rx: Broker) -> None:
    for round_ in range(20):
        won: list[bool] = []

        def work(broker: Broker, key: str = str(round_), won: list[bool] = won) -> None:
            won.append(broker.leases.claim(key, 60.0))

        together(*(lambda broker=broker: work(broker) for broker in (tx, rx, tx, rx)))
        assert sorted(won) == [False, False, False, True]


def test_a_claim_ends(tx: Broker, rx: Broker, clock: Clock, kind: Any) -> None:
    """Not before its time, swept or not, and asking again does not prolong it."""
    assert tx.leases.claim("a", 60.0)
    clock.forward(59)
    kind.tidy(rx)
    assert not rx.leases.claim("a", 60.0)
    clock.forward(1)
    assert rx.leases.claim("a", 60.0)
    assert not tx.leases.claim("a", 60.0)


def test_who_holds_a_claim_may_hold_on(tx: Broker, rx: Broker, clock: Clock) -> None:
    """From any broker, for as long as it says so; nobody else gets it meanwhile."""
    assert tx.leases.claim("a", 60.0, "ann")
    for _ in range(3):
        clock.forward(59)
        assert not rx.leases.claim("a", 60.0, "bob") and not rx.leases.claim("a", 60.0)
        assert rx.leases.claim("a", 60.0, "ann")
    clock.forward(60)
    assert rx.leases.claim("a", 60.0, "bob")
    assert not tx.leases.claim("a", 60.0, "ann")


def test_a_claim_is_given_back(tx: Broker, rx: Broker) -> None:
    """By its holder, to whoever comes next."""
    assert tx.leases.claim("a", 60.0, "ann") and tx.leases.claim("a", 0.0, "ann")
    assert rx.leases.claim("a", 60.0, "bob")


def test_claims_are_nobodys_leases(tx: Broker, rx: Broker) -> None:
    """Neither is seen, dropped or replaced through the other."""
    tx.leases.renew("a", {"a": "1"}, 60.0)
    assert tx.leases.claim("a", 60.0)
    assert rx.leases.read("a") == {"a": "1"}
    rx.leases.release("a")
    assert not rx.leases.claim("a", 60.0)


def test_claims_outlive_the_brokers(open_log: Callable[[], Broker]) -> None:
    broker = open_log()
    assert broker.leases.claim("a", 60.0)
    broker.close()
    assert not open_log().leases.claim("a", 60.0)


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


def test_an_order_wakes_the_followers(tx: Broker, rx: Broker) -> None:
    """A worker hears of it as soon as of a message."""
    heard: list[Any] = []
    follower = rx.log.follow()

    def hear() -> None:
        while not heard:
            follower.next(TIMEOUT)
            heard.extend(rx.control.orders())

    together(hear, lambda: tx.control.tell({"n": 1}))
    assert heard == [{"n": 1}]
    follower.close()
