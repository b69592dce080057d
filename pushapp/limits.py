"""How often something may be done: a token bucket for each who does it.

What belongs here: counting. What does not: who they are, and what a refusal looks like.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

_MOST = 10_000  # remembered at a time; whoever was quiet longest is forgotten, and starts full


class TokenBuckets:
    """Each key may act ``burst`` times at once and ``rate`` times a second in the long run."""

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, when

    def take(self, key: str) -> float:
        """Take a token; return 0, or in how many seconds there will be one."""
        now = self._clock()
        tokens, when = self._buckets.pop(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - when) * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[key] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
        return wait
