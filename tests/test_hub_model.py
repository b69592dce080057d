"""The hub and its subscribers against a ledger: whatever is done in whatever order, each has every
message of its channels once and in order, or was told which of them it lacks.

What belongs here: many subscribers that come with old cursors, change channels and leave, while the
log moves on, forgets and begins new epochs. What does not: one of these at a time (``test_hub``),
and the moments within one of them (``test_interleavings``).
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pushapp.broker.interface import Page
from pushapp.hub import Hub
from pushapp.message import Bundle, Cursor, Loss, Message
from pushapp.subscriber import Subscriber

from .fake_log import FakeBroker, FakeLog
from .server import until

CHANNELS = ("a", "b", "c")
channels = st.lists(st.sampled_from(CHANNELS), unique=True, min_size=1)
some = st.integers(0, 99)  # which of those that there are


class MovingLog(FakeLog):
    """One whose state a reader never sees half changed."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.RLock()

    def append(self, channel: str, data: str = "0") -> str:
        with self.lock:
            return super().append(channel, data)

    def _page(self, channels: Collection[str], cursor: Cursor | None, upto: int | None) -> Page:
        with self.lock:
            return super()._page(channels, cursor, upto)

    def forget(self, n: int) -> None:
        """Keep one message no longer."""
        with self.lock:
            self.trimmed.add(n)

    def begin(self, epoch: str) -> None:
        """End the epoch: what was kept is gone."""
        with self.lock:
            self.epoch, self.messages, self.trimmed = epoch, [], set()


class Listener(Subscriber):
    """Files what it gets, and what it is told."""

    def __init__(self, hub: Hub, channels: Sequence[str], since: Cursor) -> None:
        super().__init__(tuple(channels))
        self.hub = hub
        self.since = {channel: [since] for channel in channels}  # it wants what is after these
        self.got: list[Message] = []
        self.lost: list[tuple[Cursor, Loss]] = []  # each with how far it was told then
        self.gone = False

    def file(self, messages: Sequence[Message], lost: Sequence[Loss], upto: Cursor) -> None:
        self.lost += [(upto, loss) for loss in lost]
        self.got += messages

    def deliver(self, bundle: Bundle) -> None:
        self.got.extend(bundle.messages)

    def tell(self, cursor: Cursor, lost: Sequence[Loss]) -> None:
        self.file((), lost, self.hub._target)

    def drain(self, after: float) -> None:
        raise AssertionError("nobody is sent away here")

    def on_due(self) -> float | None:
        return None


