"""What passes between a gunicorn worker and a transport when a client is parked.

What belongs here: the shapes that both sides know. What does not: gunicorn (``lifting``),
messages (``transports``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal, Protocol

from .parking import ParkedSocket

CONNECTION = "pushapp.connection"  # the environ's key for the Connection, where parking is possible

VERDICT = "pushapp.verdict"  # ... for what came of a publish that was made without the app

Mark = Literal["Content-Length", "ETag"]  # the fields that differ from answer to answer


class Connection(Protocol):
    """One TCP connection of a worker, across requests and parking."""

    close: bool  # set it to make the request in progress the last one
    waiting: Parkable | None  # set it to have the client parked after an empty response
    again: Any  # an ``again.Again`` or a ``republish.Republish`` where the request may come again

    @property
    def parks(self) -> bool:
        """Whether its client can be parked now."""

    @property
    def keeps(self) -> bool:
        """Whether there is room to serve its next request."""

    def go_on(self, parked: ParkedSocket, data: bytes, early: bytes, waited: Any = None) -> None:
        """Write ``data``, the whole of an answer, then serve the next request of this connection;
        ``early`` has been read of it already. ``waited``: who rests for it."""

    def end(self) -> None:
        """Forget it: its client has left, or has got the last answer."""


class Parkable(Protocol):
    """What a view leaves on the connection when its client is to wait."""

    def park(self, connection: Connection, fd: int, early: bytes, head: Head) -> None:
        """Take over the socket ``fd``; ``early`` is what the client has sent already."""


class Head:
    """The head of a response, but for its length and its ETag."""

    __slots__ = ("_connection", "_first", "_marks", "_parts", "http11", "keep")

    def __init__(
        self,
        first: bytes,  # the status line, and Server
        parts: Sequence[bytes],  # the other fields, as the app and its middlewares made them
        marks: Sequence[Mark],  # what stands between one part and the next
        *,
        http11: bool,
        keep: bool,  # the connection may serve another request
    ) -> None:
        self._first, self._parts, self._marks = first, parts, marks
        self.http11, self.keep = http11, keep
        self._connection = b"Connection: keep-alive\r\n" if keep else b"Connection: close\r\n"

    def closing(self) -> Head:
        """Return the same for a connection that ends with it."""
        return Head(self._first, self._parts, self._marks, http11=self.http11, keep=False)

    def of_error(self, status: str, kind: tuple[bytes, bytes]) -> Head:
        """Return the same for an answer of another status. ``kind``: its Content-Type, and ours."""
        ours, theirs = kind
        first = b"HTTP/1.%d %b\r\n%b" % (
            self.http11,
            status.encode("latin-1"),
            self._first.partition(b"\r\n")[2],
        )
        parts = [part.replace(ours, theirs, 1) for part in self._parts]
        return Head(first, parts, self._marks, http11=self.http11, keep=self.keep)

    def bare(self, status: bytes | None = None) -> bytes:
        """Return it without length, ETag and the empty line at its end."""
        first = self._first
        if status is not None:
            first = b"HTTP/1.%d %b\r\n%b" % (self.http11, status, first.partition(b"\r\n")[2])
        return first + date() + self._connection + b"".join(self._parts)

    def answer(self, tag: str, body: bytes) -> bytes:
        """Return the whole answer."""
        parts = self._parts
        data = [self._first, date(), self._connection, parts[0]]
        for n, mark in enumerate(self._marks, 1):
            if mark == "ETag":
                data.append(f"ETag: {tag}\r\n".encode())
            else:
                data.append(b"Content-Length: %d\r\n" % len(body))
            data.append(parts[n])
        data += (b"\r\n", body)
        return b"".join(data)


_date = (0, b"")  # the second, and the field


def date() -> bytes:
    """Return the Date field, made once a second."""
    global _date
    now = int(time.time())
    if _date[0] != now:
        text = time.strftime("Date: %a, %d %b %Y %H:%M:%S GMT\r\n", time.gmtime(now))
        _date = now, text.encode()
    return _date[1]


def connection_of(environ: dict[str, Any]) -> Connection | None:
    """Return the connection where its client can be parked now, else None."""
    connection: Connection | None = environ.get(CONNECTION)
    return connection if connection is not None and connection.parks else None
