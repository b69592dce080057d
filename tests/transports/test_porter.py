"""A handshake that passes neither gunicorn nor Flask gets byte for byte what they would give.

What belongs here: the two ways side by side at one server, and who takes which. What does not: how
a head is read (``test_knock``), what is right (``test_websocket``, ``test_refusals``).
"""

from __future__ import annotations

import json
import re
import socket
import uuid
from collections.abc import Iterator

import pytest

from ..jwts import token
from ..server import API_KEY, ORIGIN, Server, until
from ..websocket_client import CLOSE, TEXT, frame
from ..wire import Ended, request
from .lane import connected, plain
from .waiting import HANDSHAKE, wait_for_subscribers

CONFIG = "python:tests.apps.given"
#: A character that is not plain, in a field that says nothing: it has gunicorn read the head.
LONG_WAY = {"X-Long-Way": "a\tb"}
PLENTY = 100
DAY = 86400.0  # seconds; a suite may take long to come here
CONNECTS = 0.3  # a second from one address; three at once
_GIVEN = re.compile(r"given /push/ws after (\d+) answers")
_CONNECTION = re.compile(rb"c1[A-Za-z0-9_-]{38}")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The standalone server, one worker, behind one proxy."""
    server = Server(
        tmp_path_factory.mktemp("alone"),
        config=CONFIG,
        WEB_CONCURRENCY=1,
        PUSH_TRUSTED_PROXIES=1,
        PUSH_DEFLATE=1,
        PUSH_LIMITS=json.dumps({"connects": CONNECTS, "requests": 10}),
    ).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Somebody's app, one worker."""
    directory = tmp_path_factory.mktemp("looked-at")
    server = Server(directory, app="tests.apps.looking:app", config=CONFIG, WEB_CONCURRENCY=1)
    server.start()
    yield server
    server.stop()


def given(server: Server) -> int:
    """Return how many handshakes gunicorn has been given."""
    return len(_GIVEN.findall(server.log))


def address() -> dict[str, str]:
    """Return the header that says of a client where it is: nobody else is there."""
    return {"X-Forwarded-For": f"2600:1{uuid.uuid4().hex[:3]}:1{uuid.uuid4().hex[:3]}:1::1"}


def shake(server: Server, target: str, headers: dict[str, str]) -> bytes:
    """Shake hands, say goodbye, and return every byte that comes."""
    sent = HANDSHAKE | headers
    head = request("GET", target, {name: text for name, text in sent.items() if text})
    with connected(server) as wire:
        wire.send(head)
        answer = wire.take_until(b"\r\n\r\n")
        if answer.startswith(b"HTTP/1.1 101"):
            wire.send(frame(CLOSE, b"\x03\xe8"))
        else:
            wire.socket.shutdown(socket.SHUT_WR)
        return answer + wire.take_rest()


def both(server: Server, target: str, headers: dict[str, str]) -> bytes:
    """Shake hands on both ways, which have to give the same; return it."""
    before = given(server)
    short = shake(server, target, headers | address())
    opened = short.startswith(b"HTTP/1.1 101")
    until(lambda: given(server) == before + (not opened), "only what was refused is gunicorn's")
    long = shake(server, target, headers | address() | LONG_WAY)
    until(lambda: given(server) == before + 1 + (not opened), "gunicorn has it")
    assert _CONNECTION.sub(b"new", plain(short)) == _CONNECTION.sub(b"new", plain(long))
    return short


# What it gets


