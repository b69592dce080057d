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

from redis.exceptions import ConnectionError, ResponseError

from ..server import Server, until
from ..valkey import Valkey
from ..wire import TIMEOUT
from .books import Got

_HEARTBEAT = 3  # seconds; a reader takes a line for dead after 10 s of silence


class Trio:
    """A Valkey, a replica of it, and the sentinel that tells which is which."""

    def __init__(self, folder: Path) -> None:
        # Nothing acknowledged is lost by a crash: each write is on the disk before its answer.
        safe = {"appendonly": "yes", "appendfsync": "always"}
        self.valkey = Valkey(folder / "valkey", **safe).start()
        place = f"127.0.0.1 {self.valkey.port}"
        self.replica = Valkey(folder / "replica", replicaof=place, **safe).start()
        self.sentinel = Valkey(
            folder / "sentinel",
            role="--sentinel",
            # It takes orders, and decides nothing by itself while the ledger is open.
            sentinel=[
                f"monitor log {place} 1",
                "down-after-milliseconds log 600000",
                "failover-timeout log 5000",
            ],
        ).start()
        self.url = f"redis+sentinel://127.0.0.1:{self.sentinel.port}/log"

    def fail_over(self) -> None:
        """Crash; the replica takes over, and what crashed comes back as a replica of it."""
        until(self._is_known, "the sentinel has seen the replica well", 3 * TIMEOUT)
        self.valkey.kill()
        until(self._is_promoted, "the replica takes over", 3 * TIMEOUT)
        self.valkey, self.replica = self.replica, self.valkey
        self.replica.start()
        until(self._follows, "what crashed follows it", 3 * TIMEOUT)

    def _is_known(self) -> bool:
        known = self.sentinel.ask("SENTINEL", "REPLICAS", "log")
        return [one["master-link-status"] for one in known] == ["ok"]

    def _is_promoted(self) -> bool:
        try:
            self.sentinel.ask("SENTINEL", "FAILOVER", "log")
        except ResponseError:  # it is at it, or has not looked at the replica for a while
            pass
        _, port = self.sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "log")
        return int(port) == self.replica.port and self._role() == "master"

    def _follows(self) -> bool:
        if self._role() == "master":
            self.replica.ask("REPLICAOF", "127.0.0.1", self.valkey.port)
        return self._role() == "slave"

    def _role(self) -> str:
        """Return what the replica is; "" while it changes, when all its connections end."""
        try:
            return str(self.replica.ask("ROLE")[0])
        except ConnectionError:
            return ""

    def stop(self) -> None:
        for server in (self.sentinel, self.replica, self.valkey):
            server.stop()


class World:
    """The servers and their log; ``chance`` decides whom a fault hits."""

    def __init__(self, broker: str, folder: Path, messages: int, chance: random.Random) -> None:
        self.broker, self.chance = broker, chance
        self.database = folder / "push.db"
        self.trio = Trio(folder) if broker == "redis" else None
        url = self.trio.url if self.trio else f"sqlite:///{self.database}"
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
            if self.trio is not None:
                self.trio.stop()
