"""The listener: the one loop of a worker that follows the log, which nothing may end.

What belongs here: reading what is new, trying again where the log does not answer, and when that
last went well. What does not: who gets it (``hub``).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from .broker.interface import Follower, Page
from .errors import LogUnavailable
from .message import Cursor
from .tally import Tally

STALE = 10.0  # seconds without a sign of the listener after which the worker is not ready
LISTEN = 1.0  # seconds it waits at most before it looks for itself
RETRY = 0.5  # seconds between attempts while the log does not answer

log = logging.getLogger(__name__)


class Listener:
    """Gives each page to ``take``; where that fails, ``let_go`` is told up to where it was."""

    def __init__(
        self,
        follower: Follower,
        tally: Tally,
        closed: threading.Event,
        take: Callable[[Page], None],
        let_go: Callable[[Cursor], None],
    ) -> None:
        self._follower, self._tally, self._closed = follower, tally, closed
        self._take, self._let_go = take, let_go
        self.stirred = threading.Event()  # set whenever another process may have said something
        self.heard = time.monotonic()  # when the log was last read
        self._complained = False

    @property
    def is_well(self) -> bool:
        """Whether the log has been read lately."""
        return time.monotonic() - self.heard < STALE

    def run(self) -> None:
        """Follow the log until ``closed``."""
        while not self._closed.is_set():
            page = self._next()
            if page is None:
                self._closed.wait(RETRY)
                continue
            self.heard = time.monotonic()
            if not page.own:
                self.stirred.set()
            try:
                self._take(page)
            except Exception:
                log.exception("handing out failed; everybody comes back with their cursor")
                self._let_go(page.cursor)

    def _next(self) -> Page | None:
        """Wait for what is new, or a while; None: it cannot be told now."""
        try:
            page = self._follower.next(LISTEN)
        except LogUnavailable as error:
            if not self._complained:
                log.error("the log does not answer: %s", error)
            self._complained = True
            self._tally.log_errors["follow"] += 1
            return None
        except Exception:
            log.exception("following the log failed; trying again")
            return None
        if self._complained:
            log.warning("the log answers again")
            self._complained = False
        return page