def test_what_opens_is_the_same(alone: Server) -> None:
    """The 101, welcome, what was missed, live and the close."""
    channel = f"public:{uuid.uuid4().hex}"
    first = alone.publish(channel, "first")
    alone.publish(channel, "second")
    opened = both(alone, f"/push/ws?channels={channel}&cursor={first}", {})
    assert opened.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    for said in (b'"type":"welcome"', b'"second"', b'"type":"live"'):
        assert said in opened
    for target in (f"?channels={channel}&history=9", "", f"?channels={channel}&cursor=a.1"):
        assert b'"type":"welcome"' in both(alone, f"/push/ws{target}", {})
    # who comes and goes is told when it has been written, perhaps after it has left
    with_presence = shake(alone, f"/push/ws?channels={channel}&presence=1", address())
    assert b'"type":"presence"' in with_presence


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {token('private:*', lasts=DAY)}"},
        {"Authorization": f"Bearer {API_KEY}"},
        {"Origin": ORIGIN},
        {"Origin": "https://push.test", "X-Forwarded-Proto": "https"},
        {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"},
        {"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket", "User-Agent": "x/1 (y; z)"},
    ],
)
def test_headers_mean_the_same(alone: Server, headers: dict[str, str]) -> None:
    channel = "private:a" if "Authorization" in headers else "public:a"
    opened = both(alone, f"/push/ws?channels={channel}", headers)
    assert b'"type":"live"' in opened
    assert (b"permessage-deflate" in opened) is ("Sec-WebSocket-Extensions" in headers)


@pytest.mark.parametrize(
    ("query", "headers", "said"),
    [
        ("channels=private:a", {"Authorization": "Bearer garbage"}, b'"status":401'),
        ("channels=b:a", {"Authorization": f"Bearer {token('a', lasts=DAY)}"}, b'"status":403'),
        ("channels=a", {"Authorization": f"Bearer {token(lasts=-60)}"}, b"expired"),
        ("channels=public:%2F", {}, b'"field":"channels"'),
        ("channels=public:a&cursor=garbage", {}, b'"field":"cursor"'),
        ("channels=public:a&presence=2", {}, b'"field":"presence"'),
        ("channels=public:a&token=x", {}, b'"field":"token"'),
        ("channels=public:a&ticket=x", {}, b'"status":401'),
    ],
)
def test_what_is_refused_after_the_101_is_the_same(
    alone: Server, query: str, headers: dict[str, str], said: bytes
) -> None:
    """A browser sees an error only as frames."""
    refused = both(alone, f"/push/ws?{query}", headers)
    assert refused.startswith(b"HTTP/1.1 101") and said in refused


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, b"403"),
        ({"Origin": "http://push.test", "X-Forwarded-Proto": "https"}, b"403"),
        ({"Sec-WebSocket-Version": "12"}, b"426"),
        ({"Sec-WebSocket-Key": "short"}, b"400"),
        ({"Sec-WebSocket-Key": ""}, b"400"),
        ({"Upgrade": ""}, b"426"),
        ({"Connection": "close"}, b"426"),
    ],
)
def test_what_is_refused_without_a_101_is_the_apps(
    alone: Server, headers: dict[str, str], status: bytes
) -> None:
    refused = both(alone, "/push/ws?channels=public:a", headers)
    assert refused.startswith(b"HTTP/1.1 " + status)


def test_a_ticket_is_good_once_whichever_way_it_comes(alone: Server) -> None:
    """A refusal does not try it a second time."""
    bearer = {"Authorization": f"Bearer {token('a', lasts=DAY)}"}

    def ticket() -> str:
        reply = alone.ask("POST", "/push/ticket", bearer | address(), b"")
        assert reply.status == 200, reply
        return str(reply.json["ticket"])

    for way in ({}, LONG_WAY):
        good = f"/push/ws?channels=a&ticket={ticket()}"
        assert b'"type":"live"' in shake(alone, good, address() | way)
        assert b'"status":401' in shake(alone, good, address() | way)
        for expected in (b'"status":403', b'"status":401'):
            wrong = (
                good if expected == b'"status":401' else f"/push/ws?channels=b&ticket={ticket()}"
            )
            assert expected in shake(alone, wrong, address() | way)


def test_nothing_is_counted_twice(alone: Server) -> None:
    """An address opens as many as on the other way, and is refused in the same words."""
    refusals = []
    for way in ({}, LONG_WAY):
        at, opened = address(), 0
        while (answer := shake(alone, "/push/ws?channels=public:a", at | way))[9:12] == b"101":
            opened += 1
            assert opened < PLENTY
        assert opened >= 3
        assert answer[9:12] == b"429"
        refusals.append(re.sub(rb"2600:[^;]*|\d+ s\b|Retry-After: \d+|\d+}", b"", plain(answer)))
    assert refusals[0] == refusals[1]


