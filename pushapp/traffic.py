"""How many messages each channel has had lately, in this worker, while somebody looks.

What belongs here: counting by name, which ``tally`` never does. What does not: who looks, and what
they are shown (``figures``).
"""

from __future__ import annotations

from collections.abc import Iterable

from .message import Draft, Message, is_internal

_MOST = 10_000  # channels between two looks; those of further ones are not counted


class Traffic:
    """Counts by the clients' channels since the last look."""

    def __init__(self) -> None:
        self._published: dict[str, int] = {}
        self._followed: dict[str, int] = {}

    def publish(self, drafts: Iterable[Draft]) -> None:
        """Count what this worker has given to the log."""
        _count(self._published, drafts)

    def follow(self, messages: Iterable[Message]) -> None:
        """Count what has come from the log, whoever published it: where somebody here listens."""
        _count(self._followed, messages)

    def take(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return channel → messages published, and followed, since the last call."""
        counts = self._published, self._followed
        self._published, self._followed = {}, {}
        return counts


def _count(counts: dict[str, int], items: Iterable[Draft | Message]) -> None:
    for item in items:
        channel = item.channel
        if channel in counts:
            counts[channel] += 1
        elif len(counts) < _MOST and not is_internal(channel):
            counts[channel] = 1
