"""Fixtures: the programs, what they are made of, and a line that can be cut."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..needs import needs
from ..npm import npm_packages
from ..server import Server
from .line import Line
from .program import PROGRAMS, Program

# Node's own WebSocket and EventSource are undici's: the package stands in where Node has none yet.
NPM_PACKAGES = ("ws@8.23.0", "eventsource@3.0.7", "undici@6.29.1")
HEARTBEAT = 1  # seconds

# name → what to run, the file in programs/ and what goes before the server's address
COMMANDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "Node's WebSocket": ("node", "websocket.js", ("own",)),
    "Node's EventSource": ("node", "eventsource.js", ("own",)),
    "npm's ws": ("node", "websocket.js", ("ws",)),
    "npm's eventsource": ("node", "eventsource.js", ("package",)),
    "websocket-client": ("python", "websocket_client.py", ()),
    "sseclient-py on requests": ("python", "sseclient_requests.py", ()),
    "httpx": ("python", "httpx_longpoll.py", ()),
    "Java's WebSocket": ("java", "Jdk.java", ("websocket",)),
    "Java's HttpClient, long polls": ("java", "Jdk.java", ("longpoll",)),
    "Java's HttpClient, events": ("java", "Jdk.java", ("sse",)),
    "curl, polls": ("sh", "poll.sh", ()),
    "curl, long polls": ("sh", "longpoll.sh", ()),
    "curl, events": ("sh", "sse.sh", ()),
    "curl, events over HTTP/1.0": ("sh", "sse.sh", ()),
}
LAST = {"curl, events over HTTP/1.0": ("--http1.0",)}  # what goes behind the channel


@pytest.fixture(scope="session")
def node_command(request: pytest.FixtureRequest) -> list[str]:
    """Node with all that it has of its own."""
    node = needs("node")
    has = "process.allowedNodeEnvironmentFlags.has(flag)"
    flags = "['--experimental-websocket', '--experimental-eventsource']"
    script = f"console.log({flags}.filter(flag => {has}).join(' '))"
    asked = subprocess.run([node, "-e", script], capture_output=True, text=True, check=True)
    return [node, "--no-warnings", *asked.stdout.split()]


@pytest.fixture(scope="session")
def node_modules(request: pytest.FixtureRequest) -> Path:
    """Return a folder with the packages from npm, fetched once for each set of versions."""
    cache = request.config.cache
    assert cache is not None
    folder = cache.mkdir("packages") / "-".join(NPM_PACKAGES)
    return npm_packages(folder, *NPM_PACKAGES) / "node_modules"


@pytest.fixture
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start programs: ``start("npm's ws", port, channel)``. They end with the test."""
    programs: list[Program] = []
    errors = (tmp_path / "errors").open("ab+")

    def start_one(name: str, port: int, channel: str) -> Program:
        interpreter, file, first = COMMANDS[name]
        environ = {}
        if interpreter == "node":
            environ["NODE_PATH"] = str(request.getfixturevalue("node_modules"))
            command = list(request.getfixturevalue("node_command"))
        elif interpreter == "python":
            command = [sys.executable]
        elif interpreter == "java":
            needs("javac")  # which a Java that runs source files has with it
            command = [needs("java"), "-Xshare:auto", "-XX:TieredStopAtLevel=1"]
        else:
            needs("curl")
            needs("jq")
            command = ["sh"]
        command += [str(PROGRAMS / file), *first, f"http://127.0.0.1:{port}", channel]
        program = Program(name, [*command, *LAST.get(name, ())], environ, errors)
        programs.append(program)
        return program

    yield start_one
    for program in programs:
        program.close()
    errors.seek(0)
    print(errors.read().decode())  # pytest shows it where the test failed
    errors.close()


@pytest.fixture(scope="session")
def _lively_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("other_clients"), PUSH_HEARTBEAT=HEARTBEAT).start()
    yield server
    server.stop()


@pytest.fixture
def server(_lively_server: Server) -> Iterator[Server]:
    """The server that the tests here share: a client that waits for silence waits a second."""
    yield _lively_server


@pytest.fixture
def line(server: Server) -> Iterator[Line]:
    """A line to the shared server."""
    line = Line(server.port)
    yield line
    line.cut()
