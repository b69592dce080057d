"""What SSE and WebSocket share: they stay open.

What belongs here: heartbeats, and ``live`` told again. What does not: what a poller has, too.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ..server import Server
from .conftest import Connect

STREAMS = pytest.mark.parametrize("transport", ["sse", "websocket"])


@pytest.fixture(scope="module")
def lively(tmp_path_factory: pytest.TempPathFactory) -> object:
    """A server whose heartbeat a test can wait for."""
    server = Server(tmp_path_factory.mktemp("lively"), PUSH_HEARTBEAT=0.5).start()
    yield server
    server.stop()


@STREAMS
def test_a_heartbeat_carries_a_cursor_that_is_good_to_resume_from(
    transport: str, lively: Server, connect: Connect, channel: str
) -> None:
    """Also when it is newer than the last message: every channel was read up to there."""
    client = connect(transport, lively, [channel])
    lively.publish(channel, "seen")
    lively.publish("public:other", "moves the head only")
    client.receive()
    client.wait_for("heartbeat")
    beat = client.wait_for("heartbeat")
    client.close()
    lively.publish(channel, "missed")

    again = connect(transport, lively, [channel], beat["cursor"])

    assert again.recovered is True
    assert again.data() == ["missed"]


@STREAMS
def test_the_welcome_says_how_often_a_sign_of_life_comes(
    transport: str, lively: Server, connect: Connect, channel: str
) -> None:
    """The heartbeat's setting."""
    welcome = connect(transport, lively, [channel]).events[0]
    assert welcome["type"] == "welcome" and welcome["heartbeat"] in (0.5, 500)


@STREAMS
def test_a_log_that_is_replaced_under_a_stream_is_told_in_it(
    transport: str, make_server: Callable[..., Server], connect: Connect, channel: str
) -> None:
    """``live`` comes again with recovered false and reason epoch; then it goes on."""
    server = make_server()
    server.publish(channel, "old")
    client = connect(transport, server, [channel])
    server.remove_log()
    server.post({"channel": channel, "data": "wakes whoever follows"})
    live = client.wait_for("live")
    assert live["recovered"] is False
    assert {loss["reason"] for loss in live["lost"]} == {"epoch"}
    last = server.publish(channel, "new")
    while client.receive()[0]["id"] != last:
        pass
