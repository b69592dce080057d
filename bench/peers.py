"""The servers that are measured side by side: how each is started and spoken to.

Another server is one more `Peer` in `PEERS`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
BUILD = BENCH / "build"
CHANNEL = "public:bench"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a subscriber asks, and what it sees once it is subscribed."""

    path: str  # "%" stands for the long poll's cursor
    ready: str = ""  # "": the handshake's answer says so


@dataclass(frozen=True, slots=True)
class Peer:
    """One server. `{port}` and `{scratch}` in commands and environment are filled in."""

    name: str
    command: tuple[str, ...]
    directory: Path
    endpoints: Mapping[str, Endpoint]  # by transport: websocket, sse, longpoll, poll
    environment: Mapping[str, str] = field(default_factory=dict)
    publish_path: str = "/publish"
    publish_body: str = "%"  # "%" stands for the message
    publish_headers: tuple[str, ...] = ("Content-Type: text/plain",)


SENDER = Peer(
    name="C sender",
    command=(str(BUILD / "sender"), "{port}"),
    directory=BENCH,
    endpoints={"websocket": Endpoint("/ws"), "poll": Endpoint("/poll")},
)

FLASK_SOCK = Peer(
    name="flask-sock",
    command=(
        *(sys.executable, "-m", "gunicorn", "--worker-class", "gevent", "--workers", "1"),
        *("--worker-connections", "20000", "--backlog", "4096", "--bind", "127.0.0.1:{port}"),
        *("--graceful-timeout", "1", "--no-control-socket", "--log-level", "warning"),
        "flask_sock_peer:app",
    ),
    directory=BENCH,
    endpoints={
        "websocket": Endpoint("/ws", ready="ready"),
        "sse": Endpoint("/sse", ready="ready"),
        "longpoll": Endpoint("/longpoll?cursor=%"),
        "poll": Endpoint("/poll?cursor=%"),
    },
)

PUSHAPP = Peer(
    name="pushapp",
    command=(sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"),
    directory=ROOT,
    environment={
        "BIND": "127.0.0.1",
        "PORT": "{port}",
        "WEB_CONCURRENCY": "1",
        "PUSH_API_KEYS": "bench",
        "PUSH_SECRET": "only-for-measuring-" * 2,
        "PUSH_PUBLIC_NAMESPACES": "public",
        "PUSH_BROKER_URL": "sqlite:///{scratch}/push.db",
    },
    endpoints={
        "websocket": Endpoint(f"/push/ws?channels={CHANNEL}", ready='"live"'),
        "sse": Endpoint(f"/push/sse?channels={CHANNEL}", ready="event: live"),
        "longpoll": Endpoint(f"/push/longpoll?channels={CHANNEL}&cursor=%"),
        "poll": Endpoint(f"/push/poll?channels={CHANNEL}&cursor=%"),
    },
    publish_path="/push/publish",
    publish_body=f'{{"channel":"{CHANNEL}","data":"%"}}',
    publish_headers=("Content-Type: application/json", "Authorization: Bearer bench"),
)

PEERS = (SENDER, FLASK_SOCK, PUSHAPP)
