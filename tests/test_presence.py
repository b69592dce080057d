"""A worker's side of presence: what it brings to the roster, and when.

What belongs here: one worker and a roster that notes what it is told. What does not: what others
see of it (``transports/test_presence``), real rosters (``brokers``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import pytest

from pushapp.broker.roster import Entry
from pushapp.errors import LogUnavailable
from pushapp.presence import RENEWALS, Presence
from pushapp.tokens import Token

GRACE = 9.0  # seconds


def entry(id: str, *channels: str, user: str | None = None, transport: str = "poll") -> Entry:
    return Entry(id, user, None, transport, 1.0, channels or ("a",))


class Stream:
    def __init__(self, id: str, *channels: str) -> None:
        self.id, self.channels = id, channels or ("a",)
        self.token: Token | None = None

    def entry(self) -> Entry:
        return entry(self.id, *self.channels, transport="sse")


class Roster:
    """Notes what it is told; away or forgetful where the test says so."""

    def __init__(self) -> None:
        self.told: list[tuple[list[str], list[str]]] = []  # ids that came, and went
        self.last: dict[str, Entry] = {}
        self.waiting: list[dict[str, int]] = []
        self.worker: str | None = None  # that it has heard of
        self.is_away = self.forgets = False

    def sync(
        self,
        worker: str,
        came: Sequence[Entry],
        gone: Collection[str],
        waiting: Mapping[str, int],
        **options: object,
    ) -> bool:
        assert options == {"ttl": GRACE, "record": False}
        if self.is_away:
            raise LogUnavailable("away")
        self.forgets = self.forgets or self.worker not in (None, worker)
        self.worker = worker
        self.told.append((sorted(e.id for e in came), sorted(gone)))
        self.waiting.append(dict(waiting))
        self.last |= {e.id: e for e in came}
        forgot, self.forgets = self.forgets, False
        return not forgot


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def roster() -> Roster:
    return Roster()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def presence(roster: Roster, clock: Clock) -> Iterator[Presence]:
    """One whose own loop has ended: the test brings."""
    anything: Any = roster
    one = Presence(anything, GRACE, clock=clock)
    one.close()
    yield one


def brought(presence: Presence, roster: Roster) -> list[tuple[list[str], list[str]]]:
    """Return what was told by the next look."""
    before = len(roster.told)
    presence.bring()
    return roster.told[before:]


def test_one_call_brings_all_that_has_changed(presence: Presence, roster: Roster) -> None:
    """And where nothing has, there is none."""
    assert brought(presence, roster) == []
    for name in ("s1", "s2"):
        presence.came(Stream(name))
    presence.polled(entry("p1"), 3.0)
    assert brought(presence, roster) == [(["p1", "s1", "s2"], [])]
    assert brought(presence, roster) == []


def test_a_stream_is_gone_after_the_grace_time(
    presence: Presence, roster: Roster, clock: Clock
) -> None:
    """Not before, and not at all where it comes back."""
    gone, back = Stream("gone"), Stream("back")
    presence.came(gone)
    presence.came(back)
    presence.bring()
    presence.left(gone)
    presence.left(back)
    clock.now += GRACE - 0.1
    presence.came(Stream("back"))
    assert brought(presence, roster) == [(["back"], [])]
    clock.now += 0.2
    assert brought(presence, roster) == [([], ["gone"])]


def test_one_that_is_sent_away_is_gone_at_once(presence: Presence, roster: Roster) -> None:
    """Streams, pollers between two requests, and streams that might have come back."""
    streams = [Stream(name) for name in ("s1", "s2", "s3")]
    for stream in streams:
        presence.came(stream)
    presence.polled(entry("p1", user="42"), 3.0)
    presence.polled(entry("p2", user="43"), 3.0)
    presence.bring()
    presence.left(streams[0], for_good=True)
    presence.left(streams[1])
    presence.left(streams[2])
    presence.dismiss(lambda one: one.entry.user == "42" or one.entry.id == "s2")
    assert brought(presence, roster) == [([], ["p1", "s1", "s2"])]


def test_one_that_came_and_went_between_two_looks_is_not_brought(
    presence: Presence, roster: Roster, clock: Clock
) -> None:
    """Nobody needs to hear of it."""
    stream = Stream("s1")
    presence.came(stream)
    presence.left(stream)
    presence.bring()
    assert all(came == [] for came, _ in roster.told)


def test_a_poller_is_held_until_its_next_request_is_overdue(
    presence: Presence, roster: Roster, clock: Clock
) -> None:
    """By the grace time; each request holds it on, by the express lane's way too."""
    presence.polled(entry("p1"), 3.0)
    presence.bring()
    for _ in range(3):
        clock.now += 3.0 + GRACE - 0.1
        assert presence.seen("p1", 3.0)
        assert all(not gone for _, gone in brought(presence, roster))
    clock.now += 3.0 + GRACE + 0.1
    assert brought(presence, roster) == [([], ["p1"])]
    assert not presence.seen("p1", 3.0)


