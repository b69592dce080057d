"""Every broker keeps these promises about who is connected: see ``pushapp.broker.roster``.

What belongs here: what is brought and what is read. What does not: leases that end
(``test_contract_roster_leases``), any order of all of it (``test_roster_model``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from pushapp.broker.bring import STEP, in_steps
from pushapp.broker.interface import Broker
from pushapp.broker.roster import EVENTS, Entry, presence_of, pseudonym
from pushapp.message import Draft

from .roster_tools import (
    TTL,
    bring,
    changes,
    count,
    drop,
    entry,
    everybody,
    keys,
    recorded,
    told,
    waiting,
    watch,
)
from .tools import A, B, C, Clock, now, publish, receive

# -- members -------------------------------------------------------------------------------------


def test_a_user_is_one_member_however_many_connections(tx: Broker, rx: Broker) -> None:
    """Here with the first, gone with the last, whichever workers have them."""
    watch(tx, A)
    bring(tx, "w1", entry("c1", "42", A), entry("c2", "42", A))
    bring(rx, "w2", entry("c3", "42", A), entry("c4", "7", A))

    found = tx.roster.members(A)
    assert keys(found) == ["user:42", "user:7"] == keys(rx.roster.members(A))
    assert (found.count, found.connections, found.watchers) == (2, 5, 1)
    drop(tx, "w1", "c1", "c2")
    assert everybody(rx, A) == ["user:42", "user:7"]
    drop(rx, "w2", "c3")
    assert everybody(tx, A) == ["user:7"]
    assert changes(rx, A) == ["occupied", "join 42", "join 7", "leave 42"]


def test_without_a_user_each_connection_is_a_member(tx: Broker) -> None:
    """Under a pseudonym: the id itself is nobody else's business."""
    watch(tx, A)
    bring(tx, "w", entry("c1", None, A), entry("c2", None, A))
    drop(tx, "w", "c1")

    (member,) = tx.roster.members(A).members
    assert json.loads(member.face) == {"anonymous": pseudonym("c2")}
    assert member.key == f"anonymous:{pseudonym('c2')}"
    last = told(tx, A)[-1]
    assert last == {"count": 1, "changes": [{"event": "leave", "anonymous": pseudonym("c1")}]}
    messages, _ = tx.log.history(presence_of(A), 10)
    assert not any("c1" in message.data or "c2" in message.data for message in messages)


def test_a_member_is_shown_as_the_token_says(tx: Broker, rx: Broker) -> None:
    """Whatever JSON that is; as the connection says that came last."""
    watch(tx, A)
    about = '{"name":"Ä \\"nn\\u0000\\n%d %s","list":[1,null,{"a":"}"}]}'
    bring(tx, "w", entry("c1", "42", A, member=about))

    (member,) = rx.roster.members(A).members
    assert json.loads(member.face) == {"user": "42", "member": json.loads(about)}
    joined = {"event": "join", "user": "42", "member": json.loads(about)}
    assert told(rx, A)[-1] == {"count": 1, "changes": [{"event": "occupied"}, joined]}
    bring(rx, "w2", entry("c2", "42", A, member="null"))
    (member,) = tx.roster.members(A).members
    assert json.loads(member.face) == {"user": "42", "member": None}


def test_an_observer_is_a_connection_and_no_member(tx: Broker) -> None:
    bring(tx, "w", entry("c1", None, A, observer=True, watches=True))

    found = tx.roster.members(A)
    assert (found.count, found.connections, found.watchers, found.members) == (0, 1, 1, [])
    bring(tx, "w", entry("c2", "42", A))
    drop(tx, "w", "c2")
    assert changes(tx, A) == ["occupied", "join 42", "leave 42", "vacated"]
    drop(tx, "w", "c1")
    assert tx.roster.members(A).connections == 0


