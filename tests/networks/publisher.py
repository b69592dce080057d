"""Numbered messages, published in a thread of their own while a page is in trouble.

What belongs here: what is published, and when. What does not: who gets it.
"""

from __future__ import annotations

import threading

from ..server import Server, until

_PACE = 0.1  # seconds between two messages until the pages have connected
_OUTAGE = 120.0  # seconds for which the server may be down


class Publisher:
    """Publishes 0, 1, 2, … to a channel, directly to the server and each exactly once."""

    def __init__(self, server: Server, channel: str) -> None:
        self._server, self._channel = server, channel
        self._pace, self._count = _PACE, 0
        self._end: int | None = None
        self._leaves = threading.Event()  # the test is over
        self._goes_on = threading.Event()
        self._goes_on.set()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def aim(self, end: int, seconds: float) -> None:
        """Publish the numbers below ``end``, evenly over so many seconds, and no more."""
        self._pace = seconds / max(1, end - self._count)
        self._end = end

    def pause(self) -> None:
        """Publish nothing for now."""
        self._goes_on.clear()

    def go_on(self) -> None:
        self._goes_on.set()

    def wait(self) -> None:
        """Wait until all that was aimed at is published."""
        self._thread.join()

    def close(self) -> None:
        self._leaves.set()
        self._goes_on.set()
        self._thread.join()

    def _run(self) -> None:
        while self._end is None or self._count < self._end:
            if self._leaves.wait(self._pace):
                return
            self._goes_on.wait()
            until(lambda: self._leaves.is_set() or self._publish(), "the log has it", _OUTAGE)
            self._count += 1

    def _publish(self) -> bool:
        key = f"{self._channel} {self._count}"  # makes repeating it safe
        body = {"channel": self._channel, "data": self._count, "idempotency_key": key}
        try:
            return self._server.post(body).status in (200, 201)
        except OSError:  # it is down
            return False
