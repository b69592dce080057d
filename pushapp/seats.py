"""How many clients of one user, and of one address, wait in this worker.

What belongs here: counting them by key, so that a client costs no state but its own names. What
does not: how often something may be done (``limits``), the worker's own cap (``extension``).
"""

from __future__ import annotations

from .errors import TooManyRequests
from .quota import Quota
from .subscriber import Subscriber

AFTER = 10  # seconds after which one may have left


class Seats:
    """Who waits; the hub calls, under its lock."""

    def __init__(self, quota: Quota | None = None) -> None:
        quota = quota or Quota()
        self._per_user = quota.user_connections
        self._per_address = quota.address_connections
        self._users: dict[str, int] = {}
        self._addresses: dict[str, int] = {}

    def check(self, user: str | None, address: str | None) -> None:
        """Return where one more of them may wait.

        Raises:
            TooManyRequests: as many as may be do already.
        """
        if user is not None and _is_full(self._users, user, self._per_user):
            detail = f"user {user} has {self._per_user:g} connections here already"
            raise TooManyRequests(detail, AFTER)
        if address is not None and _is_full(self._addresses, address, self._per_address):
            detail = f"{address} has {self._per_address:g} connections here already"
            raise TooManyRequests(detail, AFTER)

    def take(self, subscriber: Subscriber) -> None:
        """Count one that waits from here on.

        Raises:
            As ``check``; it is not counted then.
        """
        user, address = subscriber.user, subscriber.address
        self.check(user, address)
        if user is not None:
            self._users[user] = self._users.get(user, 0) + 1
        if address is not None:
            self._addresses[address] = self._addresses.get(address, 0) + 1

    def leave(self, subscriber: Subscriber) -> None:
        """Count one less, that has been counted."""
        if subscriber.user is not None:
            _remove(self._users, subscriber.user)
        if subscriber.address is not None:
            _remove(self._addresses, subscriber.address)

    def of_user(self, user: str) -> int:
        """Return how many of ``user``'s wait here."""
        return self._users.get(user, 0)

    def __len__(self) -> int:
        """Return how many users and addresses are counted."""
        return len(self._users) + len(self._addresses)


def _is_full(counts: dict[str, int], key: str, most: float) -> bool:
    return bool(most) and counts.get(key, 0) >= most


def _remove(counts: dict[str, int], key: str) -> None:
    left = counts[key] - 1
    if left:
        counts[key] = left
    else:
        del counts[key]
