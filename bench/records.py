"""The records of one run, and what every table of the report is made with.

What belongs here: values of each repetition, their median, spread and ratio. What does not: which
figures there are (report.py, log_report.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from measure import Record

Cases = dict[str, Record]  # by case: what one repetition measured at one peer
Value = Callable[[Cases], float]


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of a table."""

    title: str
    value: Value
    digits: int = 2


class Results:
    """The records of one run."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.head, *lines_of_it = map(json.loads, lines)
        records = [record for record in lines_of_it if "stopped" not in record]
        self.stopped: str = next((r["stopped"] for r in lines_of_it if "stopped" in r), "")
        self.failures = [record for record in records if "failure" in record]
        self.records = [record for record in records if "failure" not in record]
        self.peers = list(dict.fromkeys(record["peer"] for record in self.records))
        self._by_peer: dict[tuple[str, int], Cases] = {}
        for record in self.records:
            cases = self._by_peer.setdefault((record["peer"], record["repetition"]), {})
            cases[record["case"]] = record
        self.repetitions = 1 + max((record["repetition"] for record in records), default=0)

    def measured(self, peer: str, value: Value) -> bool:
        return any(found is not None for found in self.values(peer, value))

    def values(self, peer: str, value: Value) -> list[float | None]:
        """Return the figure of each repetition; None where it was not measured."""
        return [self._one(peer, n, value) for n in range(self.repetitions)]

    def _one(self, peer: str, repetition: int, value: Value) -> float | None:
        try:
            return value(self._by_peer[peer, repetition])
        except (KeyError, ZeroDivisionError):  # not measured, or nothing came
            return None

    def ratios(self, peer: str, other: str, value: Value) -> list[float | None]:
        """Return the ratio of each repetition: what slows the machine slows both."""
        pairs = zip(self.values(peer, value), self.values(other, value), strict=True)
        return [a / b if a is not None and b else None for a, b in pairs]


def cell(values: Sequence[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    text = f"{median(known):.{digits}f}"
    return text if len(known) == 1 else f"{text} ({min(known):.{digits}f}–{max(known):.{digits}f})"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---", *("--:" for _ in header[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def figures(
    results: Results, unit: str, rows: Sequence[Figure], peers: Sequence[str], beside: Sequence[str]
) -> str:
    """Return a table: a column for each peer, and the last one's ratio to each of `beside`. Rows
    that were not measured are left out."""
    own = peers[-1] if peers else ""
    lines = []
    for row in rows:
        if not any(results.measured(peer, row.value) for peer in peers):
            continue
        cells = [cell(results.values(peer, row.value), row.digits) for peer in peers]
        cells += [cell(results.ratios(own, other, row.value), 2) for other in beside]
        lines.append([row.title, *cells])
    if not lines:
        return "Not measured in this run.\n"
    return table([unit, *peers, *(f"{own} ÷ {other}" for other in beside)], lines)
