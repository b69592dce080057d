"""What is old: history, retained values, expired and scheduled messages, on every transport alike.

What belongs here: messages that come at another time than they were published. What does not:
the backlog after a cursor (``test_contract``).
"""

from __future__ import annotations

import time

from ..server import SHORT, Server, until
from .conftest import Connect


def test_history_is_the_last_kept_messages_and_moves_no_cursor(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """It never comes as a bare message; what follows is live."""
    for n in range(5):
        server.publish(channel, n)
    client = subscribe([channel], history=2)
    assert [m["data"] for m in client.history(channel)] == [3, 4]
    assert "message" not in client.trail
    server.publish(channel, "live")
    assert client.data() == ["live"]


def test_with_a_cursor_there_is_no_history(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """The backlog says it all."""
    start = server.publish(channel, "old")
    server.publish(channel, "missed")
    client = subscribe([channel], start, history=5)
    assert client.data() == ["missed"]
    assert client.history(channel) == []


def test_history_of_several_channels_is_told_apart(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """Each channel's own, the untouched one's empty or absent."""
    a, b, idle = (f"{channel}.{x}" for x in ("a", "b", "idle"))
    server.publish_all([{"channel": x, "data": x} for x in (a, b, a)])
    client = subscribe([a, b, idle], history=1)
    assert [[m["data"] for m in client.history(x)] for x in (a, b, idle)] == [[a], [b], []]


def test_a_retained_value_comes_with_the_history_whatever_was_published_since(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """It is kept apart from the log: trimming and N do not touch it."""
    short = channel.replace("public", "short")
    server.publish(short, "the value", retain=True)
    for n in range(SHORT + 5):
        server.publish(short, n)
    client = subscribe([short], history=1)
    assert [m["data"] for m in client.history(short)] == ["the value", SHORT + 4]


def test_a_retained_value_is_replaced_and_cleared(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """By the next one; by null. A value among the last N comes once."""
    server.publish(channel, "old", retain=True)
    server.publish(channel, "new", retain=True)
    assert [m["data"] for m in subscribe([channel], history=1).history(channel)] == ["new"]
    server.publish(channel, None, retain=True)
    server.publish(channel, "plain")
    assert [m["data"] for m in subscribe([channel], history=1).history(channel)] == ["plain"]


def test_past_its_ttl_a_message_is_a_tombstone(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """It still moves the cursor and proves continuity, and carries no data."""
    start = subscribe([channel]).cursor
    ids = [server.publish(channel, n, ttl=ttl) for n, ttl in (("typing…", 1), ("stays", 600))]
    expiry = time.time() + 1.1
    until(lambda: time.time() > expiry, "the ttl is over")

    dead, alive = subscribe([channel], start).receive(2)

    assert list(dead) == ["id", "prev", "channel", "event", "time", "expired"]
    assert dead["expired"] is True
    assert [dead["id"], alive["id"]] == ids and alive["prev"] == dead["id"]
    assert alive["data"] == "stays"


def test_a_scheduled_message_arrives_once_when_it_falls_due(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """Its id and time are those of then: it comes after what was published meanwhile."""
    client = subscribe([channel])
    reply = server.post({"channel": channel, "data": "later", "delay": 1})
    assert reply.json["scheduled"].startswith("s")
    server.publish(channel, "sooner")
    sooner, later = client.receive(2)
    assert (sooner["data"], later["data"]) == ("sooner", "later")
    assert later["prev"] == sooner["id"] and later["time"] >= reply.json["at"] - 0.01
    server.publish(channel, "marker")
    assert client.data() == ["marker"]
