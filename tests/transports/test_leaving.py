"""Clients that leave, stop reading, dawdle, or are too many.

What belongs here: what one client may do to a worker, and what it leaves behind. What does not:
clients that behave (``test_parking``).
"""

from __future__ import annotations

import resource
import socket
import struct
import threading
from collections.abc import Callable

import psutil
import pytest

from ..clients import TRANSPORTS, Refused, open_client
from ..scrape import scrape
from ..server import API_KEY, Server, until
from ..wire import TIMEOUT, Ended, Wire, request
from .conftest import Connect
from .waiting import FORM, HANDSHAKE, long_poll, now, open_sockets, wait_for_subscribers


def sockets_of_all(server: Server) -> int:
    """Return how many sockets there are when each worker has opened what it needs of the log."""
    for worker in server.workers():
        with server.only(worker):
            server.publish("public:before", 1)
            client = open_client("sse", server.port, ["public:before"])
            client.close()
            ports = {*client.local_ports}
            until(lambda ports=ports: not ports & {*server.connections()}, "it is let go of")
    return open_sockets(server)


@pytest.mark.parametrize("way", ["close", "reset", "half-close"])
def test_clients_that_leave_while_they_wait_leave_nothing_behind(
    server: Server, connect: Connect, channel: str, way: str
) -> None:
    """No subscriber, no file descriptor; and nobody else is disturbed."""
    stays = connect("websocket", server, [channel])
    settled = sockets_of_all(server)
    wires = []
    for _ in range(10):
        wires.append(Wire(server.port))
        wires[-1].send(request("GET", long_poll(server, channel)))
        for transport in ("sse", "websocket"):
            wires.append(connect(transport, server, [channel]).wire)
    wait_for_subscribers(server, channel, 31)
    for wire in wires:
        if way == "reset":
            linger = struct.pack("ii", 1, 0)
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if way == "half-close":
            wire.socket.shutdown(socket.SHUT_WR)
        else:
            wire.close()
    wait_for_subscribers(server, channel, 1)
    until(lambda: open_sockets(server) <= settled, "every socket is closed again")
    server.publish(channel, "still there")
    assert stays.data() == ["still there"]
    for wire in wires:
        wire.close()


def test_clients_that_leave_at_once_leave_nothing_behind(server: Server, channel: str) -> None:
    """Whatever the server was doing with them just then."""
    targets = [f"/push/{t}?channels={channel}" for t in ("poll", "sse", "longpoll")]
    targets.append(long_poll(server, channel))
    settled = sockets_of_all(server)
    for n in range(100):
        wire = Wire(server.port)
        if n % 5 == 4:
            wire.send(request("GET", f"/push/ws?channels={channel}", HANDSHAKE))
        else:
            wire.send(request("GET", targets[n % 5]))
        if n % 2:
            linger = struct.pack("ii", 1, 0)
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        wire.close()
    wait_for_subscribers(server, channel, 0)
    until(lambda: open_sockets(server) <= settled, "every socket is closed again")


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_client_that_stops_reading_is_cut_off_and_the_others_get_everything(
    make_server: Callable[..., Server], connect: Connect, channel: str, transport: str
) -> None:
    """It has its cursor: it comes back and misses nothing."""
    server = make_server(WEB_CONCURRENCY=1, PUSH_BUFFER=131072, PUSH_MAX_MESSAGE=65536)
    others = [connect(t, server, [channel]) for t in TRANSPORTS]
    slow = connect(transport, server, [channel])
    expected: list[str] = []

    def is_cut_off() -> bool:
        drafts = [{"channel": channel, "data": "x" * 60_000} for _ in range(10)]
        expected.extend(server.publish_all(drafts))
        for other in others:
            assert [m["id"] for m in other.receive(10)] == expected[-10:]
        return slow.wire.local_port not in server.connections()

    until(is_cut_off, "the server cuts off who does not read")
    assert len(expected) < 1000, "what is kept of the channel still has all of it"

    with pytest.raises((Ended, Refused)) as end:
        slow.receive(len(expected) + 1)
    if isinstance(end.value, Refused):
        assert end.value.code in (None, 4008)
    got = [m["id"] for m in slow.waiting]
    again = connect(transport, server, [channel], slow.cursor)
    assert again.recovered is True
    got += [m["id"] for m in again.receive(len(expected) - len(got))]
    assert got == expected
    assert (
        f"ended connection={slow.connection} user=- transport={transport} reason=slow" in server.log
    )
    assert scrape(server).total("ended_total", transport=transport, reason="slow") == 1


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_client_that_reads_slowly_gets_a_large_backlog_whole(
    server: Server, connect: Connect, channel: str, transport: str
) -> None:
    """A backlog is read as the socket drains: its size costs nobody the connection."""
    start = now(server, channel)
    ids: list[str] = []
    for _ in range(30):
        drafts = [{"channel": channel, "data": "x" * 60_000} for _ in range(10)]
        ids += server.publish_all(drafts)
    client = connect(transport, server, [channel], start)
    assert [m["id"] for m in client.receive(300)] == ids
    assert client.recovered is True


DAWDLERS = {
    "head": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ", b"y"),
    "a kept connection's next head": (
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ",
        b"y",
    ),
    "head after a long poll": (
        b"GET /heal",
        b"t",
    ),
    "body of a publish": (
        request(
            "POST",
            "/push/publish",
            {"Authorization": f"Bearer {API_KEY}", "Content-Length": "1000"},
        ),
        b" ",
    ),
    "body of a form": (
        request("POST", "/push/longpoll?channels=public:a", FORM | {"Content-Length": "1000"}),
        b"x",
    ),
    "chunked body": (
        request(
            "POST",
            "/push/publish",
            {"Authorization": f"Bearer {API_KEY}", "Transfer-Encoding": "chunked"},
        )
        + b"3e8\r\n",
        b" ",
    ),
}
#: What some of them ask first, on the same connection.
BEFORE = {
    "a kept connection's next head": "/healthz",
    "head after a long poll": "/push/longpoll?channels=public:a",
}


