"""From the records of one run to Markdown: medians, spread, ratios, targets, faults, noise.

What belongs here: how a figure is worked out of what was measured. Nothing is measured here.
Usage: python bench/report.py bench/results/RUN.jsonl > docs/benchmarks.md
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import log_report
from cases import PACED_DELIVERIES, PARTS, POLLERS
from peers import FLASK_SOCK, PEERS, PUSHAPP, SENDER, Peer
from records import Cases, Figure, Results, Value, cell, figures, table

KIB = 1024
QUIET = 0.1  # cores that others may use before the report says that the machine was not quiet


def _per_delivery(case: str, part: str) -> Value:
    return lambda cases: float(cases[case][f"{part}_cpu"] / cases[case][f"{part}_delivered"] * 1e6)


def _per_publish(part: str) -> Value:
    return lambda cases: float(
        cases["publish"][f"{part}_cpu"] / cases["publish"][f"{part}_confirmed"] * 1e6
    )


def _delivery_alone(case: str) -> Value:
    """Less the requests that published, each at what it costs with nobody there."""

    def value(cases: Cases) -> float:
        record = cases[case]
        requests = record["single_published"] * _per_publish("single")(cases)
        return float(_per_delivery(case, "single")(cases) - requests / record["single_delivered"])

    return value


def _field(case: str, name: str, unit: float = 1.0) -> Value:
    return lambda cases: float(cases[case][name] / unit)


def _per_answer(cases: Cases) -> float:
    return float(cases["poll"]["busy_cpu"] / cases["poll"]["busy_answers"] * 1e6)


SIZES = (100, 1000, 5000)
STREAMS = (
    *((f"WebSocket, {n:,} subscribers", f"websocket-{n}") for n in SIZES),
    ("SSE, 1,000 subscribers", "sse-1000"),
)
LONGPOLL = ("Long poll, 1,000 subscribers, asking again included", "longpoll-1000")
DELIVERY = tuple(
    Figure(title, _per_delivery(case, "single")) for title, case in (*STREAMS, LONGPOLL)
)
ALONE = tuple(Figure(title, _delivery_alone(case)) for title, case in STREAMS)
BURST = tuple(Figure(title, _per_delivery(case, "burst")) for title, case in STREAMS)
PACED = tuple(
    Figure(f"{label}, {unit}", value, digits)
    for label, case in (*STREAMS, LONGPOLL)
    for unit, value, digits in (
        ("CPU µs", _per_delivery(case, "paced"), 2),
        ("delay p50 ms", _field(case, "paced_p50_ms"), 1),
        ("delay p99 ms", _field(case, "paced_p99_ms"), 1),
    )
)
REQUESTS = (
    Figure("a publish with nobody there", _per_publish("single"), 1),
    Figure("the same, four at a time", _per_publish("burst"), 1),
    Figure("an empty poll", _per_answer, 1),
    Figure("a WebSocket's connect, of 5,000", _field("websocket-5000", "connect_us"), 1),
    Figure("an SSE stream's connect, of 1,000", _field("sse-1000", "connect_us"), 1),
)
MEMORY = (
    Figure("an idle WebSocket, of 5,000", _field("websocket-5000", "bytes_each", KIB)),
    Figure("an idle SSE stream, of 1,000", _field("sse-1000", "bytes_each", KIB)),
    Figure("a waiting long poll, of 1,000", _field("longpoll-1000", "bytes_each", KIB)),
)


def _figures(
    results: Results,
    unit: str,
    rows: Sequence[Figure],
    beside: Sequence[Peer] = (SENDER, FLASK_SOCK),
) -> str:
    return figures(results, unit, rows, [p.name for p in PEERS], [p.name for p in beside])


def _targets(results: Results) -> str:
    idle, _, waiting = MEMORY
    rows = []
    for title, limit, values, unit in (
        ("idle WebSocket, of 5,000", 2.0, results.values(PUSHAPP.name, idle.value), " KiB"),
        ("waiting long poll, of 1,000", 3.0, results.values(PUSHAPP.name, waiting.value), " KiB"),
        *(
            (f"CPU per delivery ÷ C sender's, {figure.title}", 1.3, ratios, " ×")
            for figure in DELIVERY[: len(SIZES)]
            for ratios in [results.ratios(PUSHAPP.name, SENDER.name, figure.value)]
        ),
    ):
        known = [value for value in values if value is not None]
        met = "–" if not known else "yes" if median(known) <= limit else "no"
        rows.append([title, f"at most {limit}{unit}", f"{cell(values, 2)}{unit}", met])
    return table(["pushapp", "target", "measured", "met"], rows)


def _faults(results: Results) -> str:
    def total(peer: str, *names: str) -> int:
        return sum(
            record.get(f"{part}_{name}", 0)
            for record in results.records
            if record["peer"] == peer
            for part in PARTS
            for name in names
        )

    rows = []
    for peer in PEERS:
        delivered = total(peer.name, "delivered")
        lost = total(peer.name, "expected") - delivered
        bad = total(peer.name, "refused", "bad_answers")
        counts = (delivered, lost, total(peer.name, "repeated"), bad, total(peer.name, "closed"))
        rows.append([peer.name, *(f"{count:,}" for count in counts)])
    return table(["", "delivered", "lost", "repeated", "refused", "connections lost"], rows)


def _noise(results: Results) -> str:
    def all_of(name: str) -> list[float]:
        found = [v for record in results.records for k, v in record.items() if k.endswith(name)]
        return found or [0.0]

    others, stolen = all_of("_others"), all_of("_stolen")
    disturbed = sum(cores > QUIET for cores in others)
    verdict = "quiet" if not disturbed else "NOT QUIET: others were at work on it"
    return (
        f"The machine was {verdict}. In {disturbed} of {len(others)} measured phases others used "
        f"more than {QUIET} cores (median {median(others):.2f}, at most {max(others):.2f}). Its "
        f"own host took away {median(stolen):.2f} cores (at most {max(stolen):.2f}).\n"
    )


def _servers(results: Results) -> str:
    return f"""## Targets

