"""``python -m tests.chaos.soak``: hours of coming and going in minutes; what is left behind?

What belongs here: one worker's memory, file descriptors and greenlets, while hundreds of clients
are cut off and come back, and visitors of channels of their own come, hear something and leave.
What does not: what arrives (the ledger, ``__main__``).

What a worker remembers, it remembers a bounded number of. The largest such table, the requests of
the express lane, would take half an hour of visits to be full, and grow meanwhile: it is filled
before the first look, so that what still grows is a leak.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pushapp.remembered import MOST

from ..clients import TRANSPORTS, Refused, open_client
from ..scrape import scrape
from ..server import LONG, Server, until
from ..wire import Wire
from .report import show_bar, write
from .storms import Flocks, Publishing

_VISITORS = 4  # threads; each has a visitor after the other
_NAMES = 2000  # of channels
_ROWS = 10  # of the table
_GROWTH = 0.03  # of the memory, over the second half: more than that counts as a leak
_LIMITS = '{"connects":0,"requests":0,"address_connections":0}'


@dataclass(frozen=True)
class Sample:
    """One look at the worker."""

    minutes: float
    connected: int
    visits: int
    megabytes: float  # resident
    fds: int
    greenlets: int

    @classmethod
    def take(cls, server: Server, began: float, connected: int, visits: int) -> Sample:
        (pid,) = server.workers()
        worker = psutil.Process(pid)
        greenlets = until(lambda: _greenlets(server), "it says how many greenlets it has", LONG)
        minutes, memory = (time.monotonic() - began) / 60, worker.memory_info().rss / 1e6
        return cls(minutes, connected, visits, memory, worker.num_fds(), greenlets)


def _greenlets(server: Server) -> int:
    """Return how many there are; 0 where it is too busy to say."""
    try:
        return int(server.ask("GET", "/greenlets").json["greenlets"])
    except OSError:
        return 0


def fill(server: Server) -> None:
    """Ask as many different things as a worker remembers, as visitors do, and wait until it knows
    of nobody any more."""
    wire = Wire(server.port)

    def poll(target: str) -> Any:
        nonlocal wire
        reply = wire.ask("GET", target)
        if reply.closes:
            wire.close()
            wire = Wire(server.port)
        return reply.json

    for number in range(MOST):
        target = f"/push/poll?channels=public:visit.{number % _NAMES}"
        first = poll(target)
        poll(f"{target}&cursor={first['cursor']}&connection={first['connection']}")
        if number % (MOST // 20) == 0:
            show_bar(number / MOST, "filling what is remembered")
    wire.close()
    until(lambda: scrape(server).total("present") == 0, "nobody is there", LONG)


class Visitors:
    """Who comes to a channel of its own, hears one message there and leaves."""

    def __init__(self, server: Server) -> None:
        self._server, self._over = server, threading.Event()
        self._numbers = itertools.count()
        self.visits = self.failed = 0
        self.trouble: list[str] = []
        self._threads = [
            threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(_VISITORS)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, seed: int) -> None:
        chance = random.Random(seed)
        while not self._over.wait(chance.random() / 2):
            number = next(self._numbers)
            channel, transport = f"public:visit.{number % _NAMES}", chance.choice(TRANSPORTS)
            try:
                client = open_client(transport, self._server.port, [channel])
                self._server.publish(channel, number)
                if client.data() != [number]:
                    self.trouble.append(f"{transport} {number}: {client.events}")
                client.close()
            except (OSError, Refused, AssertionError):  # too busy a machine is no leak
                self.failed += 1
            self.visits += 1

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(LONG)


def soak(minutes: float, clients: int, folder: Path, broker: str = "") -> tuple[str, bool]:
    """Return the report, and whether nothing was left behind."""
    kept = {"PUSH_BROKER_URL": broker} if broker else {}
    server = Server(
        folder, app="tests.chaos.counted:app", WEB_CONCURRENCY=1, PUSH_LIMITS=_LIMITS, **kept
    ).start()
    try:
        fill(server)
        began = time.monotonic()
        first = Sample.take(server, began, 0, 0)
        flocks = Flocks([server.port], clients, kill_every=15.0, offline=2.0)
        visitors, publishing = Visitors(server), Publishing([server], int(minutes * 60))
        publishing.start()
        samples = []
        pause = threading.Event()
        for n in range(1, 2 * _ROWS + 1):
            pause.wait(max(0.0, began + n * minutes * 60 / (2 * _ROWS) - time.monotonic()))
            samples.append(Sample.take(server, began, flocks.live, visitors.visits))
            show_bar(n / (2 * _ROWS), f"{samples[-1].minutes:.1f} minutes, {flocks.live} connected")
        visitors.end()
        flocks.end()
        until(lambda: len(server.connections()) <= 1, "all have left", LONG)  # we who ask
        last = Sample.take(server, began, 0, visitors.visits)
    finally:
        server.stop()
    half = samples[len(samples) // 2 :]
    growth = half[-1].megabytes / half[0].megabytes - 1
    good = last.fds <= first.fds + 2 and last.greenlets <= first.greenlets + 2
    good = good and growth <= _GROWTH and not visitors.trouble
    return _report(
        [first, *samples[1::2], last], growth, visitors.failed, visitors.trouble, good
    ), good


def _report(
    samples: list[Sample], growth: float, failed: int, trouble: list[str], good: bool
) -> str:
    return "\n".join(
        [
            f"  {'minutes':>8}{'connected':>11}{'visits':>9}{'MB':>8}{'fds':>7}{'greenlets':>11}",
            *(
                f"  {s.minutes:>8.1f}{s.connected:>11,}{s.visits:>9,}{s.megabytes:>8.1f}"
                f"{s.fds:>7,}{s.greenlets:>11,}"
                for s in samples
            ),
            f"visits that failed: {failed:,}",
            f"memory over the second half: {100 * growth:+.2f} %",
            *(f"trouble: {one}" for one in trouble[:9]),
            "flat" if good else "NOT FLAT",
        ]
    )


def main() -> int:
    """Return 0 where nothing was left behind."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--broker", default="", help="the URL of a Valkey; without it: SQLite")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text, good = soak(asked.minutes, asked.clients, Path(folder), asked.broker)
    write(text)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
