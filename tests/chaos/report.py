"""How a run is printed: a progress bar while it goes on, the ledger at its end.

What belongs here: words and columns. What does not: what is counted (``verdict``).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence

from .books import Got, Reader
from .run import Happened, Progress, Result
from .verdict import WRONG

_WIDTH = 30  # characters of the bar
_AFTER = 3.0  # seconds after a fault whose publishes still count as its own


class Bar:
    """Drawn anew at each step where somebody looks; else a line for whatever is done next."""

    def __init__(self) -> None:
        self._doing = ""

    def show(self, progress: Progress) -> None:
        expected = progress.order.messages * progress.order.clients // 10
        share = min(1.0, progress.received / max(1, expected))
        bar = ("#" * round(share * _WIDTH)).ljust(_WIDTH, ".")
        faults = f"{len(progress.faults)}/{progress.order.faults} faults"
        text = f"[{bar}] {progress.received:,} received, {faults}, {progress.doing}"
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        elif self._doing != progress.doing:
            print(text, file=sys.stderr, flush=True)
        self._doing = progress.doing


def ledger(result: Result) -> str:
    """Return the ledger as text."""
    order, verdict = result.order, result.verdict
    acknowledged = [entry for entry in result.sent if entry.id is not None]
    rows = [
        ("messages", len(result.sent)),
        ("  acknowledged", len(acknowledged)),
        ("  given up", len(result.sent) - len(acknowledged)),
        ("publishes repeated", result.repeats),
        ("readers", len(result.readers)),
        ("  turns that brought something", sum(len(r.turns) for r in result.readers)),
        ("  cut off or refused", sum(reader.cuts for reader in result.readers)),
        ("deliveries", verdict.deliveries),
        ("  told as lost", verdict.told),
        ("  again, after a new epoch", verdict.repeated),
        *((kind, verdict.wrong[kind]) for kind in WRONG),
    ]
    lines = [
        f"The ledger: {order.broker}, {order.clients} clients, {order.messages:,} messages,"
        f" {len(result.faults)} faults, seed {order.seed}, {result.seconds:.0f} s",
        "",
        *(f"  {name:<34}{count:>12,}" for name, count in rows),
        "",
        f"  {'publish to receive, seconds':<34}{'p50':>8}{'p99':>8}{'max':>8}{'dark':>8}",
        *_delays(result),
        "",
        *(f"  {example}" for example in verdict.examples),
        "balanced" if verdict.is_good else "NOT BALANCED",
    ]
    return "\n".join(lines)


def _delays(result: Result) -> Iterable[str]:
    """A line for the whole run and one for each fault: what was acknowledged in its time."""
    answered = {entry.number: entry.at for entry in result.sent if entry.id is not None}
    received = [
        (answered[got.number], max(0.0, got.at - answered[got.number]))
        for got in _received(result.readers)
        if got.number in answered
    ]
    times = sorted(answered.values())
    yield _row("all", [delay for _, delay in received], _dark(times))
    seen: Counter[str] = Counter()
    for fault in result.faults:
        seen[fault.name] += 1
        own = [delay for at, delay in received if fault.start <= at <= fault.end + _AFTER]
        yield _row(f"{fault.name} {seen[fault.name]}", own, _dark(times, fault))


def _received(readers: Iterable[Reader]) -> Iterable[Got]:
    for reader in readers:
        for turn in reader.turns:
            yield from (entry for entry in turn.entries if isinstance(entry, Got))


def _dark(times: Sequence[float], fault: Happened | None = None) -> float:
    """Return the longest time without an acknowledged publish (around a fault)."""
    gaps = [
        after - before
        for before, after in zip(times, times[1:], strict=False)
        if fault is None or (after >= fault.start and before <= fault.end + _AFTER)
    ]
    return max(gaps, default=0.0)


def _row(name: str, delays: list[float], dark: float) -> str:
    delays.sort()
    shares = [delays[int(share * (len(delays) - 1))] if delays else 0.0 for share in (0.5, 0.99, 1)]
    return f"  {name:<34}" + "".join(f"{seconds:>8.2f}" for seconds in (*shares, dark))


def write(text: str) -> None:
    """Print it below the bar."""
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    print(text, flush=True)
