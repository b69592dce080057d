"""Fixtures: servers, and clients that leave nothing behind. No tests and no helpers here."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from .clients import Client, open_client
from .server import API_KEY, SECRET, Server, until
from .valkey import Valkey
from .wire import Wire


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """The Valkey that most tests share, each under a key prefix of its own.

    A test that harms it starts one of its own.
    """
    valkey = Valkey(tmp_path_factory.mktemp("valkey")).start()
    yield valkey
    valkey.stop()


@pytest.fixture(scope="session")
def _shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server")).start()
    yield server
    server.stop()


@pytest.fixture
def server(_shared_server: Server) -> Iterator[Server]:
    """The server that most tests share: two workers, one log, everything else as it comes.

    A test that ends it, kills a worker or wants settings of its own takes ``make_server``.
    """
    printed = len(_shared_server.log)
    yield _shared_server
    print(_shared_server.log[printed:])  # pytest shows it where the test failed
    _shared_server.check_log(printed)


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    """One TCP connection to the shared server."""
    wire = Wire(server.port)
    yield wire
    wire.close()


@pytest.fixture
def log_settings() -> dict[str, object]:
    """Where the servers of ``make_server`` have their log: here, in a file of the test's own."""
    return {}


@pytest.fixture
def make_server(tmp_path: Path, log_settings: dict[str, object]) -> Iterator[Callable[..., Server]]:
    """Start servers with settings of their own: ``make_server(WEB_CONCURRENCY=1)``.

    They share one log, unless ``PUSH_BROKER_URL`` says otherwise.
    """
    servers: list[Server] = []

    def make(**options: Any) -> Server:
        server = Server(tmp_path, **log_settings, **options)
        servers.append(server)
        return server.start()

    yield make
    for server in servers:
        try:
            server.stop()
        finally:
            print(server.log)


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    """Open clients: ``connect("sse", server, ["public:a"], cursor, history=3)``.

    Ends with a leak check: no worker holds a connection of theirs once they have closed.
    """
    clients: list[tuple[Client, Server]] = []

    def connect_one(transport: str, server: Server, *args: Any, **params: Any) -> Client:
        client = open_client(transport, server.port, *args, **params)
        clients.append((client, server))
        return client

    yield connect_one
    for client, _ in clients:
        client.close()
    for server in {server for _, server in clients if server.is_running}:
        ports = {port for client, at in clients if at is server for port in client.local_ports}
        until(partial(_lets_go, server, ports), f"the worker lets go of {ports}")


def _lets_go(server: Server, ports: set[int]) -> bool:
    return not ports & set(server.connections())


@pytest.fixture
def channel() -> str:
    """A public channel that no other test knows."""
    return f"public:{uuid.uuid4().hex}"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """The Flask app in this process, which nothing has patched, on a log of the test's own."""
    from pushapp import create_app  # most tests here need no app in this process

    app = create_app(
        PUSH_BROKER_URL=f"sqlite:///{tmp_path}/push.db",
        PUSH_API_KEYS=API_KEY,
        PUSH_SECRET=SECRET,
    )
    yield app
    app.extensions["push"].close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Flask's test client for ``app``."""
    return app.test_client()
