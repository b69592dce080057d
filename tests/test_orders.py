"""Orders: heard soon, heard late, never lost; and what is done about very many clients.

What belongs here: the loop. What does not: what an order does to a client
(``transports/test_revoking``, ``test_ending``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

from pushapp import endings, orders, revocations
from pushapp.background import CALM, spread
from pushapp.broker import open_broker
from pushapp.broker.interface import Broker
from pushapp.connection_ids import ConnectionIds
from pushapp.endings import Endings
from pushapp.errors import ConnectionEnded, LogUnavailable
from pushapp.orders import KEPT, Orders
from pushapp.retention import Retention
from pushapp.revocations import Revocations
from pushapp.settings import Settings
from pushapp.tokens import Tokens

from .server import until
from .wire import TIMEOUT


class Probe:
    """A kind of order that tells the test what comes, and fails when it is told to."""

    name = "probe"

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.acted: SimpleQueue[list[str]] = SimpleQueue()
        self.remembered = 0
        self.failures = 0

    def remember(self) -> Iterable[str]:
        self.remembered += 1
        return ()

    def learn(self, values: Iterable[str]) -> list[str]:
        news = [value for value in values if value not in self.known]
        self.known.update(news)
        return news

    def act(self, whom: list[str]) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("broken on purpose")
        self.acted.put(whom)

    def next(self) -> list[str]:
        return self.acted.get(timeout=TIMEOUT)


class Worker(SimpleNamespace):
    """One worker's loop on a log."""

    broker: Broker
    orders: Orders
    probe: Probe
    stirred: threading.Event


@pytest.fixture
def open_log(tmp_path: Path) -> Iterator[Callable[[], Broker]]:
    opened: list[Broker] = []

    def open_one() -> Broker:
        opened.append(open_broker(f"sqlite:///{tmp_path}/push.db", lambda _: Retention(100, 60)))
        return opened[-1]

    yield open_one
    for broker in opened:
        broker.close()


@pytest.fixture
def make_worker(open_log: Callable[[], Broker]) -> Iterator[Callable[..., Worker]]:
    made: list[Worker] = []

    def make(broker: Broker | None = None) -> Worker:
        stirred = threading.Event()
        worker = Worker(broker=broker or open_log(), stirred=stirred, probe=Probe())
        worker.orders = Orders(worker.broker, stirred)
        worker.orders.begin(worker.probe)
        made.append(worker)
        return worker

    yield make
    for worker in made:
        worker.orders.close()
        assert not worker.orders._loop.is_alive()


def test_an_order_is_done_here_at_once_and_there_soon(make_worker: Callable[..., Worker]) -> None:
    """Where it was given before ``give`` returns, and once."""
    here, there = make_worker(), make_worker()
    here.orders.give("a", {"probe": "a"})
    assert here.probe.acted.qsize() == 1 and here.probe.next() == ["a"]
    there.stirred.set()
    assert there.probe.next() == ["a"]
    there.orders.give("b", {"probe": "b"})
    assert here.probe.next() == ["b"]


def test_one_who_begins_later_knows(make_worker: Callable[..., Worker]) -> None:
    """Before anybody is let in; of two orders about the same the later one."""
    here = make_worker()
    for value in ("a", "b"):
        here.orders.give("the same", {"probe": value})
    here.orders.give("another", {"other kind": 1})
    assert make_worker().probe.known == {"b"}


