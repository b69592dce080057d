"""Tokens that count no longer, before their end, on every worker and machine.

What belongs here: keeping that, and asking again about whoever listens by one. What does not: what
a token is (``tokens``), how the others hear of it (``orders``), and how its client is told
(``transports``).

Kept in the log for as long as tokens may live, so that a worker that starts later knows it, too.
A key that was taken out of the JWK Set each worker finds for itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence, Set

from .background import CALM, let_others, spawn, spread
from .broker.interface import Leases
from .errors import InvalidInput, NotAuthenticated
from .hub import Hub
from .orders import Orders
from .presence import Expected, Presence
from .subscriber import Subscriber
from .tokens import DIGEST, LEEWAY, USER, Tokens, is_user
from .wheel import Slot

KEPT = 366 * 86400.0  # seconds
#: Whose, and before when (Unix seconds) those were issued that count no longer; or whose, when it
#: ends by itself, and the digest of the one that does not.
Revocation = tuple[str | None, float] | tuple[str, float, str]
PERIOD = 10.0  # seconds between two looks whether a key was taken out
_TURN = 1000  # revocations between two turns of the others


class Revocations:
    """Lets tokens count no longer; asks again about whoever listens by one."""

    name = "revoked"  # of the orders, and of the leases

    def __init__(
        self, leases: Leases, hub: Hub, tokens: Tokens, orders: Orders, presence: Presence
    ) -> None:
        self._leases, self._hub, self._tokens, self._orders = leases, hub, tokens, orders
        self._presence = presence
        self._taken_out = tokens.keys.taken_out
        self.slot: Slot | None = None  # the wheel's
        if tokens.keys.changes:
            hub.wheel.set(self, PERIOD)

    def revoke(self, user: str | None, before: float) -> None:
        """See ``tokens.Tokens.revoke``.

        Raises:
            InvalidInput: something does not fit.
            LogUnavailable: it may not have been kept; do it again.
        """
        if user is not None and not is_user(user):  # 42 is not "42": nobody would be meant
            raise InvalidInput("user", user, USER)
        if not 0 <= before <= time.time() + LEEWAY:  # milliseconds would count for all times
            raise InvalidInput("before", before, "Unix seconds, and not ahead")
        holder = "revoked" if user is None else f"revoked={user}"
        before = max(before, self._tokens.revoked(user))  # what counts no longer stays so
        self._leases.renew(holder, {self.name: json.dumps([user, before])}, KEPT)
        self._orders.give(holder, {self.name: [user, before]})

    def revoke_token(self, text: str) -> None:
        """Let one token count no longer.

        Raises:
            InvalidInput: it does not count now.
            LogUnavailable: it may not have been kept; do it again.
        """
        try:
            token = self._tokens.verify(text)
        except NotAuthenticated as error:
            raise InvalidInput("token", f"one that counts for nothing: {error}", "one") from None
        digest = token.digest.hex()
        order = {self.name: [token.user, token.expires, digest]}
        left = token.left(time.time())
        self._leases.renew(f"revoked {digest}", {self.name: json.dumps(order[self.name])}, left)
        self._orders.give(f"revoked {digest}", order)

    # -- keys that were taken out --------------------------------------------------------------

    def on_due(self) -> float:
        """See ``wheel.Timed``: who listens brings no token, so nobody else would look."""
        spawn(self._look_at_keys)
        return PERIOD

    def _look_at_keys(self) -> None:
        keys = self._tokens.keys
        keys.refresh()
        if keys.taken_out != self._taken_out:
            self._taken_out = keys.taken_out
            self._orders.act(self, {None})

    # -- what the orders call ------------------------------------------------------------------

    def remember(self) -> Iterable[Revocation]:
        return map(json.loads, self._leases.read(self.name).values())

    def learn(self, values: Iterable[Revocation]) -> Set[str | None]:
        whose: set[str | None] = set()
        for n, (user, when, *digest) in enumerate(values):
            if digest:
                is_news = self._tokens.withdraw(bytes.fromhex(digest[0])[:DIGEST], when)
            else:
                is_news = self._tokens.revoke(user, when)
            if is_news:
                whose.add(user)
            if n % _TURN == 0:
                let_others()  # there may be very many: polls and publishes get their turn
        return whose

    def act(self, whose: Set[str | None]) -> None:
        asked = [
            subscriber
            for subscriber in self._hub.subscribers()  # once, however many were revoked
            if subscriber.user is not None and (None in whose or subscriber.user in whose)
        ]
        if len(asked) <= CALM:
            self._ask_again(asked)
        else:  # all of them at once would come back at once
            spawn(self._ask_again, asked, spread(len(asked)) / len(asked))
        self._presence.dismiss(self._comes_no_more)

    def _comes_no_more(self, one: Expected) -> bool:
        """Tell whether the next request of ``one`` would be refused."""
        if one.token is None:
            return False
        try:
            self._tokens.left(one.token)
        except NotAuthenticated:
            return True
        return False

    def _ask_again(self, subscribers: Sequence[Subscriber], pause: float = 0.0) -> None:
        for subscriber in subscribers:
            with self._hub.lock:
                subscriber.ask_again()
            if pause:
                time.sleep(pause)
