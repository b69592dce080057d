"""Connections that somebody has ended, on every worker and machine.

What belongs here: ending them, and refusing their ids for a while. What does not: how the others
hear of it (``orders``), how its client is told (``transports``), who may (``power``).

A poller between two requests waits nowhere, so its id is refused when it comes again. Of a user's
connections all ids are that were made before the order: a new one may be begun at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Set

from .background import let_others
from .connection_ids import ConnectionIds
from .errors import ConnectionEnded, InvalidInput
from .hub import Hub
from .orders import KEPT, Orders
from .presence import Presence
from .tokens import USER, is_user

#: ["connection", its id, when] or ["user", their id, when]; Unix seconds.
Ending = tuple[str, str, float]
_FEW = 1000  # endings that are known, over or not
_TURN = 100  # connections that are ended between two turns of the others


class Endings:
    """Ends connections, and knows for five minutes which."""

    name = "ended"  # of the orders

    def __init__(
        self,
        hub: Hub,
        ids: ConnectionIds,
        orders: Orders,
        presence: Presence,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._hub, self._ids, self._orders, self._clock = hub, ids, orders, clock
        self._presence = presence
        self._ended: dict[tuple[str, str], float] = {}  # what, which → when (Unix seconds)
        self._most = _FEW  # of these, until the old ones are forgotten

    def end_connection(self, connection: object) -> None:
        """End one connection, whoever has it.

        Raises:
            InvalidInput: it is no connection's id.
            LogUnavailable: it may not have been told; do it again.
        """
        if not isinstance(connection, str) or not self._ids.is_one(connection):
            raise InvalidInput("connection", connection, "an id as this server gave it out")
        self._end("connection", connection)

    def end_user(self, user: object) -> None:
        """End all connections that ``user`` has now.

        Raises:
            InvalidInput: it is no user's id.
            LogUnavailable: it may not have been told; do it again.
        """
        if not is_user(user):
            raise InvalidInput("user", user, USER)
        self._end("user", user)

    def _end(self, what: str, which: str) -> None:
        self._orders.give(f"{what}={which}", {self.name: [what, which, self._clock()]})

    def check(self, connection: str, user: str | None) -> None:
        """Return where a connection of ``user`` may go on. Cheap: for each poll.

        Raises:
            ConnectionEnded: it may not.
        """
        if self._ended and self._is_over(connection, user):
            raise ConnectionEnded

    def _is_over(self, connection: str, user: str | None) -> bool:
        now = self._clock()
        if self._ended.get(("connection", connection), 0.0) + KEPT > now:
            return True
        when = 0.0 if user is None else self._ended.get(("user", user), 0.0)
        return when + KEPT > now and self._ids.born(connection) <= when

    # -- what the orders call ------------------------------------------------------------------

    def remember(self) -> Iterable[Ending]:
        return ()  # all orders are kept for long enough

    def learn(self, values: Iterable[Ending]) -> Set[tuple[str, str]]:
        news = set()
        for what, which, when in values:
            if when > self._ended.get((what, which), 0.0):
                self._ended[what, which] = when
                news.add((what, which))
        if len(self._ended) > self._most:
            before = self._clock() - KEPT
            self._ended = {key: when for key, when in self._ended.items() if when > before}
            self._most = max(_FEW, 2 * len(self._ended))
        return news

    def act(self, whom: Set[tuple[str, str]]) -> None:
        found = [
            subscriber
            for subscriber in self._hub.subscribers()
            if ("connection", subscriber.id) in whom or ("user", subscriber.user) in whom
        ]
        for n, subscriber in enumerate(found, 1):
            with self._hub.lock:
                if self._is_over(subscriber.id, subscriber.user):
                    subscriber.fail(ConnectionEnded())
            if n % _TURN == 0:
                let_others()
        self._presence.dismiss(lambda one: self._is_over(one.entry.id, one.entry.user))
