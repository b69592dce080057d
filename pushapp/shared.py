"""Equal values, kept once.

What belongs here: finding the one that others hold already, where ten thousand clients would each
hold their own. What does not: strings, which ``sys.intern`` keeps once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Hashable
from typing import Generic, TypeVar

#: Values; of more kinds than that, each may be kept several times. An hour has fewer seconds.
_MOST = 4096

T = TypeVar("T", bound=Hashable)


class Shared(Generic[T]):
    """The values that were asked for lately."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[T, T] = {}

    def one(self, value: T) -> T:
        """Return the one that stands for all that equal ``value``."""
        found = self._known.get(value)
        if found is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            found = self._known[value] = value
        return found


_moments: Shared[float] = Shared()


def moment(seconds: float, step: float = 1.0) -> float:
    """Return when ``seconds`` will have passed (monotonic seconds), or up to ``step`` later: what
    is due in the same step is one number."""
    when = time.monotonic() + seconds
    return math.inf if when == math.inf else _moments.one(math.ceil(when / step) * step)
