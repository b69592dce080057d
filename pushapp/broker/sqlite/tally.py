"""What one step of the roster does to its channels, and what is told of it.

What belongs here: members that join and leave as connections are brought and dropped, counted per
channel. What does not: whose lease that is under, and the transaction (``roster``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ...message import Draft
from ..bring import face_of, key_of, name_of
from ..roster import EVENTS, Entry, presence_of
from .tx import Tx

ENTRY = "e.n, e.id, e.user, e.member, e.transport, e.since, e.channels, e.watches, e.observer"
_HELD = f"SELECT {ENTRY}, e.worker FROM roster_entry e WHERE e.id = ? ORDER BY e.n"
_FIGURES = "SELECT members, connections, watchers FROM roster_channel WHERE name = ?"


class Held(NamedTuple):
    """What a worker says of a connection."""

    n: int
    id: str
    user: str | None
    member: str | None
    transport: str
    since: float
    channels: str
    watches: bool
    observer: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Its channels."""
        return tuple(self.channels.split(",")) if self.channels else ()

    @property
    def entry(self) -> Entry:
        """The same, as it was brought."""
        return Entry(*self[1:6], self.names, bool(self.watches), bool(self.observer))


@dataclass(slots=True)
class _Channel:
    """A channel's figures, and what happens to it in this step."""

    members: int
    connections: int
    watchers: int
    was_there: bool
    was_watched: bool
    changes: list[str] = field(default_factory=list)  # JSON objects


