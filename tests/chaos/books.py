"""What is written down while things break: every publish with its answer, every receipt in order.

What belongs here: the entries, and the file that carries them from one process to another. What
does not: what they prove (``verdict``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Sent:
    """One numbered message, as its publisher knows it."""

    number: int
    channel: str
    id: str | None  # None: it was not acknowledged, and the publisher gave up
    at: float  # monotonic seconds of the answer; the same clock in all processes of a machine
    tries: int
    since: float = 0.0  # monotonic seconds: it has been tried from here on


@dataclass(frozen=True, slots=True)
class Got:
    """One receipt."""

    id: str
    prev: str | None
    channel: str
    number: int
    at: float  # monotonic seconds


@dataclass(frozen=True, slots=True)
class Told:
    """What the server said is missing, and where among the receipts it said so."""

    channel: str
    after: str
    before: str | None
    reason: str


@dataclass(slots=True)
class Turn:
    """One connection of a reader: what came, in order."""

    transport: str
    port: int
    entries: list[Got | Told] = field(default_factory=list)


@dataclass(slots=True)
class Reader:
    """One subscriber, over all of its connections."""

    name: str
    channels: list[str]
    turns: list[Turn] = field(default_factory=list)
    cuts: int = 0  # connections that somebody else ended
    trouble: list[str] = field(default_factory=list)  # what no fault explains


def save(readers: Iterable[Reader], path: Path) -> None:
    with path.open("w") as file:
        for reader in readers:
            print(json.dumps(asdict(reader)), file=file)


def load(path: Path) -> list[Reader]:
    with path.open() as file:
        return [_reader(json.loads(line)) for line in file]


def _reader(fields: dict[str, Any]) -> Reader:
    turns = [
        Turn(turn["transport"], turn["port"], [_entry(entry) for entry in turn["entries"]])
        for turn in fields["turns"]
    ]
    return Reader(**{**fields, "turns": turns})


def _entry(fields: dict[str, Any]) -> Got | Told:
    return Told(**fields) if "reason" in fields else Got(**fields)
