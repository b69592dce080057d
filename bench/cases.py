"""What is measured: each case runs at one fresh server and returns one flat record.

What belongs here: one thing at one size, for the tables. What does not: the curves
(curve_cases.py), which server, how often, and what is made of the records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import psutil
from logs import http_client
from measure import Record, answers, cpu_seconds, memory_bytes, timed
from peers import PEERS, PUSHAPP, Peer
from processes import BenchError, LoadClient, Server, connections_allowed
from variants import BEHIND_NGINX, HEARTBEAT, NGINX, PERIOD, RESUMING, VARIANTS, WAYS, tokens

#: Deliveries a second, over all subscribers. A long poll asks again for each, which is a request:
#: 5,000 of those are more than one core of most servers here can answer, and measure its overload.
PACED_DELIVERIES = {"websocket": 5000, "sse": 5000, "longpoll": 1000}
PUBLISHERS = 4
POLLERS = 50
MISSED = 10  # messages that were published while everybody was away
SETTLED = 10  # polls
COUNTED = 1.2  # seconds after which what pushapp counts is in its /metrics
IDLE = 5.0  # seconds in which nothing is published: presence is renewed once
AT_ONCE = 1000  # connects under way in a storm


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long each part lasts."""

    paced: float
    busy: float


FULL = Seconds(paced=1.6, busy=0.6)
QUICK = Seconds(paced=0.8, busy=0.3)


def measured(
    part: str, server: Server, load: LoadClient, command: str, seconds: float, **more: float
) -> Record:
    """Run a command of the load client; add what it cost the server, and who else was busy. The
    part's name stands before each of the record's."""
    with server.watched(part):
        record = timed(
            {"cpu": server.pids(), "own_cpu": [load.pid]},
            lambda: load.ask(command, seconds, **more),
        )
    return {f"{part}_{name}": value for name, value in record.items()}


def warm_up(server: Server, transport: str) -> None:
    """Let the server import, open and cache what its first subscribers and messages need."""
    with LoadClient(server, transport, 10) as load:
        load.connect(10)
        load.ask("rest", 0.1)  # a first long poll may have to arrive
        load.ask("closed", 2.0, window=1, count=20)


def settle(load: LoadClient, pollers: int) -> None:
    """Let each poller have asked some times: the first times may take another way."""
    asked = 0
    while asked < SETTLED * pollers:
        asked += load.ask("rest", 0.1)["answers"]


def _connect(server: Server, load: LoadClient, subscribers: int) -> Record:
    """Connect all and let them rest: what each costs, and how much memory it holds."""
    pids = server.pids()
    memory, cpu = memory_bytes(pids), cpu_seconds(pids)
    with server.watched("connect"):
        answer = load.connect(subscribers)
        load.ask("rest", 0.3)
    cpu = cpu_seconds(pids) - cpu
    load.ask("rest", 0.3)
    return {
        "connect_us": cpu / subscribers * 1e6,
        "connects_per_second": subscribers / answer["secs"],
        "bytes_each": (memory_bytes(pids) - memory) / subscribers,
    }


def _saturated(server: Server, load: LoadClient, seconds: float) -> Record:
    """Publish as fast as the server can deliver, with one message under way, then with four.

    While only one is, each delivery is one send() at every server. Of several ("burst") a server
    may put some into one send(), which the C sender never does.
    """
    single = measured("single", server, load, "closed", seconds, window=1)
    return single | measured("burst", server, load, "closed", seconds, window=PUBLISHERS)


def _deliver(server: Server, seconds: Seconds, transport: str, subscribers: int) -> Record:
    """One channel, everyone on it: at a pace, then as fast as the server can."""
    pace = max(1.0, PACED_DELIVERIES[transport] / subscribers)
    warm_up(server, transport)
    with LoadClient(server, transport, subscribers, publishers=PUBLISHERS) as load:
        connected = _connect(server, load, subscribers)
        load.ask("closed", 5.0, window=1, count=3)
        paced = measured("paced", server, load, "paced", seconds.paced, rate=pace)
        return connected | paced | _saturated(server, load, seconds.busy)


def _deliver_to_one(server: Server, seconds: Seconds, transport: str, subscribers: int) -> Record:
    """As many channels as subscribers, each message to one of them."""
    warm_up(server, transport)
    with LoadClient(
        server, transport, subscribers, publishers=PUBLISHERS, channels=subscribers
    ) as load:
        load.connect(subscribers)
        load.ask("closed", 0.3, window=1)
        return _saturated(server, load, seconds.busy)


def _publish(server: Server, seconds: Seconds, transport: str, subscribers: int) -> Record:
    """Publish with nobody there."""
    with LoadClient(server, transport, 0, publishers=PUBLISHERS) as load:
        load.ask("closed", 0.3, window=PUBLISHERS)
        return _saturated(server, load, seconds.busy)


def _poll(server: Server, seconds: Seconds, transport: str, subscribers: int) -> Record:
    """Ask again and again, on kept connections, and get an empty answer."""
    with LoadClient(server, transport, subscribers) as load:
        load.connect(subscribers)
        settle(load, subscribers)
        return measured("busy", server, load, "rest", seconds.busy)


