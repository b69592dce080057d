"""A waiting client is a parked socket: what HTTP still promises then.

What belongs here: bytes, connections and file descriptors while clients wait, in the server as it
comes. What does not: how it drains (``test_draining``), who leaves
(``test_leaving``), other ways to serve it (``test_hosts``).
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import pytest

from ..server import API_KEY, Server
from ..wire import Wire, request
from .conftest import Connect
from .waiting import FORM, HANDSHAKE, long_poll, now, wait_for_subscribers

# One request after another on one connection


def test_a_connection_serves_many_long_polls(wire: Wire, server: Server, channel: str) -> None:
    """Answered while parked, and asked again on the same TCP connection, again and again."""
    cursor = now(server, channel)
    for n in range(200):
        target = urlencode({"channels": channel, "cursor": cursor, "timeout": 55})
        wire.send(request("GET", f"/push/longpoll?{target}"))
        published = server.publish(channel, n)
        reply = wire.reply()
        assert not reply.closes
        assert [m["data"] for m in reply.json["messages"]] == [n]
        assert reply.json["cursor"] == published
        cursor = published
    assert wire.received == b""


def test_other_requests_go_between_long_polls(wire: Wire, server: Server, channel: str) -> None:
    """A connection that was parked is an ordinary one afterwards, for any method."""
    for n in range(20):
        target = long_poll(server, channel)
        body = b'{"channel":"%s","data":%d}' % (channel.encode(), n)
        wire.send(request("GET", target))
        server.publish(channel, n)
        assert [m["data"] for m in wire.reply().json["messages"]] == [n]
        published = wire.ask(
            "POST",
            "/push/publish",
            {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"},
            body,
        )
        assert published.json["id"]
        assert wire.ask("GET", "/nothing").status == 404
        assert wire.ask("GET", "/healthz").status == 200


def test_requests_that_are_pipelined_behind_a_long_poll_are_answered_in_order(
    wire: Wire, server: Server, channel: str
) -> None:
    """They wait for its answer and are not lost, whether they came with it or later."""
    target = long_poll(server, channel)
    wire.send(request("GET", target) + request("GET", "/push/nothing-1"))
    wait_for_subscribers(server, channel, 1)
    wire.send(request("GET", "/push/nothing-2") + request("GET", "/healthz"))
    published = server.publish(channel, "news")
    assert wire.reply().json["cursor"] == published
    assert [wire.reply().status for _ in range(3)] == [404, 404, 200]


def test_long_polls_that_are_pipelined_each_get_their_own_answer(
    wire: Wire, server: Server, channel: str
) -> None:
    """The second begins to wait when the first was answered."""
    first, second = f"{channel}.1", f"{channel}.2"
    wire.send(request("GET", long_poll(server, first)) + request("GET", long_poll(server, second)))
    wait_for_subscribers(server, first, 1)
    server.publish(second, "two")
    server.publish(first, "one")
    assert [wire.reply().json["messages"][0]["data"] for _ in range(2)] == ["one", "two"]


def test_a_request_that_came_half_with_a_long_poll_is_put_together(
    wire: Wire, server: Server, channel: str
) -> None:
    """Bytes that were read ahead travel with the socket."""
    next_one = request("POST", "/push/poll", FORM, b"channels=public:a")
    wire.send(request("GET", long_poll(server, channel)) + next_one[:50])
    wait_for_subscribers(server, channel, 1)
    wire.send(next_one[50:-5])
    server.publish(channel, "news")
    assert wire.reply().json["messages"][0]["data"] == "news"
    wire.send(next_one[-5:])
    assert wire.reply().json["messages"] == []


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        ("HTTP/1.1", {"Connection": "close"}),
        ("HTTP/1.0", {}),
        ("HTTP/1.0", {"Connection": "keep-alive"}),
    ],
)
def test_a_long_poll_that_is_the_last_request_ends_its_connection(
    wire: Wire, server: Server, channel: str, version: str, headers: dict[str, str]
) -> None:
    """HTTP/1.0 and Connection: close get a whole answer, and then the end."""
    wire.send(request("GET", long_poll(server, channel), headers, version=version))
    wait_for_subscribers(server, channel, 1)
    server.publish(channel, "news")
    reply = wire.reply()
    assert reply.json["messages"][0]["data"] == "news"
    assert "close" in reply.listed("Connection")
    assert wire.is_closed()


def test_a_waiting_connection_is_probed(
    wire: Wire, server: Server, connect: Connect, channel: str
) -> None:
    """A client that vanished without a word is noticed: TCP asks after it (RFC 9293 3.8.4)."""
    wire.send(request("GET", long_poll(server, channel)))
    others = [connect(transport, server, [channel]) for transport in ("sse", "websocket")]
    wait_for_subscribers(server, channel, 3)
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    timers = {  # the client's port → kind of the timer that runs; 2 is keep-alive
        int(row[2].partition(":")[2], 16): row[5].partition(":")[0]
        for row in rows
        if int(row[1].partition(":")[2], 16) == server.port
    }
    for port in [wire.local_port, *(client.wire.local_port for client in others)]:
        assert timers[port] == "02"


# A request that is not what it seems


SMUGGLED = b"POST /push/publish HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n" % (
    API_KEY.encode()
)


@pytest.mark.parametrize("framing", ["Content-Length", "chunked"])
@pytest.mark.parametrize("path", ["/push/poll", "/push/longpoll", "/push/sse", "/push/ws"])
def test_a_get_with_a_body_is_refused_and_its_body_is_never_a_request(
    wire: Wire, server: Server, connect: Connect, channel: str, path: str, framing: str
) -> None:
    """400 and the end of the connection: behind a proxy it would be another client's request."""
    watcher = connect("sse", server, [channel])
    draft = b'{"channel":"%s","data":"smuggled"}' % channel.encode()
    inner = SMUGGLED + b"Content-Length: %d\r\n\r\n" % len(draft) + draft
    headers = {"Content-Length": str(len(inner))}
    if path == "/push/ws":
        headers |= HANDSHAKE
    body = inner
    if framing == "chunked":
        del headers["Content-Length"]
        headers["Transfer-Encoding"] = "chunked"
        body = b"%x\r\n" % len(inner) + inner + b"\r\n0\r\n\r\n"
    target = f"{path}?channels={channel}&cursor={now(server, channel)}"
    wire.send(request("GET", target, headers) + body + request("GET", "/healthz"))
    reply = wire.reply()
    assert reply.status == 400 and "close" in reply.listed("Connection")
    assert wire.is_closed()
    server.publish(channel, "marker")
    assert watcher.data() == ["marker"]


def test_a_posted_long_poll_whose_body_holds_a_request_runs_it_not(
    wire: Wire, server: Server, connect: Connect, channel: str
) -> None:
    """Only a request whose body has been read whole is parked."""
    watcher = connect("sse", server, [channel])
    draft = b'{"channel":"%s","data":"smuggled"}' % channel.encode()
    inner = SMUGGLED + b"Content-Length: %d\r\n\r\n" % len(draft) + draft
    form = urlencode(
        {"channels": channel, "cursor": now(server, channel), "timeout": 1, "x": inner}
    )
    assert wire.ask("POST", "/push/longpoll", FORM, form.encode()).json["messages"] == []
    wire.send(request("POST", long_poll(server, channel, timeout=1), None, inner))
    wire.reply()
    server.publish(channel, "marker")
    assert watcher.data() == ["marker"]
