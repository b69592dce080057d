"""Tokens that are revoked while their clients listen.

What belongs here: what comes of it on each transport. What does not: which tokens count
(``test_tokens`` of the whole).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from pushapp.errors import InvalidInput, NotAuthenticated
from pushapp.extension import Push

from ..clients import Refused
from ..jwts import ED, claims, jwk, token
from ..server import API_KEY, PUBLISH_KEY, READ_KEY, SECRET, Server, until
from ..wire import TIMEOUT, Reply, Wire, request
from .conftest import Connect, Processes, settings_of
from .test_tokens import bearer, ticket, until_refused
from .waiting import ask, wait_for_subscribers


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JWK Set in a file."""
    return tmp_path_factory.mktemp("keys") / "keys.json"


@pytest.fixture(scope="module")
def own(
    log_kind: str,
    keys: Path,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """A worker that looks at them each moment, not each minute; who has left is waited for longer
    than a test waits."""
    _write(keys, jwk(ED, kid="stays"))
    directory = tmp_path_factory.mktemp("own")
    settings = {"PUSH_JWKS": keys, "PUSH_PRESENCE_GRACE": 600, "WEB_CONCURRENCY": 1}
    settings |= settings_of(log_kind, request)
    server = Server(directory, app="tests.apps.changing:app", **settings).start()
    yield server
    server.stop()


def _write(path: Path, *keys: object) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"keys": keys}))
    new.replace(path)


def issued(user: str, *channels: str, at: float | None = None) -> str:
    when = time.time() if at is None else at
    return jwt.encode(claims(user, 60, channels=channels, iat=when), SECRET, "HS256")


def test_a_revoked_token_ends_while_its_client_waits(
    subscribe: Connect, server: Server, elsewhere: Push, transport: str, user: str
) -> None:
    """401 for a poll that comes again, an error and 1008 for a stream; others are left alone."""
    room = f"room:{user}"
    client = subscribe([room], headers=bearer(issued(user, room)))
    other = subscribe([room], headers=bearer(token(room)))
    server.publish(room, "before")
    assert client.data() == other.data() == ["before"]
    elsewhere.revoke(user)
    end = until_refused(client)
    assert end.status == 401 and "revoked" in end.detail
    assert end.code == (1008 if transport == "websocket" else None)
    server.publish(room, "after")
    assert other.data() == ["after"]


def test_who_comes_by_a_revoked_token_is_there_no_longer(
    own: Server, connect: Connect, transport: str, user: str
) -> None:
    """At once, pollers too, and not after the grace time; who comes by another one is."""
    room = f"room:{user}"
    one, other = issued(user, room, at=time.time() - 1), issued(user, room)
    clients = [connect(transport, own, [room], headers=bearer(text)) for text in (one, other)]
    own.publish(room, "there")
    assert [client.data() for client in clients] == [["there"]] * 2

    def listed() -> set[str]:
        if transport in ("poll", "longpoll"):
            clients[1]._read()
        found = own.look(f"/push/users/{user}")["connections"]
        return {connection["id"] for connection in found}

    until(lambda: len(listed()) == 2, "both are listed")
    revoke(own, {"token": one})
    until(lambda: listed() == {clients[1].connection}, "who comes no more is gone")
    revoke(own, {"user": user})
    until_refused(clients[1])
    until(lambda: not own.look(f"/push/users/{user}")["online"], "and so is the other")


@pytest.mark.parametrize("transport", ["sse", "websocket"])
@pytest.mark.parametrize("how", ["revoked", "ended"])
def test_who_has_just_left_and_may_not_come_back_is_not_waited_for(
    own: Server, connect: Connect, transport: str, how: str, user: str
) -> None:
    """Because of their token, or of their connections: the grace time ends at once."""
    room, looked = f"room:{user}", f"/push/users/{user}"
    client = connect(transport, own, [room], headers=bearer(issued(user, room)))
    until(lambda: own.look(looked)["online"], "it is listed")
    client.close()
    wait_for_subscribers(own, room, 0)
    assert own.look(looked)["online"], "within the grace time"
    if how == "revoked":
        assert revoke(own, {"user": user}).status == 200
    else:
        assert own.ask("DELETE", f"{looked}/connections", bearer(API_KEY)).status == 200
    until(lambda: not own.look(looked)["online"], "it is gone")


def test_a_revoked_token_opens_nothing_on_any_worker(
    server: Server, connect: Connect, elsewhere: Push, user: str
) -> None:
    """Nor a ticket for it; what was issued since does."""
    old = issued(user)
    spent = ticket(server, old)
    watch = connect("websocket", server, [f"user:{user}"], headers=bearer(old))
    elsewhere.revoke(user)
    until_refused(watch)
    since = issued(user, at=time.time() + 1)
    for pid in server.workers():
        with server.only(pid):
            wait_until_refused(server, old)
            assert server.ask("GET", "/push/poll?channels=public:a", bearer(since)).status == 200
    with pytest.raises(Refused) as refused:
        connect("sse", server, [f"user:{user}"], ticket=spent)
    assert refused.value.status == 401


