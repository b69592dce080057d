"""Webhooks, from the log to a courier: order, batches, trying again, one sender of several.

What belongs here: the sending loop on a real log, with a courier that does as it is told. What does
not: HTTP and real clients (``transports/test_webhooks``), signatures (``test_signature``).
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from pushapp import webhooks
from pushapp.broker import open_broker
from pushapp.broker.interface import Broker
from pushapp.broker.roster import EVENTS
from pushapp.client_events import CLIENT, USERS, told
from pushapp.message import Draft
from pushapp.retention import Retention
from pushapp.webhooks import MOST, MOST_BYTES, Webhooks

from .server import until
from .wire import TIMEOUT

Json = dict[str, Any]


class Courier:
    """Hands over, or does not: ``troubles`` are said first."""

    def __init__(self) -> None:
        self.troubles: list[str | None] = []
        self.counts = Counter[str]()  # the sender's
        self.tried: SimpleQueue[Json] = SimpleQueue()
        self.taken: SimpleQueue[Json] = SimpleQueue()
        self.gate = threading.Event()
        self.gate.set()

    def deliver(self, body: bytes) -> str | None:
        batch = json.loads(body)
        self.tried.put(batch)
        assert self.gate.wait(TIMEOUT)
        if self.troubles:
            return self.troubles.pop(0)
        self.taken.put(batch)
        return None

    def numbers(self, count: int) -> list[int]:
        """Wait for so many events; return their numbers."""
        found: list[int] = []
        while len(found) < count:
            found += [event["x"] for event in self.taken.get(timeout=TIMEOUT)["events"]]
        return found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that does not wait for a second each time."""
    monkeypatch.setattr(webhooks, "PERIOD", 0.02)
    monkeypatch.setattr(webhooks, "FIRST_PAUSE", 0.02)


