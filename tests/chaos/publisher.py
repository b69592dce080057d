"""The publishers: numbered messages, each until it is acknowledged, or given up on purpose.

What belongs here: publishing with a key over real HTTP, and writing down what was answered. What
does not: when it may go on (``Pace`` says so, the faults decide).
"""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Sequence

from ..server import API_KEY
from ..wire import Reply, Wire
from .books import Sent

_BATCH = 20  # messages at most
_SINGLE = 0.7  # share of requests with one message
_GIVES_UP = 0.1  # share of requests that are not repeated
_ANSWER = 5.0  # seconds that it waits for an answer
#: Seconds for which a request is repeated. A key is known for 300 by the servers' clock, which is
#: moved by up to 200: repeated for longer than the rest of it, a publish might land twice.
_PATIENCE = 90.0
_LAST = 300.0  # ... where nothing breaks any more, and all has to be acknowledged


class Pace:
    """How many messages may be published by now."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._limit = 0
        self._count = 0

    def allow(self, limit: int) -> None:
        with self._changed:
            self._limit = limit
            self._changed.notify_all()

    def take(self, most: int) -> int:
        """Return how many may be published now, at least one: waits for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._count < self._limit)
            taken = min(most, self._limit - self._count)
            self._count += taken
            self._changed.notify_all()
            return taken

    def reached(self, count: int) -> None:
        """Wait until so many are on their way."""
        with self._changed:
            self._changed.wait_for(lambda: self._count >= count)


class Publisher(threading.Thread):
    """Publishes its share of the numbers, one request after the other."""

    def __init__(
        self,
        numbers: Sequence[int],
        channels: dict[int, str],
        ports: Sequence[int],
        pace: Pace,
        rate: float,
        chance: random.Random,
        gives_up: float = _GIVES_UP,
    ) -> None:
        super().__init__(daemon=True)
        self._numbers, self._channels, self._ports = numbers, channels, ports
        self._pace, self._rate, self._chance = pace, rate, chance
        self._gives_up = gives_up
        self._turns = itertools.cycle(ports)
        self._wires: dict[int, Wire] = {}
        self.book: list[Sent] = []
        self.repeats = 0
        self.unheard = 0  # requests that were repeated for as long as may be, and then given up
        self.trouble: list[str] = []

    def run(self) -> None:
        start, done = time.monotonic(), 0
        pause = threading.Event()
        while done < len(self._numbers):
            wanted = 1 if self._chance.random() < _SINGLE else self._chance.randint(2, _BATCH)
            count = self._pace.take(min(wanted, len(self._numbers) - done))
            self._publish(self._numbers[done : done + count])
            done += count
            pause.wait(max(0.0, start + done / self._rate - time.monotonic()))
        for port in self._ports:
            self._hang_up(port)

    def _hang_up(self, port: int) -> None:
        if port in self._wires:
            self._wires.pop(port).close()

    def _publish(self, numbers: Sequence[int]) -> None:
        key = f"key {numbers[0]}"
        items = [{"channel": self._channels[n], "data": {"number": n}} for n in numbers]
        body = items[0] if len(items) == 1 else {"messages": items}
        data = json.dumps({**body, "idempotency_key": key}).encode()
        gives_up = self._chance.random() < self._gives_up
        patience = _PATIENCE if self._gives_up else _LAST
        since, ids, tries = time.monotonic(), [None] * len(numbers), 0
        until = since + patience
        while time.monotonic() < until:
            tries += 1
            reply = self._try(data)
            if reply is not None and reply.status in (200, 201):
                ids = reply.json["ids"] if "ids" in reply.json else [reply.json["id"]]
                break
            if gives_up:
                break
            self.repeats += 1
        else:
            self.unheard += 1
            if patience == _LAST:
                self.trouble.append(f"{numbers} were not acknowledged within {patience} s")
        at = time.monotonic()
        for number, id_ in zip(numbers, ids, strict=True):
            self.book.append(Sent(number, self._channels[number], id_, at, tries, since))

    def _try(self, data: bytes) -> Reply | None:
        """Return the answer; None where there was none, after a pause."""
        port = next(self._turns)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {API_KEY}"}
        try:
            wire = self._wires.get(port)
            if wire is None:
                wire = self._wires[port] = Wire(port, timeout=_ANSWER)
            reply = wire.ask("POST", "/push/publish", headers, data)
        except OSError:
            self._hang_up(port)
            threading.Event().wait(0.05)
            return None
        if reply.closes:
            self._hang_up(port)
        if reply.status == 503:
            threading.Event().wait(float(reply.header("Retry-After") or 1))
        elif reply.status not in (200, 201):
            self.trouble.append(f"a publish was answered {reply}")
        return reply
