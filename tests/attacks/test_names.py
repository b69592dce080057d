"""Names that mean another one to somebody on the way: on every transport none of them opens more.

What belongs here: channels that are spelled in odd ways. What does not: what a token's patterns
open (``test_tokens``), what push.js makes of odd names (``browser/test_gaps``).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from urllib.parse import quote

import pytest

from ..clients import TRANSPORTS, Client, Refused, WebSocket
from ..jwts import token
from ..server import API_KEY, READ_KEY, Server
from ..transports.waiting import HANDSHAKE
from ..wire import Wire, request

Connect = Callable[..., Client]

#: In the place of ``user:VICTIM``, as it stands in a URL.
SPELLINGS = {
    "plain": "user:{}",
    "encoded": "user%3A{}",
    "encoded twice": "user%253A{}",
    "overlong": "user%C0%BA{}",
    "fullwidth colon": "user%EF%BC%9A{}",
    "ratio for a colon": "user%E2%88%B6{}",
    "a Cyrillic letter": "us%D0%B5r:{}",
    "combining": "user%CC%81:{}",
    "right to left": "%E2%80%AEuser:{}",
    "zero width": "user%E2%80%8B:{}",
    "a NUL behind": "user:{}%00",
    "a NUL before": "%00user:{}",
    "a new line": "user:{}%0A",
    "a space": "user:{}%20",
    "a plus for a space": "user:{}+",
    "two colons": "user::{}",
    "a path": "x/../user:{}",
    "the inner name of presence": "presence/user:{}",
    "the same, encoded": "presence%2Fuser:{}",
    "webhooks' own": "webhooks/events",
    "a pattern": "user:*",
    "all": "*",
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_no_spelling_opens_another_users_channel(server: Server, spelling: str) -> None:
    """With a token that reads by every pattern there is, on each transport, in URL and form."""
    victim = uuid.uuid4().hex
    name = spelling.format(victim)
    mine = token("*", "user:*", "u*", f"user:{victim}", user="attacker")
    headers = {"Authorization": f"Bearer {mine}"}
    replies = [
        server.ask("GET", f"/push/{path}?channels={name}", headers)
        for path in ("poll", "longpoll", "sse")
    ]
    form = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
    replies.append(server.ask("POST", "/push/poll", form, f"channels={name}".encode()))
    for reply in replies:
        assert reply.status in (400, 403), reply
        assert b"cursor" not in reply.body
    wire = Wire(server.port)
    wire.send(request("GET", f"/push/ws?channels={name}", {**headers, **HANDSHAKE}))
    assert b'"type":"live"' not in wire.take_rest()
    wire.close()


def test_another_case_is_another_channel(server: Server) -> None:
    """Names are compared byte by byte: ``USER:42`` is nobody's own, and hears nothing of it."""
    victim = uuid.uuid4().hex
    headers = {"Authorization": f"Bearer {token('*', user='attacker')}"}
    target = f"/push/poll?channels=USER:{victim}"
    cursor = server.ask("GET", target, headers).json["cursor"]
    assert server.post({"user": victim, "data": "private"}).status == 200
    assert server.ask("GET", f"{target}&cursor={cursor}", headers).json["messages"] == []


@pytest.mark.parametrize(
    "name", ["user:{}", "user:{}\0", "user：{}", "presence/user:{}", "user:*", "*", "", " user:{}"]
)
def test_no_op_opens_another_users_channel(server: Server, connect: Connect, name: str) -> None:
    """Nor does one that publishes or asks who is there; the connection goes on."""
    name = name.format("victim")
    mine = token("*", "user:*", user="attacker", publish=["*", "user:*"])
    socket = connect("websocket", server, [], headers={"Authorization": f"Bearer {mine}"})
    assert isinstance(socket, WebSocket)
    for reply in (
        socket.ask("subscribe", channels=[name]),
        socket.ask("publish", channel=name, data="forged"),
        socket.ask("presence", channel=name),
    ):
        assert reply["ok"] is False and reply["error"]["status"] in (400, 403, 404), reply
    assert socket.ask("ping")["ok"] is True


@pytest.mark.parametrize(
    "name", ["presence/room:a", "webhooks/events", "presence%2Froom:a", "../channels", "a\0b", "é"]
)
def test_inner_channels_are_nobodys(server: Server, name: str) -> None:
    """An api key neither reads, writes, deletes nor lists what the server keeps for itself."""
    key = {"Authorization": f"Bearer {API_KEY}"}
    path = quote(name.replace("%2F", "/"), safe="")
    for method, target in (
        ("GET", f"/push/channels/{path}"),
        ("GET", f"/push/channels/{path}/history"),
        ("DELETE", f"/push/channels/{path}/history"),
        ("GET", f"/push/channels/{path}/presence"),
        ("GET", f"/push/poll?channels={path}"),
    ):
        assert server.ask(method, target, key).status in (400, 404), (method, target)
    for body in ({"channel": name, "data": 1}, {"channels": ["a:1", name], "data": 1}):
        assert server.post(body).status == 400
    listed = server.look("/push/channels?limit=1000", READ_KEY)["channels"]
    assert not any("/" in info["channel"] for info in listed)


def test_a_look_alike_is_shown_as_what_it_is(server: Server) -> None:
    """The refusal is ASCII, so that nobody takes one letter for another, and no markup runs."""
    reply = server.ask("GET", "/push/poll?channels=us%D0%B5r:1%3Cscript%3E%1B[31m")
    assert reply.status == 400 and reply.body.isascii()
    assert "\\u0435" in reply.json["detail"] and "\x1b" not in reply.json["detail"]
    assert reply.header("X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_stolen_connection_id_is_worth_nothing(
    server: Server, connect: Connect, transport: str
) -> None:
    """Another user who brings it gets one of their own; it opens no channel, and ends nobody."""
    victim = uuid.uuid4().hex
    headers = {"Authorization": f"Bearer {token(user=victim)}"}
    stolen = connect(transport, server, [f"user:{victim}"], headers=headers)
    theirs = {"Authorization": f"Bearer {token(user='thief')}"}
    with pytest.raises(Refused) as refusal:
        connect(transport, server, [f"user:{victim}"], headers=theirs, connection=stolen.connection)
    assert refusal.value.status == 403
    thief = connect(transport, server, ["user:thief"], headers=theirs, connection=stolen.connection)
    assert thief.connection != stolen.connection
    thief.close()
    assert server.post({"user": victim, "data": "mine"}).status == 200
    assert stolen.data() == ["mine"]
    assert json.dumps(stolen.connection) not in json.dumps(thief.events)