def test_an_order_that_was_missed_is_found(
    make_worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a look at what is kept."""
    monkeypatch.setattr(orders, "_LOOK", 0.0)
    here, there = make_worker(), make_worker()
    monkeypatch.setattr(here.broker.control, "tell", lambda order: None)
    here.orders.give("a", {"probe": "a"})
    assert there.probe.next() == ["a"]


def test_what_is_kept_for_long_is_read_once(
    make_worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is looked: there may be very many. After a long silence it is read again."""
    monkeypatch.setattr(orders, "_LOOK", 0.0)
    here = make_worker()
    for n in range(3):
        monkeypatch.setattr(here.broker.control, "tell", lambda order: None)
        make_worker().orders.give(f"{n}", {"probe": f"{n}"})
        here.stirred.set()
        assert here.probe.next() == [f"{n}"]
    assert here.probe.remembered == 1
    monkeypatch.setattr(orders, "KEPT", 0.0)
    here.stirred.set()
    until(lambda: here.probe.remembered > 1, "it is read again")


def test_what_fails_is_done_again(
    make_worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the loop goes on: the next order is done."""
    monkeypatch.setattr(orders, "_AGAIN", 0.0)
    here, there = make_worker(), make_worker()
    there.probe.failures = 1
    here.orders.give("a", {"probe": "a"})
    assert there.probe.next() == ["a"]


def test_who_was_let_in_just_before_is_found(
    make_worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each order is done a second time, a little later."""
    monkeypatch.setattr(orders, "_AGAIN", 0.0)
    here = make_worker()
    here.orders.give("a", {"probe": "a"})
    assert here.probe.next() == here.probe.next() == ["a"]


def test_a_log_that_does_not_answer_is_waited_for(
    open_log: Callable[[], Broker], make_worker: Callable[..., Worker], monkeypatch: Any
) -> None:
    """Also at the beginning: what is kept is learned as soon as it does."""
    monkeypatch.setattr(orders, "_LOOK", 0.0)
    make_worker().orders.give("a", {"probe": "a"})
    broker, away = open_log(), threading.Event()
    read = broker.leases.read

    def sometimes(key: str) -> dict[str, str]:
        if not away.is_set():
            raise LogUnavailable("away")
        return read(key)

    monkeypatch.setattr(broker.leases, "read", sometimes)
    late = make_worker(broker)
    assert not late.probe.known
    away.set()
    assert late.probe.next() == ["a"]


# Very many clients


@pytest.mark.parametrize("many", [False, True])
def test_very_many_are_not_asked_at_once(monkeypatch: pytest.MonkeyPatch, many: bool) -> None:
    """They would all come back at once: they are asked one after the other, beside the loop."""
    monkeypatch.setattr(revocations, "CALM", 3 if many else 5)
    asked: SimpleQueue[int] = SimpleQueue()
    go = threading.Event()

    def ask(n: int) -> None:
        assert not many or go.wait(TIMEOUT)
        asked.put(n)

    clients = [SimpleNamespace(user="42", ask_again=lambda n=n: ask(n)) for n in range(5)]
    hub: Any = SimpleNamespace(subscribers=lambda: clients, lock=threading.RLock())
    nothing: Any = None
    presence: Any = SimpleNamespace(dismiss=lambda _: None)
    Revocations(nothing, hub, Tokens(Settings()), nothing, presence).act({None})
    assert asked.qsize() == (0 if many else 5)
    go.set()
    assert sorted(asked.get(timeout=TIMEOUT) for _ in range(5)) == [0, 1, 2, 3, 4]


def test_the_window_grows_with_how_many_they_are() -> None:
    """500 a second, within a quarter of a minute."""
    assert spread(0) == 0 and spread(CALM) == 1 and spread(5 * CALM) == 5
    assert spread(1_000_000) == 15


def test_of_ended_connections_those_are_kept_that_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a bound: after five minutes an id is free again, and forgotten."""
    monkeypatch.setattr(endings, "_FEW", 10)
    nothing: Any = None
    now, ids = [1_795_386_494.0], ConnectionIds("a secret")
    known = Endings(nothing, ids, nothing, nothing, clock=lambda: now[0])
    connection = ids.new("42")
    for n in range(1000):
        now[0] += KEPT / 5
        assert known.learn([("user", f"u{n}", now[0])]) == {("user", f"u{n}")}
    assert not known.learn([("user", "u999", now[0])])
    assert len(known._ended) <= 20
    known.learn([("connection", connection, now[0])])
    with pytest.raises(ConnectionEnded):
        known.check(connection, "42")
    now[0] += KEPT + 1
    known.check(connection, "42")
