"""Building the C programs, and starting, pinning and ending servers and the load client.

What does not belong here: what is measured (cases.py) and how CPU and memory are read (measure.py).
Only what was started here is ever ended, each with the process group that was made for it.
"""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from measure import family
from peers import BENCH, BUILD, SEARCHED, Peer

PROGRAMS = {
    "load": (
        *("load.c", "stream.c", "websocket.c", "channels.c"),
        *("subscriber.c", "publisher.c"),
    ),
    "sender": ("sender.c",),
}
FLAGS = ("-O2", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror")
START_SECONDS = 20.0  # until a server listens
STOP_SECONDS = 5.0  # between asking a server to end and ending it
GRACE_SECONDS = 15.0  # for the load client, beyond what a command takes by itself
OWN_SETTINGS = ("PUSH_", "REDIS_URL", "DYNO", "PORT", "BIND", "WEB_CONCURRENCY", "GUNICORN_")


class BenchError(Exception):
    """It cannot be measured; the text says why in one line."""


def build() -> None:
    """Compile the load client and the C sender into bench/build.

    Raises:
        BenchError: there is no gcc, or it refuses the sources.
    """
    if not shutil.which("gcc"):
        raise BenchError("gcc is missing: install a C compiler (Debian: apt install gcc libc6-dev)")
    BUILD.mkdir(exist_ok=True)
    for program, sources in PROGRAMS.items():
        # Under a name of its own first: a test and a bench may build at the same time.
        unfinished = BUILD / f"{program}.{os.getpid()}"
        command = ["gcc", *FLAGS, "-o", str(unfinished), *sources]
        done = subprocess.run(command, cwd=BENCH, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"{' '.join(command)}: {done.stderr.strip()}")
        unfinished.replace(BUILD / program)


def cores() -> tuple[int, int]:
    """Return the core of the servers and that of the load client; one core serves for both."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def allow_many_connections() -> None:
    """Raise this process's limit of open files, which every server inherits."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def connections_allowed() -> int:
    """Return how many connections one process here may hold, with some files beside."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 300


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def end(process: subprocess.Popen[bytes], wait: float) -> None:
    """Ask the process to end; after `wait` seconds end it and all that it started."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(wait)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its own group: see start_new_session
        process.wait()


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    """Return when the process listens on the port of the loopback.

    Raises:
        BenchError: it ended, or takes too long.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise BenchError(f"{process.args!r} does not listen.")


class Server:
    """One running peer, on a free port of the loopback and a core of its own, or everywhere."""

    def __init__(self, peer: Peer, *, everywhere: bool = False, **files: object) -> None:
        self.peer = peer
        self.port = free_port()
        self._cores = "0-1023" if everywhere else str(cores()[0])
        self._scratch = tempfile.TemporaryDirectory(prefix="bench-")
        self.scratch = Path(self._scratch.name)
        self._files = files
        self._log = self.scratch / "server.log"

    def __enter__(self) -> Self:
        fill = {"port": self.port, "scratch": self._scratch.name}
        for name in self.peer.files:
            text = (BENCH / name).read_text()
            for key, value in (fill | self._files).items():
                text = text.replace(f"@{key}@", str(value))
            (self.scratch / name).write_text(text)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(OWN_SETTINGS)}
        own = {name: value.format(**fill) for name, value in self.peer.environment.items()}
        own["PATH"] = SEARCHED
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "taskset",
                    "-c",
                    self._cores,
                    *(part.format(**fill) for part in self.peer.command),
                ],
                cwd=self.peer.directory,
                env=inherited | own,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_for(self._process, self.port)
        except BenchError as error:
            text = f"{self.peer.name} does not start: {error} {self.log()}"
            self.__exit__(None, None, None)
            raise BenchError(text) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        end(self._process, STOP_SECONDS)
        self._scratch.cleanup()

    def pids(self) -> list[int]:
        return family(self._process.pid)

    def watched(self, part: str) -> AbstractContextManager[None]:
        """Return what is held while a part of a case is measured: here, nothing."""
        return nullcontext()

    def log(self) -> str:
        """Return the end of what the server has printed."""
        return self._log.read_text("utf-8", "replace")[-2000:].strip()


class Child:
    """A program that takes commands as lines and answers each with a line of JSON."""

    def __init__(self, command: list[str], cwd: Path | None = None) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            bufsize=0,  # nothing is left to write once it is gone
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()  # it ends by itself then
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            end(self._process, STOP_SECONDS)
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _answer(self, line: str, seconds: float) -> dict[str, Any] | None:
        """Send a line; return the answer, None where there is none within `seconds`."""
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(line.encode() + b"\n")
        except BrokenPipeError:  # it gave up, and has said why
            return None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        found = self._process.stdout.readline() if ready else b""
        answer: dict[str, Any] | None = json.loads(found) if found else None
        return answer


class LoadClient(Child):
    """The C load client: subscribers of one transport, and publishers, at one server."""

    def __init__(
        self,
        server: Server,
        transport: str,
        subscribers: int,
        *,
        publishers: int = 4,
        **more: object,  # options of load.c
    ) -> None:
        peer = server.peer
        endpoint = peer.endpoints[transport]
        # A poll is a long poll that is answered at once.
        wire = "longpoll" if transport == "poll" else transport
        options = {
            "transport": wire,
            "port": server.port,
            "subscribers": subscribers,
            "publishers": publishers,
            "path": endpoint.path,
            "ready": endpoint.ready,
            "headers": "".join(f"{line}\r\n" for line in endpoint.headers),
            "say": "".join(f"{when}\t{text}\n" for when, text in endpoint.say),
            "cursor-header": endpoint.cursor_header,
            "first-waits": int(endpoint.first_waits),
            "channel": peer.channel,
            "publish-path": peer.publish_path,
            "publish-body": peer.publish_body,
            "publish-headers": "".join(f"{line}\r\n" for line in peer.publish_headers),
        } | more
        _, core = cores()
        command = ["taskset", "-c", str(core), str(BUILD / "load")]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        self._server = server
        super().__init__(command)

    def ask(self, command: str, seconds: float = 0.0, **arguments: float) -> dict[str, Any]:
        """Run one command of load.c, which takes about `seconds`, and return its answer.

        Raises:
            BenchError: there is no answer.
        """
        words = [command, *(f"{name}={value:g}" for name, value in arguments.items())]
        if seconds:
            words.append(f"secs={seconds:g}")
        limit = seconds + arguments.get("limit", 0.0) + GRACE_SECONDS
        answer = self._answer(" ".join(words), limit)
        if answer is None:
            raise BenchError(f"no answer to {words} at {self._server.peer.name}")
        return answer

    def connect(self, subscribers: int) -> dict[str, Any]:
        """Open all subscribers.

        Raises:
            BenchError: the server did not take them all.
        """
        answer = self.ask("connect", limit=60)
        if answer["live"] != subscribers:
            raise BenchError(
                f"{self._server.peer.name}: {answer['live']} of {subscribers} subscribed; "
                f"{self._server.log()}"
            )
        return answer