{_targets(results)}
## CPU per delivery

CPU microseconds of the server, all threads of all its processes, divided by deliveries. The next
message is published when everyone has the one before, so that each delivery is one `send()` at
every server. **Everything is in it**, the HTTP request that published the message too: shared by
few subscribers, it weighs more.

{_figures(results, "µs", DELIVERY)}
The same less the publish requests, each taken as what a publish costs with nobody there:

{_figures(results, "µs", ALONE)}
## CPU per delivery in a burst

Four publishers, up to four messages on their way to everyone. pushapp then puts several messages
into one `send()` where it can; the C sender never does, so it is **no floor here**, and a ratio
below 1 says that fewer system calls were made, not that Python is faster than C.

{_figures(results, "µs", BURST)}
## At a steady pace

As many messages a second as make {PACED_DELIVERIES["websocket"]:,} deliveries over all subscribers,
{PACED_DELIVERIES["longpoll"]:,} to long polls. The delay is from publishing to reading, on one
clock; all subscribers are served at once, so half of them wait for half of the others.

{_figures(results, "", PACED)}
## CPU of a request, µs

{POLLERS} pollers and the publishers keep their connections.

{_figures(results, "µs", REQUESTS)}
## Memory of a client that waits, KiB

Proportional set size of the server's processes, after less before, divided by clients, on a fresh
server that has had ten clients and twenty messages. Socket buffers are the kernel's and not in it.

{_figures(results, "KiB", MEMORY, beside=(FLASK_SOCK,))}
## What went wrong

{_faults(results)}
## How it is measured

- One core for the server, another for the load client, which is a C program of one thread that
  opens all subscribers and publishes over HTTP; 128 bytes a message, one channel. It never sleeps
  while measuring, so that no server pays for waking it.
- Every case starts a fresh server: one process that serves, no other settings than `bench/peers.py`
  shows. pushapp's log is an SQLite file on this machine's disk with its default settings.
- The kernel charges the receiving half of the loopback to whoever sends: the same for all.
- *C sender* (`bench/sender.c`) is no push server: one `send()` for each subscriber, no log, nothing
  kept, nothing recovered. It is the floor.
- *flask-sock* (`bench/flask_sock_peer.py`) is what one writes with flask-sock and gevent in an
  afternoon. It keeps messages in a list. The load client offers no compression; browsers do, and
  flask-sock then needs more CPU and memory than shown here.
"""


def render(results: Results) -> str:
    """Return the whole report as Markdown."""
    setting = "".join(f"- {name}: {text}\n" for name, text in results.head["setting"].items())
    failures = "".join(
        f"- **not measured**: {failure['case']}, {failure['peer']}, "
        f"repetition {failure['repetition']}: {failure['failure']}\n"
        for failure in results.failures
    )
    peers = {record["peer"] for record in results.records}
    cases = len({record["case"] for record in results.records})
    return f"""# Measured

`{results.head["command"]}`, {results.head["date"]}.
Cases: {cases}, in turns (case by case, peer after peer); repetitions: {results.repetitions}.
Each figure is the median of the repetitions (smallest–largest); a ratio is the median of each
repetition's own ratio.

{setting}{failures}
{_noise(results)}
{_servers(results) if peers & {p.name for p in PEERS} else ""}{
        log_report.render(results) if peers & log_report.NAMES else ""
    }"""


def main(arguments: list[str]) -> None:
    if len(arguments) != 1:
        sys.exit("usage: python bench/report.py bench/results/RUN.jsonl")
    print(render(Results(Path(arguments[0]).read_text().splitlines())), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
