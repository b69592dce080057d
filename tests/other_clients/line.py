"""A TCP line between a client and the server that can be cut and mended.

What belongs here: bytes passing by, and that they stop. What does not: what they mean.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from ..server import free_port
from ..wire import TIMEOUT


class Line:
    """Forwards connections to ``server_port`` from a port of its own, which stays the same."""

    def __init__(self, server_port: int) -> None:
        self.port = free_port()
        self.sent = b""  # what clients have sent, over all connections
        self._server_port = server_port
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.mend()

    def mend(self) -> None:
        """Let connections through again."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._threads = [self._start(self._accept, self._listener)]

    def cut(self) -> None:
        """End all connections and refuse new ones."""
        with suppress(OSError):  # Linux alone needs it: accept() would not notice a close()
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(TIMEOUT)
        for end in self._sockets:
            with suppress(OSError):  # the other side was first
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive()
        for end in self._sockets:
            end.close()
        self._sockets = []

    def _start(self, target: object, *args: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        thread.start()
        return thread

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # cut
            server = socket.create_connection(("127.0.0.1", self._server_port))
            self._sockets += [client, server]
            self._threads.append(self._start(self._forward, client, server, True))
            self._threads.append(self._start(self._forward, server, client, False))

    def _forward(self, source: socket.socket, sink: socket.socket, keep: bool) -> None:
        try:
            while data := source.recv(65536):
                if keep:
                    self.sent += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return  # cut, by us or by one of them
