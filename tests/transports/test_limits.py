"""How much one client may: on every transport a clear answer, and the others notice nothing.

What belongs here: what a refusal looks like on each wire, and whom it hits. What does not: counting
(``test_limits`` beside), whose address it is (``test_address``).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from ..clients import Client, Refused, WebSocket
from ..jwts import token
from ..server import API_KEY, Server, until
from ..websocket_client import CONTINUATION, PING, TEXT, frame
from ..wire import request
from .conftest import Connect, settings_of
from .lane import connected, raw_reply, warm
from .waiting import now

#: Five at once, then one every two seconds: what a slow machine lets through beside is little.
RATE = 0.5
LIMITS = {
    "user_connections": 2,
    "address_connections": 3,
    "connects": RATE,
    "requests": 4,
    "operations": RATE,
    "publishes": RATE,
}
PLENTY = 200  # far more than any of them


@pytest.fixture(scope="module")
def _limited(
    log_kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    server = Server(
        tmp_path_factory.mktemp("limited"),
        WEB_CONCURRENCY=1,
        PUSH_TRUSTED_PROXIES=1,
        PUSH_LIMITS=json.dumps(LIMITS),
        **settings_of(log_kind, request),
    ).start()
    yield server
    server.stop()


@pytest.fixture
def server(_limited: Server) -> Server:
    """One worker with small limits, that believes the proxy in front: each client has an address
    of its own."""
    return _limited


@pytest.fixture(scope="module")
def everywhere(
    log_kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Two workers, where a user may have two connections in all."""
    server = Server(
        tmp_path_factory.mktemp("everywhere"),
        PUSH_LIMITS='{"user_connections":2}',
        **settings_of(log_kind, request),
    ).start()
    yield server
    server.stop()


def at(address: str, **headers: str) -> dict[str, str]:
    """Return the headers of a client at ``address``, that has made up another one."""
    return {"X-Forwarded-For": f"6.6.6.6, {address}", **headers}


@pytest.fixture
def address() -> str:
    """An address that no other test knows."""
    number = uuid.uuid4().int
    return f"198.{18 + number % 2}.{number // 2 % 256}.{number // 512 % 256}"


def bearer(user: str, **rights: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(user=user, **rights)}"}


def refused(begin: Callable[[], Client]) -> Refused:
    """Return how a client is refused that wants to wait; a long poll does when it asks again."""
    with pytest.raises(Refused) as refusal:
        begin().receive()
    return refusal.value


def told_to_wait(refused: Refused) -> None:
    """It is told so, and for how long, in the way of its transport."""
    assert refused.status == 429, refused
    wait = refused.error["retry_after"]
    assert 1 <= wait <= 30
    if refused.reply is None:
        assert refused.code == 1013
    else:
        assert refused.reply.header("Retry-After") == str(wait)
        assert refused.reply.header("Content-Type") == "application/problem+json"


WAITING = pytest.mark.parametrize("transport", ["longpoll", "sse", "websocket"])


@WAITING
def test_a_user_waits_on_so_many_connections(
    transport: str, server: Server, connect: Connect, channel: str, address: str
) -> None:
    """On all transports together; others are not in the way, and who leaves makes room."""
    user, other = uuid.uuid4().hex, uuid.uuid4().hex

    def begin(user: str, at_address: str) -> Client:
        return connect(transport, server, [channel], headers=at(at_address, **bearer(user)))

    inside = [
        connect(kind, server, [channel], headers=at(f"198.20.0.{i}", **bearer(user)))
        for i, kind in enumerate(("sse", "websocket"))
    ]
    refusal = refused(lambda: begin(user, address))
    told_to_wait(refusal)
    assert f"user {user} has 2 connections" in refusal.detail
    another = begin(other, "198.20.0.9")
    server.publish(channel, "there")
    assert [client.data() for client in (*inside, another)] == [["there"]] * 3
    inside[0].close()

    def has_room() -> bool:
        try:
            begin(user, "198.20.0.8")
        except Refused:
            return False
        return True

    until(has_room, "a place that was left is given")


