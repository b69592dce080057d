"""Parked sockets: a waiting client that costs no greenlet.

What belongs here: writing without ever blocking, noticing that a client spoke or left, ending. What
does not: what the bytes mean (``transports``), the bounds on what is unsent (``outlet``), how a
socket is lifted off gunicorn and given back (``lifting``, ``yard``).

A ``ParkedSocket`` is a raw non-blocking socket and one libev watcher, no greenlet; it needs a
gevent loop. Where a client cannot be parked, a ``Waiter`` (``waiter``) has the same face.
"""

from __future__ import annotations

import _socket
import threading
from collections import deque
from typing import Any, Protocol

from gevent import get_hub

from .outlet import Customer, Lot, Owner, set_options
from .wheel import Slot

LINGER = 5.0  # seconds that a client may take to say goodbye
LAST = 60.0  # seconds that it may take to read its last bytes
LARGE = 16_384  # bytes; what is more does not wait for the end of the loop's turn
_READ, _WRITE = 1, 2  # libev's EV_READ, EV_WRITE
_PIECES = 64  # buffers in one sendmsg; the kernel's limit is 1,024


class Heir(Owner, Protocol):
    """Who has a socket after its owner."""

    def take(self, parked: ParkedSocket) -> None:
        """Own ``parked``: all is written. It may be paused."""


