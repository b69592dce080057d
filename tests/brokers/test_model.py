"""The log against a model of it: whatever is done in whatever order, nothing is missing unnoticed.

The model remembers every message that there ever was, and which of them are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pushapp.broker.interface import Broker, Follower, Page
from pushapp.message import Draft

from .kinds import Kind
from .tools import BRIEF, DAY, FEW, A, Clock, append, cursor, ids, now, retention

CHANNELS = (A, FEW, BRIEF)
channels = st.sampled_from(CHANNELS)
either = st.sampled_from((0, 1))  # of the two brokers


class LogMachine(RuleBasedStateMachine):
    """Two brokers on one log, a follower of all channels at one of them, and the model."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.kind, self.clock = kind, Clock()
        self.brokers = [self.open(), self.open()]
        self.follower = self.follow()
        self.heads = [now(self.brokers[0])]  # cursors that somebody may have
        self.all: dict[str, list[int]] = {channel: [] for channel in CHANNELS}
        self.kept: dict[str, list[tuple[int, float]]] = {channel: [] for channel in CHANNELS}
        self.retained: dict[str, int | None] = dict.fromkeys(CHANNELS)
        self.scheduled: list[tuple[float, int, str]] = []  # when, place in the schedule, channel
        self.places = 0
        self.told: dict[str, int] = {}  # up to where the follower has told of a loss
        self.floor = 0

    def open(self) -> Broker:
        return self.kind.open(self.clock)

    def follow(self) -> Follower:
        follower = self.brokers[1].log.follow()
        for channel in CHANNELS:
            follower.watch(channel)
        return follower

    def teardown(self) -> None:
        self.follower.close()
        for broker in self.brokers:
            broker.close()
        self.kind.forget()

    # -- what may happen -------------------------------------------------------------------------

    @rule(broker=either, to=st.lists(channels, min_size=1, max_size=6), retain=st.booleans())
    def publish(self, broker: int, to: list[str], retain: bool) -> None:
        given = append(
            self.brokers[broker], *(Draft(channel, "1", retain=retain) for channel in to)
        )
        for channel, id_ in zip(to, given, strict=True):
            self.published(channel, cursor(id_).n)
            if retain:
                self.retained[channel] = cursor(id_).n
        self.heads.append(cursor(given[-1]))

    def published(self, channel: str, n: int) -> None:
        assert all(n > max(numbers, default=0) for numbers in self.all.values())
        self.all[channel].append(n)
        kept = [*self.kept[channel], (n, self.clock.now)]
        self.kept[channel] = kept[-retention(channel).size :]

    @rule(seconds=st.sampled_from((1.0, 40.0)))
    def wait(self, seconds: float) -> None:
        self.clock.forward(seconds)

    @rule(broker=either)
    def nothing_happens_for_days(self, broker: int) -> None:
        self.wait(2 * DAY)
        self.sweep(broker)

    @rule(broker=either)
    def sweep(self, broker: int) -> None:
        one = self.brokers[broker]
        before = {info.channel for info in one.log.channels()}
        self.kind.tidy(one)
        for channel, kept in self.kept.items():
            oldest = self.clock.now - retention(channel).ttl
            self.kept[channel] = [(n, at) for n, at in kept if at > oldest]
        for channel in before - {info.channel for info in one.log.channels()}:
            assert not self.kept[channel] and self.retained[channel] is None
            self.floor = max(self.floor, *self.all[channel])

    @rule(broker=either, channel=channels)
    def clear(self, broker: int, channel: str) -> None:
        assert self.brokers[broker].log.clear(channel) == len(self.kept[channel])
        self.kept[channel], self.retained[channel] = [], None

    @rule(broker=either, channel=channels, delay=st.sampled_from((1.0, 30.0)))
    def schedule(self, broker: int, channel: str, delay: float) -> None:
        at = self.clock.now + delay
        self.brokers[broker].log.append([Draft(channel, "1", at=at)])
        self.places += 1
        self.scheduled.append((at, self.places, channel))

    @rule(broker=either)
    def fire(self, broker: int) -> None:
        due = sorted(entry for entry in self.scheduled if entry[0] <= self.clock.now)
        before = now(self.brokers[0])
        self.brokers[broker].schedule.fire_due()
        after = now(self.brokers[1])
        assert after.n == before.n + len(due)
        for n, (_, _, channel) in enumerate(due, before.n + 1):
            self.published(channel, n)
        self.scheduled = [entry for entry in self.scheduled if entry not in due]
        self.heads.append(after)

    @rule()
    def reopen(self) -> None:
        self.brokers[0].close()
        self.brokers[0] = self.open()

    # -- what must hold --------------------------------------------------------------------------

    @rule(broker=either, data=st.data(), limit=st.sampled_from((1, 3, 500)))
    def read(self, broker: int, data: Any, limit: int) -> None:
        came = data.draw(st.sampled_from(self.heads))
        of = data.draw(st.lists(channels, unique=True, min_size=1))
        page = self.brokers[broker].log.read(of, came, limit=limit)
        assert page.more == (len(self.after(of, came.n)) > limit)
        assert len(page.messages) <= limit
        self.check(page, of, came.n)

    @precondition(lambda self: not self.due())
    @rule()
    def follow_on(self) -> None:
        self.sweep(1)  # a follower does so from time to time
        behind = self.follower.position.n
        if behind < self.heads[-1].n:
            page = self.follower.next(0)
            self.check(page, CHANNELS, behind, self.told)
            for loss in page.lost:
                last = max(self.all[loss.channel], default=0)
                self.told[loss.channel] = cursor(loss.before).n - 1 if loss.before else last

    def due(self) -> bool:
        return any(at <= self.clock.now for at, _, _ in self.scheduled)

    def after(self, of: Any, n: int) -> list[int]:
        return sorted(m for channel in of for m, _ in self.kept[channel] if m > n)

    def check(self, page: Page, of: Any, after: int, told: dict[str, int] | None = None) -> None:
        """What is kept comes; what does not is told; nobody is told of a loss without cause.
        ``told``: up to where an earlier page has said so, of each channel, to a follower, whom its
        own process has told of what it appends: that comes, too, where it is not kept any more."""
        bound, came = page.cursor.n, {m.n for m in page.messages}
        due = {n for n in self.after(of, after) if n <= bound}
        if told is not None:
            due |= {n for channel in of for n in self.all[channel] if n > after and n in came}
        assert [m.n for m in page.messages] == sorted(due)
        lost = {loss.channel for loss in page.lost}
        for channel in of:
            kept = {n for n, _ in self.kept[channel]} | came
            known = max(after, (told or {}).get(channel, 0))
            missing = [n for n in self.all[channel] if n > known and n not in kept]
            if any(n <= bound for n in missing):
                assert channel in lost
            elif not missing and after >= self.floor:
                assert channel not in lost

    @invariant()
    def history_is_what_is_kept(self) -> None:
        for channel in CHANNELS:
            messages, info = self.brokers[0].log.history(channel, 5000)
            assert [m.n for m in messages] == [n for n, _ in self.kept[channel]]
            assert info.kept == len(messages)
            assert (info.retained and info.retained.n) == self.retained[channel]
            numbers = self.all[channel]
            for message in messages:
                place = numbers.index(message.n)
                known = numbers[place - 1] if place else None
                assert message.prev == known or (message.prev is None and known <= self.floor)
            assert info.last is None or cursor(info.last).n == numbers[-1]
            assert ids(messages) == [f"{message.epoch}.{message.n}" for message in messages]


def test_the_log_does_what_the_model_says(make_kind: Callable[[], Kind]) -> None:
    """60 times 30 steps of any kind."""
    run_state_machine_as_test(
        lambda: LogMachine(make_kind()),
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