def test_a_token_in_the_first_frame_is_counted_too(
    server: Server, connect: Connect, address: str
) -> None:
    """Whose connection it is, is known late; then it counts, and one too many ends."""
    user = uuid.uuid4().hex
    room = f"room:{user}"
    first = {"op": "refresh", "token": token(room, user=user)}

    def begin(number: int) -> Client:
        headers = at(f"198.20.1.{number}")
        return connect("websocket", server, [room], headers=headers, first=first)

    inside = [begin(1), begin(2)]
    told_to_wait(refused(lambda: begin(3)))
    server.publish(room, "there")
    assert [client.data() for client in inside] == [["there"]] * 2


@WAITING
def test_a_user_has_so_many_connections_over_all_workers(
    transport: str, everywhere: Server, connect: Connect, channel: str
) -> None:
    """Each worker has one; a third is refused by either, as soon as they have told each other."""
    user = uuid.uuid4().hex
    for pid in everywhere.workers():
        with everywhere.only(pid):
            connect("sse", everywhere, [channel], headers=bearer(user))
    seen = f"/push/users/{user}"
    until(lambda: len(everywhere.look(seen)["connections"]) == 2, "the workers know of both")
    refusal = refused(lambda: connect(transport, everywhere, [channel], headers=bearer(user)))
    told_to_wait(refusal)
    assert f"user {user} has 2 connections" in refusal.detail
    other = uuid.uuid4().hex
    connect(transport, everywhere, [channel], headers=bearer(other))


@WAITING
def test_an_address_has_so_many_connections(
    transport: str, server: Server, connect: Connect, channel: str, address: str
) -> None:
    """The one that the proxy in front saw, whatever the client made up in front of it."""
    for made_up in ("1.1.1.1", "2.2.2.2", "3.3.3.3"):
        headers = {"X-Forwarded-For": f"{made_up}, {address}"}
        connect("sse", server, [channel], headers=headers)
    refusal = refused(lambda: connect(transport, server, [channel], headers=at(address)))
    told_to_wait(refusal)
    assert f"{address} has 3 connections" in refusal.detail
    connect(transport, server, [channel], headers=at("198.20.2.1"))


def test_an_ipv6_customer_has_one_share(server: Server, connect: Connect, channel: str) -> None:
    """However many addresses of a /64 are used."""
    network = f"2001:db8:a{uuid.uuid4().hex[:3]}:7"  # a zero in front would not be shown
    for i in range(3):
        connect("sse", server, [channel], headers=at(f"{network}::{i}"))
    refusal = refused(lambda: connect("sse", server, [channel], headers=at(f"{network}:f::1")))
    assert f"{network}::/64 has 3" in refusal.detail


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_flood_of_connects_is_answered_before_anything_else(
    transport: str, server: Server, connect: Connect, channel: str, address: str
) -> None:
    """429 in the handshake's place, before a token is looked at; others get in all the same."""
    headers = at(address, Authorization="Bearer nonsense")
    seen: set[int | None] = set()

    def is_stopped() -> bool:
        with pytest.raises(Refused) as refusal:
            connect(transport, server, ["room:a"], headers=headers)
        seen.add(refusal.value.status)
        if refusal.value.status != 429:
            return False
        assert refusal.value.reply is not None, "the handshake was not made"
        told_to_wait(refusal.value)
        return True

    until(is_stopped, "a flood is stopped")
    assert seen == {401, 429}, "until then the token was looked at"
    connect(transport, server, [channel], headers=at("198.20.3.1"))