def test_channels_can_be_changed(tx: Broker) -> None:
    """Of those that stay nobody hears anything."""
    watch(tx, A, B, C)
    bring(tx, "w", entry("c1", "42", A, B))
    bring(tx, "w", entry("c1", "42", B, C))

    assert changes(tx, A) == ["occupied", "join 42", "leave 42", "vacated"]
    assert changes(tx, B) == changes(tx, C) == ["occupied", "join 42"]
    connection = tx.roster.connection("c1")
    assert connection is not None and connection.entry.channels == (B, C)
    bring(tx, "w", entry("c1", "42"))
    assert changes(tx, B)[-1] == "vacated"
    assert tx.roster.connection("c1") is not None


def test_one_goes_and_another_comes(tx: Broker) -> None:
    """In one call what comes is first: a user who reconnects was never away."""
    watch(tx, A)
    bring(tx, "w", entry("c1", "42", A))
    tx.roster.sync("w", [entry("c2", "42", A)], ["c1"], ttl=15.0)

    assert changes(tx, A) == ["occupied", "join 42"]
    assert tx.roster.members(A).connections == 2


def test_bringing_again_changes_nothing(tx: Broker) -> None:
    """A command whose answer was lost is sent again."""
    watch(tx, A)
    bring(tx, "w", entry("c1", "42", A, watches=True), record=True)
    drop(tx, "w", "never", record=True)
    before = now(tx), tx.roster.members(A)
    bring(tx, "w", entry("c1", "42", A, watches=True), record=True)
    drop(tx, "w", "never", record=True)
    assert (now(tx), tx.roster.members(A)) == before


# -- several workers that have one connection ----------------------------------------------------


def test_a_connection_that_moves_is_not_seen_to(tx: Broker, rx: Broker) -> None:
    """Held by two workers it counts once, and is gone when the last one lets go."""
    watch(tx, A)
    bring(tx, "w1", entry("c1", None, A, watches=True), record=True)
    bring(rx, "w2", entry("c1", None, A, watches=True), record=True)
    found = tx.roster.members(A)
    assert (found.count, found.connections, found.watchers) == (1, 2, 2)

    drop(tx, "w1", "c1", record=True)
    assert keys(tx.roster.members(A)) == [f"anonymous:{pseudonym('c1')}"]
    drop(tx, "w1", "c1", record=True)  # no longer its own to drop
    assert tx.roster.members(A).count == 1
    drop(rx, "w2", "c1", record=True)
    assert tx.roster.members(A).count == 0
    assert changes(tx, A) == ["occupied", "join", "leave", "vacated"]
    assert [e["event"] for e in recorded(tx)] == [
        *("connect", "subscribe", "occupied", "vacated", "disconnect")
    ]


def test_a_connection_is_where_any_of_its_workers_has_it(tx: Broker, rx: Broker) -> None:
    """Until each has heard what it listens to now."""
    watch(tx, A, B)
    bring(tx, "w1", entry("c1", "42", A, since=5.0))
    bring(rx, "w2", entry("c1", "42", B, since=6.0, member="1"))
    assert everybody(tx, A) == everybody(tx, B) == ["user:42"]

    found = tx.roster.connection("c1")
    assert found is not None and found.workers == ("w2", "w1")
    assert found.entry == entry("c1", "42", A, B, since=5.0, member="1")
    bring(tx, "w1", entry("c1", "42", B, since=5.0))
    assert everybody(tx, A) == []
    assert changes(tx, B) == ["occupied", "join 42"]


def test_a_connection_may_become_another_users(tx: Broker) -> None:
    """It should not, but then the first one leaves."""
    bring(tx, "w", entry("c1", "42", A))
    bring(tx, "w", entry("c1", "7", A))
    assert everybody(tx, A) == ["user:7"]
    assert tx.roster.connections("42") == []
    assert [c.entry.id for c in tx.roster.connections("7")] == ["c1"]


# -- who is told ---------------------------------------------------------------------------------


def test_nothing_is_told_where_nobody_watches(tx: Broker) -> None:
    before = now(tx)
    bring(tx, "w", entry("c1", "42", A), entry("c2", None, B, watches=True))
    assert told(tx, A) == []
    drop(tx, "w", "c2")
    after = now(tx)
    assert told(tx, B) == [
        {
            "count": 1,
            "changes": [
                {"event": "occupied"},
                {"event": "join", "anonymous": pseudonym("c2")},
            ],
            "anew": True,
        }
    ]
    assert after.n == before.n + 1


