"""The log on a server that is full, takes no writes or refuses a user something; and races."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pushapp.broker.interface import AppendKey, Follower
from pushapp.broker.redis import follow
from pushapp.errors import LogUnavailable
from pushapp.message import Draft

from ..server import until
from ..valkey import Valkey
from .conftest import Open
from .tools import TIMEOUT, A, B, Clock, append, ids, now, publish, receive, together

Make = Callable[..., Valkey]


def fill(server: Valkey) -> None:
    """Leave no room for anything new."""
    server.ask("CONFIG", "SET", "maxmemory", "1mb")


def look(follower: Follower) -> None:
    """Let it look once, whatever it finds."""
    try:
        follower.next(0.1)
    except LogUnavailable:
        pass  # as a worker does: it tries again


# -- full, or without writes -----------------------------------------------------------------------


def test_a_full_server_is_tidied_although_something_is_due(
    make_valkey: Make, open_one: Open
) -> None:
    """What is due cannot be published; old messages make room all the same."""
    server, clock = make_valkey(), Clock()
    broker = open_one(server.url, prefix="full", clock=clock)
    follower = broker.log.follow()
    publish(broker, "brief:a")
    broker.log.append([Draft(A, "1", at=clock.now + 1)])
    fill(server)
    clock.forward(100)

    def is_tidied() -> bool:
        look(follower)
        return bool(server.ask("XLEN", "{full}:s:brief:a") == 0)

    until(is_tidied, "what is old is gone")
    server.ask("CONFIG", "SET", "maxmemory", "0")
    follower.watch(A)
    assert [message.data for message in receive(follower, 1)] == ["1"]


def test_a_full_server_that_restarts_can_be_read(make_valkey: Make, open_one: Open) -> None:
    server = make_valkey(appendonly="yes", appendfsync="always", maxmemory_policy="noeviction")
    broker = open_one(server.url)
    given = publish(broker, A)
    fill(server)
    server.ask("CONFIG", "REWRITE")
    server.restart()
    assert ids(broker.log.history(A, 9)[0]) == given
    with pytest.raises(LogUnavailable):
        publish(broker, A)


def test_a_server_that_takes_no_writes_is_followed(make_valkey: Make, open_one: Open) -> None:
    """Too few replicas, say: what was published still comes to those who wait for it."""
    server, clock = make_valkey(), Clock()
    broker = open_one(server.url, clock=clock)
    follower = broker.log.follow()
    follower.watch(A)
    given = publish(broker, "brief:a", A)
    server.ask("CONFIG", "SET", "min-replicas-to-write", 1)
    clock.forward(100)  # there is something to tidy, which cannot be
    got: list[str] = []

    def comes() -> bool:
        try:
            got.extend(ids(follower.next(0.1).messages))
        except LogUnavailable:
            pass  # the worker is told that something is wrong, too
        return bool(got)

    until(comes, "it comes")
    assert got == given[1:]


# -- users with few rights -------------------------------------------------------------------------


def test_who_may_wake_nobody_appends_nothing(make_valkey: Make, open_one: Open) -> None:
    """A new user has no channels (``resetchannels``): half an append would be one without end."""
    server = make_valkey()
    server.ask("ACL", "SETUSER", "app", "on", ">pw", "~*", "resetchannels", "+@all")
    broker = open_one(server.url.replace("//", "//app:pw@"), prefix="acl")
    for _ in range(3):
        with pytest.raises(LogUnavailable, match="channel"):
            broker.log.append([Draft(A, "1")], AppendKey("publisher", "key", "fingerprint"))
    with pytest.raises(LogUnavailable, match="channel"):
        broker.check()
    assert server.ask("KEYS", "{acl}:s:*") == []


def test_who_may_not_listen_asks_now_and_then(make_valkey: Make, open_one: Open) -> None:
    """And not as fast as it can; what listens is told why it hears nothing."""
    server = make_valkey()
    rights = ["on", ">pw", "~*", "&*", "+@all", "-subscribe"]
    server.ask("ACL", "SETUSER", "app", *rights)
    broker = open_one(server.url.replace("//", "//app:pw@"))
    follower = broker.log.follow()
    start = server.ask("INFO", "stats")["total_connections_received"]
    for _ in range(2):
        with pytest.raises(LogUnavailable, match="subscribe"):
            while True:
                follower.next(TIMEOUT)
    made = server.ask("INFO", "stats")["total_connections_received"] - start
    assert made < 12  # pauses of 0.05, 0.1, 0.2, 0.4, 0.8 and then 1 s; 22 a second without any


# -- names, and many of them -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["@control", "@x", "a|b~c=+"])
def test_every_legal_name_is_a_channel_like_others(open_one: Open, name: str) -> None:
    """None is taken for something of our own."""
    tx, rx = open_one(), open_one()
    follower = rx.log.follow()
    follower.watch(*(f"public:{i}" for i in range(500)), name)
    given = publish(tx, name, name)
    assert ids(receive(follower, 2)) == given


def test_very_many_channels_are_caught_up_with(open_one: Open) -> None:
    """In steps that grow with the channels and with the messages, not with their product."""
    tx, rx = open_one(), open_one()
    names = [f"public:{i}" for i in range(4000)]
    follower = rx.log.follow()
    follower.watch(*names)
    given: list[str] = []
    for i in range(0, len(names), 500):
        given += append(tx, *(Draft(name, "1") for name in names[i : i + 500]))
    before = _calls(tx)
    assert ids(receive(follower, len(given))) == given
    assert _calls(tx) - before < 200


def _calls(broker: object) -> int:
    """Return how many scripts the server has run."""
    info = broker._reads.ask("INFO", "commandstats")  # type: ignore[attr-defined]
    (line,) = (line for line in info.splitlines() if line.startswith("cmdstat_evalsha:"))
    return int(line.partition("calls=")[2].partition(",")[0])


# -- races -----------------------------------------------------------------------------------------


def test_a_channel_wanted_again_while_it_is_let_go_stays(
    open_one: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was idle for long, and somebody comes just before it is unsubscribed."""
    monkeypatch.setattr(follow, "LINGER", 0.0)
    tx, rx = open_one(), open_one()
    follower = rx.log.follow()
    follower.watch(A)
    follower.unwatch(A)
    real = follower._ear.unsubscribe  # type: ignore[attr-defined]

    def late(gone: list[str]) -> None:
        if A in gone:
            follower.watch(A)
        real(gone)

    monkeypatch.setattr(follower._ear, "unsubscribe", late)  # type: ignore[attr-defined]
    follower.wake()
    follower.next(0.1)
    given = publish(tx, A)
    assert ids(receive(follower, 1)) == given


def test_what_is_unwatched_while_the_ear_comes_back_is_let_go(
    valkey: Valkey, prefix: str, open_one: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "LINGER", 0.2)
    follower = open_one().log.follow()
    follower.watch(A, B)
    real = follower.begin  # type: ignore[attr-defined]

    def begin() -> None:
        follower.unwatch(A)
        real()

    monkeypatch.setattr(follower, "begin", begin)
    valkey.cut("pubsub")

    def heard() -> list[str]:
        look(follower)
        names: list[str] = valkey.ask("PUBSUB", "CHANNELS", f"{{{prefix}}}/*")
        return [name.partition(":")[2] for name in names if "!" not in name]

    until(lambda: heard() == [B], "A is let go of")


def test_who_reads_the_same_at_once_shares_the_answer(open_one: Open) -> None:
    """A recovery storm reads a channel once for all who wait in line."""
    broker = open_one()
    given = publish(broker, *[A] * 20)
    start = now(broker)._replace(n=0)
    before = _calls(broker)
    got: list[list[str]] = []
    together(*[lambda: got.append(ids(broker.log.read([A], start).messages))] * 40)
    assert got == [given] * 40
    assert _calls(broker) - before < 40