@pytest.fixture
def open_log(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    opened: list[Broker] = []

    def open_one(size: int = 1000) -> Broker:
        url = f"sqlite:///{tmp_path}/push.db"
        opened.append(open_broker(url, lambda _: Retention(size, 3600)))
        return opened[-1]

    yield open_one
    for broker in opened:
        broker.close()


@pytest.fixture
def begin(open_log: Callable[..., Broker]) -> Iterator[Callable[..., Webhooks]]:
    """Begin a sender, as one more worker."""
    begun: list[Webhooks] = []

    def begin_one(courier: Courier) -> Webhooks:
        begun.append(Webhooks(open_log(), courier, courier.counts))
        return begun[-1]

    yield begin_one
    for sender in begun:
        sender.close()
        assert not sender._loop.is_alive()


def happen(broker: Broker, *numbers: int, of: int = 1, **more: object) -> None:
    """Let events happen, ``of`` in one message."""
    for i in range(0, len(numbers), of):
        events = [{"event": "test", "x": n, **more} for n in numbers[i : i + of]]
        broker.log.append([Draft(EVENTS, json.dumps(events), "events")])


def test_events_come_in_their_order_and_each_has_an_id(
    open_log: Callable[..., Broker], begin: Callable[..., Webhooks]
) -> None:
    """What happened before the first sender began comes, too; a batch's cursor is its last id's."""
    broker, courier = open_log(), Courier()
    happen(broker, *range(5), of=2)
    begin(courier)
    assert courier.numbers(5) == [0, 1, 2, 3, 4]
    happen(broker, 5)
    batch = courier.taken.get(timeout=TIMEOUT)
    assert [event["x"] for event in batch["events"]] == [5]
    assert batch["events"][0]["id"].startswith(batch["cursor"]) and "lost" not in batch


def test_a_batch_is_bounded(
    open_log: Callable[..., Broker], begin: Callable[..., Webhooks]
) -> None:
    """At most 100 events, however many there are in a message; ids are never the same."""
    broker, courier = open_log(), Courier()
    happen(broker, *range(250), of=250)
    happen(broker, *range(250, 300), of=7)
    begin(courier)
    batches: list[Json] = []
    while sum(len(batch["events"]) for batch in batches) < 300:
        batches.append(courier.taken.get(timeout=TIMEOUT))
    assert max(len(batch["events"]) for batch in batches) == MOST
    events = [event for batch in batches for event in batch["events"]]
    assert [event["x"] for event in events] == list(range(300))
    assert len({event["id"] for event in events}) == 300


def test_a_batch_is_bounded_in_bytes(
    open_log: Callable[..., Broker], begin: Callable[..., Webhooks]
) -> None:
    """But one event that is larger goes alone."""
    broker, courier = open_log(), Courier()
    happen(broker, 0, text="x" * (MOST_BYTES + 1))
    happen(broker, 1, 2, text="x" * (MOST_BYTES // 2))
    happen(broker, 3)
    begin(courier)
    sizes = []
    while sum(sizes) < 4:
        batch = courier.taken.get(timeout=TIMEOUT)
        sizes.append(len(batch["events"]))
        assert len(json.dumps(batch)) < MOST_BYTES + 1000
    assert sizes[0] == 1 and sizes[1] == 1


def test_what_is_not_taken_is_sent_until_it_is(
    open_log: Callable[..., Broker], begin: Callable[..., Webhooks]
) -> None:
    """Nothing that happened afterwards goes before it."""
    broker, courier = open_log(), Courier()
    courier.troubles = ["no"] * 3
    happen(broker, 0)
    begin(courier)
    happen(broker, 1)
    assert courier.numbers(2) == [0, 1]
    assert courier.tried.qsize() >= 4
    assert courier.counts["refused"] == 3 and courier.counts["lost"] == 0
    # in one batch, or in two where the second happened late
    until(lambda: courier.counts["taken"] == courier.tried.qsize() - 3, "all are counted")


def test_the_pauses_grow_up_to_a_minute(
    open_log: Callable[..., Broker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With jitter: several servers must not come at once; the claim is held meanwhile."""
    monkeypatch.setattr(webhooks, "FIRST_PAUSE", 1.0)
    sender, pauses = Webhooks(open_log(), Courier(), Counter()), []
    sender.close()
    for _ in range(12):
        assert sender._fail("no") <= webhooks.LEASE / 3
        pauses.append(sender._not_before - webhooks.time.monotonic())
    assert 0.4 <= pauses[0] <= 1 and 0.9 <= pauses[1] <= 2 and 29 <= pauses[-1] <= 60
    assert all(later > earlier for earlier, later in pairwise(pauses[:5:2]))


def test_one_of_several_sends(
    open_log: Callable[..., Broker], begin: Callable[..., Webhooks]
) -> None:
    """The others begin where it was when it ends."""
    broker, couriers = open_log(), [Courier() for _ in range(3)]
    senders = [begin(couriers[0])]
    happen(broker, 0)
    assert couriers[0].numbers(1) == [0]
    senders += [begin(courier) for courier in couriers[1:]]
    happen(broker, *range(1, 20))
    assert couriers[0].numbers(19) == list(range(1, 20))
    senders[0].close()
    happen(broker, 20)
    until(lambda: couriers[1].taken.qsize() + couriers[2].taken.qsize(), "another one sends")
    (batch,) = [courier.taken.get() for courier in couriers[1:] if courier.taken.qsize()]
    assert [event["x"] for event in batch["events"]] == [20]


@pytest.mark.parametrize("gone", [False, True])
def test_who_was_not_heard_of_takes_nothing_back(
    open_log: Callable[..., Broker], begin: Callable[..., Webhooks], monkeypatch: Any, gone: bool
) -> None:
    """One that slept for longer than its claim sends what it was sending, and no more of it;
    whether the one that followed it sends still, or is gone again: its own memory says nothing."""
    monkeypatch.setattr(webhooks, "LEASE", 2.0)  # one that is kept from its turn for so long sleeps
    broker, slow, quick = open_log(), Courier(), Courier()
    slow.gate.clear()
    happen(broker, 0)
    begin(slow)
    slow.tried.get(timeout=TIMEOUT)
    other = begin(quick)
    happen(broker, 1, 2)
    assert quick.numbers(3) == [0, 1, 2]
    if gone:
        other.close()
    slow.gate.set()
    assert slow.numbers(1) == [0]
    happen(broker, 3)
    until(lambda: quick.taken.qsize() or slow.taken.qsize(), "somebody sends what is new")
    (batch,) = [courier.taken.get() for courier in (quick, slow) if courier.taken.qsize()]
    assert [event["x"] for event in batch["events"]] == [3]


def test_what_is_no_longer_kept_is_named(
    open_log: Callable[..., Broker],
    begin: Callable[..., Webhooks],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not as if nothing had happened: ``lost`` says from where to where, the log says it once,
    and it is counted."""
    broker, courier = open_log(3), Courier()
    happen(broker, 0)
    first = begin(courier)
    assert courier.numbers(1) == [0]
    first.close()
    happen(broker, *range(1, 9))
    broker.log.clear(EVENTS)
    happen(broker, 9)
    courier.troubles = ["no"] * 3
    begin(courier)
    batch = courier.taken.get(timeout=TIMEOUT)
    assert [event["x"] for event in batch["events"]] == [9]
    (lost,) = batch["lost"]
    assert lost["reason"] == "expired" and lost["after"] and lost["before"]
    (told_,) = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert lost["after"] in told_ and lost["before"] in told_
    assert courier.counts["lost"] == 1


def test_a_log_that_begins_anew_is_told_from_its_first_event(
    open_log: Callable[..., Broker], begin: Callable[..., Webhooks], tmp_path: Path
) -> None:
    """Also where the message of that number was half taken in the epoch before; an end of a batch
    within a message names that message."""
    broker, courier = open_log(), Courier()
    courier.troubles = [None, *["no"] * 1000]
    happen(broker, *range(150), of=150)
    begin(courier)
    half = courier.tried.get(timeout=TIMEOUT)
    assert half["cursor"] == half["events"][-1]["id"]
    courier.tried.get(timeout=TIMEOUT)
    for file in tmp_path.glob("push.db*"):
        if file.is_file():
            file.unlink()
    happen(broker, *range(200, 450), of=250)
    courier.troubles.clear()
    found: list[Json] = []
    while len(found) < 250:
        batch = courier.taken.get(timeout=TIMEOUT)
        found += [event for event in batch["events"] if event["x"] >= 200]
    assert [event["x"] for event in found] == list(range(200, 450))
    assert batch["lost"][0]["reason"] == "epoch"
    ids = [event["id"].split(".") for event in (half["events"][0], found[0])]
    assert ids[0][1:] == ids[1][1:] and ids[0] != ids[1]  # a message of the same number


@pytest.mark.parametrize(
    ("whose", "user"), [(CLIENT, None), (f"{USERS}42", "42"), (f"{USERS}client", "client")]
)
def test_a_clients_publish_is_told(whose: str, user: str | None) -> None:
    """All of it, whoever they are; data stays as it is."""
    drafts = [Draft("a:1", '{"ü":[1,2]}', "said"), Draft("b:1", "null", at=5.5)]
    (told_,) = told(drafts, whose, 1795386494.1234)
    first, second = json.loads(told_.data)
    assert told_.channel == EVENTS
    assert (first["event"], first["user"], first["time"]) == ("publish", user, 1795386494.123)
    assert first["message"] == {"channel": "a:1", "event": "said", "data": {"ü": [1, 2]}}
    assert second["message"] == {"channel": "b:1", "event": "message", "at": 5.5, "data": None}


@pytest.mark.parametrize("whose", ["app", "0123456789abcdef" * 2])
def test_an_apps_own_publish_is_not_told(whose: str) -> None:
    """Nor one with an api key: who publishes so knows it."""
    drafts: Sequence[Draft] = [Draft("a:1", "1")]
    assert told(drafts, whose, 1.0) == []
