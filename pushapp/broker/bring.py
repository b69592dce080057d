"""What every broker does the same with connections that are brought: see ``roster``.

What belongs here: how many go together, what others see of each, what several workers say of one.
What does not: where they are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from .roster import NOBODY, Connection, Entry, pseudonym

STEP = 400  # places that connections take or leave in one step: 5 ms of an embedded log's lock
_IDS = 100  # that go in one step at most
_MEMBER = 256  # characters that weigh as much as a place: a step's messages stay small

Count = tuple[str, int]  # a channel, and how many wait
Step = Callable[[Sequence[Entry], Sequence[str], Sequence[Count]], tuple[bool, int]]


def in_steps(
    came: Sequence[Entry],
    gone: Collection[str],
    step: Step,
    waiting: Mapping[str, int] = NOBODY,
) -> bool:
    """Call ``step`` with some that come, some that go, and some of those that wait, until all
    have; at least once.

    It returns whether the worker was known, and how many of those that were to go it has seen to:
    nobody but the log knows how many places these leave. Return whether it was known each time.
    """
    known, rest, counts = True, list(gone), list(waiting.items())
    *others, brought = list(_of_some_weight(came)) or [()]
    for some in others:
        was_known, _ = step(some, (), ())
        known = known and was_known
    while True:
        was_known, done = step(brought, rest[:_IDS], counts[:STEP])
        known = known and was_known
        brought, rest, counts = (), rest[done:], counts[STEP:]
        if not rest and not counts:
            return known


def _of_some_weight(came: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """Yield all of ``came``, some at a time, neighbours together.

    In the order of the members: a step touches fewer pages of a file then (30 MB for 10,000 users
    where it was 75).
    """
    brought: list[Entry] = []
    weight = 0
    for entry in sorted(came, key=key_of):
        own = 1 + len(entry.channels) * (1 + len(entry.member or "") // _MEMBER)
        if brought and weight + own > STEP:
            yield brought
            brought, weight = [], 0
        brought.append(entry)
        weight += own
    if brought:
        yield brought


def key_of(entry: Entry) -> str:
    """Return the key of the member that the connection is one of."""
    return f"anonymous:{pseudonym(entry.id)}" if entry.user is None else f"user:{entry.user}"


def name_of(key: str) -> str:
    """Return a member's name, as it stands in the JSON object that others see."""
    kind, _, name = key.partition(":")
    return f'"{kind}":"{name}"'


def face_of(entry: Entry, key: str) -> str:
    """Return what others see of the member, as a JSON object."""
    about = "" if entry.member is None else f',"member":{entry.member}'
    return f"{{{name_of(key)}{about}}}"


def together(said: Sequence[tuple[str, Entry]]) -> Connection:
    """Return what several workers say of one connection, the last that spoke first."""
    last = said[0][1]
    entries = [entry for _, entry in said]
    entry = replace(
        last,
        since=min(entry.since for entry in entries),
        channels=tuple(sorted({channel for entry in entries for channel in entry.channels})),
        watches=any(entry.watches for entry in entries),
        observer=all(entry.observer for entry in entries),
    )
    return Connection(entry, tuple(worker for worker, _ in said))
