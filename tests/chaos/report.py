"""How a run is printed: a progress bar while it goes on, the ledger at its end.

What belongs here: words and columns. What does not: what is counted (``verdict``).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

from .recovery import kinds, received, share
from .run import SHARE, Progress, Result
from .verdict import WRONG

_WIDTH = 30  # characters of the bar


class Bar:
    """Drawn anew at each step where somebody looks; else a line for whatever is done next."""

    def __init__(self) -> None:
        self._doing = ""

    def show(self, progress: Progress) -> None:
        expected = progress.order.messages * progress.order.clients * SHARE
        faults = f"{len(progress.faults)}/{progress.order.faults} faults"
        if sys.stderr.isatty() or self._doing != progress.doing:
            text = f"{progress.received:,} received, {faults}, {progress.doing}"
            show_bar(progress.received / max(1, expected), text)
        self._doing = progress.doing


def show_bar(part: float, text: str) -> None:
    """Draw how far it is, in place of what was drawn before where somebody looks."""
    bar = ("#" * round(min(1.0, part) * _WIDTH)).ljust(_WIDTH, ".")
    if sys.stderr.isatty():
        print(f"\r\x1b[K[{bar}] {text}", end="", file=sys.stderr, flush=True)
    else:
        print(f"{time.strftime('%X')} [{bar}] {text}", file=sys.stderr, flush=True)


def ledger(result: Result) -> str:
    """Return the ledger as text."""
    order, verdict = result.order, result.verdict
    acknowledged = [entry for entry in result.sent if entry.id is not None]
    rows = [
        ("messages", len(result.sent)),
        ("  acknowledged", len(acknowledged)),
        ("  given up", len(result.sent) - len(acknowledged)),
        ("publishes repeated", result.repeats),
        ("  for as long as may be, in vain", result.unheard),
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
        *_delays(result),
        "",
        *_faults(result),
        "",
        *(f"  {example}" for example in verdict.examples),
        "balanced" if verdict.is_good else "NOT BALANCED",
    ]
    return "\n".join(lines)


def _delays(result: Result) -> Iterable[str]:
    answered = {entry.number: entry.at for entry in result.sent if entry.id is not None}
    delays = [
        max(0.0, got.at - answered[got.number])
        for reader in result.readers
        for got in received(reader)
        if got.number in answered
    ]
    yield f"  {'seconds':<34}{'p50':>8}{'p99':>8}{'max':>8}"
    yield f"  {'acknowledged to received':<34}" + _shares(delays)


def _faults(result: Result) -> Iterable[str]:
    """A line for each kind of fault."""
    yield (
        f"  {'':<34}{'':>6}{'lasted':>8}{'deliveries':>12}{'late':>8}"
        f"{'recovered after':>24}{'no publish':>16}"
    )
    yield (
        f"  {'fault, seconds':<34}{'times':>6}{'p50':>8}{'in its time':>12}{'readers':>8}"
        f"{'p50':>8}{'p99':>8}{'max':>8}{'p50':>8}{'max':>8}"
    )
    for name, kind in sorted(kinds(result.faults, result.sent, result.readers).items()):
        yield (
            f"  {name:<34}{kind.times:>6}{share(kind.lasted, 0.5):>8.1f}{kind.deliveries:>12,}"
            f"{len(kind.recovered):>8}{_shares(kind.recovered)}"
            f"{share(kind.dark, 0.5):>8.1f}{share(kind.dark, 1):>8.1f}"
        )


def _shares(values: list[float]) -> str:
    values.sort()
    return "".join(f"{share(values, part):>8.2f}" for part in (0.5, 0.99, 1))


def write(text: str) -> None:
    """Print it below the bar."""
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    print(text, flush=True)