class ParkedSocket:
    """A socket that waits without a greenlet. Everything happens in the loop's own greenlet or
    in one that never yields inside these methods, so no lock is needed."""

    __slots__ = (
        *("_customer", "_drained", "_ending", "_heir", "_queue", "_sock", "_watcher", "_writer"),
        *("lot", "owner", "slot", "unsent"),
    )

    def __init__(self, fd: int, lot: Lot, owner: Owner) -> None:
        self._sock: Any = _socket.socket(fileno=fd)
        self._sock.setblocking(False)
        self._customer: Customer | None = None
        self.lot = lot  # that it stands in
        self.owner: Owner | None = owner
        self.slot: Slot | None = None  # the wheel's
        self.unsent = 0
        self._queue: deque[bytes | memoryview] | None = None
        self._writer: Any = None
        self._drained: Any = None
        self._ending = False
        self._heir: Heir | None = None
        set_options(self._sock, lot.patience)
        self._watcher: Any = get_hub().loop.io(fd, _READ)
        self._watcher.start(self)

    @property
    def closed(self) -> bool:
        return self._sock is None or self._ending

    def serve(self, customer: Customer) -> None:
        self._customer = customer
        customer.ready = None if self._queue or self._ending else self._sock

    def _is_ready(self, sock: Any) -> None:
        """Let the customer know: ``sock``, or None where something is unsent, or over."""
        if self._customer is not None:
            self._customer.ready = sock

    # -- reading -------------------------------------------------------------------------------

    def __call__(self) -> None:
        """The client has said something, or has left. The watcher calls the socket itself: a bound
        method would weigh 64 bytes more for each."""
        if self._ending and self._heir is not None:
            self.pause()  # its next request: not ours to read
        elif self._ending:
            self.read(65536)  # what still comes is of no interest, only its end is
        elif self.owner is not None:
            self.owner.on_input()

    def read(self, size: int) -> bytes | None:
        """Return what the client sent; None: nothing yet. At its end ``on_gone`` comes."""
        try:
            data: bytes = self._sock.recv(size)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            self._gone()
            return None
        return data

    def peek(self) -> bool:
        """Tell whether the client has sent more, and leave it. At its end ``on_gone`` comes."""
        try:
            data = self._sock.recv(1, _socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._gone()
        return bool(data)

    def pause(self) -> None:
        """Do not look at what the client sends until ``resume``."""
        if self._watcher is not None:
            self._watcher.stop()

    def resume(self) -> None:
        """Look again."""
        if self._watcher is not None and not self._watcher.active:
            self._watcher.start(self)

    # -- writing -------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if self._sock is None or self._ending:
            return
        if self._queue:
            if self._writer is not None:
                self._keep(data)
                return
            data, self._queue = b"".join((*self._queue, data)), None
            self._is_ready(self._sock)
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._gone()
            return
        if sent < len(data):
            self.keep(data, sent)

    def write_soon(self, data: bytes) -> None:
        if self._sock is None or self._ending:
            return
        if self._writer is not None or len(data) > LARGE:
            self.write(data)
        elif self._queue:
            self._queue.append(data)
        else:
            self._queue = deque((data,))
            self._is_ready(None)
            get_hub().loop.run_callback(self._flush)

    def _flush(self) -> None:
        """Send what was to be sent soon."""
        if self._queue and self._writer is None:
            self.write(b"")

    def keep(self, data: bytes, sent: int) -> None:
        self._keep(memoryview(data)[sent:] if sent else data)

    def _keep(self, data: bytes | memoryview) -> None:
        if self._queue is None:
            self._queue = deque()
        self._is_ready(None)
        self._queue.append(data)
        if self._writer is None:
            self._writer = get_hub().loop.io(self._sock.fileno(), _WRITE)
            self._writer.start(self._on_writable)
        self.lot.grow(self, len(data))

    def _on_writable(self) -> None:
        queue = self._queue
        while queue:
            try:
                sent = self._sock.sendmsg([queue[i] for i in range(min(len(queue), _PIECES))])
            except BlockingIOError:
                return
            except OSError:
                self._gone()
                return
            self.lot.shrink(self, sent)
            while sent:
                first = queue[0]
                if sent < len(first):
                    queue[0] = memoryview(first)[sent:]
                    break
                sent -= len(first)
                queue.popleft()
        self._stop_writer()
        if self._drained is not None:
            self._drained.set()
        if self._ending:
            self._last_written()
        else:
            self._is_ready(self._sock)

    def _stop_writer(self) -> None:
        if self._writer is not None:
            self._writer.stop()
            self._writer.close()
            self._writer = self._queue = None

    def wait_drained(self, timeout: float) -> bool:
        self._flush()
        if self._queue:
            self._drained = threading.Event()
            self._drained.wait(timeout)
            self._drained = None
        return not self._queue and not self.closed

    # -- ending --------------------------------------------------------------------------------

    def cut(self, farewell: bytes = b"") -> None:
        if not self._ending:  # else what is unsent is its goodbye
            self._forget()
            self.finish(farewell)

    def _forget(self) -> None:
        """Drop what is unsent, but not the rest of a piece that has begun to be sent."""
        queue = self._queue
        if queue and self._writer is not None:
            begun = queue[0] if isinstance(queue[0], memoryview) else b""
            self.lot.shrink(self, self.unsent - len(begun))
            queue.clear()
            if begun:
                queue.append(begun)

    def finish(self, farewell: bytes = b"") -> None:
        if self._sock is None or self._ending:
            return
        self.owner = None
        if farewell:
            self.write(farewell)
        else:
            self._flush()
        if self._sock is None:
            return  # the write found it gone
        self._end()

    def hand_over(self, data: bytes, heir: Heir) -> None:
        """Send ``data``, the last of ours; once it is out, ``heir`` gets the socket. Until then it
        is not looked at what the client sends."""
        self.owner = heir
        self.write(data)
        if self._sock is None:
            return  # the heir has heard of it
        if self._queue:
            self._heir = heir
            self._end()
        else:
            heir.take(self)

    def _end(self) -> None:
        self._ending = True
        self._is_ready(None)
        if self._queue:
            self.lot.wheel.set(self, LAST)
        else:
            self._last_written()

    def _last_written(self) -> None:
        if self._heir is not None:
            heir, self._heir, self._ending = self._heir, None, False
            self.lot.wheel.cancel(self)
            heir.take(self)
            return
        # Closing with unread input would make the kernel send a reset, which can destroy what the
        # client has not read yet: half-close, and wait for its end (RFC 9112 section 9.6).
        try:
            self._sock.shutdown(_socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self.lot.wheel.set(self, LINGER)
        self.resume()

    def on_due(self) -> float | None:
        """The time for its goodbye is over."""
        self._gone()
        return None

    def _gone(self) -> None:
        owner = self.owner
        self.close()
        if owner is not None:
            owner.on_gone()

    def close(self) -> None:
        if self._sock is not None:
            self._release().close()

    def detach(self) -> int:
        """Return the file descriptor; from here on it is the caller's."""
        fd: int = self._release().detach()
        return fd

    def _release(self) -> Any:
        self.owner = None
        self.lot.wheel.cancel(self)
        if self._queue:
            self.lot.shrink(self, self.unsent)
            self._queue.clear()
        self._stop_writer()
        self._watcher.stop()
        self._watcher.close()
        self._watcher = None
        self._is_ready(None)
        sock, self._sock, self._customer = self._sock, None, None
        if self._drained is not None:
            self._drained.set()
        return sock