def counters(server: Server) -> dict[str, float]:
    """Return what /metrics counts, but for seconds."""
    text = server.ask("GET", "/metrics", address()).body.decode()
    lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith("pushapp_"))
    found = {name: float(value) for name, _, value in lines if "_total" in name}
    return {name: value for name, value in found.items() if "_seconds" not in name}


def test_the_same_is_counted(alone: Server) -> None:
    """In /metrics, and by the worker, which ends after max_requests."""
    channel, moved = f"public:{uuid.uuid4().hex}", []
    for way in ({}, LONG_WAY):
        wait_for_subscribers(alone, channel, 0)
        before = counters(alone)
        for query in (f"channels={channel}", "channels=public:%2F", f"channels={channel}"):
            shake(alone, f"/push/ws?{query}", address() | way)
        wait_for_subscribers(alone, channel, 0)
        after = counters(alone)
        moved.append({n: v - before.get(n, 0) for n, v in after.items() if v != before.get(n, 0)})
    assert moved[0] == moved[1]
    assert sum(moved[0].values()) > 0
    before_nr = counted_answers(alone)
    for _ in range(4):
        shake(alone, "/push/ws", address())
    assert counted_answers(alone) == before_nr + 5


def counted_answers(server: Server) -> int:
    """Return how many answers the worker had counted when this was asked."""
    before = given(server)
    shake(server, "/push/ws", address() | LONG_WAY)
    until(lambda: given(server) > before, "gunicorn says so")
    return int(_GIVEN.findall(server.log)[-1])


# Who goes which way


def test_a_head_in_two_pieces_is_gunicorns(alone: Server) -> None:
    """It has the patience for that, and its bound."""
    before = given(alone)
    head = request("GET", "/push/ws?channels=public:a", HANDSHAKE | address())
    with connected(alone) as wire:
        wire.send(head[:50])
        assert alone.ask("GET", "/healthz").status == 200  # it has been read by now
        wire.send(head[50:])
        assert wire.head().status == 101
    until(lambda: given(alone) == before + 1, "gunicorn has it")


def test_what_follows_at_once_is_answered_too(alone: Server) -> None:
    """A request behind another one, and a frame behind a handshake."""
    ping = frame(TEXT, b'{"op":"ping","ref":"early"}')
    for first in (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b""):
        with connected(alone) as wire:
            wire.send(first + request("GET", "/push/ws", HANDSHAKE | address()) + ping)
            if first:
                assert wire.reply().status == 200
            assert wire.head().status == 101
            while b'"early"' not in wire.received:
                wire.fill()


def test_one_that_says_nothing_may_leave(alone: Server) -> None:
    """At once, or after a part of a head."""
    for part in (b"", b"GET /push/ws"):
        with connected(alone) as wire:
            wire.send(part)
            wire.socket.shutdown(socket.SHUT_WR)
            with pytest.raises(Ended):
                wire.fill()


@pytest.mark.parametrize(
    "way",
    [
        *("before", "before-ours", "after", "teardown", "values", "signal"),
        *("view", "middleware", "request", "session", "user"),
    ],
)
def test_an_app_that_looks_at_requests_sees_each_handshake(looked_at: Server, way: str) -> None:
    """From the moment on at which it begins to, and until it no longer does."""

    def seen_and_given() -> tuple[int, int]:
        opened = shake(looked_at, "/push/ws?channels=public:a", {})
        assert b'"type":"live"' in opened
        return int(looked_at.ask("GET", "/seen").body), given(looked_at)

    before = seen_and_given()
    assert seen_and_given() == before
    assert looked_at.ask("POST", f"/look/{way}").status == 200
    try:
        assert seen_and_given() == (before[0] + 1, before[1] + 1)
    finally:
        assert looked_at.ask("POST", "/look-away").status == 200
    assert seen_and_given() == (before[0] + 1, before[1] + 1)
