"""What it takes to lift a connection off gunicorn, and to set it down again.

What belongs here: what has to be known of gunicorn's responses and sockets, as small pieces. What
does not: when it is done (``yard``).
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

from .handover import Head
from .heads import Punctual

log = logging.getLogger(__name__)


class Begun:
    """A generator's result, whose first step decides whether the client is parked."""

    def __init__(self, result: Any, finish: Callable[[], None]) -> None:
        self._result, self._finish = result, finish

    def __iter__(self) -> Iterator[bytes]:
        # gunicorn calls iter() outside of any "for" step, so a StopIteration from here gets
        # through to where it closes the connection.
        first = list(_one(self._result))
        self._finish()
        return _chain(first, self._result)

    def close(self) -> None:
        self._result.close()


def _one(iterator: Any) -> Iterator[bytes]:
    for item in iterator:
        yield item
        return


def _chain(first: list[bytes], rest: Any) -> Iterator[bytes]:
    yield from first
    yield from rest


class Replayed(Punctual):
    """A socket some of whose input has been read already."""

    def __init__(self, early: bytes, fd: int) -> None:
        super().__init__(fileno=fd)
        self._early = early

    def recv(self, size: int, flags: int = 0) -> bytes:
        if self._early:
            if self.waiting is not None:
                self.waiting.reads()
            data, self._early = self._early[:size], self._early[size:]
            return data
        return super().recv(size, flags)


_heads: dict[bytes, bytes] = {}
_HEADS = 256  # distinct heads remembered; most waiting clients share one


def head_of(response: Any) -> Head:
    """Return the head of gunicorn's ``response``, as the app and its middlewares made it."""
    skip = ("content-length", "connection", "transfer-encoding", "etag")
    lines = [f"{k}: {v}\r\n" for k, v in response.headers if k.lower() not in skip]
    fields = "".join(lines).encode("latin-1")
    if len(_heads) >= _HEADS:
        _heads.clear()
    fields = _heads.setdefault(fields, fields)
    http11 = response.req.version > (1, 0)
    # HTTP/1.0 with keep-alive: its clients rely on the end of the connection often enough
    return Head(response.status, fields, http11, keep=http11 and not response.should_close())


def end_reading(client: Any) -> None:
    """Make gunicorn find no further request on a connection."""
    try:
        # on the socket beneath: gevent's own would raise in the greenlet that is reading
        client._sock.shutdown(socket.SHUT_RD)
    except OSError as error:
        log.debug("it has ended already: %s", error)
