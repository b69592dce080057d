"""Fixtures: a server, and a line to it that swallows the first answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from ..other_clients.line import Line
from ..server import Server


class Forgetful(Line):
    """The first request gets through, its answer does not."""

    _is_first = True

    def _forward(self, source: socket.socket, sink: socket.socket, keep: bool) -> None:
        if keep or not self._is_first:
            super()._forward(source, sink, keep)
            return
        self._is_first = False
        source.recv(65536)
        sink.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that a module's tests share."""
    server = Server(tmp_path_factory.mktemp("examples"), WEB_CONCURRENCY=1, PUSH_HEARTBEAT=2)
    yield server.start()
    server.stop()


@pytest.fixture
def forgetful(server: Server) -> Iterator[Forgetful]:
    line = Forgetful(server.port)
    yield line
    line.cut()
