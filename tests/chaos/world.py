"""What is under test: two instances of the server with two workers each, over one log.

What belongs here: setting it up, and reading the log at the end. What does not: what goes wrong
(``faults``).
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ..server import Server
from ..valkey import Valkey
from .books import Got

_HEARTBEAT = 3  # seconds; a reader takes a line for dead after 10 s of silence


class World:
    """The servers and their log; ``chance`` decides whom a fault hits."""

    def __init__(self, broker: str, folder: Path, messages: int, chance: random.Random) -> None:
        self.broker, self.chance = broker, chance
        self.database = folder / "push.db"
        self.valkey: Valkey | None = None
        url = f"sqlite:///{self.database}"
        if broker == "redis":
            # Nothing acknowledged is lost by a crash: each write is on the disk before its answer.
            self.valkey = Valkey(folder / "valkey", appendonly="yes", appendfsync="always").start()
            url = self.valkey.url
        self.servers = [
            Server(
                folder,
                WEB_CONCURRENCY=2,
                PUSH_BROKER_URL=url,
                PUSH_HISTORY_SIZE=2 * messages,  # all is kept, so that nothing may be missing
                PUSH_HEARTBEAT=_HEARTBEAT,
            )
            for _ in range(2)
        ]
        for server in self.servers:
            server.start()

    @property
    def ports(self) -> list[int]:
        return [server.port for server in self.servers]

    def worker(self) -> int:
        """Return the pid of some worker."""
        pids = [pid for server in self.servers for pid in server.workers()]
        return self.chance.choice(pids)

    def instance(self) -> Server:
        return self.chance.choice(self.servers)

    def open_file(self) -> sqlite3.Connection:
        """Open the log's file, as another program does."""
        return sqlite3.connect(self.database, isolation_level=None)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the write lock of the log's file."""
        with closing(self.open_file()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def log(self, channel: str) -> list[Got]:
        """Return everything that the log has of a channel, oldest first."""
        messages: list[Got] = []
        before = ""
        while True:
            target = f"/push/channels/{channel}/history?limit=500{before}"
            page = self.servers[0].look(target)["messages"]
            if not page:
                return messages
            messages[:0] = [
                Got(m["id"], m["prev"], channel, m["data"]["number"], 0.0) for m in page
            ]
            before = f"&before={page[0]['id']}"

    def close(self) -> None:
        try:
            for server in self.servers:
                server.stop()
        finally:
            if self.valkey is not None:
                self.valkey.stop()
