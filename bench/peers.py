"""The servers that are measured side by side: how each is started and spoken to.

Another server is one more `Peer` in `PEERS`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
BUILD = BENCH / "build"
CHANNEL = "public:bench"  # the load client puts a number behind it


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a subscriber asks, and what it sees once it is subscribed.

    `{channel}`, `{cursor}`, `{connection}`, `{token}` and `{request}` in them are the load client's
    to fill in.
    """

    path: str
    ready: str = ""  # "": the handshake's answer says so
    headers: tuple[str, ...] = ()
    say: tuple[tuple[str, str], ...] = ()  # when a frame begins so, send this; "": at once
    cursor_header: str = ""  # of an answer, where the cursor is not in its JSON
    first_waits: bool = False  # a long poll without a cursor is not answered at once


@dataclass(frozen=True, slots=True)
class Peer:
    """One server. `{port}` and `{scratch}` in commands and environment are filled in, `@port@` and
    `@scratch@` in its files."""

    name: str
    command: tuple[str, ...]
    directory: Path
    endpoints: Mapping[str, Endpoint]  # by transport: websocket, sse, longpoll, poll
    environment: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()  # of BENCH, copied into the scratch folder
    needs: tuple[str, ...] = ()  # programs on PATH, paths, or Python modules after "import "
    channel: str = CHANNEL
    publish_path: str = "/publish?channel={channel}"
    publish_body: str = "{message}"
    publish_headers: tuple[str, ...] = ("Content-Type: text/plain",)

    def missing(self) -> str:
        """Return the first thing that it needs and this machine does not have; "" if it can run."""
        return next((need for need in self.needs if not _there(need)), "")


def _there(need: str) -> bool:
    if need.startswith("import "):
        return find_spec(need.removeprefix("import ")) is not None
    return Path(need).exists() if "/" in need else bool(shutil.which(need, path=SEARCHED))


#: Debian keeps nginx where only root looks.
SEARCHED = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))

SENDER = Peer(
    name="C sender",
    command=(str(BUILD / "sender"), "{port}"),
    directory=BENCH,
    endpoints={
        "websocket": Endpoint("/ws?channel={channel}"),
        "poll": Endpoint("/poll"),
    },
)

NCHAN = Peer(
    name="nginx + Nchan",
    command=("nginx", "-c", "{scratch}/nchan.conf"),
    directory=BENCH,
    files=("nchan.conf",),
    needs=("nginx", "/usr/lib/nginx/modules/ngx_nchan_module.so"),
    endpoints={
        "websocket": Endpoint("/ws?channel={channel}"),
        "sse": Endpoint("/sse?channel={channel}"),
        "longpoll": Endpoint(
            "/longpoll?channel={channel}&cursor={cursor}", cursor_header="Etag:", first_waits=True
        ),
        "poll": Endpoint("/poll"),
    },
)

_GUNICORN = (
    *(sys.executable, "-m", "gunicorn", "--worker-class", "gevent", "--workers", "1"),
    *("--worker-connections", "20000", "--backlog", "4096", "--bind", "127.0.0.1:{port}"),
    *("--graceful-timeout", "1", "--no-control-socket", "--log-level", "warning"),
)

FLASK_SOCK = Peer(
    name="flask-sock",
    command=(*_GUNICORN, "flask_sock_peer:app"),
    directory=BENCH,
    endpoints={
        "websocket": Endpoint("/ws?channel={channel}", ready="ready"),
        "sse": Endpoint("/sse?channel={channel}", ready="ready"),
        "longpoll": Endpoint("/longpoll?channel={channel}&cursor={cursor}"),
        "poll": Endpoint("/poll?channel={channel}&cursor={cursor}"),
    },
)

#: Engine.IO 4 and Socket.IO 5: open, connect, join, and a pong for each ping.
_SOCKET_IO = Endpoint(
    "/socket.io/?EIO=4&transport=websocket",
    ready="430[",
    say=(("0{", "40"), ("40", '420["join","{channel}"]'), ("2", "3")),
)

