"""What is SSE's own: the reply's head, the events' names and ids, and old HTTP.

What belongs here: how an event looks on the wire. What does not: what it means.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from ..clients import Refused, Sse
from ..server import ORIGIN, Server
from ..wire import Wire, request
from .conftest import Connect


@pytest.fixture
def open_sse(server: Server, connect: Connect) -> Callable[..., Sse]:
    """Open an SSE client at the shared server."""

    def open_one(*args: object, **params: object) -> Sse:
        client = connect("sse", server, *args, **params)
        assert isinstance(client, Sse)
        return client

    return open_one


def test_the_head_says_that_nothing_may_keep_or_hold_the_stream(
    open_sse: Callable[..., Sse], channel: str
) -> None:
    """text/event-stream in chunks, not buffered by nginx, not kept by a cache."""
    reply = open_sse([channel], headers={"Origin": ORIGIN}).reply
    assert reply.status == 200
    assert (reply.header("Content-Type") or "").startswith("text/event-stream")
    assert "chunked" in reply.listed("Transfer-Encoding")
    assert reply.header("Content-Length") is None
    assert reply.header("X-Accel-Buffering") == "no"
    assert "no-store" in reply.listed("Cache-Control")
    assert reply.header("X-Content-Type-Options") == "nosniff"
    assert reply.header("Cross-Origin-Resource-Policy")
    assert reply.header("Access-Control-Allow-Origin") == ORIGIN
    assert {"authorization", "cookie", "origin"} <= reply.listed("Vary")


def test_the_order_of_things_without_a_cursor(
    open_sse: Callable[..., Sse], server: Server, channel: str
) -> None:
    """welcome, history, live, and then messages."""
    server.publish(channel, "old")
    client = open_sse([channel], history=1)
    server.publish(channel, "new")
    client.receive()
    assert client.trail == ["welcome", "history", "live", "message"]


def test_the_order_of_things_with_a_cursor(
    open_sse: Callable[..., Sse], server: Server, channel: str
) -> None:
    """welcome, the backlog, live, and then messages."""
    start = server.publish(channel, "old")
    server.publish(channel, "missed")
    client = open_sse([channel], start)
    server.publish(channel, "new")
    client.receive(2)
    assert client.trail == ["welcome", "message", "live", "message"]


def test_the_welcome_says_who_and_how_often(open_sse: Callable[..., Sse], channel: str) -> None:
    """connection, heartbeat and version."""
    welcome = open_sse([channel]).events[0]
    assert welcome["connection"].startswith("c")
    assert welcome["heartbeat"] > 0 and welcome["version"]


def test_ids_are_cursors_on_messages_and_live_only(
    open_sse: Callable[..., Sse], server: Server, channel: str
) -> None:
    """What moves no cursor has no id: a browser would remember it."""
    old = server.publish(channel, "old")
    client = open_sse([channel], history=1)
    assert client.ids == [client.events[-1]["cursor"]]
    new = server.publish(channel, "new")
    client.receive()
    assert client.ids[1:] == [new] and client.ids[0] >= old


def test_last_event_id_beats_the_cursor_of_the_url(
    open_sse: Callable[..., Sse], server: Server, channel: str
) -> None:
    """A browser that reconnects repeats its first URL: no tail is sent again."""
    start = open_sse([channel]).cursor
    ids = [server.publish(channel, n) for n in range(3)]
    client = open_sse([channel], start, headers={"Last-Event-ID": ids[1]})
    assert client.data() == [2]
    assert client.recovered is True and client.trail.count("message") == 1


def test_a_wrong_last_event_id_is_refused(open_sse: Callable[..., Sse], channel: str) -> None:
    """As any other cursor that no log gave out."""
    with pytest.raises(Refused) as refused:
        open_sse([channel], headers={"Last-Event-ID": "garbage"})
    assert refused.value.status == 400 and "Last-Event-ID" in refused.value.detail


def test_to_http_1_0_it_is_sent_plain_until_either_side_closes(
    server: Server, channel: str
) -> None:
    """Connection: close, no chunking; every event still comes."""
    wire = Wire(server.port)
    wire.send(request("GET", f"/push/sse?channels={channel}", version="HTTP/1.0"))
    head = wire.head()
    assert head.status == 200
    assert head.header("Transfer-Encoding") is None and "close" in head.listed("Connection")
    assert wire.take_until(b"\n\n").startswith(b"event: welcome\n")
    wire.take_until(b"event: live")
    wire.take_until(b"\n\n")
    published = server.publish(channel, "plain")
    id_line, data_line = wire.take_until(b"\n\n").strip().split(b"\n")
    assert id_line == f"id: {published}".encode()
    assert json.loads(data_line.removeprefix(b"data: "))["data"] == "plain"
    wire.close()


def test_only_get_opens_a_stream(server: Server, channel: str) -> None:
    """A POST is refused, with what is allowed."""
    reply = server.ask("POST", f"/push/sse?channels={channel}", body=b"")
    assert reply.status == 405 and "get" in reply.listed("Allow")
