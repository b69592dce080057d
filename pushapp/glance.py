"""Where the log is, looked at once in each turn of the event loop.

What belongs here: one look for all who are served in a turn. What does not: the look itself
(``broker``), what is concluded from it.

What is served in a turn had come when it began, so one look serves all of it: a crowd that comes
back, and pollers that ask at once.
"""

from __future__ import annotations

from gevent import get_hub
from gevent.monkey import is_module_patched

from .broker.interface import Tail
from .window import Window


class Glance:
    """The looks of one worker."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._turns = is_module_patched("threading")  # else each thread would have its own loop
        self._turn = -1.0  # the loop's own time, which moves on with each turn
        self._iteration = -1  # the loop's count of turns
        self._tail: Tail | None = None

    def tail(self) -> Tail | None:
        """Return where the log is; None where only reading tells."""
        if not self._turns:
            return self._window.tail()
        loop = get_hub().loop
        turn = loop.now()
        if turn != self._turn:
            self._tail, self._turn, self._iteration = self._window.tail(), turn, loop.iteration
        return self._tail

    def lately(self) -> Tail | None:
        """Return where the log was at some point in this turn: the loop's time may move on within
        it, as each deadline that is set asks the clock."""
        if self._turns and get_hub().loop.iteration == self._iteration and self._tail is not None:
            return self._tail
        return self.tail()
