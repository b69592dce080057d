"""What is measured: each case runs at one fresh server and returns one flat record.

What does not belong here: which server, how often, and what is made of the records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from measure import Record, cpu_seconds, memory_bytes, timed
from peers import PEERS, Peer
from processes import LoadClient, Server

#: Deliveries a second, over all subscribers. A long poll asks again for each, which is a request:
#: 5,000 of those are more than one core of any server here can answer, and measure its overload.
PACED_DELIVERIES = {"websocket": 5000, "sse": 5000, "longpoll": 1000}
PUBLISHERS = 4
PARTS = ("paced", "single", "burst", "busy")  # what a record's counts and CPU are of
POLLERS = 50


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long each part lasts."""

    paced: float
    busy: float


FULL = Seconds(paced=3.0, busy=2.5)
QUICK = Seconds(paced=1.0, busy=0.7)


def _timed(server: Server, load: LoadClient, command: str, seconds: float, **more: float) -> Record:
    """Run a command of the load client; add what it cost the server, and who else was busy."""
    return timed(
        {"cpu": server.pids(), "own_cpu": [load.pid]}, lambda: load.ask(command, seconds, **more)
    )


def _warm_up(server: Server, transport: str) -> None:
    """Let the server import, open and cache what its first subscribers and messages need."""
    with LoadClient(server, transport, 10) as load:
        load.connect(10)
        load.ask("closed", 2.0, window=1, count=20)


def _connect(server: Server, load: LoadClient, subscribers: int) -> Record:
    """Connect all and let them rest: what each costs, and how much memory it holds."""
    pids = server.pids()
    memory, cpu = memory_bytes(pids), cpu_seconds(pids)
    answer = load.connect(subscribers)
    load.ask("rest", 0.3)
    cpu = cpu_seconds(pids) - cpu
    load.ask("rest", 0.7)
    return {
        "connect_us": cpu / subscribers * 1e6,
        "connects_per_second": subscribers / answer["secs"],
        "bytes_each": (memory_bytes(pids) - memory) / subscribers,
    }


def _prefixed(prefix: str, record: Record) -> Record:
    return {f"{prefix}_{name}": value for name, value in record.items()}


def _deliver(server: Server, seconds: Seconds, transport: str, subscribers: int) -> Record:
    """One channel, everyone on it: at a pace, then as fast as the server can.

    "single" is the comparison with the C sender: while only one message is under way, each delivery
    is one send() at every server. In a "burst" a server may put several messages into one send(),
    which the C sender never does: it is no floor there.
    """
    pace = max(1.0, PACED_DELIVERIES[transport] / subscribers)
    _warm_up(server, transport)
    with LoadClient(server, transport, subscribers, publishers=PUBLISHERS) as load:
        connected = _connect(server, load, subscribers)
        load.ask("closed", 5.0, window=1, count=3)
        paced = _timed(server, load, "paced", seconds.paced, rate=pace)
        single = _timed(server, load, "closed", seconds.busy, window=1)
        burst = _timed(server, load, "closed", seconds.busy, window=PUBLISHERS)
    return (
        connected
        | _prefixed("paced", paced)
        | _prefixed("single", single)
        | _prefixed("burst", burst)
    )


def _publish(server: Server, seconds: Seconds, transport: str, subscribers: int) -> Record:
    """Publish with nobody there."""
    with LoadClient(server, transport, 0, publishers=PUBLISHERS) as load:
        load.ask("closed", 0.3, window=PUBLISHERS)
        single = _timed(server, load, "closed", seconds.busy, window=1)
        burst = _timed(server, load, "closed", seconds.busy, window=PUBLISHERS)
    return _prefixed("single", single) | _prefixed("burst", burst)


def _poll(server: Server, seconds: Seconds, transport: str, subscribers: int) -> Record:
    """Ask again and again, on kept connections, and get an empty answer."""
    with LoadClient(server, transport, subscribers) as load:
        load.connect(subscribers)
        load.ask("rest", 0.3)
        busy = _timed(server, load, "rest", seconds.busy)
    return _prefixed("busy", busy)


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure, at every peer that has the transport."""

    name: str
    transport: str
    subscribers: int
    measure: Callable[[Server, Seconds, str, int], Record]

    @property
    def peers(self) -> list[Peer]:
        return [peer for peer in PEERS if self.transport in peer.endpoints]

    def run(self, peer: Peer, seconds: Seconds) -> Record:
        """Start the peer, measure, end it.

        Raises:
            BenchError: it could not be measured.
        """
        with Server(peer) as server:
            return self.measure(server, seconds, self.transport, self.subscribers)


CASES = (
    Case("websocket-5000", "websocket", 5000, _deliver),
    Case("websocket-1000", "websocket", 1000, _deliver),
    Case("websocket-100", "websocket", 100, _deliver),
    Case("sse-1000", "sse", 1000, _deliver),
    Case("longpoll-1000", "longpoll", 1000, _deliver),
    Case("publish", "websocket", 0, _publish),
    Case("poll", "poll", POLLERS, _poll),
)
