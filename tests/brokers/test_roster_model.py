"""The roster against a model of it: whoever comes, moves, dies or sleeps, in whatever order.

The model remembers what each lease holds. A watcher follows what is told, and must have the truth.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pushapp.broker.bring import key_of
from pushapp.broker.interface import Broker
from pushapp.broker.roster import Entry, presence_of

from .kinds import Kind
from .roster_tools import TTL, entry, everybody, keys
from .tools import A, B, Clock, now, publish, together

CHANNELS = (A, B)
WORKERS = ("w1", "w2", "w3")
IDS = ("c1", "c2", "c3", "c4", "c5")
USERS = {"c1": "42", "c2": "42", "c3": "7"}  # the others have none

either = st.sampled_from((0, 1))  # of the two brokers
workers = st.sampled_from(WORKERS)
ids = st.lists(st.sampled_from(IDS), unique=True, max_size=4)
entries = st.builds(
    lambda id, channels, watches, observer: entry(
        id, USERS.get(id), *channels, watches=watches, observer=observer
    ),
    st.sampled_from(IDS),
    st.lists(st.sampled_from(CHANNELS), unique=True),
    st.booleans(),
    st.booleans(),
)


@dataclass
class Lease:
    """What the log has of one."""

    worker: str | None  # None: no longer known by that name
    expires: float
    held: dict[str, Entry] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)


class View:
    """A watcher's: a snapshot, and the changes after it."""

    def __init__(self, broker: Broker, channel: str) -> None:
        self._broker, self._channel = broker, channel
        self._look()

    def _look(self) -> None:
        page = self._broker.roster.members(self._channel, limit=10_000)
        self.keys, self.cursor = set(keys(page)), page.version
        assert len(self.keys) == page.count

    def follow(self) -> None:
        """Hear all that was told since; every join is of one who was not there."""
        while True:
            page = self._broker.log.read([presence_of(self._channel)], self.cursor)
            if page.lost:
                return self._look()
            for message in page.messages:
                news = json.loads(message.data)
                if news.get("anew"):
                    return self._look()
                for change in news["changes"]:
                    self._apply(change)
                assert news["count"] == len(self.keys)
            self.cursor = page.cursor
            if not page.more:
                return

    def _apply(self, change: dict[str, str]) -> None:
        kind = "user" if "user" in change else "anonymous"
        key = f"{kind}:{change.get(kind)}"
        match change["event"]:
            case "join":
                assert key not in self.keys
                self.keys.add(key)
            case "leave":
                self.keys.remove(key)
            case "occupied" | "vacated":
                assert not self.keys
            case other:
                raise AssertionError(other)