def test_the_first_watcher_begins_anew(tx: Broker, rx: Broker) -> None:
    """Whoever took a snapshot before that must not trust it: what came in between is not told."""
    bring(tx, "w1", entry("c1", "42", A))
    snapshot = rx.roster.members(A)
    drop(tx, "w1", "c1")
    bring(rx, "w2", entry("c2", None, A, watches=True, observer=True))

    page = rx.log.read([presence_of(A)], snapshot.version)
    assert [json.loads(m.data) for m in page.messages] == [
        {"count": 0, "changes": [], "anew": True}
    ]
    bring(rx, "w2", entry("c3", None, A, watches=True, observer=True))
    assert len(told(tx, A)) == 1  # not for the second
    bring(tx, "w1", entry("c1", "42", A))
    assert "anew" not in told(tx, A)[-1]


def test_a_change_reaches_a_follower_as_any_message(tx: Broker, rx: Broker) -> None:
    """In the one order of the log, and it wakes."""
    watch(tx, A)
    follower = rx.log.follow()
    follower.watch(A, presence_of(A))
    (first,) = publish(tx, A)
    bring(tx, "w", entry("c1", "42", A))
    (second,) = publish(tx, A)

    messages = receive(follower, 3)
    follower.close()
    assert [messages[0].id, messages[2].id] == [first, second]
    assert messages[1].channel == presence_of(A)
    assert str(rx.roster.members(A).version) == second


def test_all_that_happened_is_recorded_where_it_is_wanted(tx: Broker, clock: Clock) -> None:
    """In one message a step, watched or not; nothing without ``record``."""
    bring(tx, "w", entry("c1", "42", A), record=True)
    bring(tx, "w", entry("c2", None, A, observer=True))
    drop(tx, "w", "c1", "c2", record=True)

    head = {"connection": "c1", "user": "42"}
    assert recorded(tx) == [
        {"event": "connect", **head, "transport": "sse", "time": clock.now},
        {"event": "subscribe", **head, "channel": A, "time": clock.now},
        {"event": "occupied", "channel": A, "time": clock.now},
        {"event": "vacated", "channel": A, "time": clock.now},
        {"event": "disconnect", **head, "transport": "sse", "time": clock.now},
        *(
            {"event": "disconnect", "connection": "c2", "user": None, "transport": "sse"}
            | {"time": clock.now},
        ),
    ]
    messages, _ = tx.log.history(EVENTS, 10)
    assert [message.event for message in messages] == ["events", "events"]
    assert told(tx, A) == []


# -- looking -------------------------------------------------------------------------------------


def test_members_are_paged(tx: Broker) -> None:
    """In the order of their keys; what comes and goes meanwhile disturbs no other."""
    users = [f"{i:03}" for i in range(230)]
    bring(tx, "w", *(entry(f"c{user}", user, A) for user in users))
    first = tx.roster.members(A)
    assert keys(first) == [f"user:{user}" for user in users[:100]] and first.more
    drop(tx, "w", "c000", "c150")
    second = tx.roster.members(A, keys(first)[-1])
    third = tx.roster.members(A, keys(second)[-1])
    assert keys(second) + keys(third) == [f"user:{u}" for u in users[100:] if u != "150"]
    assert second.more and not third.more
    figures = tx.roster.members(A, limit=0)
    assert (figures.count, figures.members, figures.more) == (228, [], False)


def test_connections_are_listed(tx: Broker, rx: Broker) -> None:
    """All, or a user's; page by page, in the order of their ids."""
    bring(tx, "w1", *(entry(f"c{i}", str(i % 2), A, B) for i in range(7)))
    bring(rx, "w2", entry("c3", "1", A), entry("c9", None, observer=True, watches=True))

    def listed(*asked: object) -> list[str]:
        return [found.entry.id for found in tx.roster.connections(*asked)]  # type: ignore[arg-type]

    assert listed() == ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c9"]
    assert listed(None, "c2", 3) == ["c3", "c4", "c5"]
    assert listed("1") == ["c1", "c3", "c5"]
    assert listed("1", "c1", 1) == ["c3"]
    assert listed("2") == [] == listed("%")
    assert rx.roster.connections("1")[1].workers == ("w2", "w1")
    assert rx.roster.connections(None, "c6")[0].entry == entry(
        "c9", None, observer=True, watches=True
    )
    assert tx.roster.connection("c7") is None


