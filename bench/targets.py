"""What is asked of pushapp, and whether it is met: ratios within one run, and a few absolutes.

What belongs here: the limits, and the note on what bounds a target that is missed (notes/KEY.md:
a sentence, and a profile by bench/profiled.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import server_report as figures
from peers import BENCH, CENTRIFUGO, FLASK_SOCK, NCHAN, PUSHAPP, SENDER
from records import Results, Value, cell, table
from variants import BARE, HEARTBEAT, WHOLE

NOTES = BENCH / "notes"


@dataclass(frozen=True, slots=True)
class Target:
    """A figure of one peer, or its ratio to that of another, and what it may be at most."""

    key: str
    title: str
    value: Value
    limit: float
    unit: str = "×"
    beside: str = ""  # the other peer; "": an absolute
    peer: str = PUSHAPP.name

    def measured(self, results: Results) -> list[float]:
        if self.beside:
            found = results.ratios(self.peer, self.beside, self.value)
        else:
            found = results.values(self.peer, self.value)
        return [value for value in found if value is not None]


def _saturated() -> Iterator[Target]:
    for n, figure in zip(figures.SIZES, figures.BURST, strict=False):
        for other, limit in ((SENDER, 1.1), (NCHAN, 1.0), (CENTRIFUGO, 1.0)):
            title = f"delivery, saturated, {figure.title} ÷ {other.name}"
            yield Target(f"saturated-{n}", title, figure.value, limit, beside=other.name)


def _rest() -> Iterator[Target]:
    def ratio(key: str, title: str, value: Value, limit: float, other: str) -> Target:
        return Target(key, f"{title} ÷ {other}", value, limit, beside=other)

    paced, p99 = "websocket-1000", figures.field("websocket-1000", "paced_p99_ms")
    cpu = figures.per_delivery(paced, "paced")
    yield ratio("paced", "delivery, paced, 1,000 subscribers", cpu, 1.3, SENDER.name)
    yield ratio("paced-p99", "its delay p99", p99, 1.0, NCHAN.name)
    yield ratio("sse", "delivery, saturated, SSE", figures.BURST[-1].value, 1.0, NCHAN.name)
    yield ratio("longpoll", "long-poll cycle", figures.SINGLE[-1].value, 1.5, NCHAN.name)
    yield ratio("poll", "empty poll", figures.EMPTY_POLL.value, 2.5, NCHAN.name)
    # The absolutes were set on another machine, where flask-sock's were 189 and 548 µs.
    for key, figure, limit, theirs in (
        ("to-one", figures.TO_ONE, 40.0, 189.0),
        ("connect", figures.CONNECT, 250.0, 548.0),
    ):
        yield Target(key, figure.title, figure.value, limit, "µs")
        yield ratio(key, figure.title, figure.value, round(limit / theirs, 2), FLASK_SOCK.name)
    for key, figure in zip(("idle", "idle-sse", "idle-longpoll"), figures.MEMORY, strict=True):
        yield Target(key, figure.title, figure.value, 2.0, "KiB")
    for asked in ("poll", "publish"):
        slowest = figures.field("held-up", f"served_{asked}_p99_ms")
        title = f"a {asked} beside a fan-out to 10,000, p99"
        yield Target("held-up", title, slowest, 20.0, "ms")
    beats = figures.heartbeats_share
    title = "heartbeats of 10,000 clients, of a core"
    yield Target("heartbeats", title, beats, 2.0, "%", peer=HEARTBEAT.name)
    for title, figure in (
        ("an idle client's memory", figures.FEATURES[1]),
        ("a delivery", figures.FEATURES[-2]),
    ):
        title = f"{title}, with tokens, presence and metrics ÷ without"
        yield Target("features", title, figure.value, 1.1, beside=BARE.name, peer=WHOLE.name)


TARGETS = (*_saturated(), *_rest())


def _note(key: str, titles: list[str]) -> str:
    path = NOTES / f"{key}.md"
    text = path.read_text().strip() if path.exists() else "What bounds it is not known yet."
    return f"**{'; '.join(titles)}.** {text}\n"


def render(results: Results) -> str:
    """Return the table of the targets as Markdown, and what bounds those that are missed."""
    rows, missed = [], dict[str, list[str]]()
    for target in TARGETS:
        found = target.measured(results)
        if not found:
            continue
        met = median(found) <= target.limit
        if not met:
            missed.setdefault(target.key, []).append(target.title)
        limit = f"{target.limit:g} {target.unit}"
        rows.append([target.title, limit, f"{cell(found, 2)} {target.unit}", "no yes".split()[met]])
    notes = "\n".join(_note(key, titles) for key, titles in missed.items())
    return f"""## Targets

{table([PUSHAPP.name, "at most", "measured", "met"], rows)}
{notes}"""
