"""The kinds of log that keep the contract, and what the shared tests must do to each.

What belongs here: opening, tidying, deafening. What does not: what is promised. Another kind of
broker is one more class and one more line in ``KINDS``.
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from pushapp.broker.interface import Broker
from pushapp.broker.redis import RedisBroker
from pushapp.broker.redis.scripts import TICK
from pushapp.broker.sqlite import SqliteBroker

from ..valkey import Valkey, deafen
from .tools import Clock, copy, retention


class Kind(Protocol):
    """An empty log of some kind."""

    url: str
    options: dict[str, Any]  # for ``open_broker``, beside the URL

    def open(self, clock: Clock) -> Broker:
        """Open one more broker on it."""

    def tidy(self, broker: Any) -> None:
        """Remove at once all that is too old."""

    def tidy_a_bit(self, broker: Any) -> bool:
        """Remove as much as is done in one step; tell whether there is more."""

    def lose_wake_ups(self) -> None:
        """Make sure that no follower hears a publish any more."""

    def begin_epoch(self) -> None:
        """Make it a log that has lost its last message; whoever had seen that finds it out. It has
        to be of a channel that is used no more."""

    def work(self, broker: Any, do: Callable[[], object]) -> int:
        """Do it; return how much work that was for the log, in whatever unit."""

    def forget(self) -> None:
        """Remove the log; no broker is open on it."""


class Sqlite:
    """The embedded log: a file."""

    def __init__(self, folder: Path, valkey: Valkey | None) -> None:
        self.path = folder / "push.db"
        self.url = f"sqlite:///{self.path}"
        self.options: dict[str, Any] = {}

    def open(self, clock: Clock) -> SqliteBroker:
        return SqliteBroker(str(self.path), retention, clock=clock)

    def tidy(self, broker: SqliteBroker) -> None:
        while self.tidy_a_bit(broker):
            pass

    def tidy_a_bit(self, broker: SqliteBroker) -> bool:
        more = broker.writer.run(broker.upkeep.sweep)
        return broker.writer.run(broker.upkeep.roster.sweep) or more

    def lose_wake_ups(self) -> None:
        for bell in Path(f"{self.path}-wake").glob("*.bell"):
            bell.unlink()

    def begin_epoch(self) -> None:
        copy(self.path).replace(self.path)

    def work(self, broker: SqliteBroker, do: Callable[[], object]) -> int:
        """In steps of SQLite's machine, which are as many as the rows that it visits."""
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += 1

        links = broker._file._reader, broker._file._writer
        for link in filter(None, links):
            link.connection.set_progress_handler(step, 1)
        do()
        for link in filter(None, links):
            link.connection.set_progress_handler(None, 1)
        assert links == (broker._file._reader, broker._file._writer)
        return steps

    def forget(self) -> None:
        """The folder is the test's own."""


class Redis:
    """A log in the Valkey that the tests share, under a prefix of its own."""

    def __init__(self, folder: Path, valkey: Valkey | None) -> None:
        assert valkey is not None
        self._valkey, self._silent = valkey, list[socket.socket]()
        self.url = valkey.url
        self.options: dict[str, Any] = {"prefix": f"test-{uuid.uuid4().hex}"}

    def open(self, clock: Clock) -> RedisBroker:
        return RedisBroker(self.url, retention, clock=clock, **self.options)

    def tidy(self, broker: RedisBroker) -> None:
        while self.tidy_a_bit(broker):
            pass

    def tidy_a_bit(self, broker: RedisBroker) -> bool:
        *_, over, more = broker._reads.head(TICK, "")
        return bool((over and broker._roster.sweep()) or more)

    def lose_wake_ups(self) -> None:
        self._silent = deafen(self._valkey)

    def begin_epoch(self) -> None:
        self._valkey.ask("HINCRBY", f"{{{self.options['prefix']}}}:meta", "head", -1)

    def work(self, broker: RedisBroker, do: Callable[[], object]) -> int:
        """In commands; none but those whose own work does not grow with what there is."""
        self._valkey.ask("CONFIG", "RESETSTAT")
        do()
        stats = self._valkey.ask("INFO", "commandstats")
        calls = {name.removeprefix("cmdstat_"): int(of["calls"]) for name, of in stats.items()}
        small = {"zrangebylex", "zadd", "zrem", "zscore", "sadd", "srem", "xadd", "xtrim"}
        small |= {"hget", "hmget", "hset", "hdel", "hincrby", "del", "publish", "evalsha"}
        small |= {"config|resetstat", "info", "time", "hgetall"}  # one connection's workers
        assert set(calls) <= small, set(calls) - small
        return sum(calls.values())

    def forget(self) -> None:
        for end in self._silent:
            end.close()
        self._valkey.forget(self.options["prefix"])


KINDS: dict[str, Callable[[Path, Valkey | None], Kind]] = {"sqlite": Sqlite, "redis": Redis}
