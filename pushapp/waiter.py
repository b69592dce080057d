"""The outlet of a client that cannot be parked: its request keeps its greenlet or thread.

What belongs here: the same face as ``parking.ParkedSocket``, with a queue in between. What does
not: who reads it (the transports' responses do, in Flask's test client, werkzeug's server, TLS
inside gunicorn, or where gunicorn runs without our hooks).
"""

from __future__ import annotations

import threading
from collections import deque

from .outlet import Customer, Lot, Owner


class Waiter:
    """Bytes for a client whose own greenlet or thread takes them out with ``read``."""

    def __init__(self, lot: Lot, owner: Owner) -> None:
        self._lot = lot
        self.owner: Owner | None = owner
        self.unsent = 0
        self._queue: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._ended = False

    @property
    def closed(self) -> bool:
        return self._ended

    def serve(self, customer: Customer) -> None:
        """There is no socket here."""

    def keep(self, data: bytes, sent: int) -> None:
        self.write(data[sent:])

    def write(self, data: bytes) -> None:
        with self._changed:
            if self._ended:
                return
            self._queue.append(data)
            self._changed.notify_all()
            self._lot.grow(self, len(data))

    write_soon = write

    def read(self, timeout: float | None = None) -> bytes | None:
        """Return the next bytes; b"" where none came in ``timeout`` seconds, None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._ended, timeout)
            if not self._queue:
                return None if self._ended else b""
            data = b"".join(self._queue)
            self._queue.clear()
            self._lot.shrink(self, len(data))
            self._changed.notify_all()
            return data

    def wait_drained(self, timeout: float) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: not self._queue or self._ended, timeout)
            return not self._queue and not self._ended

    def cut(self, farewell: bytes = b"") -> None:
        if self._ended:  # what is unsent is its goodbye
            return
        with self._changed:
            self._drop()
        self.finish(farewell)

    def _drop(self) -> None:
        self._queue.clear()
        self._lot.shrink(self, self.unsent)

    def finish(self, farewell: bytes = b"") -> None:
        self.owner = None
        if farewell:
            self.write(farewell)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        self.owner = None
        with self._changed:
            self._drop()
            self._ended = True
            self._changed.notify_all()
