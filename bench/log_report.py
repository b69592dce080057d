"""The report's part about the logs.

What belongs here: which figures there are, and what they mean. What does not: how they were
measured (log_cases.py), the tables themselves (records.py).
"""

from __future__ import annotations

from log_cases import BATCHES, FILL, FILLED, IDLE, RATE, TOGETHER, WATCHED, WORKERS
from logs import LOGS, PROMISES, SQLITE, VALKEY
from records import Cases, Figure, Results, Value, figures

NAMES = {log.name for log in PROMISES}
_SIZES = (
    *((f"b{n}", "one at a time" if n == 1 else f"batches of {n:,}") for n in BATCHES),
    ("together", f"{TOGETHER} publishers at once"),
)
_PROMISED = [size for size in _SIZES if size[0] in ("b1", "together", "b100")]
_WHO = (("cpu", "the worker"), ("log_cpu", "the log's server"))


def _per_message(case: str, phase: str, who: str) -> Value:
    def value(cases: Cases) -> float:
        record = cases[case]
        return float(record[f"{phase}_{who}"] / record[f"{phase}_messages"] * 1e6)

    return value


def _rate(case: str, phase: str) -> Value:
    return lambda cases: float(cases[case][f"{phase}_messages"] / cases[case][f"{phase}_secs"])


def _field(case: str, name: str) -> Value:
    return lambda cases: float(cases[case][name])


def _idle(case: str, phase: str, who: str) -> Value:
    """Microseconds a second."""
    return lambda cases: float(cases[case][f"{phase}_{who}"] / cases[case][f"{phase}_wall"] * 1e6)


def _idle_each(who: str) -> Value:
    many, alone = _idle("log-idle", "many", who), _idle("log-idle", "alone", who)
    return lambda cases: (many(cases) - alone(cases)) / IDLE


def _channels(n: int) -> str:
    return f"{n:,} channel{'s' * (n > 1)}"


def _costs(case: str) -> list[Figure]:
    return [
        Figure(f"{title}: {name}", _per_message(case, phase, who), 1)
        for phase, title in _SIZES
        for who, name in _WHO
    ]


def _rates(case: str) -> list[Figure]:
    return [Figure(title, _rate(case, phase), 0) for phase, title in _SIZES]


_ACROSS = [
    *(
        Figure(f"publish → {what}, {p}, ms", _field("log-across", f"across_{name}_{p}_ms"))
        for name, what in (("delay", "received at the other"), ("ack", "its answer"))
        for p in ("p50", "p99")
    ),
    *(
        Figure(f"CPU µs a message: {name}", _per_message("log-across", "across", who), 1)
        for who, name in (
            ("cpu", "the publishing worker"),
            ("listening_cpu", "the listening worker"),
            ("log_cpu", "the log's server"),
        )
    ),
]
_CHANNELS = [
    Figure(f"{_channels(n)}: {name}", _per_message("log-channels", f"watch{n}", who), 1)
    for who, name in _WHO
    for n in WATCHED
]
_WORKERS = [
    Figure(f"{n} worker{'s' * (n > 1)}: {name}", _per_message("log-workers", f"workers{n}", who), 1)
    for who, name in (("cpu", "the workers together"), _WHO[1])
    for n in WORKERS
]
_MEMORY = [
    *(
        Figure(f"a message, {FILL:,} in {_channels(n)}", _field("log-memory", f"fill{n}_bytes"), 0)
        for n in FILLED
    ),
    Figure("a lease with 64 bytes to say", _field("log-memory", "lease_bytes"), 0),
    Figure("a publish in the last 20 s, for its key", _field("log-memory", "append_bytes"), 0),
]
_IDLE = [
    *(
        Figure(
            f"{_channels(n)}, nothing published: {name}", _idle("log-channels", f"idle{n}", who), 0
        )
        for who, name in _WHO
        for n in WATCHED
    ),
    *(
        Figure(f"each of {IDLE} workers with one channel: {name}", _idle_each(who), 0)
        for who, name in _WHO
    ),
]
_PROMISE_RATES = [Figure(title, _rate("log-promises", phase), 0) for phase, title in _PROMISED]
_PROMISE_COSTS = [
    Figure(f"{title}: {name}, µs", _per_message("log-promises", phase, who), 1)
    for phase, title in _PROMISED
    for who, name in _WHO
]


def render(results: Results) -> str:
    """Return the sections about the logs as Markdown."""

    def side_by_side(unit: str, rows: list[Figure]) -> str:
        return figures(results, unit, rows, [log.name for log in LOGS], [SQLITE.name])

    def promises(rows: list[Figure]) -> str:
        return figures(results, "", rows, [log.name for log in PROMISES], [])

    return f"""## The logs, side by side

{SQLITE.name}: a file on this machine's disk, `synchronous=normal`. {VALKEY.name}: a server of its
own on the load client's core, as if that were another machine, append-only file with `appendfsync
everysec`. Both survive the death of any process. A server's CPU has all of its threads in it.

### Appending: CPU µs a message
In a process as a worker is one (gevent, one greenlet, or {TOGETHER}), with no HTTP around it.

{side_by_side("µs", _costs("log-append"))}
### Appending: messages a second

{side_by_side("", _rates("log-append"))}
### Publishing over HTTP: CPU µs a message
One gunicorn worker, kept connections; a batch is one request.

{side_by_side("µs", _costs("log-publish"))}
### Publishing over HTTP: messages a second

{side_by_side("", _rates("log-publish"))}
### Across two instances
Two gunicorns with one worker each, both on one core; published at one, received by a WebSocket of
the other, one message at a time with up to 10 ms in between.

{side_by_side("", _ACROSS)}
### Many channels: CPU µs a message
A worker that watches so many channels; {RATE:.0f} messages a second, each in a channel at random.

{side_by_side("µs", _CHANNELS)}
### Many workers: CPU µs a message
So many workers that watch one channel; {RATE:.0f} messages a second.

{side_by_side("µs", _WORKERS)}
### Doing nothing: CPU µs a second

{side_by_side("µs a second", _IDLE)}
### What a promise costs
The same appends where a 2xx is to survive more, or less. Messages a second:

{promises(_PROMISE_RATES)}
CPU µs a message:

{promises(_PROMISE_COSTS)}
### Memory of {VALKEY.name}, bytes
`used_memory` after, less before, by message; 128 bytes of data in each.

{figures(results, "bytes", _MEMORY, [VALKEY.name], [])}"""
