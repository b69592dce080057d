"""Who listens to which channel, in this worker.

What belongs here: keeping that small, and who gets which of some messages. What does not: how far
each has been served (``hub``).

Very many clients have a channel of their own, as ``user:42`` is: a dictionary of one listener takes
230 bytes, the listener itself none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from .message import Bundle, Loss, Message, is_internal
from .subscriber import Subscriber

Told = list[tuple[Subscriber, list[Loss]]]  # who misses what
Plan = list[tuple[Bundle, list[Subscriber]]]  # who gets what


class Audiences:
    """The listeners of each channel that has any, in the order in which they came."""

    __slots__ = ("_found", "_moved")

    def __init__(self) -> None:
        self._moved: set[str] = set()  # where somebody came or left since ``moved``
        self._found: dict[str, Subscriber | dict[Subscriber, None]] = {}

    def __len__(self) -> int:
        """Return how many channels have any."""
        return len(self._found)

    def __contains__(self, channel: object) -> bool:
        return channel in self._found

    def of(self, channel: str) -> Collection[Subscriber]:
        """Return who listens to ``channel``; who comes later may be in it, too."""
        found = self._found.get(channel)
        if found is None:
            return ()
        return found if isinstance(found, dict) else (found,)

    def all(self) -> list[tuple[str, Collection[Subscriber]]]:
        """Return each channel with those who listen to it."""
        return [(channel, self.of(channel)) for channel in self._found]

    def add(self, subscriber: Subscriber, channels: Collection[str]) -> None:
        """Let ``subscriber`` listen to ``channels``; idempotent."""
        self._moved.update(channels)
        every = self._found
        for channel in channels:
            found = every.setdefault(channel, subscriber)
            if isinstance(found, dict):
                found[subscriber] = None
            elif found is not subscriber:
                every[channel] = {found: None, subscriber: None}

    def remove(self, subscriber: Subscriber, channels: Collection[str]) -> list[str]:
        """Let it no longer; return those of ``channels`` that nobody listens to any more."""
        self._moved.update(channels)
        empty = []
        for channel in channels:
            found = self._found.get(channel)
            if isinstance(found, dict):
                found.pop(subscriber, None)
            if found is subscriber or found == {}:
                del self._found[channel]
                empty.append(channel)
        return empty

    def goes_on(self, subscriber: Subscriber) -> None:
        """Count ``subscriber`` again, which has rested; until then its channels have not moved."""
        self._moved.update(subscriber.listens)

    def moved(self, number: Callable[[Collection[Subscriber]], int]) -> dict[str, int]:
        """Return how many listen now to each of the clients' channels where somebody came or left
        since the last call. ``number``: ``count``, or ``len`` where nobody rests."""
        moved, self._moved = self._moved, set()
        return {channel: number(self.of(channel)) for channel in moved if not is_internal(channel)}

    def concerned(self, lost: Sequence[Loss]) -> Told:
        """Return whom ``lost`` concerns, with what of it does."""
        told: dict[Subscriber, list[Loss]] = {}
        for loss in lost:
            for subscriber in self.of(loss.channel):
                told.setdefault(subscriber, []).append(loss)
        return list(told.items())

    def plan(self, messages: Sequence[Message]) -> Plan:
        """Return who gets which bundle; those who listen to the same of these share one."""
        by_channel: dict[str, list[Message]] = {}
        for message in messages:
            if message.channel in self._found:
                by_channel.setdefault(message.channel, []).append(message)
        if len(by_channel) == 1:
            ((channel, own),) = by_channel.items()
            return [(Bundle(own), list(self.of(channel)))]
        touched: dict[Subscriber, tuple[str, ...]] = {}
        for channel in by_channel:
            for subscriber in self.of(channel):
                touched[subscriber] = (*touched.get(subscriber, ()), channel)
        groups: dict[tuple[str, ...], list[Subscriber]] = {}
        for subscriber, channels in touched.items():
            groups.setdefault(channels, []).append(subscriber)
        plan = []
        for channels, subscribers in groups.items():
            wanted = frozenset(channels)
            plan.append((Bundle([m for m in messages if m.channel in wanted]), subscribers))
        return plan


def count(listeners: Collection[Subscriber]) -> int:
    """Return how many of ``listeners`` wait: who rests is about to ask again, mostly on the same
    connection; on another one, as behind a proxy, it would count twice. Others may come meanwhile.
    """
    return sum(not listener.rests for listener in tuple(listeners))
