"""Who has a token, on every transport: allowed, denied, and when it ends.

What belongs here: how a token travels, and what comes of it. What does not: what a token says
(``test_tokens``), publishing with one (``test_token_publishing``).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from ..clients import TRANSPORTS, Client, Refused
from ..jwts import EC, RSA, by_hand, claims, pem, token
from ..server import API_KEY, PUBLISH_KEY, Server
from ..wire import Ended, Wire, request
from .conftest import Connect, Open
from .waiting import ask, first_cursor

OTHER = "another-secret-of-the-tests-of-pushapp"

OUT_OF_SCOPE = "insufficient_scope"

#: Tokens that must open nothing, and the status of each is 401.
BAD = {
    "another secret": lambda: jwt.encode(claims(channels=["*"]), OTHER, "HS256"),
    "alg none": lambda: by_hand({"alg": "none", "typ": "JWT"}, claims(channels=["*"])),
    "public key as secret": lambda: by_hand(
        {"alg": "HS256"}, claims(channels=["*"]), pem(RSA).encode()
    ),
    "a key of its own": lambda: jwt.encode(claims(channels=["*"]), EC, "ES256"),
    "another audience": lambda: token("*", aud="another"),
    "not yet": lambda: token("*", nbf=claims(lasts=600)["exp"]),
    "of the future": lambda: token("*", iat=claims(lasts=600)["exp"]),
    "garbage": lambda: "garbage",
    "nothing": lambda: "",
}


@pytest.fixture
def room() -> str:
    """A channel that needs a right, and that no other test knows."""
    return f"room:{uuid.uuid4().hex}"


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def ticket(server: Server, text: str) -> str:
    """Change a token for a ticket."""
    reply = server.ask("POST", "/push/ticket", bearer(text))
    assert reply.status == 200, reply
    assert 25 <= reply.json["expires"] <= 30
    return str(reply.json["ticket"])


def until_refused(client: Client) -> Refused:
    """Wait until the client is told to go."""
    with pytest.raises(Refused) as refused:
        client.receive()
    return refused.value


# Allowed


def test_a_token_in_the_header_opens_its_channels(
    subscribe: Connect, server: Server, room: str
) -> None:
    client = subscribe([room], headers=bearer(token("room:*")))
    server.publish(room, "there")
    assert client.data() == ["there"]


def test_a_ticket_stands_for_its_token(
    subscribe: Connect, transport: str, server: Server, room: str
) -> None:
    """In the URL. Polls would need one each, so theirs asks once."""
    spent = ticket(server, token("room:*"))
    client = subscribe([room], ticket=spent)
    if transport in ("sse", "websocket"):
        server.publish(room, "there")
        assert client.data() == ["there"]


def test_everyone_reads_what_is_theirs(subscribe: Connect, server: Server) -> None:
    """``user:<sub>``, on every device, by the token alone."""
    user = uuid.uuid4().hex
    client = subscribe([f"user:{user}"], headers=bearer(token(user=user)))
    server.post({"user": user, "data": "for you"})
    assert client.data() == ["for you"]


def test_whoever_is_known_reads_what_is_for_everyone(
    subscribe: Connect, transport: str, server: Server, room: str
) -> None:
    """By any token; without one it is denied, although it needs no name in the token."""
    client = subscribe(["everyone"], headers=bearer(token()))
    server.publish("everyone", room)
    while client.data() != [room]:
        continue  # other tests' clients are everyone, too
    with pytest.raises(Refused) as refused:
        subscribe(["everyone"], first={"op": "ping"})
    assert refused.value.status == 401


def test_public_channels_need_none_and_take_one(
    subscribe: Connect, server: Server, channel: str, room: str
) -> None:
    """Together with others, too."""
    client = subscribe([channel, room], headers=bearer(token(room)))
    server.publish(channel, "public")
    server.publish(room, "private")
    assert client.data(2) == ["public", "private"]


def test_an_api_key_is_no_token(subscribe: Connect, server: Server, room: str) -> None:
    """It is tried first, and opens what it opens."""
    client = subscribe([room], headers=bearer(API_KEY))
    server.publish(room, "there")
    assert client.data() == ["there"]


# Denied


@pytest.mark.parametrize(
    "name", ["orders:7", "user:43", "nameless", "user:", "user:4", "User:42", "user:42:a"]
)
def test_what_a_token_does_not_name_is_denied(subscribe: Connect, name: str) -> None:
    """403; a WebSocket is told after the handshake, and closed with 1008."""
    with pytest.raises(Refused) as refused:
        subscribe([name], headers=bearer(token("room:*", "user:*", "user:43")))
    assert refused.value.status == 403 and name in refused.value.detail
    assert refused.value.code in (None, 1008)


def test_a_separator_is_one_however_it_is_written(server: Server) -> None:
    """``%3A`` is the colon of another user's channel, and twice encoded it is no name."""
    with_all = bearer(token("*"))
    for name, status in (("user%3A43", 403), ("user%253A43", 400), ("user\uff1a43", 400)):
        path = f"/push/poll?channels={name}".encode().decode("latin-1")
        wire = Wire(server.port)
        wire.send(request("GET", path, with_all))
        assert wire.reply().status == status
        wire.close()


