"""Doing much beside others: starting it, as a greenlet or as a thread in a process that is not
patched; locks between them; stopping on the way; and how slowly what concerns very many clients is
done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import cast

import gevent
from gevent.lock import RLock
from gevent.monkey import get_original, is_module_patched

TURN = 0.005  # seconds that one thing may keep polls and publishes waiting
CALM = 500  # clients that may come back within a second
_LONGEST = 15.0  # seconds
_LAST = -2  # libev's EV_MINPRI: after all that has come in the same turn of the loop
_TURNS = 2  # of the loop: what came in the first one may have begun something, which is done next


def spawn(function: Callable[..., object], *args: object) -> None:
    """Call ``function`` soon, beside the caller, which is not made to wait.

    ``Thread.start`` waits until the thread runs: in a callback of the event loop, and under a lock
    that nothing may yield with, a patched process must not use it.
    """
    if is_module_patched("threading"):
        gevent.spawn(function, *args)
    else:
        threading.Thread(target=function, args=args, daemon=True).start()


def reentrant_lock() -> threading.RLock:
    """Return a lock that its holder may take again. In a patched process it is gevent's own, which
    takes 0.6 µs: threading's is all Python there, and takes 1.4."""
    if is_module_patched("threading"):
        return cast(threading.RLock, RLock())
    return threading.RLock()


def quick_lock() -> threading.Lock:
    """Return a lock around what never yields to another greenlet: the interpreter's own, in a
    patched process, too, where gevent's is some Python."""
    if is_module_patched("threading"):
        return cast(threading.Lock, get_original("_thread", "allocate_lock")())
    return threading.Lock()


def let_others() -> None:
    """Let all others have their turn, those for whom input has come, too.

    ``time.sleep(0)`` lets gevent go on with the same callbacks: it looks at sockets again after 50
    of them, so that one long loop that sleeps after each 5 ms keeps a request waiting for 250.
    """
    if not is_module_patched("threading"):
        time.sleep(0)
        return
    hub = gevent.get_hub()
    for _ in range(_TURNS):
        with hub.loop.timer(0) as timer:
            timer.priority = _LAST
            hub.wait(timer)


class Turn:
    """A turn of something long, from now on."""

    __slots__ = ("_began",)

    def __init__(self) -> None:
        self._began = time.monotonic()

    def pause(self) -> None:
        """Let all others have their turn where this one has lasted long enough; then begin anew."""
        if time.monotonic() - self._began >= TURN:
            let_others()
            self._began = time.monotonic()


def spread(count: int) -> float:
    """Return over how many seconds ``count`` clients are let go, so that their coming back storms
    nobody."""
    return min(_LONGEST, count / CALM)
