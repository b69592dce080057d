"""How soon all is well again after a fault: from what is in the books.

What belongs here: figures for each kind of fault. What does not: how they are printed (``report``).

A reader is *late* where a message comes more than two seconds after it was acknowledged (a poller
asks once a second, and hopping takes its time). It has recovered when the last of the late
messages that were acknowledged in the time of the fault has come, counted from when the harm was
undone. Publishers are *in the dark* for as long as somebody is publishing and nobody's publish is
acknowledged; they rest where all that a fault's time allows has been published.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .books import Got, Reader, Sent

LATE = 2.0  # seconds
_AFTER = 3.0  # seconds after the harm was undone whose publishes still count as in its time


@dataclass(frozen=True)
class Happened:
    """A fault, and when (monotonic seconds)."""

    name: str
    start: float
    end: float  # the harm was undone


@dataclass(slots=True)
class Kind:
    """All faults of one kind. Times are in seconds."""

    times: int = 0
    lasted: list[float] = field(default_factory=list)
    deliveries: int = 0  # of what was acknowledged in their time
    recovered: list[float] = field(default_factory=list)  # of each late reader, each time
    dark: list[float] = field(default_factory=list)  # each time, the longest


def kinds(
    faults: Sequence[Happened], sent: Iterable[Sent], readers: Iterable[Reader]
) -> dict[str, Kind]:
    """Return the figures, by the fault's name."""
    sent = list(sent)
    answered = {entry.number: entry.at for entry in sent if entry.id is not None}
    ends = _ends(faults)
    found: dict[str, Kind] = {}
    for fault, end in zip(faults, ends, strict=True):
        kind = found.setdefault(fault.name, Kind())
        kind.times += 1
        kind.lasted.append(fault.end - fault.start)
        kind.dark.append(dark(sent, fault.start, end))
    during = {
        number: [n for n, fault in enumerate(faults) if fault.start <= at <= ends[n]]
        for number, at in answered.items()
    }
    for reader in readers:
        late: dict[int, float] = {}  # fault → when the last late message came
        for got in received(reader):
            for n in during.get(got.number, ()):
                found[faults[n].name].deliveries += 1
                if got.at - answered[got.number] > LATE:
                    late[n] = max(late.get(n, 0.0), got.at)
        for n, at in late.items():
            found[faults[n].name].recovered.append(max(0.0, at - faults[n].end))
    return found


def _ends(faults: Sequence[Happened]) -> list[float]:
    """Return until when what happens counts as in the time of each: a while longer, but not into
    the next one's."""
    starts = sorted(fault.start for fault in faults)
    ends = []
    for fault in faults:
        later = starts[bisect_right(starts, fault.end) :]
        ends.append(min([fault.end + _AFTER, *later[:1]]))
    return ends


def received(reader: Reader) -> Iterable[Got]:
    for turn in reader.turns:
        yield from (entry for entry in turn.entries if isinstance(entry, Got))


def dark(sent: Iterable[Sent], start: float, end: float) -> float:
    """Return the longest that somebody published and nothing was acknowledged, of what begins
    between ``start`` and ``end``."""
    longest, quiet, busy = 0.0, start, 0
    events = [(entry.since, 1, False) for entry in sent]
    events += [(entry.at, -1, entry.id is not None) for entry in sent]
    # what begins comes before what ends in the same moment: nobody rests in between
    for at, change, is_heard in sorted(events, key=lambda event: (event[0], -event[1])):
        if busy and at > start:
            longest = max(longest, at - quiet)
        busy += change
        if is_heard or busy == change == 1:
            quiet = max(at, start)
        if quiet > end:
            break
    return longest


def share(values: Sequence[float], part: float) -> float:
    """Return the value that ``part`` of them do not exceed; 0 of none."""
    return sorted(values)[int(part * (len(values) - 1))] if values else 0.0