@pytest.mark.parametrize("bad", BAD)
def test_a_token_that_does_not_count_opens_nothing(
    subscribe: Connect, bad: str, room: str, channel: str
) -> None:
    """401, where the channel is public all the same: who sends one means it."""
    text = BAD[bad]()
    for name in (room, channel):
        with pytest.raises(Refused) as refused:
            subscribe([name], headers=bearer(text))
        assert refused.value.status == 401
        assert refused.value.code in (None, 1008)
        assert not text or text not in refused.value.detail


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (lambda: "Basic dTpw", None),  # RFC 6750 section 3.1: as if none had come
        (lambda: "Bearer garbage", "invalid_token"),
        (lambda: f"Bearer {token('*', lasts=-60)}", "invalid_token"),
        (lambda: f"Bearer {token('another:*')}", OUT_OF_SCOPE),
        (lambda: f"Bearer {PUBLISH_KEY}", OUT_OF_SCOPE),
    ],
)
def test_the_challenge_says_what_is_wrong(
    server: Server, connect: Connect, room: str, text: Callable[[], str], error: str | None
) -> None:
    """RFC 6750 section 3. A WebSocket is told in a frame, without a header."""
    for transport in ("poll", "longpoll", "sse"):
        with pytest.raises(Refused) as refused:
            connect(transport, server, [room], headers={"Authorization": text()})
        reply = refused.value.reply
        assert reply is not None and reply.status == (403 if error == OUT_OF_SCOPE else 401)
        wanted = 'Bearer realm="push"' + (f', error="{error}"' if error else "")
        assert reply.header("WWW-Authenticate") == wanted


def test_a_token_that_has_ended_is_told_so(subscribe: Connect, channel: str) -> None:
    """So that the client gets another one: 401, and on a WebSocket 4001."""
    with pytest.raises(Refused) as refused:
        subscribe([channel], headers=bearer(token(lasts=-1)))
    assert refused.value.status == 401 and "expired" in refused.value.detail
    assert refused.value.code in (None, 4001)


# The end of a token


def test_a_token_ends_while_its_client_waits(
    subscribe: Connect, server: Server, transport: str, room: str
) -> None:
    """401 for a poll that comes again, an ``error`` and the end for a stream; with 4001."""
    client = subscribe([room], headers=bearer(token(room, lasts=2)))
    server.publish(room, "in time")
    assert client.data() == ["in time"]
    end = until_refused(client)
    assert end.status == 401 and "expired" in end.detail
    assert end.code == (4001 if transport == "websocket" else None)
    if transport == "sse":
        with pytest.raises(Ended):
            client.wire.fill()


