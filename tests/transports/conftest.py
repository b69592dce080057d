"""What the transport tests share: a client of each transport in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from ..clients import TRANSPORTS, Client, WebSocket
from ..server import Server
from ..wire import Wire

Connect = Callable[..., Client]
Open = Callable[..., WebSocket]


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
def wire(server: Server) -> Iterator[Wire]:
    """One TCP connection to the shared server."""
    wire = Wire(server.port)
    yield wire
    wire.close()