def test_an_entry_comes_back_as_it_was_brought(tx: Broker, rx: Broker) -> None:
    """A time of microseconds, too."""
    brought = Entry("c1_-Z", "ü@x", '{"a":"\\u00fc"}', "websocket", 1795386494.123457, (A, B), True)
    bring(tx, "w", brought)
    found = rx.roster.connection("c1_-Z")
    assert found is not None and (found.entry, found.workers) == (brought, ("w",))


def test_internal_channels_are_not_shown(tx: Broker) -> None:
    """However many there are, and wherever a page begins."""
    names = ["a", "presence", "presence-x", "presence:x", "v:1", "webhooks", "x:1"]
    tx.log.append([Draft(name, "1") for name in names])
    watch(tx, *(f"r:{i}" for i in range(40)), "presence", "webhooks")
    bring(tx, "w", entry("c1", "42", A), record=True)

    def listed(*asked: object) -> list[str]:
        return [info.channel for info in tx.log.channels(*asked)]  # type: ignore[arg-type]

    assert listed() == sorted(names)
    assert listed("presence") == ["presence", "presence-x", "presence:x"]
    assert listed("presence/") == [] == listed("webhooks/")
    for i, name in enumerate(sorted(names)):
        assert listed("", name, 2) == sorted(names)[i + 1 : i + 3]
    assert listed("", "presence/r:7") == ["presence:x", "v:1", "webhooks", "x:1"]


# -- who waits ----------------------------------------------------------------------------------


def test_those_who_wait_are_counted_over_all_workers(tx: Broker, rx: Broker) -> None:
    """As each worker says last; they are no members, and nobody is told."""
    watch(tx, A)
    head = now(tx)
    count(tx, "w1", {A: 2, B: 1})
    count(rx, "w2", {A: 3})
    assert waiting(rx, A, B, C) == [5, 1, 0] and waiting(tx, A, B, C) == [5, 1, 0]
    count(rx, "w1", {A: 7})
    assert waiting(tx, A, B) == [10, 1]
    count(tx, "w1", {A: 0, C: 0})
    count(tx, "w1", {B: 4})
    assert waiting(rx, A, B, C) == [3, 4, 0]
    assert (now(tx), rx.roster.members(B).count) == (head, 0)


def test_a_number_that_is_said_again_is_no_second_one(tx: Broker, clock: Clock) -> None:
    """Connections that are brought beside it leave it alone, and a call without any keeps it."""
    for _ in range(2):
        tx.roster.sync("w", [entry("c1", "42", A)], (), {A: 2}, ttl=TTL)
    bring(tx, "w", entry("c2", "7", A))
    clock.forward(TTL - 1)
    bring(tx, "w")
    clock.forward(TTL - 1)
    found = tx.roster.members(A)
    assert (found.count, found.connections, found.waiting) == (2, 2, 2)


# -- bounds --------------------------------------------------------------------------------------


def test_ten_thousand_members_are_as_little_work_as_ten(tx: Broker, kind: Any) -> None:
    """To count, to read a page of, to come to and to leave."""
    bring(tx, "w", *(entry(f"a{i}", f"{i:05}", A) for i in range(10)))
    bring(tx, "w", *(entry(f"b{i}", f"{i:05}", B) for i in range(10_000)))
    assert tx.roster.members(B, limit=0).count == 10_000

    for do in (
        lambda channel: tx.roster.members(channel, limit=0),
        lambda channel: tx.roster.members(channel, "user:00003", 5),
        lambda channel: tx.roster.connections("00003"),
        lambda channel: bring(tx, "w", entry(channel, None, channel)),
        lambda channel: drop(tx, "w", channel),
        lambda channel: count(tx, "w", {channel: 3}),
        lambda channel: bring(tx, "w"),
    ):
        few, many = (
            kind.work(tx, lambda do=do, channel=channel: do(channel)) for channel in (A, B)
        )
        assert 0 < many <= few * 1.2


