"""The hub: everything newer, once, in order, and true cursors."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from queue import SimpleQueue

import pytest
from gevent.monkey import is_module_patched

import pushapp.background
import pushapp.delivery
from pushapp.errors import LogUnavailable, TooManyRequests
from pushapp.hub import Hub
from pushapp.message import Bundle, Cursor, Loss
from pushapp.quota import Quota
from pushapp.seats import Seats
from pushapp.subscriber import Subscriber

from .fake_log import FakeBroker, FakeLog
from .server import until

TIMEOUT = 10  # seconds; only failures pay it


class Listener(Subscriber):
    """A subscriber that remembers what it got."""

    def __init__(self, *channels: str) -> None:
        super().__init__(channels)
        self.got: SimpleQueue[str] = SimpleQueue()
        self.told: SimpleQueue[tuple[str, list[Loss]]] = SimpleQueue()
        self.drained: list[float] = []

    def deliver(self, bundle: Bundle) -> None:
        for message in bundle.messages:
            self.got.put(message.id)

    def tell(self, cursor: Cursor, lost: Sequence[Loss]) -> None:
        self.told.put((str(cursor), list(lost)))

    def on_due(self) -> float | None:
        return None

    def drain(self, after: float) -> None:
        self.drained.append(after)

    def receive(self, n: int) -> list[str]:
        return [self.got.get(timeout=TIMEOUT) for _ in range(n)]


class Failing(Listener):
    """A subscriber that breaks its promise not to raise."""

    def deliver(self, bundle: Bundle) -> None:
        raise RuntimeError("broken on purpose")


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
def log(broker: FakeBroker) -> FakeLog:
    return broker.log


@pytest.fixture
def hub(broker: FakeBroker) -> Iterator[Hub]:
    hub = Hub(broker)
    yield hub
    hub.close()
    assert len(hub) == 0, "a subscriber was left behind"


def go_live(hub: Hub, subscriber: Listener, cursor: Cursor | None = None) -> list[str]:
    """Subscribe as the transports do; return what the backlog was."""
    hub.join(subscriber, subscriber.channels)
    backlog = []
    while True:
        page = hub.log.read(subscriber.channels, cursor)
        backlog += [m.id for m in page.messages]
        cursor = page.cursor
        with hub.lock:
            if hub.go_live(subscriber, cursor):
                return backlog
        hub.catch_up(cursor)


def wake(hub: Hub) -> None:
    hub._follower.wake()


def test_a_subscriber_gets_its_channels_in_order_and_no_others(hub: Hub, log: FakeLog) -> None:
    """ "b" is somebody else's."""
    one = Listener("a", "c")
    go_live(hub, one)
    ids = [log.append(channel) for channel in "abcabc"]
    wake(hub)
    assert one.receive(4) == [ids[0], ids[2], ids[3], ids[5]]
    hub.leave(one)


