"""Connections that somebody ends, on each transport.

What belongs here: what comes of it, wherever the order was given. What does not: tokens that count
no longer (``test_revoking``).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from pushapp.connection_ids import ConnectionIds
from pushapp.errors import ConnectionEnded, InvalidInput
from pushapp.extension import Push

from ..clients import Client, Refused
from ..jwts import token
from ..server import API_KEY, PUBLISH_KEY, READ_KEY, SECRET, Server, until
from ..wire import Ended, Wire, request
from .conftest import Connect, Processes
from .test_tokens import bearer, refresh, until_refused
from .waiting import ask, wait_for_subscribers

STREAMS = ("sse", "websocket")


@pytest.fixture
def theirs(subscribe: Connect, user: str) -> Callable[[], Client]:
    """Begin a connection of the user's."""
    return lambda: subscribe([f"user:{user}"], headers=bearer(token(user=user)))


def test_an_ended_connection_ends_while_its_client_waits(
    theirs: Callable[[], Client], server: Server, elsewhere: Push, transport: str, user: str
) -> None:
    """403 for a poll, an ``error`` and the end for a stream; the same user's others go on, and so
    does a new one."""
    client, other = theirs(), theirs()
    server.post({"user": user, "data": "before"})
    assert client.data() == other.data() == ["before"]
    elsewhere.disconnect(connection=client.connection)
    end = until_refused(client)
    assert end.status == 403 and "ended" in end.detail
    assert end.code == (1008 if transport == "websocket" else None)
    if transport == "sse":
        with pytest.raises(Ended):
            client.wire.fill()
    new = theirs()
    server.post({"user": user, "data": "after"})
    assert other.data() == new.data() == ["after"]


def test_all_connections_of_a_user_end(
    theirs: Callable[[], Client],
    subscribe: Connect,
    server: Server,
    elsewhere: Push,
    user: str,
    channel: str,
) -> None:
    """Wherever they are; other users' go on, and who may come back does so at once."""
    clients = [theirs() for _ in range(3)]
    other = subscribe([channel], headers=bearer(token(user=f"{user}2")))
    nobody = subscribe([channel])
    elsewhere.disconnect(user=user)
    for client in clients:
        assert until_refused(client).status == 403
    back = theirs()
    server.post({"user": user, "data": "back"})
    server.publish(channel, "on")
    assert back.data() == ["back"] and other.data() == nobody.data() == ["on"]


@pytest.mark.parametrize("how", ["connection", "user"])
def test_an_ended_id_is_refused_on_every_worker(
    server: Server, elsewhere: Push, user: str, how: str, process: Processes
) -> None:
    """And on one that starts later: a poller between two requests waits nowhere."""
    headers, room = bearer(token(user=user)), f"user:{user}"
    wire = Wire(server.port)
    connection = ask(wire, "/push/poll", room, headers).json["connection"]
    wire.close()
    elsewhere.disconnect(**{how: user if how == "user" else connection})
    for pid in server.workers():
        with server.only(pid):
            wire = Wire(server.port)
            wait_until_refused(wire, room, headers, connection)
            for path in ("/push/longpoll", "/push/sse"):
                reply = ask(wire, path, room, headers, connection=connection)
                assert reply.status == 403 and "ended" in reply.json["detail"]
            new = ask(wire, "/push/poll", room, headers).json["connection"]
            assert ask(wire, "/push/poll", room, headers, connection=new).status == 200
            wire.close()
    with pytest.raises(ConnectionEnded):
        process().connection_id(connection, user)


def wait_until_refused(wire: Wire, room: str, headers: dict[str, str], connection: str) -> None:
    def refused() -> bool:
        return ask(wire, "/push/poll", room, headers, connection=connection).status == 403

    until(refused, "the worker has heard of it")


def test_a_waiting_long_poll_is_answered_with_the_refusal(
    server: Server, elsewhere: Push, user: str
) -> None:
    """At once, and not after the 55 seconds that it wanted to wait; its connection goes on."""
    wire, headers, room = Wire(server.port), bearer(token(user=user)), f"user:{user}"
    first = ask(wire, "/push/poll", room, headers).json
    query = f"channels={room}&cursor={first['cursor']}&connection={first['connection']}"
    wire.send(request("GET", f"/push/longpoll?{query}&timeout=55", headers))
    wait_for_subscribers(server, room, 1)
    elsewhere.disconnect(user=user)
    reply = wire.reply()
    assert reply.status == 403 and "ended" in reply.json["detail"]
    assert reply.header("Content-Type") == "application/problem+json"
    assert ask(wire, "/push/poll", room, headers).status == 200
    wire.close()


