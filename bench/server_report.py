"""The report's tables about the servers: which figures there are, and what they mean.

What belongs here: how a figure is worked out of what was measured. What does not: what is asked of
them (targets.py), the curves (curves.py), the tables themselves (records.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from cases import AT_ONCE, MISSED, PACED_DELIVERIES, POLLERS
from peers import FLASK_SOCK, NCHAN, PEERS, PUSHAPP, SENDER, Peer
from records import Cases, Figure, Results, Value, cell, figures, table
from variants import BARE, HEARTBEAT, PERIOD, RESUMING, VARIANTS, WAYS, WHOLE

KIB = 1024
DEFAULT_PERIOD = 25.0  # seconds between two heartbeats


def per(case: str, part: str, what: str) -> Value:
    """Microseconds of CPU by what was counted."""
    return lambda cases: float(cases[case][f"{part}_cpu"] / cases[case][f"{part}_{what}"] * 1e6)


def per_delivery(case: str, part: str) -> Value:
    return per(case, part, "delivered")


def field(case: str, name: str, unit: float = 1.0) -> Value:
    return lambda cases: float(cases[case][name] / unit)


def _delivery_alone(case: str) -> Value:
    """Less the requests that published, each at what it costs with nobody there."""

    def value(cases: Cases) -> float:
        record = cases[case]
        requests = record["single_published"] * per("publish", "single", "confirmed")(cases)
        return float(per_delivery(case, "single")(cases) - requests / record["single_delivered"])

    return value


def heartbeats_share(cases: Cases) -> float:
    """Percent of a core, for clients that are shown life as often as is usual."""
    record = cases["heartbeats"]
    share = record["beats_cpu"] / record["beats_wall"] * PERIOD / DEFAULT_PERIOD
    return float(share * 10_000 / record["clients"] * 100)


SIZES = (100, 1000, 5000)
STREAMS = (
    *((f"WebSocket, {n:,} subscribers", f"websocket-{n}") for n in SIZES),
    ("SSE, 1,000 subscribers", "sse-1000"),
)
LONGPOLL = ("Long poll, 1,000 subscribers, asking again included", "longpoll-1000")
BURST = tuple(Figure(title, per_delivery(case, "burst")) for title, case in STREAMS)
SINGLE = tuple(Figure(title, per_delivery(case, "single")) for title, case in (*STREAMS, LONGPOLL))
ALONE = tuple(Figure(title, _delivery_alone(case)) for title, case in STREAMS)
PACED = tuple(
    Figure(f"{label}, {unit}", value, digits)
    for label, case in (*STREAMS, LONGPOLL)
    for unit, value, digits in (
        ("CPU µs", per_delivery(case, "paced"), 2),
        ("delay p50 ms", field(case, "paced_p50_ms"), 1),
        ("delay p99 ms", field(case, "paced_p99_ms"), 1),
    )
)
TO_ONE = Figure("publish and deliver to one of 1,000", per_delivery("one-of-1000", "single"), 1)
EMPTY_POLL = Figure("an empty poll", per("poll", "busy", "answers"), 1)
CONNECT = Figure("a WebSocket's connect, of 5,000", field("websocket-5000", "connect_us"), 1)
REQUESTS = (
    TO_ONE,
    Figure("the same, four at a time", per_delivery("one-of-1000", "burst"), 1),
    Figure("a publish with nobody there", per("publish", "single", "confirmed"), 1),
    Figure("the same, four at a time", per("publish", "burst", "confirmed"), 1),
    EMPTY_POLL,
    CONNECT,
    Figure("an SSE stream's connect, of 1,000", field("sse-1000", "connect_us"), 1),
)
MEMORY = (
    Figure("an idle WebSocket, of 5,000", field("websocket-5000", "bytes_each", KIB)),
    Figure("an idle SSE stream, of 1,000", field("sse-1000", "bytes_each", KIB)),
    Figure("a waiting long poll, of 1,000", field("longpoll-1000", "bytes_each", KIB)),
)
STORM = (
    Figure("CPU of a client that comes back, µs", per("storm", "storm", "live"), 1),
    Figure("until all are live and have everything, s", field("storm", "storm_secs"), 2),
)
FEATURES = (
    Figure("connect, µs", field("features", "connect_us"), 1),
    Figure("memory of an idle client, KiB", field("features", "bytes_each", KIB), 2),
    Figure(
        "an idle client's CPU, µs a second",
        lambda cases: float(
            cases["features"]["idle_cpu"] / cases["features"]["idle_wall"] / 1000 * 1e6
        ),
        2,
    ),
    Figure("delivery, one message under way, µs", per_delivery("features", "single"), 2),
    Figure("delivery, four under way, µs", per_delivery("features", "burst"), 2),
)


def side_by_side(
    results: Results,
    unit: str,
    rows: Sequence[Figure],
    beside: Sequence[Peer] = (SENDER, NCHAN, FLASK_SOCK),
) -> str:
    """Return a table of the peers that took part."""
    there = [peer.name for peer in PEERS if peer.name in results.peers]
    return figures(results, unit, rows, there, [peer.name for peer in beside if peer.name in there])


def _own(results: Results) -> str:
    """Return what has no other server beside it."""
    rows = [
        [
            "heartbeats of 10,000 clients, % of a core",
            cell(results.values(HEARTBEAT.name, heartbeats_share), 2),
        ],
        *([row.title, cell(results.values(RESUMING.name, row.value), row.digits)] for row in STORM),
    ]
    return table(["", PUSHAPP.name], rows)


def _held_up(results: Results) -> str:
    """Return how long polls and publishes take beside a fan-out."""

    def row(part: str, asked: str) -> list[str]:
        names = (f"{part}_{asked}_{what}_ms" for what in ("p50", "p99", "max"))
        return [cell(results.values(PUSHAPP.name, field("held-up", name)), 1) for name in names]

    rows = [
        [f"{title}, {when}", *row(part, asked)]
        for asked, title in (("poll", "a poll"), ("publish", "a publish"))
        for part, when in (("resting", "nobody is served"), ("served", "10,000 are"))
    ]
    return table(["", "p50 ms", "p99 ms", "max ms"], rows)


def _lane(results: Results) -> str:
    def hits(kind: str) -> Value:
        return lambda cases: float(cases["lane"][f"{kind}_lane"] / cases["lane"][f"{kind}_asked"])

    rows = [
        Figure(f"{title}: {what}", value, digits)
        for kind, title in (("poll", "empty polls"), ("longpoll", "long polls"))
        for what, value, digits in (
            ("share on the express lane", hits(kind), 3),
            ("CPU of one, µs", per("lane", kind, "answers"), 1),
        )
    ]
    return figures(results, "", rows, [peer.name for peer in WAYS], [])


def _features(results: Results) -> str:
    names = [peer.name for peer in VARIANTS if peer.name in results.peers]
    lines = []
    for row in FEATURES:
        cells = [cell(results.values(name, row.value), row.digits) for name in names]
        ratio = cell(results.ratios(WHOLE.name, BARE.name, row.value), 2)
        lines.append([row.title, *cells, ratio])
    short = [name.partition(", ")[2] for name in names]
    return table(["", *short, "with all ÷ with none"], lines)


def render(results: Results) -> str:
    """Return the sections about the servers as Markdown."""
    return f"""## Delivery, saturated

