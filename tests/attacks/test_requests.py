"""Requests that two parsers may read in two ways, and heads and bodies without end.

What belongs here: HTTP itself, on fresh, kept and parked connections. What does not: bodies where
none belong (``transports/test_parking``), slow ones (``transports/test_leaving``).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest

from ..clients import Client
from ..server import API_KEY, Server
from ..transports.waiting import long_poll
from ..wire import Ended, Wire, request

#: What would be the next request, if the server believed the wrong one of two lengths.
INNER = b"GET /push/poll?channels=public:smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
KEY = b"Authorization: Bearer %s\r\n" % API_KEY.encode()

AMBIGUOUS = {
    "both lengths": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 0\r\n\r\n",
    "a length that is none": b"Content-Length: +5\r\n\r\n",
    "a length below nothing": b"Content-Length: -5\r\n\r\n",
    "two codings": b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "a coding that is none": b"Transfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n",
    "a coding that is hidden": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a folded line": b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"Content-Length : 5\r\n\r\n",
    "a bare line feed": b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bare carriage return": b"X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a NUL": b"X: a\0b\r\n\r\n",
    "two hosts": b"Host: other\r\n\r\n",
}


def before(kind: str, wire: Wire, server: Server, channel: str) -> None:
    """Bring a connection to where the attack begins."""
    if kind == "kept":
        assert wire.ask("GET", "/healthz").status == 200
    elif kind == "given back":
        target = long_poll(server, channel, timeout=1)
        wire.send(request("GET", target))
        server.publish(channel)
        assert wire.reply().status == 200


@pytest.mark.parametrize("kind", ["fresh", "kept", "given back", "parked"])
def test_a_request_that_can_be_read_in_two_ways_is_the_last(
    server: Server, channel: str, kind: str
) -> None:
    """400 and the end, wherever the connection has been; what follows is never a request."""
    wires = {}
    for name, rest in AMBIGUOUS.items():
        wires[name] = wire = Wire(server.port)
        attack = b"POST /push/publish HTTP/1.1\r\nHost: x\r\n" + KEY + rest + INNER
        if kind == "parked":  # it arrives while a long poll waits
            attack = request("GET", long_poll(server, channel, timeout=1)) + attack
        else:
            before(kind, wire, server, channel)
        wire.send(attack)
    for name, wire in wires.items():
        if kind == "parked":
            assert wire.reply().status == 200
        try:
            reply = wire.reply()
            assert reply.status in (400, 501), f"{name}: {reply}"
            assert b"cursor" not in wire.take_rest(), name
        except Ended as end:
            assert b"cursor" not in str(end).encode(), name
        wire.close()


HEADS = {
    "a line": b"GET /" + b"x" * 200_000,
    "a field": b"GET / HTTP/1.1\r\nX: " + b"y" * 200_000,
    "many fields": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 50_000,
    "long fields": b"GET / HTTP/1.1\r\n" + (b"X: " + b"y" * 8000 + b"\r\n") * 30,
}


def test_a_head_without_end_is_refused(server: Server) -> None:
    """A line, a field, many fields: no more than 96 KiB are taken of any."""
    memory, wires, refused = memory_of(server), list[tuple[str, Wire]](), set[str]()
    for name, head in HEADS.items():
        for _ in range(10):
            wires.append((name, wire := Wire(server.port)))
            with suppress(ConnectionError):  # it was refused before it was all sent
                wire.send(head)
    for name, wire in wires:
        with suppress(ConnectionResetError):
            answer = wire.take_rest()
            assert not answer or answer.startswith(REFUSED), answer[:99]
            refused |= {name} if answer else set()
        wire.close()
    assert refused == set(HEADS), "the others were ended by their deadline, without a word"
    assert memory_of(server) - memory < 8 << 20
    assert server.ask("GET", "/healthz").status == 200


def memory_of(server: Server) -> int:
    """Return the resident bytes of the one worker."""
    (pid,) = server.workers()
    return psutil.Process(pid).memory_info().rss


REFUSED = (b"HTTP/1.1 400 ", b"HTTP/1.1 414 ", b"HTTP/1.1 431 ")

BODIES = {
    "a gigabyte, said": {"Content-Length": str(1 << 30)},
    "a gigabyte, in chunks": {"Transfer-Encoding": "chunked"},
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/push/publish"),
        ("POST", "/push/ticket"),
        ("POST", "/push/longpoll?channels=public:a"),
        ("GET", "/push/poll?channels=public:a"),
        ("POST", "/push/nothing"),
        ("DELETE", "/push/scheduled/s1"),
        ("POST", "/healthz"),
    ],
)
def test_a_body_without_end_is_not_read(
    server: Server, wire: Wire, name: str, method: str, target: str
) -> None:
    """Whatever route: an answer, the end, and no more than a few MiB are taken."""
    memory, piece = memory_of(server), b"x" * 65536
    headers = {"Authorization": f"Bearer {API_KEY}", **BODIES[name]}
    if "Transfer-Encoding" in headers:
        piece = b"%x\r\n%b\r\n" % (len(piece), piece)
    wire.send(request(method, target, headers))
    sent = 0
    try:
        while sent < 64 << 20:
            wire.send(piece)
            sent += len(piece)
    except ConnectionError:
        pass
    else:
        raise AssertionError("it reads on and on")
    assert memory_of(server) - memory < 16 << 20
    assert server.ask("GET", "/healthz").status == 200


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip", "GZIP", "zstd"])
def test_a_compressed_body_is_refused_unread(server: Server, coding: str) -> None:
    """A kilobyte may stand for a gigabyte; the answer says what would be taken."""
    bomb = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + b"\x00" * 1000
    targets = {
        "/push/publish": {"Content-Type": "application/json"},
        "/push/poll?channels=public:a": {"Content-Type": "application/x-www-form-urlencoded"},
    }
    for target, headers in targets.items():
        headers |= {"Content-Encoding": coding, "Authorization": f"Bearer {API_KEY}"}
        reply = server.ask("POST", target, headers, bomb)
        assert reply.status == 415 and reply.header("Accept-Encoding") == "identity"
        assert "Content-Encoding" in reply.json["detail"]


def test_a_websocket_takes_no_compressed_frame(
    server: Server, connect: Callable[..., Client]
) -> None:
    """The offer is passed over, so that nothing is ever inflated."""
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    client = connect("websocket", server, [], headers=offer)
    assert client.reply.header("Sec-WebSocket-Extensions") is None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"zz\r\nab\r\n0\r\n\r\n", id="a size that is none"),
        pytest.param(b"2\r\nabcd\r\n0\r\n\r\n", id="a chunk longer than its size"),
        pytest.param(b"2;" + b"x" * 20_000 + b"\r\nab\r\n0\r\n\r\n", id="a long extension"),
        pytest.param(b"0\r\n" + b"X: y\r\n" * 20_000 + b"\r\n", id="many trailers"),
        pytest.param(b"0\r\nContent-Length: 5\r\n\r\n", id="a trailer that is a length"),
    ],
)
@pytest.mark.parametrize("target", ["/push/publish", "/push/longpoll", "/push/nothing"])
def test_chunks_that_are_none_are_refused(
    server: Server, wire: Wire, target: str, body: bytes
) -> None:
    """400 and the end: what follows them is never a request, and nothing fails within."""
    headers = {"Authorization": f"Bearer {API_KEY}", "Transfer-Encoding": "chunked"}
    wire.send(request("POST", target, headers) + body + INNER)
    reply = wire.reply()
    assert reply.status in (400, 431)
    assert b"cursor" not in wire.take_rest()
