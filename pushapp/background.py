"""Starting something beside, as a greenlet or as a thread in a process that is not patched; and how
slowly what concerns very many clients is done."""

from __future__ import annotations

import threading
from collections.abc import Callable

import gevent
from gevent.monkey import is_module_patched

CALM = 500  # clients that may come back within a second
_LONGEST = 15.0  # seconds


def spawn(function: Callable[..., object], *args: object) -> None:
    """Call ``function`` soon, beside the caller, which is not made to wait.

    ``Thread.start`` waits until the thread runs: in a callback of the event loop, and under a lock
    that nothing may yield with, a patched process must not use it.
    """
    if is_module_patched("threading"):
        gevent.spawn(function, *args)
    else:
        threading.Thread(target=function, args=args, daemon=True).start()


def spread(count: int) -> float:
    """Return over how many seconds ``count`` clients are let go, so that their coming back storms
    nobody."""
    return min(_LONGEST, count / CALM)
