"""A TCP proxy that breaks connections, and chooses which worker serves each of them.

What belongs here: bytes between a client and a server, and when they stop. What does not: what the
bytes mean; a reply is cut where its bytes are, not where its parser would notice.
"""

from __future__ import annotations

import random
import select
import socket
import threading
from collections import Counter
from collections.abc import Sequence

from ..server import Server, standing_still
from ..wire import TIMEOUT, Wire

CUTS = ("head", "body", "before the last byte")


class Cutter:
    """Forwards connections to workers in turn; cuts a share of them short."""

    def __init__(self, servers: Sequence[Server], chance: random.Random, share: float) -> None:
        self._chance, self._share = chance, share
        self._servers = {pid: server for server in servers for pid in server.workers()}
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.cuts: Counter[str] = Counter()  # kind → how many connections were cut so
        self.pids: dict[int, int] = {}  # a client's port → the worker that served it
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """Take no more; every connection's client has closed by now."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(TIMEOUT)
        for thread in self._threads:
            thread.join(TIMEOUT)

    def _accept(self) -> None:
        while True:
            try:
                client, address = self._listener.accept()
            except OSError:
                return  # closed
            with self._lock:
                pid = self._chance.choice(list(self._servers))
                cut = self._chance.choice(CUTS) if self._chance.random() < self._share else None
                after = self._chance.choice((0, 0, 1, 2, 4))  # blocks that pass before the cut
                self.pids[address[1]] = pid
                upstream = self._connect(pid)
            forward = threading.Thread(
                target=self._forward, args=(client, upstream, cut, after), daemon=True
            )
            self._threads = [t for t in self._threads if t.is_alive()] + [forward]
            forward.start()

    def _connect(self, pid: int) -> socket.socket:
        """Connect to this worker: its server's others stand still until it has answered."""
        server = self._servers[pid]
        others = [p for p, at in self._servers.items() if at is server and p != pid]
        with standing_still(others):
            wire = Wire(server.port)
            assert wire.ask("GET", "/healthz").status == 200
        return wire.socket

    def _forward(
        self, client: socket.socket, upstream: socket.socket, cut: str | None, after: int
    ) -> None:
        with client, upstream:
            client.settimeout(TIMEOUT)
            upstream.settimeout(TIMEOUT)
            try:
                while True:
                    readable, _, _ = select.select([client, upstream], [], [], 3 * TIMEOUT)
                    if client in readable:
                        data = client.recv(65536)
                        if not data:
                            return
                        upstream.sendall(data)
                    if upstream in readable:
                        data = upstream.recv(65536)
                        if cut is not None and (after == 0 or cut == "head"):
                            client.sendall(data[: self._length(cut, data)])
                            self.cuts[cut] += 1
                            return
                        after -= 1
                        if not data:
                            return
                        client.sendall(data)
            except (ConnectionError, TimeoutError):
                return  # either side has left in the middle, as sides do

    def _length(self, cut: str, data: bytes) -> int:
        """Return how many of these bytes still pass."""
        if cut == "head":
            return self._chance.randrange(min(len(data), 200) + 1)
        if cut == "body":
            body = data.find(b"\r\n\r\n") + 4 if data.startswith(b"HTTP/") else 0
            return self._chance.randrange(min(body, len(data)), len(data) + 1)
        return len(data) - 1
