"""Starting something beside: a greenlet, or a thread in a process that is not patched."""

from __future__ import annotations

import threading
from collections.abc import Callable

import gevent
from gevent.monkey import is_module_patched


def spawn(function: Callable[..., object], *args: object) -> None:
    """Call ``function`` soon, beside the caller, which is not made to wait.

    ``Thread.start`` waits until the thread runs: in a callback of the event loop, and under a lock
    that nothing may yield with, a patched process must not use it.
    """
    if is_module_patched("threading"):
        gevent.spawn(function, *args)
    else:
        threading.Thread(target=function, args=args, daemon=True).start()