def test_a_public_channels_stream_ends_with_its_token(subscribe: Connect, channel: str) -> None:
    """Its user is no longer known."""
    end = until_refused(subscribe([channel], headers=bearer(token(lasts=2))))
    assert end.status == 401


@pytest.mark.parametrize("how", ["sse", "websocket"])
def test_a_stream_by_ticket_ends_with_the_token(
    connect: Connect, server: Server, room: str, how: str
) -> None:
    """The ticket is not asked for again: what it stood for is known."""
    client = connect(how, server, [room], ticket=ticket(server, token(room, lasts=29)))
    server.publish(room, "there")
    assert client.data() == ["there"]


def test_a_waiting_long_poll_is_answered_when_its_token_ends(server: Server, room: str) -> None:
    """At once, and not after the 55 seconds that it wanted to wait; then 401."""
    wire, headers = Wire(server.port), bearer(token(room, lasts=2))
    cursor = ask(wire, "/push/poll", room, headers).json["cursor"]
    reply = ask(wire, "/push/longpoll", room, headers, cursor=cursor, timeout=55)
    assert reply.status == 200 and reply.json["messages"] == []
    assert ask(wire, "/push/longpoll", room, headers, cursor=cursor).status == 401
    wire.close()


def test_a_stream_that_is_not_parked_ends_with_its_token(
    make_server: Callable[..., Server], connect: Connect, room: str
) -> None:
    """And one by ticket, and one that refreshes: in its greenlet nothing is different."""
    server = make_server(WEB_CONCURRENCY=1, PUSH_PARK=0, PUSH_HEARTBEAT=1)
    long = token(room)
    client = connect("websocket", server, [room], first=refresh(token(room, lasts=2)))
    assert client.ask("refresh", token=long)["ok"] is True  # type: ignore[attr-defined]
    by_ticket = connect("sse", server, [room], ticket=ticket(server, long))
    for how in ("sse", "websocket"):
        end = until_refused(connect(how, server, [room], headers=bearer(token(room, lasts=2))))
        assert end.status == 401 and end.code in (None, 4001)
    server.publish(room, "still")
    assert client.data() == by_ticket.data() == ["still"]


# A WebSocket's first frame


def refresh(text: object) -> dict[str, Any]:
    return {"op": "refresh", "token": text}


def test_a_first_frame_brings_the_token(open_ws: Open, server: Server, room: str) -> None:
    """A browser's WebSocket can send no header: welcome, the reply, then as ever."""
    before = server.publish(room, 1)
    server.publish(room, 2)
    client = open_ws([room], before, first=refresh(token(room)))
    assert client.trail == ["welcome", "reply", "message", "live"]
    assert client.recovered is True
    server.publish(room, 3)
    assert client.data(2) == [2, 3]


@pytest.mark.parametrize(
    ("first", "status", "code"),
    [
        (refresh("garbage"), 401, 1008),
        (refresh(token("room:*", lasts=-1)), 401, 4001),
        (refresh(token("orders:*", lasts=9999)), 403, 1008),
        (refresh(None), 400, 1003),
        ({"op": "ping"}, 401, 1008),
        ({"op": "subscribe", "channels": ["public:a"]}, 401, 1008),
        ({"op": "publish", "channel": "room:1", "data": 1}, 401, 1008),
    ],
)
def test_a_first_frame_that_does_not_help_ends_it(
    open_ws: Open, room: str, first: dict[str, Any], status: int, code: int
) -> None:
    """Nothing else is done for one that is not known."""
    with pytest.raises(Refused) as refused:
        open_ws([room], first=first)
    assert (refused.value.status, refused.value.code) == (status, code)


def test_without_a_first_frame_it_ends_soon(open_ws: Open, room: str) -> None:
    """It is told what is missing."""
    with pytest.raises(Refused) as refused:
        open_ws([room])
    assert (refused.value.status, refused.value.code) == (401, 1008)
    assert room in refused.value.detail


