"""The numbers of all workers of a server, in memory that they share.

What belongs here: who may write where, and what stays when a worker dies. What does not: what the
numbers mean (``tally``). gunicorn's master makes it before it forks, so it imports nothing but the
standard library.

The memory is anonymous: it needs no folder, and goes with the last process. A worker writes its own
slot alone, and any worker reads all of them. When one dies, the next worker goes on in its slot and
from its counters: they never go backwards, and there are as many slots as workers at a time.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable

_NUMBER = 8  # bytes of a double; one that is aligned is written in one piece
# A slot's first number: no worker yet; one has it and has said nothing; one lives; one has died.
_UNUSED, _TAKEN, _LIVES, _LEFT = 0.0, 1.0, 2.0, 3.0


class Slot:
    """Where one worker at a time writes its numbers."""

    def __init__(self, name: str, cells: memoryview[float]) -> None:
        self.name = name  # the worker's label in /metrics
        self._cells = cells

    @property
    def used(self) -> bool:
        """Whether any worker has ever had it."""
        return bool(self._cells[0] != _UNUSED)

    @property
    def taken(self) -> bool:
        """Whether a worker has it, which may not have begun yet."""
        return bool(self._cells[0] in (_TAKEN, _LIVES))

    @property
    def lives(self) -> bool:
        """Whether its numbers are those of a worker that lives, and not of the one before."""
        return bool(self._cells[0] == _LIVES)

    def take(self) -> None:
        """Give it to a worker."""
        self._cells[0] = _TAKEN

    def free(self) -> None:
        """Take it from a worker that has died; its numbers stay."""
        self._cells[0] = _LEFT

    def write(self, numbers: Iterable[float]) -> None:
        """Replace the numbers."""
        for place, number in enumerate(numbers, 1):
            self._cells[place] = number
        self._cells[0] = _LIVES

    def read(self) -> list[float]:
        """Return the numbers, with zeros where nothing was ever written."""
        return list(self._cells[1:])


class Board:
    """The slots of all workers of one server."""

    def __init__(self, workers: int, size: int) -> None:
        self._memory = mmap.mmap(-1, workers * (size + 1) * _NUMBER)
        cells = memoryview(self._memory).cast("d")
        self._slots = [
            Slot(str(number), cells[number * (size + 1) : (number + 1) * (size + 1)])
            for number in range(workers)
        ]

    def take(self) -> Slot | None:
        """Return the first slot that is free, for a new worker; None: there are more workers than
        there may be."""
        for slot in self._slots:
            if not slot.taken:
                slot.take()
                return slot
        return None

    def slots(self) -> list[Slot]:
        """Return the slots that any worker has had."""
        return [slot for slot in self._slots if slot.used]
