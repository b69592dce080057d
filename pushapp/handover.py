"""What passes between a gunicorn worker and a transport when a client is parked.

What belongs here: the shapes that both sides know. What does not: gunicorn (``worker``), messages
(``transports``).
"""

from __future__ import annotations

import time
from typing import Any, Protocol

CONNECTION = "pushapp.connection"  # the environ's key for the Connection, where parking is possible


class Connection(Protocol):
    """One TCP connection of a worker, across requests and parking."""

    close: bool  # set it to make the request in progress the last one
    waiting: Parkable | None  # set it to have the client parked after an empty response

    @property
    def parks(self) -> bool:
        """Whether its client can be parked now."""

    @property
    def keeps(self) -> bool:
        """Whether there is room to serve its next request."""

    def give_back(self, fd: int, early: bytes) -> None:
        """Let gunicorn serve the next request on ``fd``; ``early`` has been read already."""


class Parkable(Protocol):
    """What a view leaves on the connection when its client is to wait."""

    def park(self, connection: Connection, fd: int, early: bytes, head: Head) -> None:
        """Take over the socket ``fd``; ``early`` is what the client has sent already."""


class Head:
    """The head of a response whose body comes later."""

    __slots__ = ("fields", "http11", "keep", "status")

    def __init__(self, status: str, fields: bytes, http11: bool, keep: bool) -> None:
        self.status = status
        self.fields = fields  # as the app and its middlewares made them, without length and ETag
        self.http11 = http11
        self.keep = keep  # the connection may serve another request

    def render(self, status: str | None = None) -> bytes:
        """Return the status line and the fields, without the empty line at their end."""
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
        persistence = "keep-alive" if self.keep else "close"
        first = f"HTTP/1.{int(self.http11)} {status or self.status}\r\nDate: {date}\r\n"
        return f"{first}Connection: {persistence}\r\n".encode("latin-1") + self.fields


def connection_of(environ: dict[str, Any]) -> Connection | None:
    """Return the connection where its client can be parked now, else None."""
    connection: Connection | None = environ.get(CONNECTION)
    return connection if connection is not None and connection.parks else None