def wait_until_refused(server: Server, text: str) -> None:
    """Wait until the worker that answers has heard of it."""

    def refused() -> bool:
        return server.ask("GET", "/push/poll?channels=public:a", bearer(text)).status == 401

    until(refused, "the worker has heard of it")


def test_a_waiting_long_poll_is_answered_when_its_token_is_revoked(
    server: Server, elsewhere: Push, user: str
) -> None:
    """Soon, and not after the 55 seconds that it wanted to wait; then 401."""
    wire, headers, room = Wire(server.port), bearer(issued(user)), f"user:{user}"
    first = ask(wire, "/push/poll", room, headers).json
    query = f"channels={room}&cursor={first['cursor']}&connection={first['connection']}"
    target = f"/push/longpoll?{query}&timeout=55"
    wire.send(request("GET", target, headers))
    wait_for_subscribers(server, room, 1)
    elsewhere.revoke(user)
    reply = wire.reply()
    assert reply.status == 200 and reply.json["messages"] == []
    assert wire.ask("GET", target, headers).status == 401
    wire.close()


def test_the_first_request_of_a_worker_that_starts_later_is_refused(
    process: Processes, elsewhere: Push, user: str
) -> None:
    """What was revoked is read before any token is."""
    text = issued(user, at=time.time() - 5)
    elsewhere.revoke(user)
    with pytest.raises(NotAuthenticated, match="revoked"):
        process().tokens.verify(text)


def test_what_was_revoked_stays_so(process: Processes, elsewhere: Push, user: str) -> None:
    """Also where somebody then revokes what was issued long before."""
    elsewhere.revoke(user)
    elsewhere.revoke(user, before=time.time() - 3600)
    with pytest.raises(NotAuthenticated, match="revoked"):
        process().tokens.verify(issued(user, at=time.time() - 5))


@pytest.mark.parametrize("wrong", [42, "", "a b", "user:\u00e9"])
def test_who_cannot_be_is_not_revoked(elsewhere: Push, wrong: Any) -> None:
    """A user's id as a number would mean nobody, and nobody would notice."""
    with pytest.raises(InvalidInput, match="user"):
        elsewhere.revoke(wrong)


def test_what_is_to_come_is_not_revoked(elsewhere: Push, user: str) -> None:
    """Milliseconds for seconds would refuse this user for good; nothing could take it back."""
    for wrong in (time.time() * 1000, float("nan"), -1.0):
        with pytest.raises(InvalidInput, match="before"):
            elsewhere.revoke(user, before=wrong)


def test_a_worker_that_starts_later_knows_what_was_revoked(
    process: Processes, elsewhere: Push, user: str
) -> None:
    """Nobody tells it: it is kept in the log."""
    elsewhere.revoke(user)
    tokens, text = process().tokens, issued(user, at=time.time() - 5)

    def refused() -> bool:
        try:
            return not tokens.verify(text)
        except NotAuthenticated:
            return True

    until(refused, "it has read it")


# One token


def test_one_token_can_be_revoked(
    subscribe: Connect, server: Server, elsewhere: Push, user: str
) -> None:
    """Who listens by it is let go; the same user's others, as old as it is, go on."""
    room, at = f"user:{user}", time.time()
    one, other = issued(user, at=at), issued(user, room, at=at)
    client, goes_on = (subscribe([room], headers=bearer(text)) for text in (one, other))
    elsewhere.revoke(token=one)
    end = until_refused(client)
    assert end.status == 401 and "revoked" in end.detail
    server.post({"user": user, "data": "on"})
    assert goes_on.data() == ["on"]


def test_one_revoked_token_opens_nothing_on_any_worker(
    server: Server, connect: Connect, elsewhere: Push, process: Processes, user: str
) -> None:
    """Nor a ticket for it; nor on a worker that starts later. It cannot be revoked again."""
    old = issued(user)
    spent = ticket(server, old)
    elsewhere.revoke(token=old)
    for pid in server.workers():
        with server.only(pid):
            wait_until_refused(server, old)
    with pytest.raises(Refused) as refused:
        connect("sse", server, [f"user:{user}"], ticket=spent)
    assert refused.value.status == 401
    with pytest.raises(NotAuthenticated, match="revoked"):
        process().tokens.verify(old)
    for wrong in (old, "garbage", issued(user)[:-2], token(lasts=-1)):
        with pytest.raises(InvalidInput, match="token") as error:
            elsewhere.revoke(token=wrong)
        assert wrong not in str(error.value)
    with pytest.raises(TypeError):
        elsewhere.revoke(user, token=issued(user))


