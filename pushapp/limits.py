"""How often something may be done: a token bucket for each who does it.

What belongs here: counting. What does not: who they are and when they are counted (``throttle``),
who waits at a time (``seats``), what a refusal looks like (``problem``).
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from .errors import Flood, TooManyRequests
from .quota import Quota

BURST = 10.0  # seconds' worth that may come at once
_MOST = 10_000  # remembered at a time; whoever was quiet longest is forgotten, and starts full


class TokenBuckets:
    """Each key may act ``burst`` times at once and ``rate`` times a second in the long run.

    A bucket is one number, the time at which it will be full again; a rate of 0 is none.
    """

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._slack = (burst - 1) * self._interval  # seconds to a full bucket that leave a token
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, key: str, cost: int = 1) -> float:
        """Take ``cost`` tokens; return 0, or in how many seconds there will be one.

        Where there is one there may be too few: then the key owes the rest, and waits longer after.
        """
        if not self._interval:
            return 0.0
        now = self._clock()
        full_at = self._full_at.pop(key, now)
        wait = full_at - now - self._slack
        if wait <= 0:
            full_at = max(now, full_at) + cost * self._interval
        self._full_at[key] = full_at
        if len(self._full_at) > _MOST:
            self._full_at.popitem(last=False)
        return max(0.0, wait)

    def owe(self, key: str, cost: int) -> None:
        """Take ``cost`` more tokens than ``take`` did, or fewer: it turned out to be so many."""
        if self._interval and cost:
            full_at = self._full_at.get(key, 0.0)
            self._full_at[key] = max(self._clock(), full_at) + cost * self._interval


class Limits:
    """The rates of a worker: each method counts one thing, or raises. It costs about 1 µs."""

    def __init__(self, quota: Quota, clock: Callable[[], float] = time.monotonic) -> None:
        def buckets(rate: float) -> TokenBuckets:
            return TokenBuckets(rate, max(1.0, rate * BURST), clock)

        self.requests = buckets(quota.requests)  # by address
        self._connects = buckets(quota.connects)  # by address
        self._operations = buckets(quota.operations)  # by connection
        self._overruns = buckets(quota.operations)  # refused ones, by connection
        self._publishes = buckets(quota.publishes)  # by publisher
        self._key_publishes = buckets(quota.key_publishes)  # by api key

    def request(self, address: str) -> None:
        """Count a request without an api key.

        Raises:
            TooManyRequests: there are too many from this address.
        """
        _check(self.requests.take(address), f"too many requests from {address}")

    def take_back(self, address: str) -> None:
        """Take the last ``request`` back: it is made once more, and counted there."""
        self.requests.owe(address, -1)

    def connect(self, address: str) -> None:
        """Count the beginning of a stream.

        Raises:
            TooManyRequests: too many begin at this address.
        """
        _check(self._connects.take(address), f"too many new connections from {address}")

    def operation(self, connection: str) -> None:
        """Count an op.

        Raises:
            TooManyRequests: there are too many on this connection.
            Flood: ... and it goes on like that.
        """
        wait = self._operations.take(connection)
        if wait and self._overruns.take(connection):
            raise Flood("a flood of ops", _whole(wait))
        _check(wait, "too many ops on this connection")

    def frames(self, connection: str, count: int) -> None:
        """Count frames that are no whole ops: pings, fragments.

        Raises:
            Flood: there are too many on this connection.
        """
        self._operations.owe(connection, count)
        if wait := self._operations.take(connection, 0):
            raise Flood("a flood of frames", _whole(wait))

    def check_publish(self, publisher: str, *, by_key: bool) -> None:
        """Return where ``publish`` would count; count nothing.

        Raises:
            TooManyRequests: there are too many by this publisher.
        """
        buckets = self._key_publishes if by_key else self._publishes
        _check(buckets.take(publisher, 0), "too many messages are published")

    def publish(self, publisher: str, *, by_key: bool) -> None:
        """Count a publish of one message.

        Raises:
            TooManyRequests: there are too many by this publisher.
        """
        buckets = self._key_publishes if by_key else self._publishes
        _check(buckets.take(publisher), "too many messages are published")

    def more(self, publisher: str, count: int, *, by_key: bool) -> None:
        """Count ``count`` further messages of a publish that has been counted."""
        (self._key_publishes if by_key else self._publishes).owe(publisher, count)


def _whole(wait: float) -> int:
    return max(1, math.ceil(wait))


def _check(wait: float, detail: str) -> None:
    if wait:
        raise TooManyRequests(f"{detail}; try again in {_whole(wait)} s", _whole(wait))