class HubMachine(RuleBasedStateMachine):
    """A hub, its subscribers, and a ledger of all that was ever appended."""

    @initialize()
    def begin(self) -> None:
        self.broker: Any = FakeBroker()
        self.log = self.broker.log = MovingLog()
        self.hub = Hub(self.broker)
        self.ledger: list[tuple[str, int, str]] = []  # epoch, number, channel
        self.forgotten: set[tuple[str, int]] = set()
        self.epochs = [self.log.epoch]
        self.heads = [self.log.head]  # cursors that somebody may have
        self.listeners: list[Listener] = []

    def teardown(self) -> None:
        self.settle()
        self.hub.close()

    # -- what may happen -------------------------------------------------------------------------

    @rule(
        to=st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=5),
        heard=st.sampled_from((False, False, True)),
    )
    def append(self, to: list[str], heard: bool) -> None:
        for channel in to:
            self.log.append(channel)
            self.ledger.append((*self.log.head, channel))
        self.heads.append(self.log.head)
        if heard:
            self.hub._follower.wake()

    @rule(channel=st.sampled_from(CHANNELS))
    def forget(self, channel: str) -> None:
        """Its oldest message is not kept any more, read or not."""
        kept = {m.n for m in self.log.messages if m.channel == channel} - self.log.trimmed
        if kept:
            self.log.forget(min(kept))
            self.forgotten.add((self.log.epoch, min(kept)))

    @rule()
    def end_the_epoch(self) -> None:
        self.forgotten.update((epoch, n) for epoch, n, _ in self.ledger)
        self.epochs.append(f"fake{len(self.epochs)}")
        self.log.begin(self.epochs[-1])
        self.heads.append(self.log.head)

    @rule(to=channels, which=some)
    def come(self, to: list[str], which: int) -> None:
        cursor = self.heads[which % len(self.heads)]
        listener = Listener(self.hub, to, cursor)
        self.listeners.append(listener)
        self.go_live(listener, to, cursor)

    @precondition(lambda self: self.here())
    @rule(which=some, more=channels)
    def listen_to_more(self, which: int, more: list[str]) -> None:
        """As a stream does: it goes back as a whole to where it has been served."""
        listener = self.one(which)
        added = [channel for channel in more if channel not in listener.channels]
        with self.hub.lock:
            cursor = self.hub.position_of(listener)
            listener.live = False
            listener.channels = (*listener.channels, *added)
        for channel in added:
            listener.since.setdefault(channel, []).append(cursor)
        self.go_live(listener, added, cursor)

    @precondition(lambda self: self.here())
    @rule(which=some, less=st.sampled_from(CHANNELS))
    def listen_to_less(self, which: int, less: str) -> None:
        self.settle()  # or nobody could say what it should have had
        listener = self.one(which)
        if less in listener.channels:
            listener.channels = tuple(c for c in listener.channels if c != less)
            self.hub.leave(listener, [less])
            self.check(listener)
            listener.since.pop(less)

    @precondition(lambda self: self.here())
    @rule(which=some)
    def leave(self, which: int) -> None:
        listener = self.one(which)
        self.hub.leave(listener)
        listener.gone, had = True, len(listener.got)
        self.settle()
        assert len(listener.got) == had, "one who has left is handed nothing"

    @rule()
    def settle(self) -> None:
        """Everybody has been served; here is what must hold."""
        self.hub._follower.wake()
        if self.hub.position != self.log.head:  # most often it takes far less than until()'s step
            threading.Event().wait(0.001)
        until(lambda: self.hub.position == self.log.head, "the hub has followed")
        for listener in self.here():
            self.check(listener)

    # -- how -------------------------------------------------------------------------------------

    def here(self) -> list[Listener]:
        return [listener for listener in self.listeners if not listener.gone]

    def one(self, which: int) -> Listener:
        here = self.here()
        return here[which % len(here)]

    def go_live(self, listener: Listener, added: Sequence[str], cursor: Cursor) -> None:
        """Join, read, go live: the law of the hub, as each transport keeps it."""
        self.hub.join(listener, added)
        for _ in range(1000):
            page = self.log.read(listener.channels, cursor)
            listener.file(page.messages, page.lost, page.cursor)
            cursor = page.cursor
            with self.hub.lock:
                if self.hub.go_live(listener, cursor):
                    return
            self.hub.catch_up(cursor)
        raise AssertionError("it never goes live")

    def check(self, listener: Listener) -> None:
        places = [(self.epochs.index(m.epoch), m.n) for m in listener.got]
        assert places == sorted(set(places)), "each once, in the order of the log"
        got = {(m.epoch, m.n) for m in listener.got}
        for channel in listener.channels:
            since = listener.since[channel][-1]
            start = self.epochs.index(since.epoch), since.n
            for epoch, n, of in self.ledger:
                if of != channel or (self.epochs.index(epoch), n) <= start or (epoch, n) in got:
                    continue
                assert (epoch, n) in self.forgotten, f"{epoch}.{n} of {channel} is missing"
                assert any(
                    loss.channel == channel and self.covers(loss, upto, Cursor(epoch, n))
                    for upto, loss in listener.lost
                ), f"{epoch}.{n} of {channel} is missing, and nobody was told"

        for upto, loss in listener.lost:
            if loss.reason == "expired" and loss.channel in listener.channels:
                assert any(
                    of == loss.channel and (e, n) not in got
                    for e, n, of in self.ledger
                    if self.covers(loss, upto, Cursor(e, n))
                ), f"{loss} is told, and nothing is missing"

    def covers(self, loss: Loss, upto: Cursor, missing: Cursor) -> bool:
        """Tell whether ``loss``, told with what was there up to ``upto``, names ``missing``."""
        after = Cursor.parse(loss.after)
        if missing.epoch == after.epoch and missing.n <= after.n:
            return False
        if missing.epoch != upto.epoch:
            return self.epochs.index(missing.epoch) < self.epochs.index(upto.epoch)
        end = upto.n + 1 if loss.before is None else Cursor.parse(loss.before).n
        return missing.n < end


def test_everybody_has_everything_or_is_told_what_they_lack() -> None:
    """120 times 40 steps of any kind."""
    run_state_machine_as_test(
        HubMachine,
        settings=settings(
            max_examples=120,
            stateful_step_count=40,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
