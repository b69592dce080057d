"""A worker that ends lets its clients go in order: they know when to come back, and lose nothing.

What belongs here: SIGTERM, SIGHUP and max_requests. What does not: being killed (``e2e``).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import pytest

from ..clients import Client, Refused
from ..server import API_KEY, LONG, Server, until
from ..wire import Ended, Wire, request
from .conftest import Connect
from .waiting import long_poll, wait_for_subscribers


def come_back(connect: Connect, server: Server, client: Client) -> Client:
    """Come back with the cursor, more than once where a worker still takes it that ends, too."""

    def is_back() -> Client | None:
        try:
            return connect(client.transport, server, client.channels, client.cursor)
        except (Ended, Refused):
            return None

    again: Client = until(is_back, "a worker takes it that stays")
    assert again.recovered is True
    return again


def test_on_sigterm_every_waiting_client_is_let_go(
    make_server: Callable[..., Server], connect: Connect, channel: str
) -> None:
    """A long poll is answered, SSE and WebSocket are told when to come back, 1012; it ends by 0."""
    server = make_server()
    polls = []
    for _ in range(3):
        polls.append(Wire(server.port))
        polls[-1].send(request("GET", long_poll(server, channel)))
    streams = [connect(t, server, [channel]) for t in ("sse", "websocket") * 3]
    idle = Wire(server.port)
    assert idle.ask("GET", "/healthz").status == 200
    wait_for_subscribers(server, channel, 9)

    server.signal(signal.SIGTERM)

    for wire in polls:
        reply = wire.reply()
        assert reply.status == 200
        assert reply.json["messages"] == [] and reply.json["recovered"] is True
        assert reply.json["cursor"] and reply.json["advice"]["reconnect"] >= 0
        assert "close" in reply.listed("Connection")
        assert wire.is_closed()
        wire.close()
    for client in streams:
        with pytest.raises((Ended, Refused)) as end:
            client.receive()
        told = next(e for e in client.events if e.get("type") == "reconnect")
        assert told["after"] >= 0
        if client.transport == "websocket":
            assert isinstance(end.value, Refused) and end.value.code == 1012
        else:
            assert isinstance(end.value, Ended)
    assert idle.is_closed()
    idle.close()
    assert server.wait() == 0
    for client in streams:
        line = f"ended connection={client.connection} user=- transport={client.transport}"
        assert server.log.count(f"{line} reason=drain ") == 1


@pytest.mark.parametrize("pause", [0, 0.3])  # seconds before each of the last bytes
def test_a_publish_that_is_under_way_at_sigterm_is_acknowledged(
    make_server: Callable[..., Server], channel: str, pause: float
) -> None:
    """Also on a connection that was parked before and handed back, and gunicorn, which knows
    nothing of it, has no more to wait for."""
    server = make_server(WEB_CONCURRENCY=1)
    wire, idle = Wire(server.port), Wire(server.port)
    assert idle.ask("GET", "/healthz").status == 200
    wire.send(request("GET", long_poll(server, channel)))
    wait_for_subscribers(server, channel, 1)
    server.publish(channel, "first")
    assert wire.reply().status == 200
    whole = request(
        "POST",
        "/push/publish",
        {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"},
        b'{"channel":"%s","data":"last"}' % channel.encode(),
    )
    wire.send(whole[:-8])
    server.look("/push/channels")  # answered after those bytes have been there

    server.signal(signal.SIGTERM)
    assert idle.is_closed()  # so the drain has begun
    for byte in whole[-8:]:
        threading.Event().wait(pause)  # a slow line
        wire.send(bytes([byte]))

    published = wire.reply().json["id"]
    assert server.wait() == 0
    wire.close()
    idle.close()
    server.start()
    history = server.look(f"/push/channels/{channel}/history")["messages"]
    assert [m["data"] for m in history] == ["first", "last"]
    assert history[-1]["id"] == published


def test_a_reload_costs_no_client_a_message(
    make_server: Callable[..., Server], connect: Connect, channel: str
) -> None:
    """SIGHUP: the old workers let go, the new ones take over, and cursors go on."""
    server = make_server()
    old = server.workers()
    clients = []
    for pid in old:
        with server.only(pid):
            clients += [connect(t, server, [channel]) for t in ("sse", "websocket")]
    server.publish(channel, "before")
    assert [client.data() for client in clients] == [["before"]] * 4
    server.signal(signal.SIGHUP)
    for client in clients:
        with pytest.raises((Ended, Refused)):
            client.receive()
        assert "reconnect" in client.trail
    server.wait_for_workers()
    server.publish(channel, "between")
    for client in clients:
        again = come_back(connect, server, client)
        assert again.data() == ["between"]
        assert server.worker_of(again.wire) not in old


def test_max_requests_lets_go_as_a_deploy_does(
    make_server: Callable[..., Server], connect: Connect, channel: str
) -> None:
    """A worker that is replaced after so many requests cuts nobody off in silence."""
    server = make_server(WEB_CONCURRENCY=1, arguments=["--max-requests", "40"])
    (old,) = server.workers()
    client = connect("websocket", server, [channel])
    with pytest.raises(Refused) as end:
        for _ in range(100):
            server.publish(channel, "on")
            client.receive()
    assert end.value.code == 1012 and "reconnect" in client.trail
    until(lambda: old not in server.workers(), "the old one ends", LONG)
    server.wait_for_workers()
    again = come_back(connect, server, client)
    server.publish(channel, "after")
    while again.data() != ["after"]:
        pass  # what was published while it was away
    assert server.worker_of(again.wire) != old