def test_one_that_is_not_known_yet_leaves_nothing_behind(
    server: Server, connect: Connect, room: str
) -> None:
    """Neither when it goes, nor when its token comes too late (the fixture looks)."""
    client = connect("websocket", server)
    wire = Wire(server.port)
    key = {**client.handshake(), "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # type: ignore
    wire.send(request("GET", f"/push/ws?channels={room}", key))
    wire.head()
    wire.take(2)  # its welcome begins
    wire.close()
    assert server.look(f"/push/channels/{room}")["subscribers"] == 0


# Refreshing in place


def test_a_stream_lives_on_with_another_token(open_ws: Open, server: Server, room: str) -> None:
    """No message is lost, none comes twice; its twin, which has none, ends meanwhile."""
    short = bearer(token(room, lasts=3))
    client, twin = open_ws([room], headers=short), open_ws([room], headers=short)
    assert client.ask("refresh", token=token(room))["ok"] is True
    server.publish(room, 1)
    assert client.data() == [1]
    assert until_refused_after(twin, [1]).code == 4001
    server.publish(room, 2)
    assert client.data() == [2]
    assert client.trail.count("live") == 1


def until_refused_after(client: Client, data: list[Any]) -> Refused:
    assert client.data(len(data)) == data
    return until_refused(client)


def test_a_refreshed_stream_ends_with_the_new_token(open_ws: Open, room: str) -> None:
    """However long the old one would have held."""
    client = open_ws([room], headers=bearer(token(room, lasts=3600)))
    assert client.ask("refresh", token=token(room, lasts=2))["ok"] is True
    assert until_refused(client).code == 4001


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("garbage", 401),
        (token("room:*", lasts=-1), 401),
        (token("room:*", user="43", lasts=9999), 403),
        (token("orders:*", lasts=9999), 403),
        (7, 400),
        (None, 400),
    ],
)
def test_a_refresh_that_is_refused_changes_nothing(
    open_ws: Open, server: Server, room: str, text: object, status: int
) -> None:
    """Another user's, or one that opens less: the stream goes on by the token that it has."""
    client = open_ws([room], headers=bearer(token(room)))
    reply = client.ask("refresh", token=text)
    assert reply["ok"] is False and reply["error"]["status"] == status
    server.publish(room, "still")
    assert client.data() == ["still"]


def test_a_refresh_opens_what_the_new_token_opens(
    open_ws: Open, server: Server, room: str, channel: str
) -> None:
    """For later ops; a stream of public channels gets to know its user so."""
    client = open_ws([channel])
    assert client.ask("subscribe", channels=[room])["error"]["status"] == 401
    assert client.ask("refresh", token=token())["ok"] is True
    assert client.ask("subscribe", channels=[room])["error"]["status"] == 403
    assert client.ask("refresh", token=token(room))["ok"] is True
    assert client.ask("subscribe", channels=[room])["ok"] is True
    server.publish(room, "there")
    assert client.data() == ["there"]


# Tickets


@pytest.mark.parametrize("how", TRANSPORTS)
def test_a_ticket_is_good_once_over_all_workers(
    server: Server, connect: Connect, room: str, how: str
) -> None:
    """On neither worker again."""
    text = ticket(server, token(room))
    connect(how, server, [room], ticket=text)
    for pid in server.workers():
        with server.only(pid), pytest.raises(Refused) as refused:
            connect(how, server, [room], ticket=text)
        assert refused.value.status == 401 and "used" in refused.value.detail


@pytest.mark.parametrize("text", ["garbage", "a.b", token("room:*", lasts=9999)])
def test_what_is_no_ticket_opens_nothing(
    subscribe: Connect, room: str, channel: str, text: str
) -> None:
    """A token in its place neither; nor for a public channel."""
    for name in (room, channel):
        with pytest.raises(Refused) as refused:
            subscribe([name], ticket=text)
        assert refused.value.status == 401 and "ticket" in refused.value.detail


