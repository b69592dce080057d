"""What the console is fed with: each worker's figures, once a second, while somebody watches.

What belongs here: what a worker says of itself, and for how long. What does not: who may watch
(``console``), how it travels: it is a message of an internal channel, like any other to the hub.

Watching is an order to all workers that ends by itself; who goes on watching gives it again. So
nobody is asked whether somebody watches, and while nobody does nothing runs. A worker says its own
figures alone, once for all who watch, on whichever machine: who looks adds them up.
"""

from __future__ import annotations

import heapq
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from . import metrics
from .audiences import count
from .background import Turn, let_others
from .broker.roster import FIGURES
from .errors import LogUnavailable
from .message import Draft, dump, is_internal
from .orders import Orders
from .tally import METRICS, Series
from .traffic import Traffic

if TYPE_CHECKING:
    from .extension import Push
    from .running import Running

WATCHED = 90.0  # seconds; browsers hold hidden pages to one timer a minute
_AGAIN = 60.0  # seconds that must be left of it, else the order is given again
PERIOD = 1.0  # seconds between two messages of a worker
_TOP = 25  # channels with most listeners, and as many with most messages
_TURN = 5000  # channels compared between two turns of the others

log = logging.getLogger(__name__)


class Figures:
    """Says this worker's figures; see ``orders.Kind``."""

    name = "watched"  # of the orders; the value: until when (Unix seconds)

    def __init__(self, push: Push, running: Running, orders: Orders) -> None:
        self._push, self._running, self._orders = push, running, orders
        self._id = secrets.token_hex(4)
        self._since = time.time()
        self._until = 0.0  # Unix seconds
        self._lock = threading.Lock()
        self._loop: threading.Thread | None = None  # while it runs
        self._closed = threading.Event()

    def watch(self) -> None:
        """Have all workers say theirs for ``WATCHED`` seconds from now on, or a little less.

        Raises:
            LogUnavailable: they may not have been told; do it again.
        """
        now = time.time()
        if self._until - now < _AGAIN:
            self._orders.give("watched", {self.name: now + WATCHED})

    # -- what the orders call ------------------------------------------------------------------

    def remember(self) -> Iterable[float]:
        return ()

    def learn(self, values: Iterable[float]) -> bool:
        now = time.time()
        # clocks of two machines may differ; no order holds for longer than it says
        until = min(max(values, default=0.0), now + WATCHED)
        is_news = until > max(self._until, now)
        if is_news:
            self._until = until
        return is_news

    def act(self, whom: bool) -> None:
        with self._lock:
            if self._loop is not None or self._closed.is_set():
                return
            loop = threading.Thread(target=self._run, name="pushapp-figures", daemon=True)
            self._loop = loop
        loop.start()

    # -- the loop ------------------------------------------------------------------------------

    def _run(self) -> None:
        tally = self._push.tally
        traffic = tally.traffic = Traffic()
        looked = time.monotonic()
        while self._goes_on():
            if self._closed.wait(PERIOD):
                continue
            now = time.monotonic()
            try:
                self._say(traffic, now, now - looked)
            except LogUnavailable as error:
                log.debug("figures have to wait: %s", error)  # the listener says it aloud
            except Exception:
                log.exception("saying figures failed; trying again")
            looked = now

    def _goes_on(self) -> bool:
        with self._lock:
            if time.time() < self._until and not self._closed.is_set():
                return True
            self._loop = None
            self._push.tally.traffic = None
            return False

    def _say(self, traffic: Traffic, now: float, seconds: float) -> None:
        reporter = self._push.reporter
        told = {
            "worker": {
                "id": self._id,
                "host": os.environ.get("DYNO") or socket.gethostname(),
                "pid": os.getpid(),
                "label": reporter.worker if reporter else None,  # in /metrics
                "since": round(self._since, 3),
            },
            "at": round(now, 3),  # of its own clock
            "seconds": round(seconds, 3),
            "numbers": named(metrics.of_process() | metrics.of_push(self._push)),
            "channels": self._channels(*traffic.take()),
        }
        self._running.broker.log.append([Draft(FIGURES, dump(told), "figures")])

    def _channels(
        self, published: Mapping[str, int], followed: Mapping[str, int]
    ) -> dict[str, list[int]]:
        """Return channel → [who listens here, messages followed, messages published here]."""
        listening = self._listening()
        busy = {name: max(n, published.get(name, 0)) for name, n in followed.items()}
        names = {*_top(listening), *_top({**published, **busy})}
        return {
            name: [listening.get(name, 0), followed.get(name, 0), published.get(name, 0)]
            for name in sorted(names)
        }

    def _listening(self) -> dict[str, int]:
        found, turn = {}, Turn()
        for name, who in self._running.hub.audiences():
            if not is_internal(name):
                found[name] = count(who)
            turn.pause()
        return found

    def close(self) -> None:
        """Say no more; idempotent."""
        with self._lock:
            self._closed.set()
            loop = self._loop
        if loop is not None:
            loop.join(timeout=5)


def _top(counts: Mapping[str, int]) -> list[str]:
    """Return the names with the highest counts. Others have their turn in between."""
    names: Iterator[str] = iter(counts)
    best: list[str] = []
    while some := list(islice(names, _TURN)):
        best = heapq.nlargest(_TOP, [*best, *some], key=lambda name: counts[name])
        let_others()
    return best


def named(numbers: Mapping[str, Series]) -> dict[str, Any]:
    """Return numbers under the names of /metrics, those of several labels with a dot in between:
    ``{"channels": 3, "ended": {"sse.slow": 1}}``. Series that are 0 are left out."""
    found: dict[str, Any] = {}
    for metric in METRICS:
        series = numbers.get(metric.name, {})
        if metric.labels:
            found[metric.name] = {
                ".".join(labels): value for labels, value in series.items() if _is_some(value)
            }
        elif () in series:
            found[metric.name] = series[()]
    return found


def _is_some(value: float | list[float]) -> bool:
    return any(value) if isinstance(value, list) else bool(value)
