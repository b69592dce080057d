"""What SSE and WebSocket share: they stay open.

What belongs here: heartbeats, and ``live`` told again. What does not: what a poller has, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pytest

from ..clients import Client, Refused
from ..server import SHORT, Server, until
from ..wire import Ended, request
from .conftest import Connect
from .waiting import wait_for_subscribers

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


@pytest.mark.parametrize("transport", ["longpoll", "sse", "websocket"])
def test_a_worker_that_slept_too_long_tells_its_clients_what_is_missing(
    transport: str, server: Server, connect: Connect, channel: str
) -> None:
    """A loss in mid-stream: ``live`` again with recovered false; what is kept still comes."""
    short = channel.replace("public", "short")
    asleep, awake = server.workers()
    with server.only(asleep):
        client = connect(transport, server, [short], timeout=55)
        if transport == "longpoll":
            client.wire.send(request("GET", client.target(cursor=client.cursor)))
            wait_for_subscribers(server, short, 1)
    server.publish(short, "seen")
    if transport != "longpoll":
        client.receive()
    with server.only(awake):
        ids = [server.publish(short, n) for n in range(SHORT + 20)]

    if transport == "longpoll":
        answer = client.wire.reply().json
        if answer["messages"] and answer["messages"][0]["data"] == "seen":
            client.cursor = answer["cursor"]
            answer = server.ask("GET", client.target(cursor=client.cursor)).json
    else:
        answer = client.wait_for("live")
    assert answer["recovered"] is False
    assert [loss["reason"] for loss in answer["lost"]] == ["expired"]
    if transport != "longpoll":
        assert answer["lost"][0]["before"] == ids[-SHORT]
        assert [m["id"] for m in client.receive(SHORT)] == ids[-SHORT:]


@STREAMS
def test_a_log_that_is_replaced_under_a_stream_is_told_in_it(
    transport: str,
    make_server: Callable[..., Server],
    remove_log: Callable[[Server], None],
    connect: Connect,
    channel: str,
) -> None:
    """``live`` comes again with recovered false and reason epoch; then it goes on."""
    server = make_server()
    server.publish(channel, "old")
    client = connect(transport, server, [channel])
    remove_log(server)
    server.post({"channel": channel, "data": "wakes whoever follows"})
    live = client.wait_for("live")
    assert live["recovered"] is False
    assert {loss["reason"] for loss in live["lost"]} == {"epoch"}
    last = server.publish(channel, "new")
    while client.receive()[0]["id"] != last:
        pass


def line_of(server: Server, client: Client) -> str | None:
    lines = server.log.splitlines()
    return next((one for one in lines if f"={client.connection} " in one), None)


def test_a_stream_that_has_lasted_long_enough_comes_back(
    make_server: Callable[..., Server], connect: Connect, channel: str
) -> None:
    """In order, with its cursor, and not together with those that came with it: a worker that was
    added gets its share."""
    server = make_server(PUSH_HEARTBEAT=0.2, PUSH_STREAM_LIFE=4)
    start = server.publish(channel, "before")
    began = time.monotonic()
    clients = [connect(t, server, [channel], start) for t in ("sse", "websocket") * 5]
    ends = []
    for client in clients:
        with pytest.raises((Ended, Refused)) as end:
            client.receive()
        assert client.trail[-1] == "reconnect" and client.events[-1]["after"] == 0
        assert not isinstance(end.value, Refused) or end.value.code == 1012
        assert time.monotonic() - began > 3
    server.publish(channel, "missed")
    for client in clients:
        again = connect(client.transport, server, [channel], client.cursor)
        assert again.recovered is True and again.data() == ["missed"]
        line = until(partial(line_of, server, client), "there is a line of its end")
        assert "reason=renewed" in line
        ends.append(line.split(" seconds=")[1].split()[0])
    assert len(set(ends)) > 1, ends