CPU microseconds of the server, all threads of all its processes, divided by deliveries;
**everything is in it**, the HTTP request that published the message too. Four connections publish,
up to four messages are on their way to everyone. A server may put several messages into one
`send()`, which the C sender never does: a ratio below 1 says that fewer system calls were made.

{side_by_side(results, "µs", BURST)}
## Delivery, one message at a time

The next message is published when everyone has the one before, so that each delivery is one
`send()` at every server, and the publish request weighs more, the fewer subscribers share it. For
a long poll this is the whole cycle: answered, asked again, waiting.

{side_by_side(results, "µs", SINGLE)}
The same less the publish requests, each taken as what a publish costs with nobody there:

{side_by_side(results, "µs", ALONE)}
## At a steady pace

As many messages a second as make {PACED_DELIVERIES["websocket"]:,} deliveries over all subscribers,
{PACED_DELIVERIES["longpoll"]:,} to long polls. The delay is from publishing to reading, on one
clock; all subscribers are served at once, so half of them wait for half of the others.

{side_by_side(results, "", PACED)}
## CPU of a request, µs

{POLLERS} pollers and the publishers keep their connections. An empty poll is nginx's static answer
in {NCHAN.name}'s column, and a fixed answer in those of {SENDER.name} and the Socket.IO servers.

{side_by_side(results, "µs", REQUESTS)}
## Memory of a client that waits, KiB

Proportional set size of the server's processes, after less before, divided by clients, on a fresh
server that has had ten clients and twenty messages. Socket buffers are the kernel's and not in it.

{side_by_side(results, "KiB", MEMORY, beside=(NCHAN, FLASK_SOCK))}
## Waiting, and coming back

Heartbeats are measured {PERIOD} s apart and shown for {DEFAULT_PERIOD:.0f} s. A storm: 5,000
WebSockets, each with a token of its own, were cut off, {MISSED} messages were published, and all
come back with their cursors, {AT_ONCE:,} at a time.

{_own(results)}
## Beside a fan-out

10,000 WebSockets are served one message after the other, as fast as it goes, while somebody polls
and publishes in turns, in another channel, on kept connections. Without a break a fan-out would
hold them up for all of its time. Who asks is a Python program that shares a core with the load
client, which never sleeps: what that costs shows where nobody is served.

{_held_up(results)}
## The express lane

{POLLERS} clients ask again and again on kept connections, as pushapp counts it in its `/metrics`:
directly, through nginx with kept upstream connections and a request id, and with the headers that
Heroku's router adds, two of which are new with each request. They repeat the id of their
connection, as push.js does; the pollers of the other tables do not, and get a new one each time.

{_lane(results)}
## What a feature costs

1,000 WebSockets, each with a token of its own. Taken out one by one, and all three: tokens (the
channel is public then), presence (who is there is brought to all workers, and renewed every 5 s)
and metrics (`bench/without.py`). Limits are counted in all columns.

{_features(results)}"""