@pytest.mark.parametrize("target", ["/push/poll?channels=public:a", "/metrics"])
def test_a_flood_of_requests_is_refused(server: Server, address: str, target: str) -> None:
    """Polls too; one with an api key is a server's, and goes free, and so does who asks whether
    all is well."""
    with connected(server) as wire:
        wire.send(request("GET", target, at(address)) * PLENTY)  # at once, however slow it is
        while wire.reply().status != 429:
            pass
    assert server.ask("GET", target, at("198.20.4.1")).status == 200
    for _ in range(3):
        assert server.ask("GET", target, at(address, **bearer_of_a_key())).status == 200
    for _ in range(PLENTY // 4):
        assert server.ask("GET", "/healthz", at(address)).status == 200


def test_what_the_lane_leaves_to_the_app_is_counted_once(
    server: Server, channel: str, address: str
) -> None:
    """40 requests may come at once. Eight of these the lane finds that it cannot answer: so far
    they were told 304 alone, and what a 200 looks like it has not seen."""
    with connected(server) as wire:
        for n in range(8):
            headers = at(address, **{"If-None-Match": f'"{now(server, channel)}"', "X-N": str(n)})
            poll = request("GET", f"/push/poll?channels={channel}", headers)
            warm(wire, poll)
            server.publish(channel, n)
            wire.send(poll)
            assert raw_reply(wire).startswith(b"HTTP/1.1 200 ")
        for _ in range(8):
            assert server.ask("GET", "/push/poll?channels=public:a", at(address)).status == 200


def bearer_of_a_key() -> dict[str, str]:
    return {"Authorization": f"Bearer {API_KEY}"}


def test_publishes_of_a_user_are_counted_over_http_and_websocket(
    server: Server, connect: Connect, channel: str
) -> None:
    """Messages, and not requests; what is refused was not published, and the key is not counted."""
    user = uuid.uuid4().hex
    headers = at("198.20.5.1", **bearer(user, publish=["room:*"]))
    room = f"room:{user}"
    batch = {"messages": [{"channel": room, "data": i} for i in range(20)]}
    sent = {"Content-Type": "application/json", **headers}
    assert server.ask("POST", "/push/publish", sent, json.dumps(batch).encode()).status == 200

    late = server.ask("POST", "/push/publish", sent, json.dumps(batch).encode())
    assert late.status == 429
    assert 20 <= int(late.header("Retry-After") or 0) == late.json["retry_after"] <= 40
    socket = connect("websocket", server, [], headers=headers)
    assert isinstance(socket, WebSocket)
    reply = socket.ask("publish", channel=room, data="late")
    assert reply["ok"] is False and reply["error"]["status"] == 429
    assert reply["error"]["retry_after"] >= 20
    assert server.look(f"/push/channels/{room}")["kept"] == 20
    for _ in range(20):
        server.publish(room)


def test_a_flood_of_ops_is_told_so_and_then_ends(server: Server, connect: Connect) -> None:
    """Each refused one has its reply, until it is too much; another connection goes on."""
    quiet = connect("websocket", server, [], headers=at("198.20.6.2"))
    socket = connect("websocket", server, [], headers=at("198.20.6.1"))
    assert isinstance(socket, WebSocket) and isinstance(quiet, WebSocket)
    with suppress(ConnectionError):
        for i in range(PLENTY):
            socket.send({"op": "ping", "ref": i})
    assert socket.closing() == 1013
    replies = [event for event in socket.events if event["type"] == "reply"]
    good, bad = ([r for r in replies if r["ok"] is ok] for ok in (True, False))
    assert 5 <= len(good) < 15 and 5 <= len(bad) < 15
    assert {r["error"]["status"] for r in bad} == {429}
    assert socket.events[-1]["type"] == "error" and socket.events[-1]["retry_after"] >= 1
    assert quiet.ask("ping")["ok"] is True


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(frame(PING, b"") * PLENTY, id="pings"),
        pytest.param(
            frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"", fin=False) * PLENTY,
            id="empty fragments",
        ),
    ],
)
def test_a_flood_of_small_frames_ends(server: Server, connect: Connect, flood: bytes) -> None:
    """They are no ops, and cost as much: nobody has to have a right to send them."""
    socket = connect("websocket", server, [], headers=at("198.20.7.1"))
    assert isinstance(socket, WebSocket)
    socket.wire.send(flood)
    assert socket.closing() == 1013
    assert "flood" in socket.events[-1]["detail"]
