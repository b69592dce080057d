"""Never a partial answer that looks whole: what is missing is told, on every transport alike.

What belongs here: ``recovered`` and ``lost``. What does not: what comes when nothing is missing
(``test_contract``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ..clients import TRANSPORTS, Client
from ..server import API_KEY, SHORT, Server
from .conftest import Connect


def loss_of(client: Client) -> dict[str, dict[str, Any]]:
    return {loss["channel"]: loss for loss in client.lost}


def test_what_was_trimmed_is_told_as_expired_and_the_rest_comes(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """``before`` is the first kept id, ``after`` the client's own cursor."""
    short, whole = channel.replace("public", "short"), channel
    start = subscribe([short, whole]).cursor
    for n in range(SHORT + 20):
        server.publish(short, n)
    server.publish(whole, "whole")

    client = subscribe([short, whole], start)
    kept = client.receive(SHORT + 1)

    assert client.recovered is False
    assert loss_of(client) == {
        short: {"channel": short, "after": start, "before": kept[0]["id"], "reason": "expired"}
    }
    assert [m["data"] for m in kept] == [20, 21, 22, "whole"]


def test_what_was_deleted_is_told_even_where_nothing_is_kept(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """A deleted history is no silent gap: ``before`` is null, and new messages come."""
    start = subscribe([channel]).cursor
    last = server.publish(channel, "gone")
    asked = {"Authorization": f"Bearer {API_KEY}"}
    reply = server.ask("DELETE", f"/push/channels/{channel}/history", asked)
    assert reply.status in (200, 204)

    client = subscribe([channel], start)

    assert client.recovered is False
    assert client.lost == [
        {"channel": channel, "after": start, "before": None, "reason": "expired"}
    ]
    server.publish(channel, "new")
    (message,) = client.receive()
    assert (message["data"], message["prev"]) == ("new", last)


def test_a_loss_is_told_once(subscribe: Connect, server: Server, channel: str) -> None:
    """The cursor that comes with it is whole again."""
    short = channel.replace("public", "short")
    start = subscribe([short]).cursor
    for n in range(SHORT + 5):
        server.publish(short, n)
    told = subscribe([short], start)
    assert told.recovered is False
    told.receive(SHORT)
    assert subscribe([short], told.cursor).recovered is True


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_loss_is_told_before_a_message_moves_the_cursor_past_it(
    transport: str, connect: Connect, server: Server, channel: str
) -> None:
    """Else one that is cut off in between would come back with a newer cursor, and never hear."""
    short = channel.replace("public", "short")
    start = connect(transport, server, [short]).cursor
    for n in range(SHORT + 5):
        server.publish(short, n)

    client = connect(transport, server, [short], start)
    client.receive(SHORT)
    server.publish(short, "live")
    client.receive()

    assert client.trail == ["welcome", "live", *["message"] * SHORT, "live", "message"]
    told, live = (event for event in client.events if event.get("type") == "live")
    assert told["recovered"] is False and told["cursor"] == start
    assert told["lost"][0]["before"] == client.events[2]["id"]
    assert live["recovered"] is True and "lost" not in live


@pytest.mark.parametrize("kind", ["another epoch", "the future"])
def test_a_cursor_of_another_epoch_or_of_the_future_is_told_as_epoch(
    subscribe: Connect, server: Server, channel: str, kind: str
) -> None:
    """What is kept comes from the oldest on; it never waits in silence."""
    idle = f"{channel}.idle"
    last = server.publish(channel, "kept")
    epoch, _, n = last.partition(".")
    foreign = f"{epoch}.{int(n) + 10**9}" if kind == "the future" else f"{epoch}x.1"

    client = subscribe([channel, idle], foreign)

    assert client.recovered is False
    assert loss_of(client) == {
        channel: {"channel": channel, "after": foreign, "before": last, "reason": "epoch"},
        idle: {"channel": idle, "after": foreign, "before": None, "reason": "epoch"},
    }
    server.publish(channel, "live")
    assert client.data(2) == ["kept", "live"]


def test_a_log_that_was_replaced_is_another_epoch(
    make_server: Callable[..., Server],
    remove_log: Callable[[Server], None],
    connect: Connect,
    channel: str,
) -> None:
    """A log that was removed costs every client its recovery, and each is told."""
    server = make_server()
    server.publish(channel, "gone")
    clients = [connect(transport, server, [channel]) for transport in TRANSPORTS]
    for client in clients:
        client.close()
    server.stop()
    remove_log(server)
    server.start()
    server.publish(channel, "new")
    for client in clients:
        again = connect(client.transport, server, [channel], client.cursor)
        assert again.recovered is False and again.lost[0]["reason"] == "epoch"
        assert again.data() == ["new"]


def test_of_several_cursors_the_oldest_counts(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """Two tabs, or a page and its storage, never lose by knowing more."""
    start = subscribe([channel]).cursor
    ids = [server.publish(channel, n) for n in range(3)]
    for cursors in ([ids[2], start, ids[0]], [start, ids[1]], [ids[1], start]):
        assert subscribe([channel], cursors).data(3) == [0, 1, 2]


def test_a_foreign_cursor_among_several_is_not_passed_over(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """A cursor that cannot be compared is never the newer one."""
    last = server.publish(channel, "kept")
    for cursors in ([last, "elsewhere.1"], ["elsewhere.1", last]):
        client = subscribe([channel], cursors)
        assert client.recovered is False and client.lost[0]["reason"] == "epoch"
        assert client.data() == ["kept"]
