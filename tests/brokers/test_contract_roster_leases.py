"""Every broker keeps these promises about workers that end, and logs that begin anew."""

from __future__ import annotations

from typing import Any

import pytest

from pushapp.broker.interface import Broker
from pushapp.broker.roster import presence_of

from ..server import until
from .roster_tools import (
    TTL,
    bring,
    changes,
    count,
    drop,
    entry,
    everybody,
    recorded,
    told,
    waiting,
    watch,
)
from .tools import TIMEOUT, A, B, Clock, now, publish, together

MANY = [entry(f"c{i:03}", str(i), A) for i in range(120)]  # more than one step


def renew(broker: Broker, worker: str) -> bool:
    return bring(broker, worker)


def test_a_worker_is_new_once(tx: Broker, rx: Broker) -> None:
    """False, and what it brought is there; from then on it is known, to every broker."""
    assert not bring(tx, "w1", entry("c1", "42", A))
    assert bring(rx, "w1", entry("c2", "7", A))
    assert not renew(rx, "w2")
    assert renew(tx, "w2")
    assert everybody(rx, A) == ["user:42", "user:7"]


def test_a_worker_that_renews_its_lease_keeps_all(
    tx: Broker, rx: Broker, clock: Clock, kind: Any
) -> None:
    """With calls that bring nothing, for as long as one likes."""
    watch(tx, A)
    bring(tx, "w", entry("c1", "42", A))
    for _ in range(5):
        clock.forward(TTL - 1)
        kind.tidy(rx)
        assert renew(tx, "w")
    assert changes(rx, A) == ["occupied", "join 42"]


def test_renewing_all_the_time_writes_little(tx: Broker, clock: Clock) -> None:
    """Nor does it move the log: nobody is woken for it."""
    bring(tx, "w", entry("c1", "42", A))
    head = now(tx)
    for _ in range(10):
        assert renew(tx, "w")
    assert now(tx) == head


def test_a_worker_that_dies_takes_its_connections_with_it(
    tx: Broker, rx: Broker, clock: Clock, kind: Any
) -> None:
    """When its lease is over, not before; what another has stays."""
    watch(tx, A, B)
    bring(tx, "w1", entry("c1", "42", A), entry("c2", "7", A, B), entry("c3", None, B))
    bring(rx, "w2", entry("c2", "7", A, B), entry("c4", "42", B))
    clock.forward(TTL - 1)
    renew(rx, "w2")
    kind.tidy(rx)
    assert everybody(rx, A) == ["user:42", "user:7"]

    clock.forward(1)
    kind.tidy(rx)
    assert everybody(rx, A) == ["user:7"] and everybody(rx, B) == ["user:42", "user:7"]
    assert changes(rx, A) == ["occupied", "join 42", "join 7", "leave 42"]
    assert [c.entry.id for c in rx.roster.connections()] == ["c2", "c4", "watcher"]
    found = rx.roster.connection("c2")
    assert found is not None and found.workers == ("w2",)


def test_each_member_of_a_dead_worker_leaves_once(
    tx: Broker, rx: Broker, clock: Clock, kind: Any
) -> None:
    """However many see to it at once, and in however many pieces."""
    watch(tx, A)
    bring(tx, "w1", *MANY, record=True)
    bring(tx, "w2", entry("c500", "500", A))
    clock.forward(TTL)
    together(*(lambda broker=broker: kind.tidy(broker) for broker in (tx, rx, tx, rx)))

    gone = sorted(change for change in changes(rx, A) if change.startswith("leave"))
    assert gone == sorted([f"leave {one.user}" for one in MANY] + ["leave 500"])
    assert changes(rx, A)[-1] == "vacated" and everybody(rx, A) == []
    ended = [e["connection"] for e in recorded(rx) if e["event"] == "disconnect"]
    assert sorted(ended) == [one.id for one in MANY]  # w2 did not ask for it
    assert [c.entry.id for c in rx.roster.connections()] == ["watcher"]


def test_who_follows_the_log_sees_to_it(tx: Broker, rx: Broker, clock: Clock) -> None:
    """Nobody has to ask, and many are not a step a second each: who waits is not kept waiting."""
    watch(tx, A)
    bring(tx, "w", *MANY, *(entry(f"d{i}", None, B) for i in range(2000)))
    follower = rx.log.follow()
    follower.watch(presence_of(A))
    clock.forward(TTL)
    # 42 steps: with a second between them it would not be done in time
    until(lambda: (follower.next(TIMEOUT), rx.roster.connections(limit=2))[1][1:] == [], "all gone")
    follower.close()
    assert everybody(rx, A) == [] and changes(rx, A)[-1] == "vacated"


