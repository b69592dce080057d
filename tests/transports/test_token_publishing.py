"""Publishing with a token, over HTTP and on a WebSocket.

What belongs here: what a token's ``publish`` allows. What does not: what an api key may
(``test_api``), or an app's session (``test_session``).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from ..jwts import token
from ..server import Server
from .conftest import Open
from .test_tokens import bearer, refresh

Say = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def room() -> str:
    return f"room:{uuid.uuid4().hex}"


@pytest.fixture(params=["http", "websocket"])
def say(request: pytest.FixtureRequest, server: Server, open_ws: Open) -> Say:
    """Publish with a token, over each: ``say(token, {…})`` returns status and answer."""

    def over_http(text: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        headers = {**bearer(text), "Content-Type": "application/json"}
        reply = server.ask("POST", "/push/publish", headers, json.dumps(body).encode())
        return reply.status, reply.json

    def over_websocket(text: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        client = open_ws(first=refresh(text))
        reply = client.ask("publish", **body)
        return (200, reply) if reply["ok"] else (reply["error"]["status"], reply["error"])

    return over_http if request.param == "http" else over_websocket


def kept(server: Server, channel: str) -> list[Any]:
    messages = server.look(f"/push/channels/{channel}/history")["messages"]
    return [message["data"] for message in messages]


def test_a_token_publishes_where_it_says(say: Say, server: Server, room: str) -> None:
    """And the answer is the message's id."""
    status, answer = say(token(publish=["room:*"]), {"channel": room, "data": 1})
    assert status == 200 and answer["id"]
    assert kept(server, room) == [1]


@pytest.mark.parametrize("channel", ["orders:7", "public:a", "user:42", "user:43", "everyone"])
def test_nowhere_else(say: Say, channel: str) -> None:
    """403: what it may read, it may not write; nobody's token writes to a user."""
    text = token("*", publish=["room:*", "user:*", "user:42", "everyone"])
    assert say(text, {"channel": channel, "data": 1})[0] == 403


def test_a_user_is_written_to_with_an_api_key_alone(say: Say) -> None:
    assert say(token(publish=["*"]), {"user": "42", "data": 1})[0] == 403


def test_of_a_batch_all_is_published_or_nothing(say: Say, server: Server, room: str) -> None:
    """One channel that it does not name refuses them all."""
    batch = [{"channel": name, "data": 1} for name in (room, "orders:7")]
    assert say(token(publish=["room:*"]), {"messages": batch})[0] == 403
    assert kept(server, room) == []


def test_without_publish_it_publishes_nothing(say: Say, room: str) -> None:
    assert say(token("*"), {"channel": room, "data": 1})[0] == 403


def test_idempotency_keys_are_each_users_own(say: Say, server: Server, room: str) -> None:
    """Two who think of the same key publish both; the same one twice publishes once."""
    ann, bob = (token(user=user, publish=["room:*"]) for user in ("ann", "bob"))
    again = {"channel": room, "data": "ann", "idempotency_key": room}
    first = say(ann, again)[1]["id"]
    assert say(ann, again)[1]["id"] == first
    assert say(bob, {**again, "data": "bob"})[0] == 200
    server.post({**again, "data": "key"})
    assert kept(server, room) == ["ann", "bob", "key"]


def test_a_token_that_has_ended_publishes_nothing(server: Server, room: str) -> None:
    """401, as for any that does not count."""
    for text in (token(publish=["*"], lasts=-1), "garbage", ""):
        headers = {**bearer(text), "Content-Type": "application/json"}
        body = json.dumps({"channel": room, "data": 1}).encode()
        reply = server.ask("POST", "/push/publish", headers, body)
        challenge = 'Bearer realm="push", error="invalid_token"'
        assert reply.status == 401 and reply.header("WWW-Authenticate") == challenge
    assert kept(server, room) == []


def test_publishing_takes_a_token_in_the_header_alone(server: Server, room: str) -> None:
    """A foreign page's form can send a URL and no header; and no ticket gives another one."""
    text = token(publish=["*"])
    spent = server.ask("POST", "/push/ticket", bearer(text)).json["ticket"]
    for query in (f"token={text}", f"ticket={spent}"):
        for path in ("publish", "ticket"):
            target = f"/push/{path}?{query}"
            reply = server.ask("POST", target, {"Content-Type": "application/json"}, b"{}")
            assert reply.status == 401