SOCKET_IO = Peer(
    name="Socket.IO",
    command=("node", str(BENCH / "socketio_peer.js"), "{port}"),
    directory=BENCH,
    environment={"NODE_PATH": str(BUILD / "node" / "node_modules")},
    needs=("node", str(BUILD / "node" / "node_modules" / "socket.io")),
    endpoints={"websocket": _SOCKET_IO, "poll": Endpoint("/poll")},
)

FLASK_SOCKETIO = Peer(
    name="Flask-SocketIO",
    command=(*_GUNICORN, "flask_socketio_peer:app"),
    directory=BENCH,
    needs=("import flask_socketio",),
    endpoints={"websocket": _SOCKET_IO, "poll": Endpoint("/poll")},
)

#: Where a binary of it is on PATH, or named by CENTRIFUGO. Memory engine, no history.
CENTRIFUGO = Peer(
    name="Centrifugo",
    command=(os.environ.get("CENTRIFUGO", "centrifugo"), "-c", "{scratch}/centrifugo.json"),
    directory=BENCH,
    environment={"GOMAXPROCS": "1"},
    files=("centrifugo.json",),
    needs=(os.environ.get("CENTRIFUGO", "centrifugo"),),
    channel="bench",
    endpoints={
        "websocket": Endpoint(
            "/connection/websocket?cf_ws_frame_ping_pong=true",
            ready='"id":2',
            say=(
                ("", '{"id":1,"connect":{}}'),
                ('{"id":1,', '{"id":2,"subscribe":{"channel":"{channel}"}}'),
            ),
        )
    },
    publish_path="/api/publish",
    publish_body='{"channel":"{channel}","data":"{message}"}',
    publish_headers=("Content-Type: application/json",),
)

SECRET = "only-for-measuring-" * 2
#: All comes from one address here, and is to be counted as it always is.
NO_BOUND = 10**8
LIMITS = dict.fromkeys(("address_connections", "connects", "requests"), NO_BOUND)
PUSHAPP = Peer(
    name="pushapp",
    command=(sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"),
    directory=ROOT,
    environment={
        "BIND": "127.0.0.1",
        "PORT": "{port}",
        "WEB_CONCURRENCY": "1",
        "PUSH_API_KEYS": "bench",
        "PUSH_SECRET": SECRET,
        "PUSH_PUBLIC_NAMESPACES": "public",
        "PUSH_LIMITS": f"{{{json.dumps(LIMITS)}}}",
        "PUSH_BROKER_URL": "sqlite:///{scratch}/push.db",
    },
    endpoints={
        "websocket": Endpoint("/push/ws?channels={channel}", ready='"live"'),
        "sse": Endpoint("/push/sse?channels={channel}", ready="event: live"),
        "longpoll": Endpoint("/push/longpoll?channels={channel}&cursor={cursor}"),
        "poll": Endpoint("/push/poll?channels={channel}&cursor={cursor}"),
    },
    publish_path="/push/publish",
    publish_body='{"channel":"{channel}","data":"{message}"}',
    publish_headers=("Content-Type: application/json", "Authorization: Bearer bench"),
)


def _said(*command: str) -> str:
    """Return the last word that a program says of its version."""
    if not _there(command[0]):
        return ""
    environment = {**os.environ, "PATH": SEARCHED}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    words = (done.stdout + done.stderr).split() if done.returncode == 0 else []
    return words[-1] if words else ""


def versions() -> str:
    """Return the versions of what runs beside pushapp, as far as they are to be had."""
    socket_io = BUILD / "node" / "node_modules" / "socket.io" / "package.json"
    found = {
        "nginx": _said("nginx", "-v").removeprefix("nginx/"),
        "Nchan": _said("dpkg-query", "-W", "libnginx-mod-nchan"),
        "Centrifugo": _said(CENTRIFUGO.command[0], "version"),
        "Node": _said("node", "--version").removeprefix("v"),
        "Socket.IO": json.loads(socket_io.read_text())["version"] if socket_io.exists() else "",
        "Flask-SocketIO": version("flask-socketio") if _there("import flask_socketio") else "",
    }
    return ", ".join(f"{name} {text}" for name, text in found.items() if text)


PEERS = (SENDER, NCHAN, CENTRIFUGO, SOCKET_IO, FLASK_SOCKETIO, FLASK_SOCK, PUSHAPP)
