"""Outlets: where the bytes for a waiting client go, and the bounds that they share.

What belongs here: the one face that transports write to, and what a socket has to be set to. What
does not: the two ways to wait behind it, ``parking`` and ``waiter``.
"""

from __future__ import annotations

import _socket
from typing import Any, Protocol

from .background import quick_lock
from .wheel import Wheel

_REPAIR = 2.0  # seconds that a line may take to repeat what was lost on it


class Owner(Protocol):
    """Who an outlet belongs to: a transport's subscriber."""

    def on_input(self) -> None:
        """The client sent something, or has left: look."""

    def on_gone(self) -> None:
        """The client has left, or cannot be reached any more; the outlet is closed."""

    def on_overflow(self) -> None:
        """More is unsent than may be; ``cut`` is expected."""


class Customer(Protocol):
    """Who may send without a detour."""

    #: The raw socket while nothing is unsent, else None. The outlet's to set.
    ready: Any


class Outlet(Protocol):
    """Where bytes for one client go."""

    unsent: int  # bytes

    @property
    def closed(self) -> bool:
        """Whether nothing more can be written."""

    def serve(self, customer: Customer) -> None:
        """Let ``customer`` send at once by itself whenever nothing is unsent."""

    def keep(self, data: bytes, sent: int) -> None:
        """Keep what the kernel did not take of ``data`` in a ``send`` of ``ready``."""

    def write(self, data: bytes) -> None:
        """Send ``data``, or keep it until it can be sent; over the bound ``on_overflow`` comes."""

    def write_soon(self, data: bytes) -> None:
        """As ``write``, by the end of this turn of the loop: with all that is written until then,
        and after the others that are, so that who reads for many of them is woken once."""

    def finish(self, farewell: bytes = b"") -> None:
        """Send what is unsent and ``farewell``, then end; the owner hears no more."""

    def cut(self, farewell: bytes = b"") -> None:
        """As ``finish``, but forget what has not begun to be sent."""

    def close(self) -> None:
        """End at once; idempotent; the owner hears no more."""

    def wait_drained(self, timeout: float) -> bool:
        """Wait until nothing is unsent; False: it still is after ``timeout`` seconds, or closed."""


class Bounded(Protocol):
    """What the lot has to know of an outlet."""

    unsent: int  # bytes
    owner: Owner | None  # None where it is ending already

    @property
    def closed(self) -> bool:
        """As ``Outlet.closed``."""

    def close(self) -> None:
        """As ``Outlet.close``."""


class Lot:
    """The bounds that all outlets of a worker share, and who is in it."""

    def __init__(self, wheel: Wheel, limit: int, total: int, heartbeat: float) -> None:
        self.wheel = wheel
        self.limit = limit  # unsent bytes per outlet
        self.total = total  # unsent bytes of all outlets
        self.unsent = 0
        self._lock = quick_lock()
        self.backlogged: set[Bounded] = set()  # those with unsent bytes
        # ms that a peer may leave unacknowledged what was sent to it: the next heartbeat, at the
        # latest, after it has vanished; so it is found within two
        self.patience = int(max(heartbeat, _REPAIR) * 1000)

    def grow(self, outlet: Bounded, size: int) -> None:
        """Count ``size`` more unsent bytes, and cut off who is over a bound.

        One answer alone may be larger than the bound of an outlet: a backlog is read page by page,
        and a page that did not leave at once is no sign of a slow client yet.
        """
        with self._lock:
            alone = not outlet.unsent
            outlet.unsent += size
            self.unsent += size
            self.backlogged.add(outlet)
        if outlet.unsent > self.limit and not alone:
            _cut_off(outlet)
        while self.unsent > self.total:
            _cut_off(max(tuple(self.backlogged), key=lambda o: o.unsent))

    def shrink(self, outlet: Bounded, size: int) -> None:
        """Count ``size`` unsent bytes less."""
        with self._lock:
            outlet.unsent -= size
            self.unsent -= size
            if not outlet.unsent:
                self.backlogged.discard(outlet)


def _cut_off(outlet: Bounded) -> None:
    """Let the owner cut an outlet that is over a bound, and see that it ends in any case."""
    owner = outlet.owner
    if owner is not None:
        owner.on_overflow()
    if owner is None or not outlet.closed:
        outlet.close()  # one that is ending already must not hold bytes over the bound either


def set_options(sock: Any, patience: int) -> None:
    """Make small writes leave at once, and find a peer that has been gone for ``patience`` ms."""
    if sock.family not in (_socket.AF_INET, _socket.AF_INET6):
        return
    sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1)
    if hasattr(_socket, "TCP_USER_TIMEOUT"):
        # an unread small write proves nothing: without this the kernel tries for 15 minutes
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_USER_TIMEOUT, patience)
    if hasattr(_socket, "TCP_KEEPIDLE"):
        seconds = max(1, patience // 1000)
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_KEEPIDLE, seconds)
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_KEEPINTVL, max(1, seconds // 3))
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_KEEPCNT, 3)
