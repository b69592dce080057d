"""What every broker does the same with connections that are brought: see ``roster``.

What belongs here: how many go together, what others see of each, what several workers say of one.
What does not: where they are kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from .roster import Connection, Entry, pseudonym

_WEIGHT = 200  # of one step: 3 ms of an embedded log's write lock, and of a server's time
_GONE = 4  # weight of one that goes: who knows in how many channels it was
_MEMBER = 256  # characters that weigh as much as a channel: a step's messages stay small


def steps(
    came: Sequence[Entry], gone: Collection[str]
) -> Iterator[tuple[Sequence[Entry], Sequence[str]]]:
    """Yield what goes together in one step, at least one (which may be empty)."""
    brought: list[Entry] = []
    weight = 0
    for entry in came:
        own = 1 + len(entry.channels) * (1 + len(entry.member or "") // _MEMBER)
        if brought and weight + own > _WEIGHT:
            yield brought, ()
            brought, weight = [], 0
        brought.append(entry)
        weight += own
    ids, room = list(gone), max(0, _WEIGHT - weight) // _GONE
    if len(ids) <= room:
        yield brought, ids
        return
    if brought:
        yield brought, ()
    for i in range(0, len(ids), _WEIGHT // _GONE):
        yield (), ids[i : i + _WEIGHT // _GONE]


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
