"""Each of these once froze a worker, lost a message or let a stranger in."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask, abort, session

from pushapp.extension import Push
from pushapp.outlet import Lot
from pushapp.testing import Refused
from pushapp.testing_clients import PushClient
from pushapp.transports import backlog
from pushapp.waiter import Waiter
from pushapp.wheel import Wheel

from .server import ROOT, Server
from .transports.conftest import Connect
from .transports.waiting import wait_for_subscribers
from .websocket_client import CLOSE, TEXT, frame

TIMEOUT = 60.0  # seconds; only a failure takes them


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Flask]:
    """An app in which a page of any origin may listen, and some channels are the visitor's."""
    app = Flask(__name__)
    app.secret_key = "s" * 32
    app.config["PUSH_BROKER_URL"] = f"sqlite:///{tmp_path}/push.db"
    app.config["PUSH_ALLOWED_ORIGINS"] = "*"
    push = Push(app)

    @push.authorize("mine:*")
    def may(channel: str) -> bool:
        return "user" in session

    @push.authorize("aborted:*")
    def never(channel: str) -> bool:
        abort(403)

    @push.authorize("broken:*")
    def fails(channel: str) -> bool:
        raise RuntimeError("broken on purpose")

    yield app
    push.close()


def test_a_long_header_without_an_etag_costs_nothing() -> None:
    """A pattern that tried each of n spaces anew took n² steps, and nothing else ran meanwhile."""
    code = (
        "from pushapp.transports.params import _etags\n"
        "assert _etags('x' + ' ' * 400_000 + 'x') == frozenset()\n"
        """assert _etags('W/"a.1-gzip" , "b.2"') == {"a.1", "b.2"}\n"""
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=TIMEOUT)


class _Owner:
    """One whose outlet is ending already, so that it has nothing more to cut."""

    def on_input(self) -> None: ...
    def on_gone(self) -> None: ...
    def on_overflow(self) -> None: ...


def test_the_workers_bound_ends_what_is_ending_already() -> None:
    """Last bytes that nobody reads count, too; over the bound the largest of them goes."""
    lot = Lot(Wheel(threading.RLock()), 1000, 4000, 25)
    waiters = [Waiter(lot, _Owner()) for _ in range(10)]

    def fill() -> None:
        for waiter in waiters:
            waiter.finish(b"x" * 900)

    filling = threading.Thread(target=fill, daemon=True)
    filling.start()
    filling.join(TIMEOUT)
    assert not filling.is_alive(), "it looks for room for ever"
    assert lot.unsent <= lot.total


@pytest.mark.e2e
def test_an_op_in_front_of_a_goodbye_leaves_nothing_behind(
    server: Server, connect: Connect, channel: str
) -> None:
    """Subscribe and close in one segment: the connection ends while the op is about to be done."""
    for _ in range(20):
        client = connect("websocket", server, [channel])
        op = {"op": "subscribe", "channels": [f"{channel}.more"]}
        close = frame(CLOSE, struct.pack("!H", 1000))
        client.wire.send(frame(TEXT, json.dumps(op).encode()) + close)
        client.close()
    for name in (channel, f"{channel}.more"):
        wait_for_subscribers(server, name, 0)


def test_what_is_published_while_history_is_read_is_not_lost(
    host: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ "Now" is before the history: another worker may publish in between."""
    push: Push = host.extensions["push"]
    read = backlog.history

    def and_publish(*args: object) -> object:
        past = read(*args)  # type: ignore[arg-type]
        push.publish("public:a", "in between")
        return past

    monkeypatch.setattr(backlog, "history", and_publish)
    with PushClient(host.test_client()).sse(["public:a"], history=5) as client:
        assert client.receive()["data"] == "in between"


@pytest.mark.parametrize(("channel", "status"), [("aborted:1", 403), ("broken:1", 500)])
def test_an_authorize_that_raises_ends_a_websocket_as_it_should(
    host: Flask, channel: str, status: int
) -> None:
    """With frames: a response behind the 101 would be read as one."""
    with pytest.raises(Refused, match=str(status)):
        PushClient(host.test_client()).websocket([channel])


def test_a_foreign_pages_websocket_has_no_cookies(host: Flask) -> None:
    """Never credentials with "*": public channels alone, though the browser sends its cookie."""
    browser = host.test_client()
    with browser.session_transaction() as visitor:
        visitor["user"] = "ann"
    foreign = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    client = PushClient(browser)
    with client.websocket(["mine:1"]):
        pass  # our own page may
    with client.websocket(["public:a"], headers=foreign):
        pass
    with pytest.raises(Refused, match="403"):
        client.websocket(["mine:1"], headers=foreign)
