"""Orders from one worker to all: whom something is over for, on every worker and machine.

What belongs here: giving orders, hearing them soon, and hearing again of those that were missed.
What does not: what an order means (``revocations``, ``endings``).

An order is told, so that those who run hear of it at once, and kept in the log for a while, so that
a worker that starts later, or has slept, knows it, too.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from .background import let_others
from .broker.interface import Broker
from .errors import LogUnavailable

KEPT = 300.0  # seconds that every order is kept in the log
PERIOD = 1.0  # seconds between looks for orders that nobody stirred us for
_PAUSE = 0.1  # seconds between two such looks at least: messages stir, too
_LOOK = 60.0  # seconds between looks at what is kept: an order may have been missed
_AGAIN = 6.0  # seconds; one who was let in just before may begin to wait so much later
_TURN = 1000  # orders between two turns of the others: there may be very many
_KEY = "orders"  # of the leases

log = logging.getLogger(__name__)


class Kind(Protocol):
    """One kind of order, and what this worker does about it."""

    name: str  # an order is {name: value}

    def remember(self) -> Iterable[Any]:
        """Return the values of orders that are to hold for longer than all are kept."""

    def learn(self, values: Iterable[Any]) -> Any:
        """Know what was ordered, perhaps not for the first time; return whom it concerns that was
        not known before, something false where that is nobody."""

    def act(self, whom: Any) -> None:
        """Do what is to be done about those who wait here now; harmless when it is done again."""


class Orders:
    """Gives orders, and has each that is heard done.

    ``stirred`` is set whenever there may be an order.
    """

    def __init__(self, broker: Broker, stirred: threading.Event) -> None:
        self._broker, self._stirred = broker, stirred
        self._kinds: list[Kind] = []
        self._again: deque[tuple[float, Kind, Any]] = deque()  # monotonic seconds; few at a time
        self._looked = -math.inf  # monotonic seconds
        self._closed = threading.Event()
        self._loop = threading.Thread(target=self._run, name="pushapp-orders", daemon=True)

    def begin(self, *kinds: Kind) -> None:
        """Learn what is kept, then hear for ever: to be called once, before anybody is let in."""
        self._kinds = list(kinds)
        try:
            self._look()
        except LogUnavailable as error:
            log.debug("orders have to wait: %s", error)  # nothing is served without a log
        self._loop.start()

    def give(self, holder: str, order: Mapping[str, Any]) -> None:
        """Have ``order`` done here now, and soon everywhere. ``holder`` names whom it is about: a
        later order about the same takes its place in what is kept.

        Raises:
            LogUnavailable: it may not have been given; do it again.
        """
        self._broker.leases.renew(f"order {holder}", {_KEY: json.dumps(order)}, KEPT)
        self._broker.control.tell(order)
        self._hear([order])

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._hear(self._broker.control.orders())
                now = time.monotonic()
                while self._again and self._again[0][0] <= now:
                    _, kind, whom = self._again.popleft()
                    kind.act(whom)
                if now - self._looked > _LOOK:
                    self._look()
            except LogUnavailable as error:
                log.debug("orders have to wait: %s", error)  # the listener says it aloud
            except Exception:
                log.exception("doing orders failed; trying again")
            self._closed.wait(_PAUSE)
            self._stirred.wait(PERIOD - _PAUSE)
            self._stirred.clear()

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked > KEPT:
            for kind in self._kinds:
                self._learn(kind, kind.remember())
        kept = list(self._broker.leases.read(_KEY).values())
        for i in range(0, len(kept), _TURN):
            self._hear([json.loads(text) for text in kept[i : i + _TURN]])
            let_others()
        self._looked = now

    def _hear(self, orders: Iterable[Mapping[str, Any]]) -> None:
        for kind in self._kinds:
            self._learn(kind, [order[kind.name] for order in orders if kind.name in order])

    def _learn(self, kind: Kind, values: Iterable[Any]) -> None:
        whom = kind.learn(values)
        if whom:
            self.act(kind, whom)

    def act(self, kind: Kind, whom: Any) -> None:
        """Do what is to be done about ``whom``, now and once more soon, in this worker."""
        self._again.append((time.monotonic() + _AGAIN, kind, whom))
        kind.act(whom)

    def close(self) -> None:
        """Hear no more; idempotent."""
        self._closed.set()
        self._stirred.set()
        if self._loop.ident is not None:
            self._loop.join(timeout=5)
