"""What the transport tests share: a client of each transport in turn, over each kind of log."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from pushapp import create_app
from pushapp.extension import Push

from ..clients import TRANSPORTS, Client, WebSocket
from ..server import API_KEY, SECRET, Server
from ..valkey import Valkey

Connect = Callable[..., Client]
Open = Callable[..., WebSocket]
Processes = Callable[[], Push]


def settings_of(kind: str, request: pytest.FixtureRequest) -> dict[str, object]:
    """Return where a server has an empty log of this kind."""
    if kind == "sqlite":
        return {}
    valkey: Valkey = request.getfixturevalue("valkey")
    return {"PUSH_BROKER_URL": valkey.url, "PUSH_KEY_PREFIX": f"test-{uuid.uuid4().hex}"}


@pytest.fixture(scope="session", params=["sqlite", "redis"])
def log_kind(request: pytest.FixtureRequest) -> str:
    """Each kind of log in turn."""
    kind: str = request.param
    return kind


@pytest.fixture(scope="session")
def _shared_server(
    log_kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"), **settings_of(log_kind, request)).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _single(
    log_kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("single")
    server = Server(directory, WEB_CONCURRENCY=1, **settings_of(log_kind, request)).start()
    yield server
    server.stop()


@pytest.fixture
def single(_single: Server) -> Iterator[Server]:
    """A server with one worker, whose counts are its own."""
    log = len(_single.log)
    yield _single
    _single.check_log(since=log)


@pytest.fixture
def log_settings(log_kind: str, request: pytest.FixtureRequest) -> dict[str, object]:
    return settings_of(log_kind, request)


@pytest.fixture
def remove_log(log_kind: str, request: pytest.FixtureRequest) -> Callable[[Server], None]:
    """Take a server's log away, as an operator does who begins anew."""
    if log_kind == "sqlite":
        return Server.remove_log
    valkey: Valkey = request.getfixturevalue("valkey")
    return lambda server: valkey.forget(server.environ["PUSH_KEY_PREFIX"])


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """Each transport in turn: a test that takes it states a promise of all four."""
    name: str = request.param
    return name


@pytest.fixture
def subscribe(transport: str, server: Server, connect: Connect) -> Connect:
    """Open a client of the transport at the shared server."""
    return partial(connect, transport, server)


@pytest.fixture
def open_ws(server: Server, connect: Connect) -> Open:
    """Open a WebSocket at the shared server."""

    def open_one(*args: object, **params: object) -> WebSocket:
        client = connect("websocket", server, *args, **params)
        assert isinstance(client, WebSocket)
        return client

    return open_one


@pytest.fixture
def process(server: Server) -> Iterator[Processes]:
    """Begin something else on the server's log, as a worker of another machine does."""
    begun: list[Push] = []

    def begin() -> Push:
        log = {
            n: v for n, v in server.environ.items() if n in ("PUSH_BROKER_URL", "PUSH_KEY_PREFIX")
        }
        app = create_app(PUSH_API_KEYS=API_KEY, PUSH_SECRET=SECRET, **log)
        begun.append(app.extensions["push"])
        begun[-1].start()
        return begun[-1]

    yield begin
    for push in begun:
        push.close()


@pytest.fixture
def elsewhere(process: Processes) -> Push:
    """Another process on the same log, which revokes."""
    return process()


@pytest.fixture
def user() -> str:
    """One whom no other test knows."""
    return uuid.uuid4().hex
