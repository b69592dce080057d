"""How many clients wait for each channel in this worker, and what the roster was told of it.

What belongs here: which numbers are to be brought. What does not: when, and under which lease
(``presence``); who listens (``hub``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

_UNKNOWN = -1  # no number is this


class Headcount:
    """Used by one thread at a time."""

    def __init__(self, moved: Callable[[], Mapping[str, int]]) -> None:
        """``moved``: returns the numbers that may have changed since it was called last."""
        self._moved = moved
        self._unsaid: dict[str, int] = {}  # what could not be brought
        self._said: dict[str, int] = {}  # never 0

    @property
    def said(self) -> Mapping[str, int]:
        """What the roster has, as far as that is known: no number in it is 0."""
        return self._said

    def news(self) -> dict[str, int]:
        """Return the numbers that are not as they were said; 0 where nobody waits any more.

        One that went up and down again in between is none of them. Give them to ``brought`` or to
        ``lost``.
        """
        now, self._unsaid = {**self._unsaid, **self._moved()}, {}
        return {
            channel: count for channel, count in now.items() if count != self._said.get(channel, 0)
        }

    def brought(self, numbers: Mapping[str, int]) -> None:
        """The roster has them now."""
        for channel, count in numbers.items():
            if count:
                self._said[channel] = count
            else:
                self._said.pop(channel, None)

    def lost(self, numbers: Mapping[str, int]) -> None:
        """The roster has some of them, or none; nobody knows. They are news until it has."""
        self._unsaid.update(numbers)
        self._said.update(dict.fromkeys(numbers, _UNKNOWN))

    @property
    def past(self) -> int:
        """How many numbers wait to be brought of channels for which nobody waits any more."""
        return sum(not count for count in self._unsaid.values())

    def forget(self) -> None:
        """Say all numbers anew: what was said will not be asked about."""
        now = {**self._said, **self._unsaid}
        self._unsaid = {channel: count for channel, count in now.items() if count > 0}
        self._said = {}

    def end(self) -> None:
        """Nobody waits here any more."""
        self._moved = lambda: dict.fromkeys([*self._said, *self._unsaid], 0)
