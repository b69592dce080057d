"""Channels of the server's own, among those of its clients in the one log.

What belongs here: what makes them differ, for any broker. What does not: what goes into them
(``roster``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from ..message import is_internal
from ..retention import Retention
from .roster import EVENTS, FIGURES, presence_of

_PRESENCE = presence_of("")
#: In the order of names.
_FOLDERS = (FIGURES.partition("/")[0] + "/", _PRESENCE, EVENTS.partition("/")[0] + "/")

_KNOWN = 1000  # channels of which it is remembered
_FEW = Retention(1000, 120.0)  # longer than a client needs to come back; else a snapshot heals
_MANY = Retention(10_000, 86400.0)  # a day to mend what the events go to


def with_internal(retention: Callable[[str], Retention]) -> Callable[[str], Retention]:
    """Return how much is kept of every channel; ``retention`` tells it of those of clients."""

    @lru_cache(_KNOWN)
    def of(channel: str) -> Retention:
        if not is_internal(channel):
            return retention(channel)
        return _FEW if channel == FIGURES or channel.startswith(_PRESENCE) else _MANY

    return of


def ranges_of_clients(low: str, high: str) -> Iterator[tuple[str, str]]:
    """Yield the ranges of names, from the first on and before the second, that ``low`` to ``high``
    has without internal channels: there may be as many of these as of the others."""
    for folder in _FOLDERS:
        if low < folder:
            yield low, min(high, folder)
        low = max(low, folder[:-1] + chr(ord("/") + 1))
    if low < high:
        yield low, high
