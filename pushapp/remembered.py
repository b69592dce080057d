"""Requests that are remembered by their heads, a bounded number of them.

What belongs here: the table, and what goes out of it. What does not: what a head has to be like
(``cutting``, ``republish``), what is known of a request (``lane``, ``posting``).

It is the table that remembers, and not a connection: behind a proxy one connection carries many
people's requests.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

MOST = 10_000  # requests; whichever was asked longest ago is forgotten
_BYTES = 16 << 20  # ... and bytes of their heads

#: The peer's address, by which limits count, and a head without its values.
Key = tuple[object, tuple[bytes, ...]]
T = TypeVar("T")


class Remembered(Generic[T]):
    """What is known of each request."""

    def __init__(self) -> None:
        self._known: OrderedDict[Key, T] = OrderedDict()
        self._bytes = 0  # of their heads

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: Key) -> T | None:
        """Return what is known of a request that comes again."""
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
        return known

    def put(self, key: Key, known: T) -> None:
        """Remember it; the same one is known anew."""
        if self._known.pop(key, None) is None:
            self._bytes += _size(key)
        self._known[key] = known
        while len(self._known) > MOST or self._bytes > _BYTES:
            oldest, _ = self._known.popitem(last=False)
            self._bytes -= _size(oldest)


def _size(key: Key) -> int:
    return sum(map(len, key[1]))
