"""What the tests of the express lane share: connections in it, and how many answers it has given.

What belongs here: warming up, comparing with the app. What does not: what is compared.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from ..server import Server
from ..wire import Wire

_SERIES = re.compile(r'^pushapp_answers_total\{transport="(\w+)",way="lane",.*\} (\S+)$', re.M)
_DATE = re.compile(rb"\r\nDate: [^\r\n]*")
_ID = re.compile(rb'"connection":"c1[A-Za-z0-9_-]{38}"')


def answered_there(server: Server) -> int:
    """Return how many answers a server with one worker has given in the lane."""
    text = server.ask("GET", "/metrics").body.decode()
    return int(sum(float(count) for _, count in _SERIES.findall(text)))


def raw_reply(wire: Wire) -> bytes:
    """Return every byte of a reply that has a Content-Length or no body."""
    head = wire.take_until(b"\r\n\r\n")
    length = re.search(rb"\r\nContent-Length: (\d+)\r\n", head)
    return head + wire.take(0 if length is None else int(length[1]))


def plain(replies: bytes, *, ids: bool = False) -> bytes:
    """Return replies without what may differ: the date, and with ``ids`` new connections' ids."""
    replies = _DATE.sub(b"", replies)
    return _ID.sub(b'"connection":"new"', replies) if ids else replies


@contextmanager
def connected(server: Server) -> Iterator[Wire]:
    """Open a connection, and close it."""
    wire = Wire(server.port)
    try:
        yield wire
    finally:
        wire.close()


def warm(wire: Wire, head: bytes, times: int = 3) -> None:
    """Ask until the next answer comes out of the window: the first request is gunicorn's, the
    second the app's, and the third is answered from the log."""
    for _ in range(times):
        wire.send(head)
        raw_reply(wire)


def all_replies(wire: Wire, *pieces: bytes) -> bytes:
    """Send ``pieces``, say that there is no more, and return all that comes."""
    for piece in pieces:
        wire.send(piece)
    wire.socket.shutdown(socket.SHUT_WR)
    return wire.take_rest()
