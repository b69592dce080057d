"""A real server under test: gunicorn with gevent workers on a log of its own.

What belongs here: starting, watching and ending it, and asking it things. What does not: how a
subscriber behaves (``clients``).
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from .wire import TIMEOUT, Reply, Wire

ROOT = Path(__file__).resolve().parent.parent

API_KEY = "key-of-the-tests"
READ_KEY = "reader-of-the-tests"
PUBLISH_KEY = "publisher-of-the-tests"
SECRET = "a-secret-for-the-tests-of-pushapp-alone"
SHORT = 3  # messages kept of a channel in the namespace "short"
ORIGIN = "https://app.example"  # another origin that the servers under test allow

#: Seconds for a program to start, and to end, where many others have the machine.
LONG = 180.0


def until(
    condition: Callable[[], Any], what: str, timeout: float = TIMEOUT, pause: float = 0.02
) -> Any:
    """Return the condition's value once it is true: for what another process does unannounced.
    ``pause``: seconds between looks."""
    deadline = time.monotonic() + timeout
    never = threading.Event()
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        never.wait(pause)
    return value


_SHARE = 2700  # ports of each process that runs tests beside others: of 8, above 10080, which
# no browser connects to, and below those that the kernel gives to clients
_FIRST = 10_100 + _SHARE * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw7")[2:]) % 8)
_place = itertools.count(random.randrange(_SHARE))


def free_port() -> int:
    """Return one that nobody else takes while its server begins or is away: the kernel gives it to
    no client, and none of these processes hands it out again."""
    while port := _FIRST + next(_place) % _SHARE:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


def tell(pid: int, number: int) -> None:
    """Send a process a signal, unless it has ended."""
    with suppress(ProcessLookupError):  # it has ended just now
        os.kill(pid, number)


@contextmanager
def standing_still(pids: Sequence[int]) -> Iterator[None]:
    """Have these processes stand still, at a place where nobody has to wait for them.

    ``kill`` returns before it has worked: what is still running may accept a connection. And who
    stops in the middle of a commit, while SQLite writes the two copies of its index's head, has
    the others' reads wait for it, in C: once in 10,000 stops under load.
    """

    def stand() -> bool:
        for pid in pids:
            tell(pid, signal.SIGSTOP)
        until(lambda: all(map(_stands, pids)), "they stand still", pause=0.0002)
        if not _locking(pids):
            return True
        for pid in pids:
            tell(pid, signal.SIGCONT)
        return False

    try:
        until(stand, "none of them is in the middle of a commit", pause=0.0002)
        yield
    finally:
        for pid in pids:
            tell(pid, signal.SIGCONT)


def _stands(pid: int) -> bool:
    """Tell whether no thread of this process runs."""
    try:
        states = [
            Path(f"/proc/{pid}/task/{thread}/stat").read_text().rpartition(") ")[2][0]
            for thread in os.listdir(f"/proc/{pid}/task")
        ]
    except (FileNotFoundError, ProcessLookupError):  # one of them ended just now
        return not psutil.pid_exists(pid)
    return all(state in "TZX" for state in states)


def _locking(pids: Sequence[int]) -> bool:
    """Tell whether one of these processes has a file for itself."""
    locks = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    return any("WRITE" in lock and str(pid) in lock[4:6] for lock in locks for pid in pids)


class Server:
    """A gunicorn with its workers. Settings are environment variables by their own names."""

    def __init__(
        self,
        directory: Path,
        *,
        app: str = "wsgi:app",
        config: str | None = "gunicorn.conf.py",
        arguments: Sequence[str] = (),
        cwd: Path = ROOT,
        expects_traceback: bool = False,
        **settings: object,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = directory / "push.db"
        self.log_file = directory / f"server-{self.port}.log"
        self.expects_traceback = expects_traceback
        self._cwd = cwd
        own = {
            "BIND": "127.0.0.1",
            "PORT": self.port,
            "WEB_CONCURRENCY": 2,
            "PUSH_BROKER_URL": f"sqlite:///{self.database}",
            "PUSH_API_KEYS": f"{API_KEY},read:{READ_KEY},publish:{PUBLISH_KEY}",
            "PUSH_SECRET": SECRET,
            "PUSH_ALLOWED_ORIGINS": ORIGIN,
            "PUSH_PUBLIC_NAMESPACES": "public,demo,short",
            "PUSH_NAMESPACES": f'{{"short":{{"size":{SHORT}}}}}',
            **settings,
        }
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PUSH_", "REDIS_", "GUNICORN_", "WEB_", "DYNO"))
        }
        self.environ = inherited | {n: str(v) for n, v in own.items() if v is not None}
        self._command = [sys.executable, "-m", "gunicorn", *arguments]
        self._command += ["-c", config] if config else ["--bind", f"127.0.0.1:{self.port}"]
        self._command += [app]
        self._process: subprocess.Popen[bytes] | None = None

    # Its life

    def start(self) -> Server:
        """Start it and wait until each of its workers can serve."""
        self.launch()
        self.wait_for_workers()
        return self

    def begin(self) -> None:
        """Start it, and wait for nothing."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._cwd,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a process group of its own, so that none can stay behind
            )

    def launch(self) -> None:
        """Start it and wait until some worker can serve."""
        self.begin()
        assert self._process is not None
        deadline = time.monotonic() + LONG
        while not self._is_ready():
            try:
                self._process.wait(0.05)
            except subprocess.TimeoutExpired:
                assert time.monotonic() < deadline, f"it does not get ready:\n{self.log}"
            else:
                raise AssertionError(f"it ended with {self._process.returncode}:\n{self.log}")

    def _is_ready(self) -> bool:
        try:
            return self.ask("GET", "/readyz").status == 200
        except OSError:
            return False

    def signal(self, number: int) -> None:
        """Send a signal to the master."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, timeout: float = LONG) -> int:
        """Wait until it has ended by itself; return its exit status."""
        assert self._process is not None
        return self._process.wait(timeout)

    def kill(self) -> None:
        """End all of its processes at once, as a power cut would (the disk keeps its state)."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(TIMEOUT)

    def stop(self) -> None:
        """End it as a deploy does; idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(LONG)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end after SIGTERM:\n{self.log}") from None
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # as it should be: nobody of the group is left
            process.wait()
        self.check_log()

    def remove_log(self) -> None:
        """Take the log's files away, as an operator does who begins anew."""
        for file in self.database.parent.glob("push.db*"):
            if file.is_file():
                file.unlink()

    def restart(self) -> None:
        """End it and start it again, on the same port and log."""
        self.stop()
        self.start()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """What it has printed."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def check_log(self, since: int = 0) -> None:
        """Fail where it has printed a traceback."""
        log = self.log[since:]
        if not self.expects_traceback:
            assert "Traceback (most recent call last)" not in log, log

    # Its processes

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def workers(self) -> list[int]:
        """Return the pids of the workers that live: forks of the master."""
        master = psutil.Process(self.pid)
        command, pids = master.cmdline(), []
        for child in master.children():
            try:
                if child.status() != psutil.STATUS_ZOMBIE and child.cmdline() == command:
                    pids.append(child.pid)
            except psutil.NoSuchProcess:
                continue
        return sorted(pids)

    def wait_for_workers(self) -> list[int]:
        """Wait until there are as many workers as asked for and each of them answers."""
        count = int(self.environ["WEB_CONCURRENCY"])

        def all_answer() -> list[int]:
            pids = self.workers()
            return pids if len(pids) == count and all(map(self._answers, pids)) else []

        pids: list[int] = until(all_answer, f"{count} workers that answer", LONG)
        return pids

    def _answers(self, pid: int) -> bool:
        with self.only(pid):
            wire = Wire(self.port, timeout=1.0)
            try:
                return wire.ask("GET", "/healthz").status == 200
            except OSError:
                return False
            finally:
                wire.close()

    @contextmanager
    def only(self, pid: int) -> Iterator[None]:
        """Have this worker alone accept: the others stand still meanwhile."""
        with standing_still([p for p in self.workers() if p != pid]):
            yield

    def connections(self) -> dict[int, int]:
        """Return the peer's port → worker's pid for each TCP connection that a worker holds."""
        held = {}
        for pid in self.workers():
            try:
                sockets = psutil.Process(pid).net_connections("tcp4")
            except psutil.NoSuchProcess:
                continue
            for connection in sockets:
                if connection.laddr.port == self.port and connection.raddr:
                    held[connection.raddr.port] = pid
        return held

    def worker_of(self, wire: Wire) -> int:
        """Return the pid of the worker at the other end of a connection."""
        found: int = until(lambda: self.connections().get(wire.local_port), "a worker has it")
        return found

    # Asking it

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        """Make one request on a connection of its own."""
        wire = Wire(self.port)
        try:
            return wire.ask(method, target, {"Connection": "close", **(headers or {})}, body)
        finally:
            wire.close()

    def look(self, target: str, key: str = READ_KEY) -> Any:
        """Return the JSON of something that needs an api key."""
        reply = self.ask("GET", target, {"Authorization": f"Bearer {key}"})
        assert reply.status == 200, reply
        return reply.json

    def post(self, body: object, key: str = API_KEY, **headers: str) -> Reply:
        """Send a publish request."""
        sent = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("POST", "/push/publish", sent, data)

    def publish(self, channel: str, data: object = None, **options: object) -> str:
        """Publish one message; return its id."""
        reply = self.post({"channel": channel, "data": data, **options})
        assert reply.status in (200, 201), reply
        published: str = reply.json["id"]
        return published

    def publish_all(self, messages: Sequence[Mapping[str, object]]) -> list[str]:
        """Publish a batch; return the ids."""
        reply = self.post({"messages": list(messages)})
        assert reply.status in (200, 201), reply
        ids: list[str] = reply.json["ids"]
        return ids