class Tally:
    """Brings and drops connections within a transaction, then closes the books once."""

    def __init__(self, tx: Tx, record: bool) -> None:
        self._tx, self._record = tx, record
        self._time = repr(round(tx.now, 3))
        self._channels: dict[str, _Channel] = {}
        self._events: list[str] = []  # JSON objects
        self.places = 0  # that connections have taken or left

    def bring(self, worker: int, entry: Entry) -> None:
        """``worker`` has the connection, as ``entry`` says."""
        before = self._others(entry.id)
        own = before.pop(worker, None)
        row = (
            *(entry.id, worker, entry.user, entry.member, entry.transport, entry.since),
            *(",".join(entry.channels), entry.watches, entry.observer),
        )
        if own is not None:
            self._tx.execute("DELETE FROM roster_entry WHERE n = ?", (own.n,))
        self._tx.execute(
            "INSERT INTO roster_entry (id, worker, user, member, transport, since, channels,"
            " watches, observer) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        others = [held.entry for held in before.values()]
        if own is None and not others:
            self._event("connect", entry)
        self._move(others if own is None else [*others, own.entry], [*others, entry], entry)

    def drop(self, worker: int, id: str) -> None:
        """``worker`` has the connection no longer; it may never have had it."""
        before = self._others(id)
        own = before.pop(worker, None)
        if own is None:
            return
        self._tx.execute("DELETE FROM roster_entry WHERE n = ?", (own.n,))
        others = [held.entry for held in before.values()]
        self._move([*others, own.entry], others, own.entry)
        if not others:
            self._event("disconnect", own.entry)

    def _others(self, id: str) -> dict[int, Held]:
        rows = self._tx.execute(_HELD, (id,)).fetchall()
        return {row[-1]: Held(*row[:-1]) for row in rows}

    def _move(self, before: list[Entry], after: list[Entry], own: Entry) -> None:
        """A connection was as ``before`` says, and is as ``after`` does; ``own`` is what changed.

        Who says so makes no difference: only what all together say counts.
        """
        was, is_ = _Union(before), _Union(after)
        for name in sorted(is_.places - was.places):
            self._channel(name).connections += 1
            self._event("subscribe", own, name)
        for name in is_.watched - was.watched:
            self._channel(name).watchers += 1
        for name, key in sorted(is_.seats - was.seats):
            self._join(name, key, own)
        for name, key in sorted(was.seats - is_.seats):
            self._leave(name, key)
        for name in was.watched - is_.watched:
            self._channel(name).watchers -= 1
        for name in was.places - is_.places:
            self._channel(name).connections -= 1
        self.places += 1 + len(was.places ^ is_.places)

    def _channel(self, name: str) -> _Channel:
        channel = self._channels.get(name)
        if channel is None:
            row = self._tx.execute(_FIGURES, (name,)).fetchone()
            members, connections, watchers = row or (0, 0, 0)
            channel = _Channel(members, connections, watchers, row is not None, watchers > 0)
            self._channels[name] = channel
        return channel

    def _join(self, name: str, key: str, entry: Entry) -> None:
        channel, face = self._channel(name), face_of(entry, key)
        added = self._tx.execute(
            "INSERT OR IGNORE INTO roster_member VALUES (?, ?, ?, 1)", (name, key, face)
        )
        if not added.rowcount:
            self._tx.execute(
                "UPDATE roster_member SET connections = connections + 1, face = ?"
                " WHERE channel = ? AND key = ?",
                (face, name, key),
            )
            return
        if not channel.members:
            channel.changes.append('{"event":"occupied"}')
            self._event("occupied", None, name)
        channel.members += 1
        channel.changes.append(f'{{"event":"join",{face[1:]}')

    def _leave(self, name: str, key: str) -> None:
        channel = self._channel(name)
        if self._count(name, key) > 1:
            self._tx.execute(
                "UPDATE roster_member SET connections = connections - 1"
                " WHERE channel = ? AND key = ?",
                (name, key),
            )
            return
        self._tx.execute("DELETE FROM roster_member WHERE channel = ? AND key = ?", (name, key))
        channel.members -= 1
        channel.changes.append(f'{{"event":"leave",{name_of(key)}}}')
        if not channel.members:
            channel.changes.append('{"event":"vacated"}')
            self._event("vacated", None, name)

    def _count(self, name: str, key: str) -> int:
        """Return on how many connections the member is in the channel."""
        row = self._tx.execute(
            "SELECT connections FROM roster_member WHERE channel = ? AND key = ?", (name, key)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def _event(self, event: str, entry: Entry | None, channel: str | None = None) -> None:
        if not self._record:
            return
        parts = [f'"event":"{event}"']
        if entry is not None:
            user = "null" if entry.user is None else f'"{entry.user}"'
            parts.append(f'"connection":"{entry.id}","user":{user}')
        if channel is not None:
            parts.append(f'"channel":"{channel}"')
        elif entry is not None:
            parts.append(f'"transport":"{entry.transport}"')
        self._events.append(f'{{{",".join(parts)},"time":{self._time}}}')

    def close(self) -> list[Draft]:
        """Write the channels' figures; return the messages about all that happened."""
        drafts = []
        for name, channel in self._channels.items():
            self._write(name, channel)
            anew = not channel.was_watched
            if channel.watchers and (channel.changes or anew):
                data = f'{{"count":{channel.members},"changes":[{",".join(channel.changes)}]'
                data += ',"anew":true}' if anew else "}"
                drafts.append(Draft(presence_of(name), data, "presence"))
        if self._events:
            drafts.append(Draft(EVENTS, f"[{','.join(self._events)}]", "events"))
        return drafts

    def _write(self, name: str, channel: _Channel) -> None:
        figures = channel.members, channel.connections, channel.watchers
        if not channel.connections:
            self._tx.execute("DELETE FROM roster_channel WHERE name = ?", (name,))
        elif channel.was_there:
            self._tx.execute(
                "UPDATE roster_channel SET members = ?, connections = ?, watchers = ?"
                " WHERE name = ?",
                (*figures, name),
            )
        else:
            self._tx.execute("INSERT INTO roster_channel VALUES (?, ?, ?, ?)", (name, *figures))


class _Union:
    """What several workers say of one connection."""

    __slots__ = ("places", "seats", "watched")

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.places: set[str] = set()
        self.watched: set[str] = set()
        self.seats: set[tuple[str, str]] = set()  # in which channels, of which member
        for entry in entries:
            self.places.update(entry.channels)
            if entry.watches:
                self.watched.update(entry.channels)
            if not entry.observer:
                key = key_of(entry)
                self.seats.update((channel, key) for channel in entry.channels)
