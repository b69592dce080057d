"""The bad networks are as bad as they say: else the matrix would prove nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from ..clients import Client, WebSocket
from ..server import Server
from ..wire import TIMEOUT, Ended, Wire, request
from .bad_line import Weather
from .bad_proxy import Faults
from .proxies import bad_line, bad_proxy

pytestmark = pytest.mark.e2e

Connect = Callable[..., Client]
Dial = Callable[[int], Wire]

_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def dial() -> Iterator[Dial]:
    """Open connections to a port; all are closed in the end."""
    wires: list[Wire] = []

    def one(port: int) -> Wire:
        wires.append(Wire(port))
        return wires[-1]

    yield one
    for wire in wires:
        wire.close()


def has_nothing(wire: Wire) -> bool:
    """Tell whether nothing has come, and the connection is open."""
    wire.socket.setblocking(False)
    try:
        wire.socket.recv(1)
    except BlockingIOError:
        return True
    finally:
        wire.socket.settimeout(TIMEOUT)
    return False


def test_without_a_fault_everything_passes(server: Server, channel: str, dial: Dial) -> None:
    """Requests one after the other on one connection, a stream, and a WebSocket both ways."""
    with bad_proxy(server.port, Faults()) as proxy:
        wire = dial(proxy.port)
        assert wire.ask("GET", "/healthz").status == 200
        assert wire.ask("POST", "/push/poll", _FORM, f"channels={channel}".encode()).status == 200
        wire.send(request("GET", f"/push/sse?channels={channel}"))
        assert "chunked" in wire.head().listed("Transfer-Encoding")
        assert b"welcome" in wire.chunk()
        client = WebSocket(proxy.port, [channel])
        client.open()
        assert client.ask("ping")["ok"]
        client.close()


def test_upgrade_is_stripped(server: Server, dial: Dial) -> None:
    """The server sees an ordinary request, and says that it wants another."""
    with bad_proxy(server.port, Faults(strips_upgrade=True)) as proxy:
        assert dial(proxy.port).ask("GET", "/push/ws", _UPGRADE).status == 426


def test_frames_are_swallowed(server: Server, channel: str, connect: Connect, dial: Dial) -> None:
    """101 comes, and then nothing, while others hear."""
    with bad_proxy(server.port, Faults(swallows_frames=True)) as proxy:
        wire, other = dial(proxy.port), connect("websocket", server, [channel])
        wire.send(request("GET", f"/push/ws?channels={channel}", _UPGRADE))
        assert wire.head().status == 101
        server.publish(channel, "unheard")
        assert other.data() == ["unheard"]
        assert has_nothing(wire)


def test_answers_are_held_back(server: Server, channel: str, connect: Connect, dial: Dial) -> None:
    """What ends comes whole, what does not end does not come at all."""
    with bad_proxy(server.port, Faults(holds_answers=True)) as proxy:
        assert dial(proxy.port).ask("GET", f"/push/poll?channels={channel}").json["cursor"]
        wire, other = dial(proxy.port), connect("sse", server, [channel])
        wire.send(request("GET", f"/push/sse?channels={channel}"))
        server.publish(channel, "unheard")
        assert other.data() == ["unheard"]
        assert has_nothing(wire)


@pytest.mark.parametrize("path", ["sse", "longpoll", "ws"])
def test_each_request_is_cut(server: Server, channel: str, path: str, dial: Dial) -> None:
    """Whatever it is, it ends."""
    with bad_proxy(server.port, Faults(cuts_after=0.5)) as proxy:
        wire = dial(proxy.port)
        headers = _UPGRADE if path == "ws" else None
        cursor = server.ask("GET", f"/push/poll?channels={channel}").json["cursor"]
        wire.send(request("GET", f"/push/{path}?channels={channel}&cursor={cursor}", headers))
        wire.take_rest()  # it returns


def test_a_router_answers_itself(server: Server, channel: str, dial: Dial) -> None:
    """It takes a long poll for an app that hangs, and a quiet stream for one that is dead."""
    cursor = server.ask("GET", f"/push/poll?channels={channel}").json["cursor"]
    with bad_proxy(server.port, Faults(first_byte=0.5, idle=0.5, adds_headers=True)) as proxy:
        reply = dial(proxy.port).ask("GET", f"/push/longpoll?channels={channel}&cursor={cursor}")
        assert (reply.status, reply.header("Content-Type")) == (503, "text/html")
        wire = dial(proxy.port)
        wire.send(request("GET", f"/push/sse?channels={channel}"))
        assert wire.head().header("Via") == "1.1 router"
        assert b"welcome" in wire.take_rest()  # it returns


def test_a_login_page_is_in_the_way(server: Server, dial: Dial) -> None:
    """Whatever is asked for, a page of the network's own comes."""
    with bad_proxy(server.port, Faults(answers=403)) as proxy:
        reply = dial(proxy.port).ask("GET", "/healthz")
        assert (reply.status, reply.header("Content-Type")) == (403, "text/html")
        proxy.become(Faults())
        assert dial(proxy.port).ask("GET", "/healthz").status == 200


