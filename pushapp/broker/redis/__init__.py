"""The log on a Valkey or Redis server, for any number of machines.

What belongs here: putting the parts together, and the three small interfaces. What does not: the
log (``log``), following it (``follow``), who is connected (``roster``).

Three connections a process: one for what changes something, one for reading, one that hears the
wake-ups.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping

from ...errors import LogUnavailable
from ...retention import Retention
from ..interface import Control, Leases, Log, Schedule
from ..internal import with_internal
from ..names import random_name
from ..roster import Roster
from .follow import RedisFollower
from .health import Health
from .line import Line
from .log import RedisLog
from .roster import RedisRoster
from .scripts import CANCEL, CHECK, CLAIM, FIRE, LEASES, ORDERS, RENEW, TELL
from .server import Server

_FULL = 0.95  # of maxmemory: soon publishes are refused


class RedisBroker:
    """See ``interface.Broker``. ``clock`` (Unix seconds) is for tests."""

    def __init__(
        self,
        url: str,
        retention: Callable[[str], Retention],
        *,
        prefix: str = "push",
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._server = server = Server(url, prefix, clock)
        self._writes, self._reads = Line(server), Line(server)
        self._followers: list[RedisFollower] = []
        self.health = Health(self._reads)
        retention = with_internal(retention)
        self.log: Log = RedisLog(
            self._writes, self._reads, retention, self._follow, self._is_scheduled
        )
        self.schedule: Schedule = RedisSchedule(self._writes)
        self.leases: Leases = RedisLeases(self._writes, self._reads)
        self.control: Control = RedisControl(self._writes, self._reads, server)
        self._roster = RedisRoster(self._writes, self._reads, retention)
        self.roster: Roster = self._roster

    @property
    def durability(self) -> str:
        return self.health.durability()

    def _follow(self) -> RedisFollower:
        follower = RedisFollower(
            self._server, self._reads, self.schedule.fire_due, self._roster.sweep
        )
        self._followers.append(follower)
        return follower

    def _is_scheduled(self, at: float) -> None:
        now = self._server.clock or time.time
        for follower in self._followers:
            follower.expect(at - now())

    def check(self) -> None:
        policy, used, limit = self._writes.run(CHECK)
        if policy not in ("noeviction", ""):
            raise LogUnavailable(
                f"Valkey/Redis: maxmemory-policy is {policy}, which throws messages away unseen;"
                " the log needs noeviction"
            )
        if int(limit) and int(used) > _FULL * int(limit):
            share = f"{int(used) >> 20} of {int(limit) >> 20} MiB (maxmemory) are in use"
            raise LogUnavailable(f"Valkey/Redis: the server is nearly full: {share}")

    def close(self) -> None:
        for follower in self._followers:
            follower.close()
        self._writes.close()
        self._reads.close()
        self._server.close()


class RedisSchedule:
    """See ``interface.Schedule``."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def fire_due(self) -> float | None:
        while True:
            (due,) = self._line.run(FIRE)
            if due == "":
                return None
            if float(due) > 0:
                return float(due)

    def cancel(self, scheduled_id: str) -> bool:
        (found,) = self._line.run(CANCEL, scheduled_id, random_name(16))
        return bool(found)


class RedisLeases:
    """See ``interface.Leases``."""

    def __init__(self, writes: Line, reads: Line) -> None:
        self._writes, self._reads = writes, reads

    def renew(self, holder: str, values: Mapping[str, str], ttl: float) -> None:
        pairs = (part for pair in values.items() for part in pair)
        self._writes.run(RENEW, holder, ttl, *pairs)

    def read(self, key: str) -> dict[str, str]:
        found = self._reads.run(LEASES, key)
        return dict(zip(found[::2], found[1::2], strict=True))

    def release(self, holder: str) -> None:
        self.renew(holder, {}, 0)

    def claim(self, key: str, ttl: float, holder: str | None = None) -> bool:
        (won,) = self._writes.run(CLAIM, key, ttl, holder or random_name(16))
        return bool(won)


class RedisControl:
    """See ``interface.Control``."""

    def __init__(self, writes: Line, reads: Line, server: Server) -> None:
        self._writes, self._reads = writes, reads
        self._clock = server.clock or time.monotonic
        self._since = self._clock()
        self._heard: tuple[str, object] = ("", 0)  # the last order that ``orders`` returned

    def tell(self, order: Mapping[str, object]) -> None:
        self._writes.run(TELL, json.dumps(order), random_name(20))

    def orders(self) -> list[Mapping[str, object]]:
        epoch, _, last, found = self._reads.head(ORDERS, *self._heard)
        # by the time of the answer: however long the question was on its way, none is missed
        here = math.inf if self._heard[0] else self._clock() - self._since
        self._heard = epoch, last
        told = zip(map(float, found[::2]), found[1::2], strict=True)
        return [json.loads(order) for age, order in told if age <= here]
