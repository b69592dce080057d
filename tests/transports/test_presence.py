"""Who is in a channel, and who comes and goes: what every transport is told of it.

What belongs here: what holds on all four, over both kinds of log. What does not: looking over HTTP
(``test_people``), crowds (``e2e/test_presence_ledger``).
"""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..clients import TRANSPORTS, Client, LongPoll, Refused
from ..jwts import token
from ..server import API_KEY, LONG, Server, until
from ..subscriber import name_of
from ..wire import Ended
from .conftest import Connect, settings_of

GRACE = 2.5  # seconds; a worker that is kept from its turn for most of it is taken for dead
SOON = 12.0  # seconds; less than the grace time as it comes, which is 15 s
LOOK = {"Authorization": f"Bearer {API_KEY}"}


@pytest.fixture(scope="session")
def _hasty(
    log_kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    settings = settings_of(log_kind, request)
    server = Server(tmp_path_factory.mktemp("hasty"), PUSH_PRESENCE_GRACE=GRACE, **settings)
    yield server.start()
    server.stop()


@pytest.fixture
def hasty(_hasty: Server) -> Server:
    """A server of two workers with a short grace time, which the tests here share."""
    return _hasty


@pytest.fixture
def room() -> str:
    """A channel that only tokens open, and no other test knows."""
    return f"room:{uuid.uuid4().hex}"


@pytest.fixture
def enter(hasty: Server, connect: Connect) -> Callable[..., Client]:
    """Open a client of a user in a channel."""

    def enter_one(transport: str, user: str, *channels: str, **options: Any) -> Client:
        member = options.pop("member", None)
        headers = {"Authorization": f"Bearer {token(*channels, user=user, member=member)}"}
        return connect(transport, hasty, channels, headers=headers, **options)

    return enter_one


Enter = Callable[..., Client]


def there(server: Server, channel: str) -> set[str]:
    """Return who is in a channel, as an api key sees it."""
    return {name_of(m) for m in server.look(f"/push/channels/{channel}/presence")["members"]}


def watching(client: Client) -> Client:
    """Wait until what happens from now on is told: where nobody watched, after a list anew."""
    while sum("members" in event for event in client.events) < 2:
        client._read()
    return client


def come_again(client: Client) -> None:
    """Wait for the next answer: a poller is there from its second request on."""
    if client.transport in ("poll", "longpoll"):
        client._read()


def stay(client: Client) -> None:
    """Be there for a while without being read."""
    come_again(client)
    if isinstance(client, LongPoll):
        client.ask(timeout=30)


def test_a_connection_begins_with_who_is_there(
    transport: str, enter: Enter, hasty: Server, room: str
) -> None:
    """With the list comes what others may know of each; a second tab is no second member."""
    enter("websocket", "ann", room, member={"name": "Ann"})
    enter("sse", "ann", room, member={"name": "Ann"})
    until(lambda: there(hasty, room) == {"ann"}, "she is there")

    client = enter(transport, "bob", room, presence=1)

    (first,) = [event for event in client.events if event.get("type") == "presence"][:1]
    assert first["channel"] == room and first["changes"] == []
    assert {"user": "ann", "member": {"name": "Ann"}} in first["members"]
    client.wait_there(room, "ann", "bob")
    assert client.there[room].count == 2


def test_a_new_connection_that_brings_a_cursor_begins_with_a_list(
    transport: str, connect: Connect, hasty: Server, channel: str
) -> None:
    """Another page than the one that was handed the cursor has no list yet."""
    connect("sse", hasty, [channel])
    until(lambda: there(hasty, channel), "somebody is there")
    cursor = hasty.ask("GET", f"/push/poll?channels={channel}").json["cursor"]
    client = connect(transport, hasty, [channel], cursor, headers=LOOK, presence=1)
    assert client.there[channel].count == len(client.there[channel].members) == 1


def test_who_comes_and_goes_is_told(
    enter: Enter, hasty: Server, connect: Connect, room: str
) -> None:
    """A join with the first connection, a leave after the last, and nothing for those between; the
    same on every transport."""
    watchers = [watching(connect("websocket", hasty, [room], headers=LOOK, presence=1))]
    for transport in ("sse", "longpoll", "poll"):
        watchers.append(connect(transport, hasty, [room], headers=LOOK, presence=1))

    def see(*names: str) -> None:
        for watcher in watchers:
            watcher.wait_there(room, *names)

    first = enter("websocket", "ann", room, member=[1])
    see("ann")
    second = enter("sse", "ann", room, member=[1])
    first.close()
    third = enter("websocket", "cid", room)
    see("ann", "cid")
    second.close()
    see("cid")
    third.close()
    see()

    for watcher in watchers:
        assert watcher.there[room].changes == [
            *("occupied", "join ann", "join cid"),
            *("leave ann", "leave cid", "vacated"),
        ]
        assert watcher.there[room].count == 0


def test_who_comes_back_within_the_grace_time_has_not_left(
    enter: Enter, hasty: Server, connect: Connect, channel: str
) -> None:
    """A user by any connection, one without a user by its id: nobody sees that they were away."""
    watcher = watching(connect("websocket", hasty, [channel], headers=LOOK, presence=1))

    def come(transport: str, named: bool, **options: Any) -> Client:
        if named:
            return enter(transport, transport, channel)
        return connect(transport, hasty, [channel], **options)

    guests = {(t, named): come(t, named) for t in TRANSPORTS for named in (True, False)}
    for guest in guests.values():
        stay(guest)
    while watcher.there[channel].count < len(guests):
        watcher._read()
    back = []
    for who, guest in guests.items():  # one by one: nobody is away for long
        guest.close()
        back.append(come(*who, connection=guest.connection))
    for guest in back:
        stay(guest)

    def marker_is(there_now: bool) -> bool:
        for guest in back:
            if guest.transport == "poll":
                come_again(guest)
        return ("marker" in there(hasty, channel)) is there_now

    marker = enter("websocket", "marker", channel)
    until(lambda: marker_is(True), "another comes")
    marker.close()
    until(lambda: marker_is(False), "and leaves: the grace time is over")
    watcher.wait_for_change(channel, "leave marker")
    told = [c.split()[0] for c in watcher.there[channel].changes if "marker" not in c]
    assert told == ["occupied"] + ["join"] * len(guests)


def come_seen(watcher: Client, channel: str) -> None:
    """Wait until somebody is there."""
    while not watcher.there[channel].names:
        watcher._read()


def test_changes_wake_a_long_poll(enter: Enter, room: str) -> None:
    """It does not have to wait for a message to hear who came."""
    client = enter("longpoll", "bob", room, presence=1, timeout=55)
    client.wait_there(room, "bob")
    enter("websocket", "ann", room)
    client.wait_there(room, "ann", "bob")  # in less time than it may wait


def test_what_is_lost_of_presence_is_no_loss_of_the_channel(
    transport: str, connect: Connect, hasty: Server, channel: str
) -> None:
    """A list heals it: ``lost`` names the client's own channels alone."""
    first = connect(transport, hasty, [channel], headers=LOOK, presence=1)
    known = {"connection": first.connection}
    client = connect(transport, hasty, [channel], "0.1", headers=LOOK, presence=1, **known)
    assert [loss["channel"] for loss in client.lost] == [channel]
    assert client.there[channel].count == 0 and client.there[channel].version >= 0


def test_a_log_that_begins_anew_brings_a_new_list(
    make_server: Callable[..., Server],
    remove_log: Callable[[Server], None],
    connect: Connect,
    channel: str,
) -> None:
    """Whoever waits meanwhile, on whatever transport, is told again who is there."""
    server = make_server(PUSH_PRESENCE_GRACE=5)
    connect("sse", server, [channel])
    watchers = [
        connect(transport, server, [channel], headers=LOOK, presence=1, timeout=5)
        for transport in TRANSPORTS
    ]
    for watcher in watchers:
        come_seen(watcher, channel)
    before = watchers[0].there[channel].epoch

    remove_log(server)

    for watcher in watchers:
        while not (watcher.there[channel].count == 1 and watcher.there[channel].epoch != before):
            try:
                watcher._read()
            except (Ended, Refused):  # who cannot be told at that moment comes back for it
                assert watcher.trail[-1] == "reconnect"
                at, known = watcher.cursor, {"connection": watcher.connection}
                watcher = connect(
                    watcher.transport, server, [channel], at, headers=LOOK, presence=1, **known
                )
        assert watcher.lost
        assert watcher.cursor.partition(".")[0] == watcher.there[channel].epoch
        assert not any("/" in loss["channel"] for loss in watcher.lost)


def test_changes_move_the_cursor(
    transport: str, connect: Connect, hasty: Server, channel: str
) -> None:
    """Who comes back with it is told no change and no message twice, and misses none."""
    watcher = watching(connect("websocket", hasty, [channel], headers=LOOK, presence=1))
    client = connect(transport, hasty, [channel], headers=LOOK, presence=1)
    guest = connect("sse", hasty, [channel])
    come_seen(client, channel)
    told = int(client.cursor.rpartition(".")[2])
    assert told >= client.there[channel].version
    client.close()
    hasty.publish(channel, "while away")
    guest.close()
    watcher.wait_for_change(channel, "vacated")
    known = {"connection": client.connection}
    again = connect(transport, hasty, [channel], client.cursor, headers=LOOK, presence=1, **known)
    assert again.data() == ["while away"]
    assert again.there[channel].count == 0
    told = [event for event in again.events if event.get("type") == "presence"]
    if transport in ("sse", "websocket"):  # a stream begins with a list, which has all of it
        assert len(told) == 1 and told[0]["members"] == []
    else:  # a poller has its list, and is told what has changed
        assert [change["event"] for change in told[0]["changes"]] == ["leave", "vacated"]


def test_without_presence_nothing_is_told(
    transport: str, enter: Enter, hasty: Server, room: str
) -> None:
    """And messages are the same for those who ask for it and those who do not."""
    watcher = enter(transport, "bob", room, presence=1)
    client = enter(transport, "cid", room)
    watcher.wait_there(room, "bob", "cid") if transport in ("sse", "websocket") else None
    ids = [hasty.publish(room, n) for n in range(3)]
    assert [m["id"] for m in client.receive(3)] == [m["id"] for m in watcher.receive(3)] == ids
    assert "presence" not in client.trail


def test_a_poller_counts_once(enter: Enter, hasty: Server, room: str) -> None:
    """Over many requests, of both workers, as long as it repeats its id."""
    pollers = [enter("poll", "ann", room), enter("poll", "bob", room)]
    for worker in hasty.workers():
        with hasty.only(worker):
            for poller in pollers:
                poller.wire.close()
                poller.wire = poller._dial()
                for _ in range(3):
                    poller._ask()
    until(lambda: there(hasty, room) == {"ann", "bob"}, "both are there")
    held = hasty.look("/push/connections?limit=1000")["connections"]
    assert len([one for one in held if room in one["channels"]]) == 2


def test_a_poller_that_stays_away_leaves(enter: Enter, room: str, hasty: Server) -> None:
    """When its next request is overdue by the grace time."""
    watcher = enter("websocket", "bob", room, presence=1)
    poller = enter("longpoll", "ann", room, timeout=1)
    come_again(poller)
    watcher.wait_there(room, "ann", "bob")
    poller.close()
    watcher.wait_there(room, "bob")


def test_an_api_key_looks_on(transport: str, connect: Connect, hasty: Server, channel: str) -> None:
    """It is told who comes, and is nobody itself."""
    watcher = watching(connect(transport, hasty, [channel], headers=LOOK, presence=1))
    guest = connect("sse", hasty, [channel])
    come_seen(watcher, channel)
    (name,) = watcher.there[channel].names
    assert "anonymous" in watcher.there[channel].members[name]
    assert guest.connection is not None and name not in guest.connection
    guest.close()
    watcher.wait_there(channel)
    assert [c.split()[0] for c in watcher.there[channel].changes] == [
        *("occupied", "join"),
        *("leave", "vacated"),
    ]


def test_presence_opens_no_channel(
    transport: str, enter: Enter, hasty: Server, connect: Connect, room: str
) -> None:
    """Whoever may not read a channel learns nothing of its members by any way."""
    says = {"first": {"op": "ping"}} if transport == "websocket" else {}  # else it has 5 s to
    with pytest.raises(Refused):
        connect(transport, hasty, [room], presence=1, **says)
    with pytest.raises(Refused):
        connect(transport, hasty, [f"presence/{room}"], headers=LOOK, presence=1)
    assert hasty.ask("GET", f"/push/channels/{room}/presence").status == 401
    other = {"Authorization": f"Bearer {token('other:*')}"}
    assert hasty.ask("GET", f"/push/channels/{room}/presence", other).status == 403
    own = {"Authorization": f"Bearer {token(room)}"}
    assert hasty.ask("GET", f"/push/channels/{room}/presence", own).json["members"] == []


def test_a_killed_worker_takes_its_clients_along(enter: Enter, hasty: Server, room: str) -> None:
    """After the grace time, each by one leave; those of other workers stay."""
    killed, other = hasty.workers()
    with hasty.only(other):
        watcher = enter("websocket", "bob", room, presence=1)
        enter("sse", "dora", room)
    with hasty.only(killed):
        for transport in TRANSPORTS:
            come_again(enter(transport, transport, room))
    watcher.wait_there(room, "bob", "dora", *TRANSPORTS)
    told = len(watcher.there[room].changes)

    os.kill(killed, signal.SIGKILL)

    watcher.wait_there(room, "bob", "dora")
    left = watcher.there[room].changes[told:]
    assert sorted(left) == sorted(f"leave {transport}" for transport in TRANSPORTS)
    hasty.wait_for_workers()


def test_a_drain_is_no_leave(
    make_server: Callable[..., Server], connect: Connect, channel: str
) -> None:
    """Whose worker ends, comes back to another one; nobody sees that."""
    server = make_server(PUSH_PRESENCE_GRACE=60)  # more than another one takes to begin

    def come(transport: str, **options: Any) -> Client:
        return connect(transport, server, [channel], **options)

    watcher = watching(come("websocket", headers=LOOK, presence=1))
    guests = [come(transport) for transport in TRANSPORTS]
    for guest in guests:
        come_again(guest)
    while watcher.there[channel].count < len(guests):
        watcher._read()

    before = server.workers()
    server.signal(signal.SIGHUP)
    until(lambda: not set(before) & set(server.workers()), "other workers are there", LONG)
    server.wait_for_workers()
    back = [come(guest.transport, connection=guest.connection) for guest in guests]
    for guest in back:
        come_again(guest)
    again = come("websocket", headers=LOOK, presence=1, cursor=watcher.cursor)

    assert again.there[channel].names == watcher.there[channel].names
    come("sse")
    while len(again.there[channel].names) == len(guests):  # a count may come before its list
        again._read()
    assert again.there[channel].names > watcher.there[channel].names
    assert not [change for change in again.there[channel].changes if "leave" in change]


def test_who_is_sent_away_leaves_at_once(server: Server, connect: Connect, room: str) -> None:
    """Nobody waits for them to come back: the grace time of this server is 15 s."""
    headers = {"Authorization": f"Bearer {token(room, user=room[5:])}"}
    for transport in TRANSPORTS:
        stay(connect(transport, server, [room], headers=headers))
    path = f"/push/users/{room[5:]}"
    until(lambda: len(server.look(path)["connections"]) == len(TRANSPORTS), "all are there")
    reply = server.ask("DELETE", f"/push/users/{room[5:]}/connections", LOOK)
    assert reply.status == 200
    until(lambda: not there(server, room), "they have left", SOON)
