"""One run: servers, publishers, a crowd of readers, faults in between, and the verdict.

What belongs here: who is started when, and when a fault happens. What does not: what they do.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..server import ROOT
from . import books
from .books import Got, Reader, Sent
from .crowd import Plan
from .faults import BESIDE, FAULTS, MAY_LOSE
from .publisher import Pace, Publisher
from .recovery import Happened
from .verdict import Verdict, judge
from .world import World

_CHANNELS = 10
_EACH = 2  # channels that a reader reads
SHARE = _EACH / _CHANNELS  # of all messages that a reader gets
_PUBLISHERS = 6
_PATIENCE = 900.0  # seconds for the crowd to take its places
_LAST = 1800.0  # ... and to end, which it does when nothing has come for two minutes


@dataclass(frozen=True)
class Order:
    """What to run."""

    broker: str
    clients: int
    messages: int
    faults: int
    seed: int
    rate: float = 150.0  # messages a second
    still: float = 10.0  # seconds that what is stopped stands still, at most


@dataclass(slots=True)
class Result:
    """All that a run has written down, and what it proves."""

    order: Order
    seconds: float
    sent: list[Sent]
    readers: list[Reader]
    faults: list[Happened]
    verdict: Verdict
    repeats: int
    unheard: int  # publish requests that were not acknowledged for as long as they may be repeated


@dataclass(slots=True)
class Progress:
    """How far a run is."""

    order: Order
    published: int = 0
    received: int = 0
    waiting: int = 0  # readers that do not have everything yet
    doing: str = "starting"
    faults: list[Happened] = field(default_factory=list)


class Run:
    """Does what ``order`` says, in ``folder``; ``show`` is called whenever it is further on.

    ``harm`` is done to the log after everything was published, behind everybody's back.
    """

    def __init__(
        self,
        order: Order,
        folder: Path,
        show: Callable[[Progress], None] = lambda progress: None,
        harm: Callable[[World], None] = lambda world: None,
    ) -> None:
        self._order, self._folder, self._harm = order, folder, harm
        self._chance = random.Random(order.seed)
        self._show, self._progress = show, Progress(order)
        self._names = [f"public:chaos.{n}" for n in range(_CHANNELS)]
        self._channels = {n: self._chance.choice(self._names) for n in range(order.messages)}
        self._last = {channel: order.messages + n for n, channel in enumerate(self._names)}
        self._channels |= {number: channel for channel, number in self._last.items()}
        self._ready = threading.Event()
        self._crowd: subprocess.Popen[str] | None = None

    def go(self) -> Result:
        began = time.monotonic()
        self._show(self._progress)
        order = self._order
        chance = random.Random(self._chance.random())
        world = World(order.broker, self._folder, order.messages, chance)
        try:
            crowd = self._gather(world)
            publishers = self._publish(world)
            self._harm(world)
            readers = self._disperse(crowd)
            log = {channel: self._read(world, channel) for channel in self._names}
        finally:
            if self._crowd is not None:
                self._crowd.kill()  # where it has not ended, something else has failed
            world.close()
        sent = [entry for publisher in publishers for entry in publisher.book]
        self._tell("judging")
        may_lose = any(fault.name in MAY_LOSE for fault in self._progress.faults)
        verdict = judge(sent, readers, log, may_lose=may_lose)
        for publisher in publishers:
            for trouble in publisher.trouble:
                verdict.blame("trouble", trouble)
        repeats = sum(publisher.repeats for publisher in publishers)
        unheard = sum(publisher.unheard for publisher in publishers)
        seconds, faults = time.monotonic() - began, self._progress.faults
        return Result(order, seconds, sent, readers, faults, verdict, repeats, unheard)

    def _tell(self, doing: str) -> None:
        self._progress.doing = doing
        self._show(self._progress)

    # The readers

    def _gather(self, world: World) -> subprocess.Popen[str]:
        """Start the crowd; return when everybody in it has a place in the log."""
        channels = [self._chance.sample(self._names, _EACH) for _ in range(self._order.clients)]
        book = str(self._folder / "receipts")
        plan = Plan(world.ports, channels, self._last, self._order.seed, book)
        crowd = self._crowd = subprocess.Popen(
            [sys.executable, "-m", "gevent.monkey", "--module", "tests.chaos.crowd"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # on a busy machine it gets its share, as the servers do
        )
        threading.Thread(target=self._listen, args=(crowd,), daemon=True).start()
        assert crowd.stdin is not None
        print(json.dumps(asdict(plan)), file=crowd.stdin, flush=True)
        assert self._ready.wait(_PATIENCE), "the crowd does not take its places"
        return crowd

    def _listen(self, crowd: subprocess.Popen[str]) -> None:
        """Hear how far the crowd is, until it ends."""
        assert crowd.stdout is not None
        with crowd.stdout as lines:
            for line in lines:
                if line == "ready\n":
                    self._ready.set()
                else:
                    self._progress.received, self._progress.waiting = json.loads(line)
                    self._show(self._progress)

    def _disperse(self, crowd: subprocess.Popen[str]) -> list[Reader]:
        """Wait until everybody has everything, or a while; return what they wrote down."""
        assert crowd.stdin is not None
        crowd.stdin.close()
        assert crowd.wait(_LAST) == 0
        return books.load(self._folder / "receipts")

    # The publishers, and the faults between them

    def _publish(self, world: World) -> list[Publisher]:
        """Publish everything while things break; return the publishers with their books."""
        pace, total = Pace(), self._order.messages
        publishers = [
            self._publisher(world, range(n, total, _PUBLISHERS), pace) for n in range(_PUBLISHERS)
        ]
        for publisher in publishers:
            publisher.start()
        with ThreadPoolExecutor(1) as beside:
            self._break_all(world, pace, beside)
        pace.allow(total)
        self._tell("publishing")
        for publisher in publishers:
            publisher.join()
        for server in world.servers:
            server.wait_for_workers()
        pace.allow(total + len(self._last))
        closing = self._publisher(world, list(self._last.values()), pace, gives_up=0.0)
        closing.run()
        self._progress.published = total
        self._tell("waiting for the readers")
        return [*publishers, closing]

    def _break_all(self, world: World, pace: Pace, beside: Executor) -> None:
        """Have the faults happen, evenly spread over the messages."""
        names, total = self._chosen(), self._order.messages
        steps = len(names) + 1
        slow: Future[None] | None = None
        for n, name in enumerate(names, 1):
            # Enough for the fault to happen in the midst of it, and not so much that it is over.
            pace.allow(total * (n + 1) // steps)
            self._tell("publishing")
            pace.reached(total * n // steps)
            self._tell(name)
            if name in BESIDE:
                if slow is not None:
                    slow.result()
                slow = beside.submit(self._break, world, name)
            else:
                self._break(world, name)
            self._progress.published = total * n // steps
        if slow is not None:
            slow.result()

    def _break(self, world: World, name: str) -> None:
        start, still = time.monotonic(), self._order.still * self._chance.uniform(0.2, 1.0)
        FAULTS[self._order.broker][name](world, still)
        self._progress.faults.append(Happened(name, start, time.monotonic()))

    def _publisher(
        self, world: World, numbers: Sequence[int], pace: Pace, **options: float
    ) -> Publisher:
        rate = self._order.rate / _PUBLISHERS
        chance = random.Random(self._chance.random())
        return Publisher(numbers, self._channels, world.ports, pace, rate, chance, **options)

    def _chosen(self) -> list[str]:
        """Return the names of the faults: each kind once, in any order, before any kind twice."""
        kinds, names = list(FAULTS[self._order.broker]), []
        while len(names) < self._order.faults:
            names += self._chance.sample(kinds, len(kinds))
        return names[: self._order.faults]

    def _read(self, world: World, channel: str) -> list[Got]:
        """Return what the log has of a channel up to its last message.

        What a publisher has given up may still land behind it; nobody waits for that.
        """
        log = world.log(channel)
        ends = [n for n, got in enumerate(log, 1) if got.number == self._last[channel]]
        return log[: ends[0]] if ends else log
