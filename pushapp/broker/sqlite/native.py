"""Greenlets where gevent has patched the process, threads where it has not.

What belongs here: running a call that blocks in C, or one that nobody can kill. What does not:
what is called.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def is_patched() -> bool:
    """Tell whether gevent has replaced this process's threads by greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def call_blocking(work: Callable[[], T]) -> T:
    """Return ``work()``, run so that only the caller waits for it.

    In a patched process it runs in a thread of gevent's pool and must not wait on anything
    patched: no locks, no sleeping, no sockets.
    """
    if not is_patched():
        return work()
    import gevent

    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:  # the pool would print an error that leaves it
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    gevent.get_hub().threadpool.apply(run)
    if errors:
        raise errors[0]
    return results[0]


def start(work: Callable[[], object]) -> None:
    """Run ``work()`` beside the caller, who may be killed (by a timeout, say) while it goes on."""
    if is_patched():
        import gevent

        gevent.spawn(work)
        return
    try:
        threading.Thread(target=work).start()
    except RuntimeError:  # there are too many, or the process is ending: then here
        work()
