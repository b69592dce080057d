"""A request's head has to come in time, 10 s from its first byte, and to end.

What belongs here: the sockets, the deadline and the bound that see to it. What does not: a body's
deadline (``body``), what is done with a connection (``yard``).

gunicorn has one deadline for both, an idle connection and a head under way: whoever sends a byte a
second holds a greenlet for as long as an idle one may be kept. It has a bound for a field and one
for their number, and so takes 800 KB before it refuses.
"""

from __future__ import annotations

import errno
import logging
import math
import time
from typing import Any

from gevent import Timeout, get_hub
from gevent.server import StreamServer
from gevent.socket import socket as gevent_socket
from gunicorn.http.errors import LimitRequestHeaders

HEAD = 10.0  # seconds
PIECE = 8192  # bytes that gunicorn reads at once
MOST = 96 * 1024  # bytes of a head, and of what is left of a body before it
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_REST = 0.5  # seconds before the next look whether there is room again
_COMPLAIN = 60.0  # seconds between two lines that say so

log = logging.getLogger(__name__)


class Punctual(gevent_socket):  # type: ignore[misc]
    """A connection's socket, that knows whether a head is being read from it."""

    waiting: HeadTimeout | None = None  # for a head; what is left of a body before it counts, too
    early = b""  # of its input, which has been read already

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive; a head that is not whole after its first bytes has ``HEAD`` seconds."""
        waiting = self.waiting
        if waiting is not None:
            waiting.reads()
        if self.early:
            data, self.early = self.early[:size], self.early[size:]
        else:
            data = super().recv(size, flags)
        if waiting is not None:
            waiting.came(len(data))
        return data

    def come(self) -> bytes | None:
        """Return what has come already; None: nothing yet. An end is found again by who reads next,
        and so is what broke off."""
        try:
            data: bytes = self._sock.recv(PIECE)
        except BlockingIOError:
            return None
        except OSError:
            return b""
        return data

    def comes(self) -> bytes:
        """Return the same once there is something."""
        try:
            return self.recv(PIECE)
        except OSError:
            return b""


class HeadTimeout(Timeout):  # type: ignore[misc]
    """Ends the wait for a head, silently: so many seconds while nothing comes, fewer from then."""

    def __init__(self, idle: float, client: Any) -> None:
        super().__init__(idle, False)
        self._client = client
        self._reads = 0
        self._size = 0

    def __enter__(self) -> HeadTimeout:
        self._client.waiting = self
        super().__enter__()
        return self

    def __exit__(self, *exception: Any) -> bool | None:
        self._client.waiting = None
        suppress: bool | None = super().__exit__(*exception)
        return suppress

    def reads(self) -> None:
        """One more piece is to be read: with the second, some of the head has come."""
        self._reads += 1
        if self._reads == 2:
            self.close()
            self.timer = get_hub().loop.timer(HEAD)
            self.start()

    def came(self, size: int) -> None:
        """So many bytes were read.

        Raises:
            LimitRequestHeaders: together they are too many.
        """
        self._size += size
        if self._size > MOST:
            raise LimitRequestHeaders(f"over {MOST} bytes")


class Listening(StreamServer):  # type: ignore[misc]
    """gevent's own server, whose connections are ``Punctual``, and which waits where the system has
    no room for another one: those that come stay in the kernel's queue."""

    _complained = -math.inf  # monotonic seconds

    def do_read(self) -> tuple[Any, Any] | None:
        """Accept one; see ``gevent.server.StreamServer``."""
        try:
            fd, address = self.socket._accept()
        except BlockingIOError:
            return None  # another worker has taken it
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            self._rest(error)
            return None
        return Punctual(self.socket.family, fileno=fd), address

    def _rest(self, error: OSError) -> None:
        """Accept nobody for a moment; gevent would print a traceback each time."""
        now = time.monotonic()
        if now - self._complained > _COMPLAIN:
            self._complained = now
            log.error("new connections have to wait: %s", error)
        self.stop_accepting()  # which also ends the timer, when a drain calls it
        self._timer = self.loop.timer(_REST)
        self._timer.start(self._start_accepting_if_started)
