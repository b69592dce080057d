"""One TCP connection on which a test sees every byte.

What belongs here: sockets, HTTP/1.1 requests and replies, chunks. What does not: what pushapp's
requests and replies mean (``clients``), and how a server is started (``server``).
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Seconds until a wait counts as a failure. Long, because only failures pay it.
TIMEOUT = 20.0


class Ended(ConnectionError):
    """The peer closed the connection where more was expected."""


@dataclass
class Reply:
    """One HTTP reply."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    version: str = "HTTP/1.1"

    def header(self, name: str) -> str | None:
        """Return the header's values, joined as RFC 9110 has it; None where there is none."""
        values = [v for n, v in self.headers if n.lower() == name.lower()]
        return ", ".join(values) if values else None

    def listed(self, name: str) -> set[str]:
        """Return the members of a comma-separated header, in lower case."""
        return {v.strip().lower() for v in (self.header(name) or "").split(",") if v.strip()}

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def closes(self) -> bool:
        """Tell whether the server says that the connection ends after this reply."""
        return "close" in self.listed("Connection") or self.version == "HTTP/1.0"


class Wire:
    """A TCP connection with the few ways of reading that HTTP and its streams need."""

    def __init__(
        self, port: int, host: str = "127.0.0.1", timeout: float = TIMEOUT, source: str = ""
    ) -> None:
        """``source``: the address to come from, where it is not to be the kernel's choice."""
        at = (source, 0) if source else None
        self.socket = socket.create_connection((host, port), timeout, at)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.local_port: int = self.socket.getsockname()[1]
        self.received = b""  # read from the socket and not yet taken

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def fill(self) -> None:
        """Wait for more bytes.

        Raises:
            Ended: there will be none.
            TimeoutError: none came.
        """
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Ended(f"the server closed the connection; unread: {self.received[:200]!r}")
        self.received += data

    def take(self, count: int) -> bytes:
        """Return exactly ``count`` bytes."""
        while len(self.received) < count:
            self.fill()
        data, self.received = self.received[:count], self.received[count:]
        return data

    def take_until(self, mark: bytes) -> bytes:
        """Return everything up to and with ``mark``."""
        start = 0
        while (at := self.received.find(mark, start)) < 0:
            start = max(0, len(self.received) - len(mark) + 1)
            self.fill()
        return self.take(at + len(mark))

    def take_rest(self) -> bytes:
        """Return everything until the server closes."""
        while True:
            try:
                self.fill()
            except Ended:
                data, self.received = self.received, b""
                return data

    def is_closed(self) -> bool:
        """Wait until the server closes; False if it sends something instead."""
        return self.take_rest() == b""

    def head(self) -> Reply:
        """Read a reply's status line and headers."""
        first, *lines = self.take_until(b"\r\n\r\n")[:-4].decode("latin-1").split("\r\n")
        version, status, *_ = first.split(" ", 2)
        pairs = [line.partition(":") for line in lines]
        return Reply(int(status), [(n, v.strip()) for n, _, v in pairs], b"", version)

    def chunk(self) -> bytes:
        """Read one chunk of a chunked body; empty at its end."""
        size = int(self.take_until(b"\r\n"), 16)
        data = self.take(size + 2)
        assert data[size:] == b"\r\n"
        return data[:size]

    def reply(self, method: str = "GET") -> Reply:
        """Read a whole reply to a request of this method."""
        reply = self.head()
        length = reply.header("Content-Length")
        if method == "HEAD" or reply.status in (204, 304) or reply.status < 200:
            pass
        elif "chunked" in reply.listed("Transfer-Encoding"):
            while data := self.chunk():
                reply.body += data
        elif length is not None:
            reply.body = self.take(int(length))
        else:
            reply.body = self.take_rest()
        return reply

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        """Send a request and read its reply; the connection stays open if the server lets it."""
        self.send(request(method, target, headers, body))
        return self.reply(method)

    def close(self) -> None:
        self.socket.close()


def request(
    method: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    version: str = "HTTP/1.1",
) -> bytes:
    """Return a request's bytes."""
    lines = {"Host": "push.test", **(headers or {})}
    if body is not None:
        lines.setdefault("Content-Length", str(len(body)))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {target} {version}\r\n{head}\r\n".encode("latin-1") + (body or b"")