def _heartbeats(server: Server, seconds: Seconds, transport: str, subscribers: int) -> Record:
    """Do nothing but show signs of life, for one heartbeat."""
    subscribers = min(subscribers, connections_allowed())
    with LoadClient(server, transport, subscribers) as load:
        load.connect(subscribers)
        load.ask("rest", 1.0)
        beats = measured("beats", server, load, "rest", PERIOD)
    return beats | {"clients": subscribers}


def _storm(server: Server, seconds: Seconds, transport: str, subscribers: int) -> Record:
    """Everybody comes back at once, with a token and a cursor, and has missed something."""
    path = tokens(subscribers, server.scratch)
    with LoadClient(server, transport, subscribers, tokens=path) as load:
        load.connect(subscribers)
        load.ask("leave")
        load.ask("rest", 1.0)
        load.ask("miss", count=MISSED, limit=10)
        back = measured("storm", server, load, "return", 0.0, at_once=AT_ONCE, limit=60)
    return back | {"clients": subscribers}


def _lane(server: Server, seconds: Seconds, transport: str, subscribers: int) -> Record:
    """Ask again on kept connections: polls that are empty, long polls that are answered."""
    record: Record = {}
    behind = server.peer == BEHIND_NGINX
    with Server(NGINX, upstream=server.port) if behind else nullcontext(server) as front:
        for kind, command, more in (("poll", "rest", {}), ("longpoll", "closed", {"window": 1})):
            with LoadClient(front, kind, subscribers) as load:
                load.connect(subscribers)
                if kind == "poll":
                    settle(load, subscribers)
                before = answers(server.port)
                record |= measured(kind, server, load, command, seconds.busy, **more)
                load.ask("rest", COUNTED)
                after = answers(server.port)
            record[f"{kind}_asked"], record[f"{kind}_lane"] = (
                b - a for a, b in zip(before, after, strict=True)
            )
    return record


def _feature(server: Server, seconds: Seconds, transport: str, subscribers: int) -> Record:
    """What one more feature costs a client that connects, that is idle, and a delivery."""
    path = tokens(subscribers, server.scratch)
    with LoadClient(server, transport, 10, tokens=path) as load:
        load.connect(10)
        load.ask("closed", 2.0, window=1, count=20)
    with LoadClient(server, transport, subscribers, tokens=path) as load:
        connected = _connect(server, load, subscribers)
        idle = measured("idle", server, load, "rest", IDLE)
        return connected | idle | _saturated(server, load, seconds.busy)


def _held_up(server: Server, seconds: Seconds, transport: str, subscribers: int) -> Record:
    """Poll and publish while a crowd is served again and again; and before, while it rests.

    The load client never sleeps, and the one that asks shares its core: what that costs is in
    both.
    """
    subscribers = min(subscribers, connections_allowed())
    warm_up(server, transport)
    with LoadClient(server, transport, subscribers) as load, http_client() as client:
        load.connect(subscribers)
        load.ask("rest", 1.0)
        record: Record = {"clients": subscribers}
        lasts = 3 * seconds.paced
        for part, command, more in (("resting", "rest", {}), ("served", "closed", {"window": 1})):
            with ThreadPoolExecutor(1) as beside:
                asked = beside.submit(client.ask, "beside", lasts - 0.5, port=server.port)
                record |= measured(part, server, load, command, lasts, **more)
                found = asked.result()
            record |= {f"{part}_{name}": value for name, value in found.items()}
        return record


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure, at every peer that has the transport."""

    name: str
    transport: str
    subscribers: int
    measure: Callable[[Server, Seconds, str, int], Record]
    among: Sequence[Peer] = PEERS
    everywhere: bool = False  # the server may use every core

    @property
    def peers(self) -> list[Peer]:
        return [peer for peer in self.among if self.transport in peer.endpoints]

    def run(self, peer: Peer, seconds: Seconds, started: type[Server] = Server) -> Record:
        """Start the peer, measure, end it.

        Raises:
            BenchError: it could not be measured.
        """
        with started(peer, everywhere=self.everywhere) as server:
            try:
                return self.measure(server, seconds, self.transport, self.subscribers)
            except (OSError, psutil.Error) as error:  # its files in /proc are gone, for one
                raise BenchError(f"{peer.name} fails: {error!r}; {server.log()}") from error


CASES = (
    Case("websocket-5000", "websocket", 5000, _deliver),
    Case("websocket-1000", "websocket", 1000, _deliver),
    Case("websocket-100", "websocket", 100, _deliver),
    Case("sse-1000", "sse", 1000, _deliver),
    Case("longpoll-1000", "longpoll", 1000, _deliver),
    Case("one-of-1000", "websocket", 1000, _deliver_to_one),
    Case("publish", "websocket", 0, _publish),
    Case("poll", "poll", POLLERS, _poll),
    Case("heartbeats", "websocket", 10_000, _heartbeats, (HEARTBEAT,)),
    Case("storm", "websocket", 5000, _storm, (RESUMING,)),
    Case("held-up", "websocket", 10_000, _held_up, (PUSHAPP,)),
    Case("lane", "poll", POLLERS, _lane, WAYS),
    Case("features", "websocket", 1000, _feature, VARIANTS),
)