class RosterMachine(RuleBasedStateMachine):
    """Two brokers, three workers that use either, and the model."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.kind, self.clock = kind, Clock()
        self.brokers = [kind.open(self.clock), kind.open(self.clock)]
        self.leases: list[Lease] = []
        self.views = {channel: View(self.brokers[0], channel) for channel in CHANNELS}
        self.epochs = 0

    def teardown(self) -> None:
        for broker in self.brokers:
            broker.close()
        self.kind.forget()

    # -- what may happen -------------------------------------------------------------------------

    @rule(
        broker=either,
        worker=workers,
        came=st.lists(entries, max_size=4),
        gone=ids,
        waiting=st.dictionaries(st.sampled_from(CHANNELS), st.integers(0, 9)),
    )
    def sync(
        self,
        broker: int,
        worker: str,
        came: list[Entry],
        gone: list[str],
        waiting: dict[str, int],
    ) -> None:
        # One that brings nothing may leave a young lease as it is, which the model cannot know.
        known = self.brokers[broker].roster.sync(worker, came, [*gone, "never"], waiting, ttl=TTL)
        lease = next((one for one in self.leases if one.worker == worker), None)
        alive = lease is not None and lease.expires > self.clock.now
        assert known == alive
        if lease is None or not alive:
            if lease is not None:
                lease.worker = None
            lease = Lease(worker, 0.0)
            self.leases.append(lease)
        lease.expires = self.clock.now + TTL
        lease.held.update((one.id, one) for one in came)
        for id in gone:
            lease.held.pop(id, None)
        lease.waiting |= waiting

    @rule(seconds=st.sampled_from((1.0, 8.0)))
    def wait(self, seconds: float) -> None:
        self.clock.forward(seconds)

    @rule(broker=either)
    def sweep(self, broker: int) -> None:
        self.kind.tidy(self.brokers[broker])
        self.leases = [one for one in self.leases if one.expires > self.clock.now]

    @precondition(lambda self: self.epochs < 2)  # each is a copy of a file
    @rule()
    def begin_epoch(self) -> None:
        self.epochs += 1
        publish(self.brokers[0], f"x:{self.epochs}")
        head = {now(broker) for broker in self.brokers}
        self.kind.begin_epoch()
        assert now(self.brokers[1]).epoch not in {one.epoch for one in head}
        for lease in self.leases:
            lease.worker = None

    # -- what must hold --------------------------------------------------------------------------

    def said(self) -> list[Entry]:
        return [one for lease in self.leases for one in lease.held.values()]

    @invariant()
    def members_are_those_who_are_there(self) -> None:
        for channel in CHANNELS:
            here = [one for one in self.said() if channel in one.channels]
            truth = sorted({key_of(one) for one in here if not one.observer})
            assert everybody(self.brokers[1], channel) == truth
            figures = self.brokers[1].roster.members(channel, limit=0)
            assert figures.connections == len({one.id for one in here})
            watchers = {one.id for one in here if one.watches}
            assert figures.watchers == len(watchers)
            alive = [
                lease
                for lease in self.leases
                if lease.worker is not None and lease.expires > self.clock.now
            ]
            assert figures.waiting == sum(lease.waiting.get(channel, 0) for lease in alive)
            view = self.views[channel]
            view.follow()
            if watchers:
                assert view.keys == set(truth)

    @invariant()
    def connections_are_those_that_somebody_has(self) -> None:
        listed = {c.entry.id: c for c in self.brokers[0].roster.connections()}
        assert set(listed) == {one.id for one in self.said()}
        for id, found in listed.items():
            channels = {name for one in self.said() if one.id == id for name in one.channels}
            assert set(found.entry.channels) == channels
        mine = {c.entry.id for c in self.brokers[0].roster.connections("42")}
        assert mine == {one.id for one in self.said() if one.user == "42"}


def test_the_roster_does_what_the_model_says(make_kind: Callable[[], Kind]) -> None:
    """25 times 30 steps of any kind."""
    run_state_machine_as_test(
        lambda: RosterMachine(make_kind()),
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_watchers_have_the_truth_while_all_come_and_go_at_once(
    open_log: Callable[[], Broker],
) -> None:
    """Three workers at a time bring and drop what others hold, too; three watchers take snapshots
    in the middle of it and follow on."""
    brokers = [open_log() for _ in range(3)]
    watcher = entry("watcher", None, A, watches=True, observer=True)
    brokers[0].roster.sync("watching", [watcher], (), ttl=1e6)
    held: list[dict[str, Entry]] = [{} for _ in brokers]
    working = threading.Semaphore(0)
    people = [entry(f"c{i}", None if i % 3 else str(i % 4), A) for i in range(40)]

    def work(number: int) -> None:
        chance = random.Random(number)
        for _ in range(60):
            came = chance.sample(people, chance.randint(0, 12))
            gone = [one.id for one in chance.sample(people, chance.randint(0, 12))]
            brokers[number].roster.sync(f"w{number}", came, gone, ttl=60.0)
            held[number].update((one.id, one) for one in came)
            for id in gone:
                held[number].pop(id, None)
        working.release()

    def look(number: int) -> None:
        view = View(brokers[number], A)
        while not working.acquire(timeout=0.0):
            view.follow()
        working.release()
        view.follow()
        views.append(view)

    views: list[View] = []
    together(*(lambda n=n: work(n) for n in range(3)), *(lambda n=n: look(n) for n in range(3)))

    truth = {key_of(one) for mine in held for one in mine.values()}
    assert set(everybody(brokers[0], A)) == truth
    for view in views:
        view.follow()
        assert view.keys == truth
