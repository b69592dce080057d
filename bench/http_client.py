"""Publishes over HTTP and listens on a WebSocket, at up to two servers; the delays are its own.

Usage: http_client.py, with commands as JSON lines on stdin (see the functions at the end).
"""

from __future__ import annotations

import json
import random
import select
import socket
import sys
import time
from statistics import quantiles
from typing import Any

CHANNEL = "public:bench"
SIZE = 128  # bytes of data
LIMIT = 10.0  # seconds for any one answer
PAUSE = 0.01  # seconds between two messages, at most: no rhythm may hide a delay


class Connection:
    """One connection to a server on the loopback."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), LIMIT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""

    def more(self) -> None:
        data = self.socket.recv(1 << 20)
        if not data:
            raise ConnectionError("the server hung up")
        self.unread += data

    def reply(self) -> bytes:
        """Read an HTTP reply; return its body."""
        while b"\r\n\r\n" not in self.unread:
            self.more()
        head, _, self.unread = self.unread.partition(b"\r\n\r\n")
        first, *headers = head.split(b"\r\n")
        if first.split()[1] not in (b"200", b"101"):
            raise ConnectionError(first.decode())
        sizes = [h for h in headers if h.lower().startswith(b"content-length:")]
        size = int(sizes[0].partition(b":")[2]) if sizes else 0
        while len(self.unread) < size:
            self.more()
        body, self.unread = self.unread[:size], self.unread[size:]
        return body

    def frames(self) -> list[bytes]:
        """Take the whole WebSocket text frames that are there (RFC 6455 section 5.2)."""
        found = []
        while len(self.unread) >= 2:
            start, size = 2, self.unread[1] & 127
            if size == 126:
                start, size = 4, int.from_bytes(self.unread[2:4])
            if len(self.unread) < start + size:
                break
            found.append(self.unread[start : start + size])
            self.unread = self.unread[start + size :]
        return found


def listen(port: int) -> Connection:
    """Return a WebSocket that is live."""
    connection = Connection(port)
    connection.socket.sendall(
        f"GET /push/ws?channels={CHANNEL} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    connection.reply()
    while not any(b'"live"' in frame for frame in connection.frames()):
        connection.more()
    return connection


def publish(data: object, batch: int = 1, channel: str = CHANNEL) -> bytes:
    """Return a publish request of `batch` messages."""
    message = {"channel": channel, "data": data}
    body = json.dumps(message if batch == 1 else {"messages": [message] * batch})
    return (
        "POST /push/publish HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer bench\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def post(seconds: float, port: int, batch: int, connections: int) -> dict[str, Any]:
    """Publish as fast as it goes, a batch at a time on each connection."""
    request, answers = publish("x" * (SIZE - 2), batch), 0
    open_ones = {c.socket: c for c in (Connection(port) for _ in range(connections))}
    began = time.monotonic()
    for connection in open_ones.values():
        connection.socket.sendall(request)
    while open_ones:
        for ready in select.select([*open_ones], [], [], LIMIT)[0]:
            open_ones[ready].reply()
            answers += 1
            if time.monotonic() < began + seconds:
                ready.sendall(request)
            else:
                open_ones.pop(ready).socket.close()
    return {"messages": answers * batch, "secs": time.monotonic() - began}


def fill(seconds: float, port: int, channel: str, count: int, batch: int) -> dict[str, Any]:
    """Publish so many messages, a batch at a time."""
    request, connection = publish("x" * (SIZE - 2), batch, channel), Connection(port)
    for _ in range(0, count, batch):
        connection.socket.sendall(request)
        connection.reply()
    connection.socket.close()
    return {}


def across(seconds: float, port: int, other: int) -> dict[str, Any]:
    """Publish at one server, one message at a time, and listen at the other."""
    publisher, subscriber = Connection(port), listen(other)
    delays, answers = [], []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        mark = f"{len(delays):08}".ljust(SIZE - 2, "x")
        began = time.perf_counter()
        publisher.socket.sendall(publish(mark))
        waiting = {publisher.socket, subscriber.socket}
        while waiting:
            readable = select.select([*waiting], [], [], LIMIT)[0]
            if not readable:
                raise ConnectionError(f"message {len(delays)} did not come")
            if publisher.socket in readable:
                publisher.reply()
                answers.append(time.perf_counter() - began)
                waiting.discard(publisher.socket)
            if subscriber.socket in readable:
                subscriber.more()
                if any(mark.encode() in frame for frame in subscriber.frames()):
                    delays.append(time.perf_counter() - began)
                    waiting.discard(subscriber.socket)
        time.sleep(random.uniform(0, PAUSE))
    publisher.socket.close()
    subscriber.socket.close()
    return {"messages": len(delays)} | _percentiles("delay", delays) | _percentiles("ack", answers)


def beside(seconds: float, port: int) -> dict[str, Any]:
    """Poll and publish in turns on kept connections, whatever else the server does."""
    poller, publisher, path = (
        Connection(port),
        Connection(port),
        "/push/poll?channels=public:beside",
    )
    cursor = str(json.loads(_get(poller, path))["cursor"])
    took: dict[str, list[float]] = {"poll": [], "publish": []}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(random.uniform(0, PAUSE))
        began = time.perf_counter()
        cursor = str(json.loads(_get(poller, f"{path}&cursor={cursor}"))["cursor"])
        between = time.perf_counter()
        publisher.socket.sendall(publish("x" * (SIZE - 2), channel="public:beside"))
        publisher.reply()
        took["poll"].append(between - began)
        took["publish"].append(time.perf_counter() - between)
    poller.socket.close()
    publisher.socket.close()
    found: dict[str, Any] = {}
    for name, times in took.items():
        times.sort()
        ranks = {"p50": len(times) // 2, "p99": len(times) * 99 // 100, "max": -1}
        found |= {f"{name}_{what}_ms": times[rank] * 1e3 for what, rank in ranks.items()}
    return found


def _get(connection: Connection, path: str) -> bytes:
    connection.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
    return connection.reply()


def _percentiles(name: str, seconds: list[float]) -> dict[str, float]:
    parts = quantiles(seconds, n=100)
    return {f"{name}_p50_ms": parts[49] * 1e3, f"{name}_p99_ms": parts[98] * 1e3}


COMMANDS = {"post": post, "fill": fill, "across": across, "beside": beside}

if __name__ == "__main__":
    for line in sys.stdin:
        arguments = json.loads(line)
        print(json.dumps(COMMANDS[arguments.pop("command")](**arguments)), flush=True)