@pytest.mark.parametrize(
    "headers",
    [{}, bearer(API_KEY), bearer(PUBLISH_KEY), bearer("garbage"), bearer(token(lasts=-1))],
)
def test_a_ticket_is_given_for_a_token_alone(server: Server, headers: dict[str, str]) -> None:
    reply = server.ask("POST", "/push/ticket", headers)
    assert reply.status == 401 and reply.header("Content-Type") == "application/problem+json"


def test_a_ticket_is_kept_by_nobody_on_the_way(server: Server) -> None:
    """And a page of an allowed origin may have one."""
    headers = {**bearer(token()), "Origin": "https://app.example"}
    reply = server.ask("POST", "/push/ticket", headers, b"{}")
    assert reply.header("Cache-Control") == "no-store"
    assert reply.header("Access-Control-Allow-Origin") == "https://app.example"
    assert server.ask("GET", "/push/ticket", headers).status == 405


# In a URL


def test_a_token_in_a_url_is_refused(subscribe: Connect, channel: str) -> None:
    """URLs end up in logs. It says which setting would allow it."""
    text = token("*")
    with pytest.raises(Refused) as refused:
        subscribe([channel], token=text)
    assert refused.value.status == 400
    assert "PUSH_TOKEN_IN_URL" in refused.value.detail and text not in refused.value.detail


def test_a_token_in_a_url_is_taken_where_the_operator_allows_it(
    make_server: Callable[..., Server], connect: Connect, room: str
) -> None:
    """On all four; and a wrong one is wrong there, too."""
    server = make_server(WEB_CONCURRENCY=1, PUSH_TOKEN_IN_URL=1)
    for how in TRANSPORTS:
        client = connect(how, server, [room], token=token(room))
        server.publish(room, how)
        assert client.data() == [how]
        with pytest.raises(Refused) as refused:
            connect(how, server, [room], token="garbage")
        assert refused.value.status == 401


def test_no_token_and_no_ticket_is_ever_logged(
    make_server: Callable[..., Server], connect: Connect, room: str
) -> None:
    """Neither a good nor a bad one, wherever it stood, with the access log on."""
    server = make_server(
        WEB_CONCURRENCY=1, PUSH_TOKEN_IN_URL=1, arguments=("--access-logfile", "-")
    )
    good, bad = token(room), BAD["another secret"]()
    secret = [good, bad]
    for how in TRANSPORTS:
        spent = ticket(server, good)
        secret.append(spent)
        connect(how, server, [room], headers=bearer(good))
        connect(how, server, [room], token=good)
        connect(how, server, [room], ticket=spent)
        for wrong in ({"headers": bearer(bad)}, {"token": bad}, {"ticket": spent}):
            with pytest.raises(Refused):
                connect(how, server, [room], **wrong)
    client = connect("websocket", server, [room], first=refresh(good))
    client.ask("refresh", token=bad)  # type: ignore[attr-defined]
    server.ask("GET", f"/push/nothing?token={good}", {"Referer": f"http://a/?token={good}"})
    server.ask("GET", "/push/a%0Aline%0Aof-its-own")
    server.stop()
    assert "\nof-its-own" not in server.log
    for path in ("poll", "longpoll", "nothing", "ticket"):
        assert f"/push/{path} HTTP/1.1" in server.log
    for text in secret:
        assert text not in server.log and text.rpartition(".")[2] not in server.log


# Connections


def test_a_connections_id_is_its_users(server: Server, channel: str) -> None:
    """A poller keeps it with a new token; with it another user gets one of their own."""
    wire = Wire(server.port)
    mine = ask(wire, "/push/poll", channel, bearer(token(user="42"))).json["connection"]
    assert first_cursor(wire, channel)

    def given(user: str) -> str:
        answer = ask(wire, "/push/poll", channel, bearer(token(user=user)), connection=mine)
        return str(answer.json["connection"])

    assert given("42") == mine
    assert given("43") != mine
    assert ask(wire, "/push/poll", channel, connection=mine).json["connection"] != mine
    wire.close()
