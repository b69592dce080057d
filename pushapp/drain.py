"""The end of a gunicorn worker: seen at once, and put off until its clients have been let go.

What belongs here: how it is seen that a worker is to end, how long a drain may take, and who waits
for it. What does not: what is let go then, and when all of it is (``yard``).

gunicorn's exit hook comes too late to begin a drain: idle connections keep gunicorn waiting until
it kills the worker.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event

_MARGIN = 3.0  # seconds before gunicorn's graceful_timeout by which a drain is over
_WATCH = 0.1  # seconds between looks at whether the worker ends, and whether its drain is over
_LOOK = 1.0  # ... at whether it is to end, which signals and requests tell at once
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class Drain:
    """The one drain of a worker. ``begin`` lets everybody go; ``is_over`` tells whether they are
    gone."""

    def __init__(self, worker: Any, begin: Callable[[], None], is_over: Callable[[], bool]) -> None:
        self._worker, self._begin, self._is_over = worker, begin, is_over
        self._told = Event()  # to end
        self._ended = Event()
        for number in _ENDING:
            signal.signal(number, self._signalled(signal.getsignal(number)))
        gevent.spawn(self._watch)

    def _signalled(self, handler: Any) -> Callable[..., None]:
        """Return gunicorn's ``handler`` of a signal that ends the worker, and we know of it."""

        def handle(number: int, frame: Any) -> None:
            handler(number, frame)
            self._told.set()

        return handle

    def look(self) -> None:
        """Look whether the worker is to end: something has been counted that may end it."""
        if not self._worker.alive:
            self._told.set()

    def _watch(self) -> None:
        """Drain when the worker is to end."""
        while self._worker.alive:
            if self._told.is_set():
                gevent.sleep(_WATCH)  # gunicorn ends it in a greenlet of its own
            else:
                self._told.wait(_LOOK)
        try:
            self._run()
        finally:
            self._ended.set()

    def _run(self) -> None:
        deadline = time.monotonic() + max(1.0, self._worker.cfg.graceful_timeout - _MARGIN)
        self._begin()
        while time.monotonic() < deadline and not self._is_over():
            self._notify()
            gevent.sleep(_WATCH)

    def wait(self) -> None:
        """Wait until it is over."""
        while not self._ended.wait(1.0):
            self._notify()

    def _notify(self) -> None:
        """Tell the master that this worker lives, for as long as there is a way to."""
        try:
            self._worker.notify()
        except ValueError:
            pass  # gunicorn closes the file that this touches before it calls worker_exit