def test_a_large_call_is_many_small_steps(tx: Broker) -> None:
    """None of them holds the log for long, and no message is large, however many there are and
    whatever channels they are in."""
    came = [entry(f"c{i}", str(i), A, *(f"x:{j}" for j in range(i % 40))) for i in range(400)]
    watch(tx, A)
    head = now(tx)
    bring(tx, "w", *came)
    assert tx.roster.members(A).count == 400 and tx.roster.members("x:0").count == 390
    assert 20 <= now(tx).n - head.n <= 30  # 8,200 places
    head = now(tx)
    drop(tx, "w", *(one.id for one in came))
    assert tx.roster.members(A).count == 0 == tx.roster.members("x:0").count
    assert 18 <= now(tx).n - head.n <= 30


def test_a_dead_workers_many_channels_are_let_go_of_in_small_steps(
    tx: Broker, clock: Clock, kind: Any
) -> None:
    bring(tx, "w", *(entry(f"c{i}", None, A, *(f"x:{j}" for j in range(99))) for i in range(40)))
    watch(tx, A)
    clock.forward(15)
    head = now(tx)
    kind.tidy(tx)
    assert tx.roster.connections() != [] and tx.roster.members(A).count == 0
    assert 8 <= now(tx).n - head.n <= 14


class Steps:
    """Takes what it is given, of those that go at most five at a time."""

    def __init__(self) -> None:
        self.came: list[list[str]] = []
        self.gone: list[str] = []
        self.counts: list[tuple[str, int]] = []

    def __call__(
        self, came: Sequence[Entry], gone: Sequence[str], counts: Sequence[tuple[str, int]]
    ) -> tuple[bool, int]:
        assert len(counts) <= STEP
        self.counts += counts
        self.came.append([one.id for one in came])
        self.gone += gone[:5]
        return len(self.came) > 1, len(gone[:5])


@pytest.mark.parametrize(
    ("came", "gone", "sizes"),
    [
        (0, 0, [0]),
        (1, 1, [1]),
        (200, 0, [200]),
        (250, 5, [200, 50]),
        (250, 6, [200, 50, 0]),
        (0, 12, [0, 0, 0]),
    ],
)
def test_steps_lose_nothing(came: int, gone: int, sizes: list[int]) -> None:
    """A worker was known when it was known each time."""
    ids, to_go = [f"c{i}" for i in range(came)], [f"g{i}" for i in range(gone)]
    steps = Steps()
    assert not in_steps([entry(id, None, A) for id in ids], to_go, steps)
    assert [len(some) for some in steps.came] == sizes
    assert sorted(id for some in steps.came for id in some) == sorted(ids)
    assert steps.gone == to_go
    assert in_steps([entry(id, None, A) for id in ids], to_go, steps)


def test_what_weighs_much_goes_alone() -> None:
    """Many channels, or much to tell of a member."""
    many = entry("c1", "1", *(f"a:{i}" for i in range(300)))
    fat = entry("c2", "2", A, member=f'"{"x" * 90_000}"')
    steps = Steps()
    in_steps([many, many, fat, fat], (), steps)
    assert steps.came == [["c1"], ["c1"], ["c2"], ["c2"]]


def test_numbers_go_in_steps_too(tx: Broker) -> None:
    """With the connections, as far as they go together; none is lost."""
    taken, numbers = Steps(), {f"x:{i}": i for i in range(900)}
    in_steps([], [f"g{i}" for i in range(6)], taken, numbers)
    assert dict(taken.counts) == numbers and len(taken.came) == 3 and len(taken.gone) == 6
    count(tx, "w", {name: 1 for name in numbers})
    assert waiting(tx, *numbers) == [1] * 900
