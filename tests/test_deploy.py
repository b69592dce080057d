"""How it is deployed: nginx in front, Heroku's environment, and starts that must fail loudly."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pushapp.client import Client as Publisher

from .clients import TRANSPORTS, open_client
from .nginx import nginx
from .server import API_KEY, ROOT, SECRET, Server, free_port, until
from .wire import TIMEOUT, Wire

STANDALONE = ["-c", "gunicorn.conf.py", "wsgi:app"]
INSTALLED = ["-c", "python:pushapp.gunicorn_conf", "pushapp.wsgi:app"]


def environ(tmp_path: Path, **settings: object) -> dict[str, str]:
    """Return an environment that a server starts with; None takes one of it out."""
    own: dict[str, object] = {
        "BIND": "127.0.0.1",
        "PORT": free_port(),
        "WEB_CONCURRENCY": 1,
        "PUSH_BROKER_URL": f"sqlite:///{tmp_path}/push.db",
        "PUSH_API_KEYS": API_KEY,
        "PUSH_SECRET": SECRET,
        **settings,
    }
    names = ("PUSH_", "REDIS_", "GUNICORN_", "WEB_", "DYNO")
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(names)}
    return inherited | {n: str(v) for n, v in own.items() if v is not None}


def fails(arguments: list[str], environment: dict[str, str]) -> str:
    """Start gunicorn, which must end by itself and not well; return what it says."""
    command = [sys.executable, "-m", "gunicorn", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=3 * TIMEOUT
    )
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert "Traceback" not in said, said
    return said


# -- nginx -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nginx")


@pytest.fixture
def proxy(server: Server, folder: Path) -> Iterator[int]:
    with nginx(folder, server.port) as port:
        yield port


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_message_passes_nginx_when_it_comes(
    transport: str, proxy: int, server: Server, channel: str
) -> None:
    """With the sample configuration a live message and a missed one arrive on each transport."""
    client = open_client(transport, proxy, [channel])
    try:
        server.publish(channel, "live")
        assert client.data() == ["live"]
    finally:
        client.close()
    server.publish(channel, "missed")
    later = open_client(transport, proxy, [channel], client.cursor)
    try:
        assert later.data() == ["missed"]
        assert later.recovered
    finally:
        later.close()


def test_a_page_behind_nginx_is_of_the_same_origin(
    proxy: int, server: Server, channel: str
) -> None:
    """The Host header passes, so a page's own WebSocket is not foreign."""
    headers = {"Host": f"127.0.0.1:{proxy}", "Origin": f"http://127.0.0.1:{proxy}"}
    client = open_client("websocket", proxy, [channel], headers=headers)
    client.close()


def test_a_publish_through_nginx_is_acknowledged(proxy: int, server: Server, channel: str) -> None:
    """The client class works through the proxy, and one that is too large is told why by us."""
    publisher = Publisher(f"http://127.0.0.1:{proxy}", API_KEY)
    published = publisher.publish(channel, {"n": 1})
    assert server.look(f"/push/channels/{channel}/history")["messages"][0]["id"] == published
    publisher.close()
    wire = Wire(proxy)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {API_KEY}"}
    try:
        reply = wire.ask("POST", "/push/publish", headers, b" " * (1 << 20) + b"{}")
    finally:
        wire.close()
    assert (reply.status, reply.header("Content-Type")) == (413, "application/problem+json")


# -- starts that must fail, with a line that says why ----------------------------------------------


@pytest.mark.parametrize("arguments", [STANDALONE, INSTALLED], ids=["repository", "installed"])
@pytest.mark.parametrize("name", ["PUSH_SECRET", "PUSH_API_KEYS"])
def test_no_start_without_keys(name: str, arguments: list[str], tmp_path: Path) -> None:
    """One clear line names the setting that is missing."""
    said = fails(arguments, environ(tmp_path, **{name: None}))
    assert said.count(f"pushapp: {name} is not set: expected ") == 1, said


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("WEB_CONCURRENCY", "0", "WEB_CONCURRENCY is '0': expected a whole number"),
        ("PORT", "http", "PORT is 'http': expected a whole number"),
        ("PUSH_HEARTBEAT", "often", "PUSH_HEARTBEAT is 'often': expected a number of seconds"),
        ("PUSH_PUBLIC_NAMESPACES", "user", "PUSH_PUBLIC_NAMESPACES is 'user'"),
        ("DYNO", "web.1", "PUSH_SINGLE_MACHINE=1"),
    ],
)
def test_no_start_with_a_wrong_setting(name: str, value: str, line: str, tmp_path: Path) -> None:
    """One line, and nothing else, says what is wrong before anything listens."""
    said = fails(STANDALONE, environ(tmp_path, **{name: value}))
    assert line in said
    assert len(said.splitlines()) == 1, said


