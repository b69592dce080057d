"""Native threads beside greenlets, for calls that block in C.

What belongs here: the one way to do that, with and without gevent. What does not: what is called.
"""

from __future__ import annotations

import sys
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

    task = gevent.get_hub().threadpool.spawn(run)
    killed: BaseException | None = None
    while not task.ready():
        try:
            task.wait()
        except BaseException as error:  # the caller is being killed, but not what is under way
            killed = error
    if killed is not None:
        raise killed
    if errors:
        raise errors[0]
    return results[0]