def test_a_poller_that_says_something_else_is_brought_again(
    presence: Presence, roster: Roster
) -> None:
    """Other channels; the same ones are no news."""
    presence.polled(entry("p1", "a"), 3.0)
    presence.bring()
    presence.polled(entry("p1", "a"), 3.0)
    assert brought(presence, roster) == []
    presence.polled(entry("p1", "b"), 3.0)
    assert brought(presence, roster) == [(["p1"], [])]
    assert roster.last["p1"].channels == ("b",)


def test_a_stream_takes_its_poller_over(presence: Presence, roster: Roster, clock: Clock) -> None:
    """A client that climbs keeps its id: a late poll does not make a poller of it again."""
    presence.polled(entry("x"), 3.0)
    presence.bring()
    presence.came(Stream("x"))
    presence.polled(entry("x"), 3.0)
    presence.bring()
    assert roster.last["x"].transport == "sse"
    clock.now += 10 * GRACE
    presence.bring()
    assert all("x" not in gone for _, gone in roster.told)


def test_two_streams_under_one_id(presence: Presence, roster: Roster, clock: Clock) -> None:
    """It is there for as long as one of them is, whichever ends first, and where either is."""
    for first_ends in (True, False):
        roster.told.clear()
        old, new = Stream("x", "old"), Stream("x", "new")
        presence.came(old)
        presence.came(new)
        presence.bring()
        assert roster.last["x"].channels == ("new", "old")
        presence.left(old if first_ends else new)
        clock.now += 2 * GRACE
        presence.bring()
        assert roster.last["x"].channels == (("new",) if first_ends else ("old",))
        assert all(gone == [] for _, gone in roster.told)
        presence.left(new if first_ends else old)
        clock.now += 2 * GRACE
        assert brought(presence, roster) == [([], ["x"])]


def test_the_older_of_two_streams_may_say_something_else(
    presence: Presence, roster: Roster, clock: Clock
) -> None:
    """And when both have ended nobody is left behind."""
    old, new = Stream("x"), Stream("x")
    for stream in (old, new, old):
        presence.came(stream)
    presence.bring()
    presence.left(old)
    presence.left(new)
    clock.now += 2 * GRACE
    assert brought(presence, roster) == [([], ["x"])]


