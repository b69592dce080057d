"""What the doctor says of one thing that it looked at. Nothing is looked at here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found, and what to change where it is not well."""

    state: State
    name: str
    found: str
    change: str = ""

    def __str__(self) -> str:
        line = f"{self.state.value:4}  {self.name}: {self.found}"
        return f"{line}\n      → {self.change}" if self.change else line
