"""Other ways to serve it: in somebody's app, under middlewares, preloaded, without our hooks.

What belongs here: that all of them keep the contract. What does not: the contract itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ..clients import TRANSPORTS, Client, WebSocket, open_client
from ..server import Server
from ..websocket_client import TEXT
from ..wire import Wire, request
from .conftest import Connect
from .waiting import long_poll

CONFIG = "python:pushapp.gunicorn_conf"
PLAIN = ["-k", "gevent", "-w", "2", "--no-control-socket"]

WAYS: dict[str, dict[str, object]] = {
    "as it comes": {"app": "tests.apps.host:app", "config": CONFIG},
    "in a generator": {"app": "tests.apps.host:in_generator", "config": CONFIG},
    "in a logger": {"app": "tests.apps.host:in_logging", "config": CONFIG},
    "preloaded": {"arguments": ["--preload"]},
    # a greenlet that waits for news learns at its next heartbeat that its client has left
    "not parked": {"PUSH_PARK": 0, "PUSH_HEARTBEAT": 2},
    "without the hooks": {
        "app": "tests.apps.host:app",
        "config": None,
        "arguments": PLAIN,
    },
}


@pytest.fixture(scope="module", params=WAYS)
def host(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server of each way in turn."""
    options = WAYS[request.param]
    server = Server(tmp_path_factory.mktemp("host"), **options).start()  # type: ignore[arg-type]
    yield server
    print(server.log)
    server.stop()


def test_every_transport_works(host: Server, connect: Connect, channel: str) -> None:
    """First cursor, live, and resuming on the next transport."""
    cursor, count = None, 0
    for transport in TRANSPORTS:
        client = connect(transport, host, [channel], cursor)
        if cursor is not None:
            assert client.data() == ["missed"]
        for n in range(5):
            host.publish(channel, n)
        assert client.data(5) == list(range(5))
        assert client.recovered is True
        client.close()
        cursor, count = client.cursor, count + 1
        host.publish(channel, "missed")
    assert count == 4


def test_a_long_poll_that_waited_leaves_its_connection_in_order(host: Server, channel: str) -> None:
    """The answer comes with the message; the connection is ended, or serves the next request."""
    wire = Wire(host.port)
    wire.send(request("GET", long_poll(host, channel)))
    host.publish(channel, "news")
    reply = wire.reply()
    assert [m["data"] for m in reply.json["messages"]] == ["news"]
    if reply.closes:
        assert wire.is_closed()
    else:
        assert wire.ask("GET", "/healthz").status == 200
    wire.close()


def test_clients_that_leave_are_noticed(host: Server, connect: Connect, channel: str) -> None:
    """The check at the end of ``connect`` is the test: no worker keeps their connections."""
    clients: list[Client] = [connect(t, host, [channel]) for t in ("sse", "websocket") * 5]
    host.publish(channel, "hello")
    assert [client.data() for client in clients] == [["hello"]] * 10


@pytest.mark.parametrize("hosted", ["as it comes", "without the hooks"])
def test_the_hosts_own_websocket_route_works_beside_ours(
    make_server: Callable[..., Server], channel: str, hosted: str
) -> None:
    """flask-sock reads one setting for all routes of the app; ours must not break the others."""
    server = make_server(**WAYS[hosted])

    class Echo(WebSocket):
        path = "/echo"

        def _open(self) -> None:
            self.wire.send(request("GET", self.path, self.handshake()))
            assert self.wire.head().status == 101

        def handshake(self) -> dict[str, str]:
            self.key = "dGhlIHNhbXBsZSBub25jZQ=="
            return super().handshake()

    ours = open_client("websocket", server.port, [channel])
    echo = Echo(server.port)
    echo.open()
    for n in range(3):
        echo.send_frame(TEXT, b"hello %d" % n)
        assert echo.frame() == (TEXT, b"hello %d" % n)
        server.publish(channel, n)
        assert ours.data() == [n]
    echo.close()
    ours.close()


def test_a_middleware_that_fails_brings_no_ticket_into_the_log(
    make_server: Callable[..., Server],
) -> None:
    """gunicorn names the request, and here without its query."""
    server = make_server(
        app="tests.apps.host:in_failing", config=CONFIG, WEB_CONCURRENCY=1, expects_traceback=True
    )
    reply = server.ask("GET", "/push/sse?channels=a&ticket=unused", {"X-Fail": "1"})
    assert reply.status == 500
    server.stop()
    assert "Error handling request GET /push/sse\n" in server.log
    assert "unused" not in server.log