@pytest.mark.parametrize("swept", ["not yet", "in part", "all"])
def test_a_worker_that_was_away_for_too_long_is_told(
    tx: Broker, rx: Broker, clock: Clock, kind: Any, swept: str
) -> None:
    """Then it brings all it has; of those that the log had still, nobody hears anything."""
    bring(tx, "w", *MANY)
    watch(rx, A)
    clock.forward(TTL)
    if swept == "all":
        kind.tidy(rx)
    elif swept == "in part":
        kind.tidy_a_bit(rx)
        left = {one.key for one in rx.roster.members(A, limit=500).members}
        assert 0 < len(left) < len(MANY)

    assert not renew(tx, "w")
    assert bring(tx, "w", *MANY)
    kind.tidy(rx)
    clock.forward(TTL - 1)
    kind.tidy(rx)

    assert sorted(everybody(rx, A)) == sorted(f"user:{one.user}" for one in MANY)
    assert rx.roster.members(A).connections == len(MANY) + 1
    seen = changes(rx, A)
    joined, left_ = (sum(c.startswith(w) for c in seen) for w in ("join", "leave"))
    assert joined == left_ == {"not yet": 0, "in part": 50, "all": 120}[swept]


def test_what_a_call_brings_is_kept_whether_the_worker_was_known_or_not(
    tx: Broker, clock: Clock, kind: Any
) -> None:
    bring(tx, "w", entry("c1", "42", A))
    clock.forward(TTL)
    assert not bring(tx, "w", entry("c2", "7", A))
    kind.tidy(tx)
    assert everybody(tx, A) == ["user:7"]
    assert drop(tx, "w", "c2")
    assert everybody(tx, A) == []


def test_after_a_new_epoch_all_workers_bring_all_again(
    tx: Broker, rx: Broker, clock: Clock, kind: Any
) -> None:
    """Of those who do nobody is seen to leave; who does not has gone when their lease is over."""
    watch(tx, A)
    bring(tx, "w1", entry("c1", "42", A))
    bring(rx, "w2", entry("c2", "7", A))
    epoch = now(tx).epoch
    publish(tx, B)
    kind.begin_epoch()

    assert not renew(tx, "w1")
    assert now(rx).epoch != epoch
    assert bring(tx, "w1", entry("c1", "42", A))
    watch(tx, A)
    kind.tidy(rx)
    assert everybody(rx, A) == ["user:42", "user:7"]
    clock.forward(TTL - 1)
    renew(tx, "w1")
    clock.forward(1)
    kind.tidy(rx)
    assert everybody(tx, A) == ["user:42"]
    assert not renew(rx, "w2")
    assert [c for c in changes(rx, A) if c.startswith("leave")] == ["leave 7"]


def test_presence_is_kept_briefly_and_events_for_a_day(tx: Broker, clock: Clock, kind: Any) -> None:
    """Whoever comes back later takes a snapshot; a webhook's receiver may be mended overnight."""
    watch(tx, A)
    for _ in range(5):
        bring(tx, "w", entry("c1", "42", A), record=True)
        drop(tx, "w", "c1", record=True)
    assert len(told(tx, A)) == 11
    clock.forward(121)
    kind.tidy(tx)
    assert told(tx, A) == [] and len(recorded(tx)) == 5 * 5
    clock.forward(86400)
    kind.tidy(tx)
    assert recorded(tx) == []


def test_who_waits_goes_with_the_lease_of_the_worker(
    tx: Broker, rx: Broker, clock: Clock, kind: Any
) -> None:
    """At its end, swept or not; what comes under a new lease counts once, and is not swept."""
    count(tx, "w1", {f"x:{i}": 1 for i in range(900)} | {A: 2})
    count(rx, "w2", {A: 3})
    clock.forward(TTL - 1)
    count(rx, "w2", {A: 4})
    assert waiting(rx, A) == [6]
    clock.forward(1)
    assert waiting(rx, A, "x:0") == [4, 0]
    assert not count(tx, "w1", {A: 1})
    assert waiting(rx, A, "x:0") == [5, 0]
    kind.tidy(rx)
    assert waiting(rx, A, "x:899") == [5, 0]


def test_after_a_new_epoch_who_waits_counts_once(tx: Broker, rx: Broker, kind: Any) -> None:
    """Though the lease under which it was said first has not ended."""
    count(tx, "w1", {A: 2})
    publish(tx, B)
    now(rx)
    kind.begin_epoch()
    now(rx)
    assert not count(tx, "w1", {A: 2})
    assert waiting(rx, A) == [2]