# A key


def test_who_listens_by_a_key_that_was_taken_out_is_let_go(
    own: Server, connect: Connect, keys: Path, transport: str, user: str
) -> None:
    """As by a revoked token, though nobody comes with one meanwhile; others go on. A ticket brings
    the same."""
    key, room = ec.generate_private_key(ec.SECP256R1()), f"room:{user}"
    _write(keys, jwk(ED, kid="stays"), jwk(key, kid=user))
    rights = claims(user, 600, channels=[room])
    gone = jwt.encode(rights, key, "ES256", headers={"kid": user})
    stays = jwt.encode(rights, ED, "EdDSA", headers={"kid": "stays"})

    def opens() -> bool:
        reply = own.ask("GET", f"/push/poll?channels={room}", bearer(gone))
        return reply.status == 200

    until(opens, "the key is known")
    ways: list[dict[str, Any]] = [{"headers": bearer(gone)}, {"headers": bearer(stays)}]
    if transport in ("sse", "websocket"):
        ways.append({"ticket": ticket(own, gone)})
    client, other, *by_ticket = (connect(transport, own, [room], **way) for way in ways)
    own.publish(room, "before")
    assert [one.data() for one in (client, other, *by_ticket)] == [["before"]] * len(ways)
    _write(keys, jwk(ED, kid="stays"))
    for one in (client, *by_ticket):
        end = until_refused(one)
        assert end.status == 401 and "key" in end.detail
        assert end.code == (1008 if transport == "websocket" else None)
    own.publish(room, "after")
    assert other.data() == ["after"]


# Over HTTP


def revoke(server: Server, body: object, key: str = PUBLISH_KEY) -> Reply:
    return server.ask("POST", "/push/revoke", bearer(key), json.dumps(body).encode())


def test_revoking_over_http(subscribe: Connect, server: Server, user: str) -> None:
    """With an api key that may publish; the answer says what counts no longer."""
    client = subscribe([f"user:{user}"], headers=bearer(issued(user)))
    for key, status in (("wrong", 401), (READ_KEY, 403), (issued(user), 401)):
        assert revoke(server, {"user": user}, key).status == status
    reply = revoke(server, {"user": user})
    assert reply.status == 200 and abs(reply.json["before"] - time.time()) < TIMEOUT
    end = until_refused(client)
    assert end.status == 401 and "revoked" in end.detail


def test_what_was_issued_since_is_not_revoked(server: Server, user: str) -> None:
    """``before`` says until when."""
    old, new = (issued(user, at=time.time() - seconds) for seconds in (100, 10))
    assert revoke(server, {"user": user, "before": time.time() - 50}).json["revoked"] is True
    wait_until_refused(server, old)
    assert server.ask("GET", "/push/poll?channels=public:a", bearer(new)).status == 200
    assert revoke(server, {"token": new}).json == {"revoked": True}
    wait_until_refused(server, new)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "user"),
        ([], "body"),
        ({"user": None}, "user"),
        ({"user": 42}, "user"),
        ({"user": "a b"}, "user"),
        ({"user": "42", "everybody": True}, "user"),
        ({"everybody": False}, "everybody"),
        ({"everybody": None}, "everybody"),
        ({"user": "42", "before": "now"}, "before"),
        ({"user": "42", "before": True}, "before"),
        ({"user": "42", "before": None}, "before"),
        ({"user": "42", "before": 1e14}, "before"),
        ({"user": "42", "befor": 1}, "befor"),
        ({"token": "garbage"}, "token"),
        ({"token": None}, "token"),
        ({"token": 1}, "token"),
        ({"token": "a.b.c", "user": "42"}, "user"),
        ({"token": "a.b.c", "before": 1}, "before"),
    ],
)
def test_what_is_not_clear_revokes_nothing(server: Server, body: object, field: str) -> None:
    """A forgotten user must not mean everybody; 400 says what does not fit."""
    reply = revoke(server, body)
    assert (reply.status, reply.json["field"]) == (400, field)


def test_everybodys_tokens_can_be_revoked(
    make_server: Callable[..., Server], connect: Connect, user: str
) -> None:
    """On a log of its own: it ends all."""
    server = make_server(WEB_CONCURRENCY=1)
    clients = [
        connect("sse", server, [f"user:{name}"], headers=bearer(issued(name)))
        for name in (user, f"{user}2")
    ]
    assert revoke(server, {"everybody": True}).status == 200
    for client in clients:
        assert until_refused(client).status == 401