@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_no_start_with_another_worker_class(kind: str, tmp_path: Path) -> None:
    """A worker that cannot park says so and stops the server, instead of serving badly."""
    said = fails(["-k", kind, *STANDALONE], environ(tmp_path))
    assert "pushapp needs gunicorn's gevent worker" in said


# -- Heroku and the like ---------------------------------------------------------------------------


def test_the_procfile_serves(tmp_path: Path) -> None:
    """The Procfile's command serves on PORT with WEB_CONCURRENCY workers where DYNO is set."""
    kind, _, command = (ROOT / "Procfile").read_text().strip().partition(": ")
    program, *arguments = shlex.split(command)
    assert (kind, program) == ("web", "gunicorn")
    server = Server(
        tmp_path, config=None, arguments=arguments[:-1], app=arguments[-1],
        WEB_CONCURRENCY=2, DYNO="web.1", PUSH_SINGLE_MACHINE=1,
    )  # fmt: skip
    try:
        server.start()
        assert len(server.workers()) == 2
        assert server.publish("public:a", 1)
    finally:
        server.stop()


def config(**settings: str) -> dict[str, Any]:
    """Return gunicorn's settings as a process with this environment reads them."""
    code = (
        "import json, pushapp.gunicorn_conf as c;"
        "print(json.dumps({k: v for k, v in vars(c).items() if isinstance(v, (str, int))}))"
    )
    names = ("PUSH_", "WEB_", "PORT", "BIND", "DYNO", "REDIS_")
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(names)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env=inherited | settings, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_defaults_fit_a_router() -> None:
    """Every address, the hold below the router's 30 s, the end before its kill, one file's log."""
    found = config(PORT="5000")
    assert found["bind"] == "0.0.0.0:5000"
    assert 1 <= found["workers"] <= 4
    assert found["graceful_timeout"] == 20
    assert found["worker_class"] == "gevent"
    assert found["keepalive"] > 60
    assert not found["preload_app"] and not found["reuse_port"]
    assert config(WEB_CONCURRENCY="7", BIND="::1")["workers"] == 7
    assert config(BIND="::1", PORT="81")["bind"] == "[::1]:81"


def test_a_full_worker_can_still_say_so() -> None:
    """gunicorn's limit, at which it hangs in silence, is above our own, at which we answer 503."""
    assert config(PUSH_MAX_CONNECTIONS="50")["worker_connections"] > 50


# -- the system feed -------------------------------------------------------------------------------


def feeds(server: Server) -> list[psutil.Process]:
    children = psutil.Process(server.pid).children()
    return [child for child in children if "feed" in child.cmdline()]


def test_the_demo_has_a_system_feed(make_server: Callable[..., Server]) -> None:
    """With PUSH_DEMO on this machine's figures come, from a process that ends with the server."""
    server = make_server(PUSH_DEMO=1, WEB_CONCURRENCY=1)
    client = open_client("sse", server.port, ["demo:system"])
    figures = client.data()[0]
    client.close()
    assert {"cpu", "cores", "memory", "disk", "net", "load"} <= set(figures)
    (feed,) = feeds(server)
    server.stop()
    until(lambda: not feed.is_running(), "the feed has ended")


def test_the_system_feed_ends_with_a_killed_server(make_server: Callable[..., Server]) -> None:
    """It does not stay behind as an orphan where no hook could end it."""
    server = make_server(PUSH_DEMO=1, WEB_CONCURRENCY=1)
    (feed,) = feeds(server)
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: not feed.is_running(), "the feed has ended", 3 * TIMEOUT)
    server.kill()


def test_no_system_feed_without_the_demo(server: Server) -> None:
    """A server in production runs no process beside its workers."""
    assert feeds(server) == []