def test_there_is_an_end_to_how_many_pollers_are_listed(
    presence: Presence, roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are, are held on."""
    monkeypatch.setattr("pushapp.presence._POLLERS", 2)
    for name in ("p1", "p2", "p3", "p1"):
        presence.polled(entry(name), 3.0)
    assert brought(presence, roster) == [(["p1", "p2"], [])]


def test_what_could_not_be_brought_is_brought_later(
    presence: Presence, roster: Roster, clock: Clock
) -> None:
    """A log that is away loses nothing of it."""
    stream = Stream("s1")
    presence.came(stream)
    presence.bring()
    presence.left(stream)
    presence.came(Stream("s2"))
    clock.now += 2 * GRACE
    roster.is_away = True
    with pytest.raises(LogUnavailable):
        presence.bring()
    roster.is_away = False
    assert brought(presence, roster) == [(["s2"], ["s1"])]


def test_there_is_an_end_to_what_waits_to_be_brought(
    presence: Presence, roster: Roster, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that takes nothing for long, and clients that come and go: they are forgotten, with
    the name under which they were brought, and those that are here are brought anew."""
    monkeypatch.setattr("pushapp.presence._UNTOLD", 3)
    presence.came(Stream("here"))
    presence.bring()
    before = roster.worker
    roster.is_away = True
    for n in range(20):
        stream = Stream(f"s{n}")
        presence.came(stream)
        with pytest.raises(LogUnavailable):
            presence.bring()
        presence.left(stream, for_good=True)
        assert len(presence._changed) <= 5
    with pytest.raises(LogUnavailable):
        presence.bring()
    roster.is_away = False
    roster.told.clear()
    presence.bring()
    assert roster.worker != before
    assert roster.told[-1][0] == ["here"]
    assert len({id for _, gone in roster.told for id in gone}) <= 5


def test_where_the_log_does_not_know_the_worker_all_is_brought(
    presence: Presence, roster: Roster
) -> None:
    """It was away for longer than the lease, or the log is new."""
    presence.came(Stream("s1"))
    presence.polled(entry("p1"), 3.0)
    presence.bring()
    roster.forgets = True
    presence.came(Stream("s2"))
    assert brought(presence, roster) == [(["s2"], []), (["p1", "s1", "s2"], [])]


def test_the_lease_is_renewed_while_somebody_is_here(
    presence: Presence, roster: Roster, clock: Clock
) -> None:
    """Several times within its time, by calls that bring nothing; an idle worker makes none."""
    stream = Stream("s1")
    presence.came(stream)
    presence.bring()
    calls = 0
    for _ in range(int(GRACE)):
        clock.now += 1.0
        calls += len(brought(presence, roster))
    assert RENEWALS - 1 <= calls <= RENEWALS
    presence.left(stream, for_good=True)
    presence.bring()
    clock.now += 10 * GRACE
    assert brought(presence, roster) == []


class Hub:
    """Has the numbers that a test gives it."""

    def __init__(self) -> None:
        self.moved: dict[str, int] = {}

    def __call__(self) -> dict[str, int]:
        moved, self.moved = self.moved, {}
        return moved


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def counted(roster: Roster, clock: Clock, hub: Hub) -> Iterator[Callable[..., list[Any]]]:
    """Return what the roster is told at the next look of who waits, after these have moved."""
    anything: Any = roster
    presence = Presence(anything, GRACE, moved=hub, clock=clock)
    presence._closed.set()
    presence._loop.join()

    def look(**moved: int) -> list[Any]:
        hub.moved = moved
        before = len(roster.waiting)
        presence.bring()
        return roster.waiting[before:]

    yield look


Counted = Callable[..., list[Any]]


def test_a_number_is_brought_where_it_is_another_one(counted: Counted) -> None:
    """What went up and down again costs the log nothing; nor does a channel that was not left."""
    assert counted(a=2, b=1) == [{"a": 2, "b": 1}]
    assert counted() == [] == counted(a=2, c=0)
    assert counted(a=3, b=1) == [{"a": 3}]
    assert counted(a=0) == [{"a": 0}]
    assert counted(a=0) == []


def test_who_only_waits_has_the_lease_renewed(counted: Counted, clock: Clock) -> None:
    """Until nobody waits any more."""
    counted(a=1)
    clock.now += GRACE / RENEWALS + 0.1
    assert counted() == [{}] and counted() == []
    counted(a=0)
    clock.now += GRACE
    assert counted() == []


def test_a_number_that_could_not_be_brought_is_brought_later(
    counted: Counted, roster: Roster
) -> None:
    """Whatever it is then; also where it is what was said before: the log may have either."""
    counted(a=1, b=1)
    roster.is_away = True
    for moved in ({"a": 2, "b": 2, "c": 1}, {"a": 1, "c": 0}):
        with pytest.raises(LogUnavailable):
            counted(**moved)
    roster.is_away = False
    assert counted() == [{"a": 1, "b": 2, "c": 0}]
    assert counted() == []


def test_where_the_worker_is_not_known_all_numbers_are_brought(
    counted: Counted, roster: Roster
) -> None:
    counted(a=1, b=1)
    roster.forgets = True
    assert counted(b=2) == [{"b": 2}, {"a": 1, "b": 2}]
    assert counted() == []


def test_there_is_an_end_to_the_numbers_that_wait(
    counted: Counted, roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of channels that come and go while the log takes nothing; what is, is brought anew."""
    monkeypatch.setattr("pushapp.presence._UNTOLD", 3)
    counted(a=1, b=2, c=3)
    before = roster.worker
    roster.is_away = True
    for n in range(20):
        for moved in ({f"x{n}": 1, "b": 5}, {f"x{n}": 0, "c": 0}):
            with pytest.raises(LogUnavailable):
                counted(**moved)
    roster.is_away = False
    told = counted()
    assert roster.worker != before and told[-1] == told[0]
    assert {name: count for name, count in told[-1].items() if count} == {"a": 1, "b": 5}
    assert len(told[-1]) <= 6
    assert counted() == []


def test_at_the_end_nobody_waits(roster: Roster, hub: Hub, clock: Clock) -> None:
    """A worker that ends takes back what it has said, and does not leave it to the lease."""
    anything: Any = roster
    presence = Presence(anything, GRACE, moved=hub, clock=clock)
    hub.moved = {"a": 2}
    presence.bring()
    presence.close()
    assert roster.waiting[-1] == {"a": 0}