def test_posts_hang(server: Server, channel: str, dial: Dial) -> None:
    """A GET is answered, a POST is not."""
    with bad_proxy(server.port, Faults(hangs_posts=True)) as proxy:
        hanging = dial(proxy.port)
        hanging.send(request("POST", "/push/poll", _FORM, f"channels={channel}".encode()))
        assert dial(proxy.port).ask("GET", f"/push/poll?channels={channel}").status == 200
        assert has_nothing(hanging)


def test_http_1_0_is_spoken(server: Server, channel: str, dial: Dial) -> None:
    """No chunks, no second request, and a stream all the same."""
    with bad_proxy(server.port, Faults(speaks_http_1_0=True)) as proxy:
        reply = dial(proxy.port).ask("GET", f"/push/poll?channels={channel}")
        assert (reply.version, reply.status, reply.closes) == ("HTTP/1.0", 200, True)
        wire = dial(proxy.port)
        wire.send(request("GET", f"/push/sse?channels={channel}"))
        assert wire.head().header("Transfer-Encoding") is None
        assert b"welcome" in wire.take_until(b"\n\n")


def test_a_line_is_slow(server: Server, dial: Dial) -> None:
    """A request takes a round trip to connect and one to be answered."""
    with bad_line(server.port, Weather(latency=0.2)) as line:
        begun = time.monotonic()
        assert dial(line.port).ask("GET", "/healthz").status == 200
        assert time.monotonic() - begun >= 0.4


def test_a_line_goes_silent(server: Server, dial: Dial) -> None:
    """Nothing comes on an old connection, and it does not end; a new one works."""
    with bad_line(server.port, Weather(silent_after=2)) as line:
        old = dial(line.port)
        assert old.ask("GET", "/healthz").status == 200
        threading.Event().wait(2)  # it grows old
        old.send(request("GET", "/healthz"))
        assert dial(line.port).ask("GET", "/healthz").status == 200
        assert has_nothing(old)


def test_a_line_resets(server: Server) -> None:
    """The connection is reset, not closed in good order."""
    with bad_line(server.port, Weather(resets=1)) as line:
        with socket.create_connection(("127.0.0.1", line.port), timeout=10) as plain:
            with pytest.raises(ConnectionResetError):
                plain.recv(1)


def test_a_paused_proxy_neither_answers_nor_refuses(server: Server, dial: Dial) -> None:
    """Connecting works, since the kernel does that; then there is silence, and then an end."""
    with bad_proxy(server.port, Faults()) as proxy:
        proxy.pause()
        wire = dial(proxy.port)
        wire.send(request("GET", "/healthz"))
        assert server.ask("GET", "/healthz").status == 200
        assert has_nothing(wire)
        proxy.end()
        with pytest.raises(Ended):
            wire.fill()
        proxy.start()
        assert dial(proxy.port).ask("GET", "/healthz").status == 200
