"""Whose handshakes are read without gunicorn and Flask, and whose never are.

What belongs here: what is found out when a worker begins, and one drain. What does not: what an app
does while it serves (``transports/test_porter``).
"""

from __future__ import annotations

import gc
import os
import socket
import threading
import weakref
from collections.abc import Iterator
from functools import wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from gevent import get_hub
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.ggevent import GeventWorker

from pushapp import Push
from pushapp.errors import TooManyRequests
from pushapp.handover import CONNECTION
from pushapp.heads import Punctual
from pushapp.lifting import is_unseen
from pushapp.porter import Porter, porter_of
from pushapp.subscribe import open_websocket
from pushapp.throttle import count_stream

from .server import SECRET

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Return the server's end of a connection, and the client's."""
    server, client = socket.socketpair()
    client.settimeout(20)
    yield server, client
    server.close()
    client.close()


class _OwnApp(Flask):
    """An app that may do anything."""


class _OwnWorker(GeventWorker):  # type: ignore[misc]
    """A worker that may do anything."""


def _app(tmp_path: Path, kind: type[Flask] = Flask, **config: object) -> Flask:
    app = kind("theirs")
    app.config |= {"SECRET_KEY": SECRET, "PUSH_BROKER_URL": f"sqlite:///{tmp_path}/push.db"}
    app.config |= config
    return app


def _has_porter(app: Flask, kind: type[GeventWorker] = GeventWorker, **settings: object) -> bool:
    """Tell whether a worker of this kind would have one for ``app``."""
    cfg = Config()
    for name, value in settings.items():
        cfg.set(name, value)
    worker = kind(0, os.getpid(), [], None, 30, cfg, Logger(cfg))
    worker.wsgi = app
    try:
        return porter_of(SimpleNamespace(), worker) is not None  # type: ignore[arg-type]
    finally:
        worker.tmp.close()


def test_an_app_as_it_comes_has_one(tmp_path: Path) -> None:
    app = _app(tmp_path, PUSH_PREFIX="/live/push")
    Push(app)
    assert _has_porter(app)
    assert not _has_porter(app, _OwnWorker)
    assert not _has_porter(app, accesslog="-")
    assert not _has_porter(Flask("without"))
    assert not _has_porter(app.wsgi_app)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (_OwnApp, {}),
        (Flask, {"PUSH_PARK": "0"}),
        (Flask, {"TRUSTED_HOSTS": ["push.test"]}),
        (Flask, {"SERVER_NAME": "push.test"}),
    ],
)
def test_an_app_that_decides_itself_has_none(
    tmp_path: Path, kind: type[Flask], config: dict[str, object]
) -> None:
    app = _app(tmp_path, kind, **config)
    Push(app)
    assert not _has_porter(app)


@pytest.mark.parametrize("matching", ["host_matching", "subdomain_matching"])
def test_routes_by_host_are_flasks(tmp_path: Path, matching: str) -> None:
    app = _app(tmp_path)
    Push(app)
    setattr(app.url_map if matching == "host_matching" else app, matching, True)
    assert not _has_porter(app)


def test_a_route_of_the_apps_own_comes_first(tmp_path: Path) -> None:
    """Flask takes the first of two that are equal."""
    app = _app(tmp_path)
    app.url_map.add(app.url_rule_class("/push/ws", endpoint="theirs", websocket=True))
    Push(app)
    assert not _has_porter(app)


def test_under_a_path_of_the_servers_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = _app(tmp_path)
    Push(app)
    monkeypatch.setenv("SCRIPT_NAME", "/under")
    assert not _has_porter(app)


@pytest.mark.parametrize("name", ["wsgi_app", "__call__", "dispatch_request"])
def test_what_traces_flasks_own_methods_sees_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """So do tools that no app has to name."""
    app, original = _app(tmp_path), getattr(Flask, name)
    Push(app)

    @wraps(original)
    def traced(*args: Any, **options: Any) -> Any:
        return original(*args, **options)

    monkeypatch.setattr(Flask, name, traced)
    assert not _has_porter(app)


def test_what_traces_one_app_sees_them_all(tmp_path: Path) -> None:
    """As debug toolbars do."""
    app = _app(tmp_path)
    Push(app)
    dispatch = app.dispatch_request
    app.dispatch_request = lambda *given: dispatch(*given)  # type: ignore[method-assign]
    assert not _has_porter(app)


@pytest.mark.parametrize("hook", ["pre_request", "post_request"])
def test_gunicorns_hooks_of_somebody_else_see_every_request(hook: str) -> None:
    """Nor is there a lane."""

    config = Config()
    worker = SimpleNamespace(cfg=config, log=Logger(config))
    assert is_unseen(worker)
    if hook == "pre_request":
        config.set(hook, lambda worker, request: None)
    else:
        config.set(hook, lambda worker, request, environ, response: None)
    assert not is_unseen(worker)


def test_a_refused_stream_counts_as_no_request(tmp_path: Path) -> None:
    """The app counts it, and says so."""
    app = _app(tmp_path, PUSH_LIMITS='{"requests":0.5,"connects":0.1}', PUSH_TRUSTED_PROXIES="1")
    push, environ = Push(app), {"REMOTE_ADDR": "192.0.2.1"}
    count_stream(push, environ)
    for _ in range(50):
        with pytest.raises(TooManyRequests, match="connections"):
            count_stream(push, environ)
    for _ in range(4):
        push.limits.request("192.0.2.1")


# What comes first on a connection


def _answers(
    tmp_path: Path, server: socket.socket, keepalive: float = 20.0
) -> tuple[bool, Punctual]:
    """Have a porter look at what comes on ``server``."""
    cfg = Config()
    push, client = Push(_app(tmp_path)), Punctual(fileno=server.detach())
    yard, worker = SimpleNamespace(keepalive=keepalive, draining=False), SimpleNamespace(cfg=cfg)
    connection = SimpleNamespace(
        client=client, address="", listener=SimpleNamespace(getsockname=lambda: "/push.sock")
    )
    return Porter(yard, worker, push).answers(connection), client  # type: ignore[arg-type]


def test_whatever_else_comes_is_gunicorns_unread(tmp_path: Path, ends: Ends) -> None:
    """All of it, and what comes after."""
    server, client = ends
    client.sendall(b"GET /push/ws HT")
    answered, left = _answers(tmp_path, server)
    client.sendall(b"TP/1.1\r\n")
    assert not answered
    assert left.recv(4) + left.recv(8192) + left.recv(8192) == b"GET /push/ws HTTP/1.1\r\n"
    left.close()


def test_what_is_late_is_waited_for(tmp_path: Path, ends: Ends) -> None:
    server, client = ends
    late = get_hub().loop.timer(0.1)
    late.start(client.sendall, b"PRI * HTTP/2.0\r\n\r\n")
    answered, left = _answers(tmp_path, server)
    assert not answered
    assert left.recv(8192) == b"PRI * HTTP/2.0\r\n\r\n"
    left.close()


def test_nobody_waits_longer_than_gunicorn_keeps_a_connection(tmp_path: Path, ends: Ends) -> None:
    """Then nothing is left to do with it."""
    answered, left = _answers(tmp_path, ends[0], keepalive=0.2)
    assert answered
    left.close()


def test_an_end_is_found_by_gunicorn(tmp_path: Path, ends: Ends) -> None:
    server, client = ends
    client.close()
    answered, left = _answers(tmp_path, server)
    assert not answered
    assert left.recv(8192) == b""
    left.close()


def _environ(server: socket.socket, connection: object) -> dict[str, Any]:
    """Return what a plain handshake says."""
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/push/ws",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "channels=public:a",
        "SERVER_NAME": "x",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "x",
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
        "wsgi.url_scheme": "http",
        "gunicorn.socket": server,
        CONNECTION: connection,
    }


# What is not opened


class _Parking:
    """A connection whose client can be parked."""

    parks, close = True, False
    waiting = again = None


def test_what_fails_before_the_101_is_flasks(tmp_path: Path, ends: Ends) -> None:
    """Whatever it is: nothing has been sent, and nothing counted."""
    push = Push(_app(tmp_path))
    environ = _environ(ends[0], _Parking())
    assert not open_websocket(push, environ | {"REMOTE_ADDR": b"no text"})
    assert not open_websocket(push, environ | {"HTTP_SEC_WEBSOCKET_KEY": "none"})


@pytest.mark.parametrize(
    ("said", "opens"),
    [({"HTTP_SEC_WEBSOCKET_VERSION": "12"}, False), ({"QUERY_STRING": "cursor=garbage"}, True)],
)
def test_nothing_is_left_to_the_collector(
    tmp_path: Path, ends: Ends, said: dict[str, str], opens: bool
) -> None:
    """After a deploy everybody comes at once, and a collection holds up all others."""
    push = Push(_app(tmp_path))
    connection = _Parking()
    left = weakref.ref(connection)
    environ = _environ(ends[0], connection) | said
    gc.disable()
    try:
        assert open_websocket(push, environ) is opens
        del connection, environ
        assert left() is None
    finally:
        gc.enable()


# A drain that begins within a handshake


class _Ending:
    """A connection whose worker begins to drain after its first look."""

    def __init__(self) -> None:
        self.looks = 0
        self.waiting = self.again = None
        self.close = False

    @property
    def parks(self) -> bool:
        self.looks += 1
        return self.looks == 1


def test_a_handshake_in_a_drain_is_answered_first(tmp_path: Path, ends: Ends) -> None:
    """Its client is served where it cannot be parked any more; the 101 comes before all else."""
    server, client = ends
    push = Push(_app(tmp_path, PUSH_PUBLIC_NAMESPACES="public"))
    environ = _environ(server, _Ending())
    served = threading.Thread(target=open_websocket, args=(push, environ))
    served.start()
    try:
        came = b""
        while b'"live"' not in came:
            came += client.recv(65536)
        assert came.startswith(b"HTTP/1.1 101 ")
    finally:
        client.close()
        served.join(20)
        push.close()
    assert not served.is_alive()
