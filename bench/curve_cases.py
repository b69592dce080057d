"""What is measured for the curves: one case runs over all its points, one flat record.

What belongs here: how a cost changes with a size. What does not: costs at one size (cases.py), and
what is drawn (curves.py).
"""

from __future__ import annotations

from cases import PUBLISHERS, Case, Seconds, measured, warm_up
from logs import http_client
from measure import Record
from peers import CHANNEL, NCHAN, PUSHAPP, SENDER
from processes import LoadClient, Server, connections_allowed
from variants import KEEPING, WORKERS

CHANNELS = (1, 10, 100, 1000, 10_000, 100_000)
SOCKETS = 1000  # at most, that all these channels are spread over
KEPT = (0, 1000, 10_000, 100_000)  # messages
BATCH = 1000
IDLE = (0, 1000, 10_000)  # clients
LISTENING = 100  # beside them
RATES = (1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)  # deliveries a second
BROUGHT = 3.0  # seconds after which the log has been told of all who came: no cost of being idle
CROWD = 1000  # WebSockets
TOO_LATE = 1000.0  # ms; more load than that makes no point


def _closed(server: Server, load: LoadClient, seconds: Seconds, point: str) -> Record:
    load.ask("closed", 5.0, window=1, count=20)
    return measured(point, server, load, "closed", seconds.busy, window=PUBLISHERS)


def _channels(server: Server, seconds: Seconds, transport: str, subscribers: int) -> Record:
    """Messages to one subscriber each, with so many channels that somebody listens to."""
    record: Record = {}
    warm_up(server, transport)
    for count in CHANNELS:
        sockets = min(count, subscribers)
        with LoadClient(server, transport, sockets, channels=count, channel="public:") as load:
            load.connect(sockets)
            record |= _closed(server, load, seconds, f"channels{count}")
    return record


def _kept(server: Server, seconds: Seconds, transport: str, subscribers: int) -> Record:
    """Messages to some subscribers, with so many messages kept in the channel."""
    record: Record = {}
    there = 0
    warm_up(server, transport)
    for count in KEPT:
        if count > there:
            with http_client() as client:
                client.ask(
                    "fill",
                    60.0,
                    port=server.port,
                    channel=f"{CHANNEL}0",
                    count=count - there,
                    batch=BATCH,
                )
            there = count
        with LoadClient(server, transport, subscribers) as load:
            load.connect(subscribers)
            record |= _closed(server, load, seconds, f"kept{count}")
    return record


def _idle(server: Server, seconds: Seconds, transport: str, subscribers: int) -> Record:
    """Messages to some subscribers, with so many others that listen to something else."""
    record: Record = {}
    warm_up(server, transport)
    for count in IDLE:
        if count > connections_allowed():
            break
        with (
            LoadClient(server, transport, count, channel="public:idle") as idle,
            LoadClient(server, transport, subscribers) as load,
        ):
            idle.connect(count)
            load.connect(subscribers)
            load.ask("rest", BROUGHT)
            record |= _closed(server, load, seconds, f"idle{count}")
    return record


def _load(server: Server, seconds: Seconds, transport: str, subscribers: int) -> Record:
    """Deliver at a pace that grows until the server cannot keep up."""
    record: Record = {}
    warm_up(server, transport)
    with LoadClient(server, transport, subscribers) as load:
        load.connect(subscribers)
        for rate in RATES:
            part, pace = f"rate{rate}", rate / subscribers
            found = measured(part, server, load, "paced", seconds.paced / 2, rate=pace, drain=3)
            late = found[f"{part}_p99_ms"] > TOO_LATE
            if late or found[f"{part}_delivered"] < found[f"{part}_expected"]:
                break
            record |= found
    return record


def _workers(server: Server, seconds: Seconds, transport: str, subscribers: int) -> Record:
    """Deliver as fast as all the server's workers can: with one message under way, of which nothing
    can be put together, and with some."""
    warm_up(server, transport)
    with LoadClient(server, transport, subscribers) as load:
        load.connect(subscribers)
        load.ask("closed", 5.0, window=1, count=20)
        count, record = server.peer.environment["WEB_CONCURRENCY"], Record()
        for part, window in (("workers", 1), ("burst", PUBLISHERS)):
            record |= measured(
                f"{part}{count}", server, load, "closed", seconds.busy, window=window
            )
        return record


CURVE_CASES = (
    Case("curve-channels", "websocket", SOCKETS, _channels, (PUSHAPP,)),
    Case("curve-kept", "websocket", LISTENING, _kept, (KEEPING,)),
    Case("curve-idle", "websocket", LISTENING, _idle, (PUSHAPP, NCHAN)),
    Case("curve-load", "websocket", 1000, _load, (SENDER, NCHAN, PUSHAPP)),
    Case("curve-workers", "websocket", CROWD, _workers, WORKERS, everywhere=True),
)