def test_one_who_brought_the_token_in_a_frame_is_found(
    server: Server, connect: Connect, elsewhere: Push, user: str
) -> None:
    """A connection is the user's by the token that it has now."""
    room = f"user:{user}"
    client = connect("websocket", server, [room], first=refresh(token(user=user)))
    elsewhere.disconnect(user=user)
    end = until_refused(client)
    assert (end.status, end.code) == (403, 1008)


def test_one_who_brings_the_token_in_a_frame_again_is_refused(
    server: Server, connect: Connect, elsewhere: Push, user: str
) -> None:
    """An id that was nobody's until the token came ends with its user's others; a new one goes."""
    room, first = f"user:{user}", refresh(token(user=user))
    client = connect("websocket", server, [room], first=first)
    elsewhere.disconnect(user=user)
    until_refused(client)

    def refused() -> Refused | None:
        try:
            again = connect("websocket", server, [room], first=first, connection=client.connection)
        except Refused as error:
            return error
        again.close()
        return None

    end: Refused = until(refused, "each worker has heard of it")
    assert (end.status, end.code) == (403, 1008) and "ended" in end.detail
    new = connect("websocket", server, [room], first=first)
    server.post({"user": user, "data": "back"})
    assert new.data() == ["back"]


@pytest.mark.parametrize("how", STREAMS)
def test_a_stream_with_an_ended_id_is_refused(
    server: Server, connect: Connect, elsewhere: Push, user: str, how: str
) -> None:
    """Not as another connection: it says which one it is."""
    headers, room = bearer(token(user=user)), f"user:{user}"
    client = connect(how, server, [room], headers=headers)
    elsewhere.disconnect(connection=client.connection)
    until_refused(client)
    with pytest.raises(Refused) as refused:  # a worker that has not heard yet ends it soon
        connect(how, server, [room], headers=headers, connection=client.connection).receive()
    assert refused.value.status == 403


def test_who_is_not_parked_is_ended_too(
    make_server: Callable[..., Server], connect: Connect, process: Processes, user: str
) -> None:
    """On each transport, at once."""
    server = make_server(WEB_CONCURRENCY=1, PUSH_PARK=0, PUSH_HEARTBEAT=1)
    room, headers = f"user:{user}", bearer(token(user=user))
    clients = [connect(how, server, [room], headers=headers) for how in STREAMS]
    wire = Wire(server.port)
    first = ask(wire, "/push/poll", room, headers).json
    query = f"channels={room}&cursor={first['cursor']}&connection={first['connection']}"
    wire.send(request("GET", f"/push/longpoll?{query}&timeout=55", headers))
    wait_for_subscribers(server, room, 3)
    delete(server, f"/push/users/{user}/connections")
    assert wire.reply().status == 403
    for client in clients:
        assert until_refused(client).status == 403
    wire.close()


# Over HTTP


def delete(server: Server, path: str, key: str = PUBLISH_KEY) -> int:
    return server.ask("DELETE", path, bearer(key)).status


@pytest.mark.parametrize("what", ["connection", "user"])
def test_ending_over_http(
    theirs: Callable[[], Client], server: Server, user: str, what: str
) -> None:
    """With an api key that may publish."""
    client = theirs()
    path = f"/push/users/{user}/connections"
    if what == "connection":
        path = f"/push/connections/{client.connection}"
    for key, status in (("wrong", 401), (READ_KEY, 403), (token(user=user), 401)):
        assert delete(server, path, key) == status
    assert server.ask("DELETE", path).status == 401
    assert delete(server, path) == 200
    assert until_refused(client).status == 403


@pytest.mark.parametrize(
    "path",
    ["connections/c1", "connections/%2e", "users/%20/connections", "users/a%0ab/connections"],
)
def test_what_cannot_be_is_not_ended(server: Server, path: str) -> None:
    """400: nobody would be meant, and nobody would notice."""
    assert delete(server, f"/push/{path}", API_KEY) == 400


def test_who_cannot_be_is_not_ended(elsewhere: Push) -> None:
    for wrong in (42, "", "a b", "user:\u00e9"):
        with pytest.raises(InvalidInput, match="user"):
            elsewhere.disconnect(user=wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="connection"):
        elsewhere.disconnect(connection=uuid.uuid4().hex)
    with pytest.raises(TypeError):
        elsewhere.disconnect()


def test_an_id_knows_when_it_was_made() -> None:
    """So that ending a user's connections leaves those alone that are begun afterwards."""
    now = [1_795_386_494.123]
    ids = ConnectionIds(SECRET, clock=lambda: now[0])
    assert abs(ids.born(ids.new("42")) - now[0]) < 0.002
