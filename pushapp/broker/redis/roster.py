"""Who is connected, on the server: so each change and its message are one step of a script.

What belongs here: what ``broker.roster`` promises, as calls of the scripts. What does not: the
scripts (``lua/``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence

from ...message import Cursor
from ...retention import Retention
from ..bring import STEP, Count, face_of, in_steps, key_of, together
from ..roster import EVENTS, NOBODY, Connection, Entry, Member, Members, presence_of
from .line import Line
from .scripts import CONNECTIONS, MEMBERS, SWEEP, SYNC
from .server import Names


class RedisRoster:
    """See ``broker.roster.Roster``."""

    def __init__(self, writes: Line, reads: Line, retention: Callable[[str], Retention]) -> None:
        self._writes, self._reads = writes, reads
        self._names = Names()
        presence = presence_of("")
        # What one step may do, where it is told, and how much of that is kept.
        self._told = (STEP, presence, *retention(presence), EVENTS, *retention(EVENTS))

    def sync(
        self,
        worker: str,
        came: Sequence[Entry],
        gone: Collection[str],
        waiting: Mapping[str, int] = NOBODY,
        *,
        ttl: float,
        record: bool = False,
    ) -> bool:
        def step(
            brought: Sequence[Entry], dropped: Sequence[str], counts: Sequence[Count]
        ) -> tuple[bool, int]:
            entries = [part for entry in brought for part in (entry.id, _text(entry))]
            known, done = self._writes.run(
                SYNC,
                *self._told,
                worker,
                repr(0.0 + ttl),
                int(record),
                self._names.next(),
                len(brought),
                len(counts),
                *entries,
                *(part for count in counts for part in count),
                *dropped,
            )
            return bool(known), int(done)

        return in_steps(came, gone, step, waiting)

    def sweep(self) -> bool:
        """Drop some of what a lease that has ended leaves behind; tell whether there is more."""
        (more,) = self._writes.run(SWEEP, *self._told)
        return bool(more)

    def members(self, channel: str, after: str = "", limit: int = 100) -> Members:
        epoch, head, count, connections, watchers, waiting, more, *page = self._reads.head(
            MEMBERS, channel, after, limit
        )
        return Members(
            Cursor(epoch, int(head)),
            int(count),
            int(connections),
            int(watchers),
            int(waiting),
            [Member(*pair) for pair in zip(page[::2], page[1::2], strict=True)],
            bool(more),
        )

    def connections(
        self, user: str | None = None, after: str = "", limit: int = 100
    ) -> list[Connection]:
        found = self._reads.run(CONNECTIONS, "" if user is None else user, after, limit)
        return [_connection(said) for said in found]

    def connection(self, id: str) -> Connection | None:
        (said,) = self._reads.run(CONNECTIONS, "", id, "")
        return _connection(said) if said else None


def _text(entry: Entry) -> bytes:
    """Return the entry as tally.lua reads it, and behind that what only we read."""
    key = key_of(entry)
    user = "null" if entry.user is None else f'"{entry.user}"'
    return json.dumps(
        [
            entry.transport,
            entry.since,
            entry.channels,
            int(entry.watches),
            int(entry.observer),
            key,
            face_of(entry, key),
            f'"connection":"{entry.id}","user":{user}',
            entry.id,
            entry.user,
            entry.member,
        ],
        separators=(",", ":"),
    ).encode()


def _connection(said: Sequence[str]) -> Connection:
    held = []
    for worker, text in zip(said[::2], said[1::2], strict=True):
        n, _, entry = text.partition(" ")
        held.append((int(n), worker, _entry(entry)))
    held.sort(key=lambda one: one[0], reverse=True)
    return together([(worker, entry) for _, worker, entry in held])


def _entry(text: str) -> Entry:
    transport, since, channels, watches, observer, *_, id, user, member = json.loads(text)
    return Entry(id, user, member, transport, since, tuple(channels), bool(watches), bool(observer))
