"""Tokens that count no longer, before their end, on every worker and machine.

What belongs here: keeping that, telling the others, and hearing it. What does not: what a token is
(``tokens``), and how its client is told (``transports``).

Kept in the log for as long as tokens may live, so that a worker that starts later knows it, too;
told as an order, so that those who run hear of it within a second.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable, Set

from .broker.interface import Broker
from .errors import InvalidInput, LogUnavailable
from .hub import Hub
from .tokens import LEEWAY, Tokens, is_user

KEPT = 366 * 86400.0  # seconds
PERIOD = 1.0  # seconds between looks
_ALL = 60.0  # seconds between looks at everything: an order may have been missed
_AGAIN = 6.0  # seconds; one who was let in just before may begin to wait so much later
_TURN = 1000  # revocations between two turns of the others
_KEY = "revoked"  # of the leases, and of the order

log = logging.getLogger(__name__)


class Revocations:
    """Lets tokens count no longer; asks again about whoever listens by one."""

    def __init__(self, broker: Broker, hub: Hub, tokens: Tokens) -> None:
        self._broker, self._hub, self._tokens = broker, hub, tokens
        self._again: list[tuple[float, Set[str | None]]] = []  # monotonic seconds, whose
        self._closed = threading.Event()
        self._looked = -_ALL  # monotonic seconds
        try:
            self._look()  # before the first token is
        except LogUnavailable as error:
            log.debug("revocations have to wait: %s", error)  # nothing is served without a log
        self._loop = threading.Thread(target=self._run, name="pushapp-revocations", daemon=True)
        self._loop.start()

    def revoke(self, user: str | None, before: float) -> None:
        """See ``tokens.Tokens.revoke``.

        Raises:
            InvalidInput: something does not fit.
            LogUnavailable: it may not have been kept; do it again.
        """
        if user is not None and not is_user(user):  # 42 is not "42": nobody would be meant
            raise InvalidInput("user", user, "what may stand in a channel name after user:")
        if not 0 <= before <= time.time() + LEEWAY:  # milliseconds would count for all times
            raise InvalidInput("before", before, "Unix seconds, and not ahead")
        holder = "revoked" if user is None else f"revoked={user}"
        if kept := self._broker.leases.read(_KEY).get(holder):
            before = max(before, json.loads(kept)[1])  # what counts no longer stays so
        self._broker.leases.renew(holder, {_KEY: json.dumps([user, before])}, KEPT)
        self._broker.control.tell({_KEY: [user, before]})
        self._hear([(user, before)])

    def _run(self) -> None:
        while True:
            now = time.monotonic()
            try:
                while self._again and self._again[0][0] <= now:
                    self._ask_again(self._again.pop(0)[1])
                if now - self._looked > _ALL:
                    self._look()
                orders = self._broker.control.orders()
                self._hear([order[_KEY] for order in orders if _KEY in order])  # type: ignore[misc]
            except LogUnavailable as error:
                log.debug("revocations have to wait: %s", error)  # the listener says it aloud
            except Exception:
                log.exception("hearing of revocations failed; trying again")
            if self._closed.wait(PERIOD):
                return

    def _look(self) -> None:
        self._hear(map(json.loads, self._broker.leases.read(_KEY).values()))
        self._looked = time.monotonic()

    def _hear(self, told: Iterable[tuple[str | None, float]]) -> None:
        whose = set()
        for n, (user, before) in enumerate(told):
            if self._tokens.revoke(user, before):
                whose.add(user)
            if n % _TURN == 0:
                time.sleep(0)  # there may be very many: polls and publishes get their turn
        if whose:
            self._ask_again(whose)
            self._again.append((time.monotonic() + _AGAIN, whose))

    def _ask_again(self, whose: Set[str | None]) -> None:
        for subscriber in self._hub.subscribers():  # once, however many were revoked
            if subscriber.user is not None and (None in whose or subscriber.user in whose):
                with self._hub.lock:
                    subscriber.ask_again()

    def close(self) -> None:
        """Hear no more; idempotent."""
        self._closed.set()
        self._loop.join(timeout=5)