def test_a_request_that_comes_a_byte_at_a_time_is_ended(
    make_server: Callable[..., Server],
) -> None:
    """Its head and its body have a deadline, which a byte now and then does not move.

    All at once, because a deadline is waited for; the server serves others meanwhile, and
    connections that are merely idle go on.
    """
    server = make_server(WEB_CONCURRENCY=1)
    idle = [Wire(server.port) for _ in range(2)]
    assert idle[0].ask("GET", "/healthz").status == 200
    wires = {}
    for name, (start, _) in DAWDLERS.items():
        wires[name] = Wire(server.port)
        if name in BEFORE:
            assert wires[name].ask("GET", BEFORE[name]).status == 200
        wires[name].send(start)
        wires[name].socket.settimeout(0.25)

    def all_ended() -> bool:
        for name, wire in list(wires.items()):
            try:
                wire.send(DAWDLERS[name][1])
                wire.fill()
            except TimeoutError:
                continue  # nothing said yet: the next byte
            except OSError:
                wire.close()
                del wires[name]
            else:
                assert wire.received.startswith(b"HTTP/1.1 408 ")
        assert server.ask("GET", "/healthz").status == 200
        return not wires

    until(all_ended, "every dawdler is ended", 2 * TIMEOUT)
    for wire in idle:
        assert wire.ask("GET", "/healthz").status == 200
        wire.close()


# How many may wait


def test_above_the_cap_a_client_is_told_to_come_later(
    make_server: Callable[..., Server], connect: Connect, channel: str
) -> None:
    """503 with Retry-After, WebSocket 1013; health and publishing go on; a free place is given."""
    server = make_server(WEB_CONCURRENCY=1, PUSH_MAX_CONNECTIONS=3)
    inside = [connect(t, server, [channel]) for t in ("sse", "websocket", "sse")]
    wait_for_subscribers(server, channel, 3)

    full = server.ask("GET", long_poll(server, channel))
    assert full.status == 503 and int(full.header("Retry-After") or 0) >= 1
    assert full.header("Content-Type") == "application/problem+json"
    with pytest.raises(Refused) as refused:
        connect("sse", server, [channel])
    assert refused.value.status == 503
    with pytest.raises(Refused) as refused:
        connect("websocket", server, [channel])
    assert refused.value.code == 1013

    assert server.ask("GET", "/healthz").status == 200
    server.publish(channel, "still there")
    assert [client.data() for client in inside] == [["still there"]] * 3
    inside[0].close()
    wait_for_subscribers(server, channel, 2)
    assert connect("websocket", server, [channel]).recovered is True


def test_readiness_says_when_there_is_no_room(
    make_server: Callable[..., Server], connect: Connect, channel: str
) -> None:
    """A balancer sends new clients elsewhere; the process itself is well."""
    server = make_server(WEB_CONCURRENCY=1, PUSH_MAX_CONNECTIONS=1)
    connect("sse", server, [channel])
    assert server.ask("GET", "/readyz").status == 503
    assert server.ask("GET", "/healthz").status == 200


def test_without_file_descriptors_newcomers_wait_and_nobody_else_is_disturbed(
    make_server: Callable[..., Server], connect: Connect, channel: str
) -> None:
    """The cap lies below what the system gives; where it gives less all of a sudden, the worker
    neither dies nor spins, and lets in whoever waits as soon as it can."""
    server = make_server(WEB_CONCURRENCY=1)
    worker = psutil.Process(server.workers()[0])
    client, kept = connect("websocket", server, [channel]), Wire(server.port)
    assert kept.ask("GET", "/healthz").status == 200
    usual = worker.rlimit(resource.RLIMIT_NOFILE)
    worker.rlimit(resource.RLIMIT_NOFILE, (worker.num_fds() + 3, usual[1]))
    crowd = [Wire(server.port, timeout=60.0) for _ in range(12)]
    for wire in crowd:
        wire.send(request("GET", "/healthz"))
    assert crowd[0].reply().status == 200

    before = sum(worker.cpu_times()[:2])
    for n in range(3):
        body = b'{"channel":"%s","data":%d}' % (channel.encode(), n)
        headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
        assert kept.ask("POST", "/push/publish", headers, body).status in (200, 201)
        assert client.data() == [n]
        threading.Event().wait(0.5)  # while newcomers wait
    assert sum(worker.cpu_times()[:2]) - before < 1.0

    worker.rlimit(resource.RLIMIT_NOFILE, usual)
    assert [wire.reply().status for wire in crowd[1:]] == [200] * 11
    for wire in (*crowd, kept):
        wire.close()


# Waiting costs next to nothing


def test_many_waiting_clients_take_no_greenlet_each(
    make_server: Callable[..., Server], connect: Connect, channel: str
) -> None:
    """Far more clients wait than gunicorn has worker connections."""
    server = make_server(WEB_CONCURRENCY=1, arguments=["--worker-connections", "20"])
    waiting: list[Wire] = []
    target = long_poll(server, channel)
    for _ in range(100):
        waiting.append(Wire(server.port))
        waiting[-1].send(request("GET", target))
    streams = [connect(t, server, [channel]) for t in ("sse", "websocket") * 20]
    wait_for_subscribers(server, channel, 140)
    server.publish(channel, "to all")
    assert [client.data() for client in streams] == [["to all"]] * 40
    for wire in waiting:
        assert [m["data"] for m in wire.reply().json["messages"]] == ["to all"]
        wire.close()
