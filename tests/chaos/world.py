"""What is under test: two instances of the server with two workers each, over one log.

What belongs here: setting it up, and reading the log at the end. What does not: what goes wrong
(``faults``).
"""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from redis.exceptions import ConnectionError, ResponseError

from ..server import LONG, ROOT, Server, free_port, until
from ..valkey import Valkey
from .books import Got
from .disk import Clock, Disk

_KEPT = 7 * 86400  # seconds; more than the clock is ever moved by
_HEARTBEAT = 3  # seconds; a reader takes a line for dead after 10 s of silence


class Trio:
    """A Valkey, a replica of it, and the sentinel that tells which is which."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        # Nothing acknowledged is lost by a crash: each write is on the disk before its answer.
        safe: dict[str, Any] = {"appendonly": "yes", "appendfsync": "always", "environ": environ}
        self.disk, self._other_disk = Disk(folder / "valkey"), Disk(folder / "replica")
        self.valkey = Valkey(self.disk.folder, **safe).start()
        place = f"127.0.0.1 {self.valkey.port}"
        self.replica = Valkey(self._other_disk.folder, replicaof=place, **safe).start()
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
        until(self._is_known, "the sentinel has seen the replica well", LONG)
        self.valkey.kill()
        until(self._is_promoted, "the replica takes over", LONG)
        self.valkey, self.replica = self.replica, self.valkey
        self.disk, self._other_disk = self._other_disk, self.disk
        self.replica.start()
        until(self._follows, "what crashed follows it", LONG)

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
        self.disk.close()
        self._other_disk.close()


class Way:
    """A line to a server (``line``)."""

    def __init__(self, server: Server, seed: int) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.line", *map(str, (self.port, server.port, seed))],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def do(self, order: str) -> None:
        assert self._process.stdin is not None
        print(order, file=self._process.stdin, flush=True)

    def close(self) -> None:
        with self._process:  # it ends with its stdin
            pass


class World:
    """The servers and their log; ``chance`` decides whom a fault hits."""

    def __init__(self, broker: str, folder: Path, messages: int, chance: random.Random) -> None:
        self.broker, self.chance = broker, chance
        self.clock = Clock(folder)
        self._ends = ExitStack()
        self._taking = threading.Lock()
        self._taken: list[Server] = []
        self.trio: Trio | None = None
        try:
            if broker == "redis":
                self.trio = Trio(folder, self.clock.environ)
                self._ends.callback(self.trio.stop)
                url = self.trio.url
            else:
                self._disk = Disk(folder / "disk")
                self._ends.callback(self._disk.close)
                self.database = self._disk.folder / "push.db"
                url = f"sqlite:///{self.database}"
            self.servers = [self._server(folder, url, messages, n) for n in range(2)]
            self.ways = [self._way(server) for server in self.servers]
        except BaseException:
            self.close()
            raise

    def _server(self, folder: Path, url: str, messages: int, number: int) -> Server:
        recycling = "--max-requests 4000 --max-requests-jitter 1000"
        server = Server(
            folder,
            WEB_CONCURRENCY=2,
            PUSH_BROKER_URL=url,
            PUSH_HISTORY_SIZE=2 * messages,  # all is kept, so that nothing may be missing
            PUSH_HISTORY_TTL=_KEPT,
            PUSH_HEARTBEAT=_HEARTBEAT,
            GUNICORN_CMD_ARGS=recycling if number else None,
            **self.clock.environ,
        )
        self._ends.callback(server.stop)
        return server.start()

    def _way(self, server: Server) -> Way:
        way = Way(server, self.chance.randrange(10**9))
        self._ends.callback(way.close)
        return way

    @property
    def ports(self) -> list[int]:
        """Of the servers, and of the lines to them."""
        return [one.port for one in (*self.servers, *self.ways)]

    @property
    def disk(self) -> Disk:
        """That of the log."""
        return self._disk if self.trio is None else self.trio.disk

    def workers(self) -> list[int]:
        """Return the pids of all workers, but those of an instance that is taken."""
        pids: list[int] = []
        for server in self.servers:
            if server not in self._taken:
                with suppress(psutil.NoSuchProcess, AssertionError):  # somebody just takes it
                    pids += server.workers()
        return pids

    def worker(self) -> int:
        """Return the pid of some worker."""
        pids = until(self.workers, "there is a worker", LONG)
        return self.chance.choice(pids)  # type: ignore[no-any-return]

    @contextmanager
    def instance(self) -> Iterator[Server]:
        """Have an instance to oneself. At most as many at a time as there are."""
        with self._taking:
            server = self.chance.choice([one for one in self.servers if one not in self._taken])
            self._taken.append(server)
        try:
            yield server
        finally:
            self._taken.remove(server)

    def way(self) -> Way:
        return self.chance.choice(self.ways)

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
        """End everything; what fails in it is raised when all has ended."""
        self._ends.close()