@pytest.mark.skipif(
    not is_module_patched("threading"),
    reason="the turns of threads are the kernel's; see make test",
)
def test_input_that_comes_within_a_fan_out_is_read_before_its_end(
    hub: Hub, log: FakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks meanwhile is answered at the fan-out's next turn; its order stays."""
    monkeypatch.setattr(pushapp.delivery, "CHUNK", 1)
    monkeypatch.setattr(pushapp.background, "TURN", 0.0)
    near, far = socket.socketpair()
    got: list[int] = []
    read_at: list[int] = []

    class Asking(Listener):
        def deliver(self, bundle: Bundle) -> None:
            super().deliver(bundle)
            got.append(bundle.last)
            if len(got) == 3:
                far.send(b"a question")

    def answer() -> None:
        near.recv(100)
        read_at.append(len(got))

    asking = [Asking("a") for _ in range(40)]
    for one in asking:
        go_live(hub, one)
    answering = threading.Thread(target=answer)
    answering.start()
    ids = [log.append("a")]
    wake(hub)
    for one in asking:
        assert one.receive(1) == ids
        hub.leave(one)
    answering.join(TIMEOUT)
    assert read_at in ([3], [4]), "at the next turn, not at the end"
    near.close()
    far.close()


def test_those_who_listen_to_the_same_share_one_bundle(hub: Hub, log: FakeLog) -> None:
    """So that it is encoded once."""
    bundles: SimpleQueue[Bundle] = SimpleQueue()

    class Keeper(Listener):
        def deliver(self, bundle: Bundle) -> None:
            bundles.put(bundle)

    keepers = [Keeper("a", "b") for _ in range(3)]
    for keeper in keepers:
        go_live(hub, keeper)
    log.append("a")
    log.append("b")
    wake(hub)
    got = [bundles.get(timeout=TIMEOUT) for _ in keepers]
    assert got[0] is got[1] is got[2]
    for keeper in keepers:
        hub.leave(keeper)


def test_a_message_between_reading_and_going_live_is_not_lost(hub: Hub, log: FakeLog) -> None:
    """The order is join, read, go live: the log moves right after the read."""
    one, other = Listener("a"), Listener("a")
    go_live(hub, other)
    cursor = log.head
    moved = []

    def move() -> None:
        if not moved:
            moved.append(log.append("a"))
            wake(hub)
            assert other.receive(1) == moved  # the hub is past it before ``one`` is live

    log.after_read = move
    backlog = go_live(hub, one, cursor)
    last = log.append("a")
    wake(hub)
    assert backlog + one.receive(2 - len(backlog)) == [moved[0], last]
    hub.leave(one)
    hub.leave(other)


def test_what_the_backlog_had_does_not_come_again(hub: Hub, log: FakeLog) -> None:
    """The reader was ahead of the hub: the hub's own page still holds what it has read."""
    one = Listener("a")
    cursor = log.head
    first = log.append("a")
    assert go_live(hub, one, cursor) == [first]
    last = log.append("a")
    wake(hub)
    assert one.receive(1) == [last]
    hub.leave(one)


def test_a_part_of_a_page_that_is_known_is_left_out(hub: Hub, log: FakeLog) -> None:
    """One bundle, and a subscriber that has its first half."""
    ahead, behind = Listener("a"), Listener("a")
    go_live(hub, behind)
    ids = [log.append("a"), log.append("a")]
    go_live(hub, ahead)
    ids += [log.append("a"), log.append("a")]
    wake(hub)
    assert behind.receive(4) == ids
    assert ahead.receive(2) == ids[2:]
    hub.leave(ahead)
    hub.leave(behind)


def test_who_leaves_a_channel_gets_no_more_of_it(hub: Hub, log: FakeLog) -> None:
    """Not even of the page that is being handed out; of its other channels it gets all."""

    class Leaver(Listener):
        def deliver(self, bundle: Bundle) -> None:
            hub.leave(leaver, ["b"])  # as an unsubscribe does, under the hub's lock
            leaver.channels = ("a",)
            super().deliver(bundle)

    first, leaver = Leaver("a", "b"), Listener("a", "b")
    go_live(hub, first)
    go_live(hub, leaver)
    ids = [log.append("a"), log.append("b"), log.append("a")]
    wake(hub)
    assert first.receive(3) == ids
    assert leaver.receive(2) == [ids[0], ids[2]]
    ids.append(log.append("a"))
    wake(hub)
    assert leaver.receive(1) == ids[3:]
    hub.leave(first)
    hub.leave(leaver)


def test_the_position_moves_when_everybody_has_been_served(hub: Hub, log: FakeLog) -> None:
    """A cursor made from it must be true for the last one, too."""
    seen: SimpleQueue[Cursor] = SimpleQueue()

    class Watcher(Listener):
        def deliver(self, bundle: Bundle) -> None:
            seen.put(hub.position)

    watchers = [Watcher("a"), Watcher("a")]
    start = hub.position
    for watcher in watchers:
        go_live(hub, watcher)
    log.append("a")
    wake(hub)
    assert [seen.get(timeout=TIMEOUT) for _ in watchers] == [start, start]
    for watcher in watchers:
        hub.leave(watcher)


def test_one_that_fails_disturbs_nobody(hub: Hub, log: FakeLog) -> None:
    """It is let go, and the listener goes on."""
    broken, whole = Failing("a"), Listener("a")
    go_live(hub, broken)
    go_live(hub, whole)
    ids = [log.append("a")]
    wake(hub)
    assert whole.receive(1) == ids
    ids.append(log.append("a"))
    wake(hub)
    assert whole.receive(1) == ids[1:]
    assert len(hub) == 1
    hub.leave(whole)


def test_an_epoch_that_ends_is_told_and_the_new_one_comes_whole(hub: Hub, log: FakeLog) -> None:
    """From its oldest message on."""
    one = Listener("a")
    log.append("a")
    go_live(hub, one)
    log.epoch, log.messages = "next", []
    first = log.append("a")
    wake(hub)
    cursor, lost = one.told.get(timeout=TIMEOUT)
    assert cursor == "next.0"
    assert [(loss.channel, loss.reason) for loss in lost] == [("a", "epoch")]
    assert one.receive(1) == [first]
    hub.leave(one)


def test_a_loss_of_the_hub_is_told_to_those_who_lost(hub: Hub, log: FakeLog) -> None:
    """Whoever has read further than the hub is judged by their own cursor, and never sent back."""
    behind, ahead, between = Listener("a"), Listener("a"), Listener("a")
    go_live(hub, behind)
    ids = [log.append("a") for _ in range(5)]
    log.trimmed = {1, 2}
    go_live(hub, ahead)
    log.trimmed |= {3, 4}
    for subscriber, n in ((between, 3), (ahead, 5)):
        subscriber.n, subscriber.live = n, True
    hub.join(between, ["a"])
    wake(hub)

    assert behind.told.get(timeout=TIMEOUT)[0] == "fake.0"
    cursor, (loss,) = between.told.get(timeout=TIMEOUT)
    assert (cursor, loss.after, loss.before) == ("fake.3", "fake.3", ids[4])
    assert behind.receive(1) == between.receive(1) == ids[4:]
    given = log.append("a")
    wake(hub)
    assert ahead.receive(1)[0] == given
    assert ahead.told.empty()
    for subscriber in (behind, ahead, between):
        hub.leave(subscriber)


def test_what_comes_is_not_told_as_lost(hub: Hub, log: FakeLog) -> None:
    """The log goes on losing while a page is handed out: whoever has read further than the hub is
    told what they miss beside that page, and gets what it still has."""
    one = Listener("a")
    log.append("a")
    hub.join(one, ["a"])
    ids = [log.append("a") for _ in range(6)]
    log.trimmed = {2, 4}
    one.n, one.live = 3, True
    log.before_read = lambda: log.trimmed.update({5, 6})  # after the page, which has them
    wake(hub)

    cursor, (loss,) = one.told.get(timeout=TIMEOUT)
    assert (cursor, loss.after, loss.before) == ("fake.3", "fake.3", "fake.5")
    assert one.receive(3) == ids[3:]
    hub.leave(one)


def test_a_reader_that_sees_a_new_epoch_first_waits_for_the_hub(hub: Hub, log: FakeLog) -> None:
    """Live is granted only where the hub is."""
    one = Listener("a")
    log.epoch, log.messages = "next", []
    log.append("a")
    assert go_live(hub, one, Cursor("next", 0)) == ["next.1"]
    assert hub.position.epoch == "next"
    hub.leave(one)


def test_the_listener_survives_a_log_that_does_not_answer(hub: Hub, log: FakeLog) -> None:
    """It tries again, and nothing is missed."""
    one = Listener("a")
    go_live(hub, one)
    page, failed = log._page, threading.Event()

    def broken(*args: object) -> object:
        if not failed.is_set():
            failed.set()
            raise LogUnavailable("not now")
        return page(*args)  # type: ignore[arg-type]

    log._page = broken  # type: ignore[assignment, method-assign]
    message = log.append("a")
    wake(hub)
    assert failed.wait(TIMEOUT)
    wake(hub)
    assert one.receive(1) == [message]
    hub.leave(one)


def test_a_channel_nobody_listens_to_is_let_go(hub: Hub) -> None:
    """Of the follower, too."""
    one, two = Listener("a"), Listener("a", "b")
    hub.join(one, one.channels)
    hub.join(two, two.channels)
    assert hub.channels == 2 and hub._follower.watched == {"a", "b"}
    hub.leave(two)
    assert hub._follower.watched == {"a"}
    hub.leave(one)
    hub.leave(one)
    assert hub._follower.watched == set()


def test_one_that_rests_is_not_counted_and_goes_on_where_it_was(broker: FakeBroker) -> None:
    """It is handed nothing meanwhile, and takes nobody's seat; what came it has to read first."""
    hub, log = Hub(broker, Seats(Quota(user_connections=1))), broker.log
    one, other = Listener("a"), Listener("a")
    one.user = other.user = "42"
    start = log.head
    go_live(hub, one)
    with hub.lock:
        hub.rest(one, TIMEOUT)
    assert len(hub) == 0 and hub.subscribers() == [] and hub.channels == 1
    hub.seats.check("42", None)
    assert hub.go_on(one, start)
    assert len(hub) == 1 and hub.subscribers() == [one] and not hub.go_on(one, start)
    with pytest.raises(TooManyRequests):
        hub.join(other, other.channels)
    with hub.lock:
        hub.rest(one, TIMEOUT)
    message = log.append("a", "{}")
    wake(hub)
    until(lambda: str(hub.position) == message, "the hub has handed it out")
    assert one.got.empty() and not hub.go_on(one, start)
    assert hub.go_on(one, hub.position)
    again = log.append("a", "{}")
    wake(hub)
    assert one.receive(1) == [again]
    with hub.lock:
        hub.rest(one, TIMEOUT)
    for _ in range(2):
        hub.leave(one)
        assert len(hub) == hub.channels == len(hub.seats) == 0
    assert not hub.go_on(one, hub.position)
    hub.close()


def test_one_that_rests_counts_once_wherever_it_asks_again(hub: Hub) -> None:
    """On its own connection it has its place; behind a proxy it may come on another one."""
    one, elsewhere, other = Listener("a"), Listener("a"), Listener("a")
    go_live(hub, one)
    assert hub.moved() == {"a": 1}
    with hub.lock:
        hub.rest(one, TIMEOUT)
    assert hub.moved() == {}  # mostly it is back before anybody looks
    go_live(hub, elsewhere)
    assert hub.moved() == {"a": 1}
    hub.leave(one)
    assert hub.moved() == {"a": 1}
    with hub.lock:
        hub.rest(elsewhere, TIMEOUT)
    go_live(hub, other)
    assert hub.moved() == {"a": 1}
    assert hub.go_on(elsewhere, hub.position)
    assert hub.moved() == {"a": 2}
    hub.leave(elsewhere)
    hub.leave(other)
    assert hub.moved() == {"a": 0}


def test_where_nobody_rests_listeners_are_not_counted_one_by_one(hub: Hub) -> None:
    """It is done each second, and nobody else has their turn meanwhile."""

    class Unasked(Listener):
        """One who must not be asked while it listens."""

        asked = False

        @property
        def rests(self) -> bool:
            self.asked = True
            return False

        @rests.setter
        def rests(self, rests: bool) -> None:
            """It never does."""

    one = Unasked("a")
    go_live(hub, one)
    assert hub.moved() == {"a": 1} and not one.asked
    hub.leave(one)


def test_a_drain_lets_everybody_go_within_the_window(hub: Hub) -> None:
    """Spread, so that they do not all come back at once."""
    listeners = [Listener("a") for _ in range(20)]
    for listener in listeners:
        go_live(hub, listener)
    hub.drain(10.0)
    delays = [listener.drained[0] for listener in listeners]
    assert all(0 <= delay <= 10 for delay in delays)
    assert max(delays) - min(delays) > 1
    for listener in listeners:
        hub.leave(listener)


def test_a_loop_that_fails_begins_anew(
    hub: Hub, log: FakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wheel goes on turning whatever happened to it, and never dies in silence."""

    class Due:
        slot = None
        fired = threading.Event()

        def on_due(self) -> None:
            self.fired.set()

    def fail(slot: object) -> None:
        monkeypatch.undo()
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(hub.wheel, "_fire", fail)
    hub.wheel.set(Due(), 0)
    hub.wheel.set(Due(), 1.0)
    assert Due.fired.wait(TIMEOUT)


def test_what_fails_beside_handing_out_costs_nobody_a_message(
    hub: Hub, log: FakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listener goes on; who was to get something is sent away and comes back with a cursor."""
    one = Listener("a")
    go_live(hub, one)

    def fail() -> None:
        monkeypatch.undo()
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(hub.window, "sweep", fail)
    first = log.append("a")
    wake(hub)
    until(lambda: one.drained or not one.got.empty(), "it has been sent away, or served")
    second = log.append("a")
    wake(hub)
    assert one.drained or one.receive(1) == [first]
    assert one.receive(1) == [second]
    hub.leave(one)
