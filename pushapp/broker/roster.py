"""Who is connected: what a broker promises of it. The docstrings are the specification.

What belongs here: the interface, and the values that pass through it. What does not: how either
broker keeps them (``sqlite/roster``, ``redis/roster``), who is brought when (the worker's side).

Leases of two levels, so that a client which only waits costs the log nothing. Each worker has one
lease, which it renews every few seconds; what it says of its connections has no end of its own and
dies with that lease. A worker gathers what has changed for a moment and brings it in one call.

A *member* of a channel is a user, on however many connections, or one connection without a user. It
joins with its first connection there and leaves with its last. One connection may be held by
several workers: a poller whose requests reach now one and now another is held by all of them that
have heard from it lately, each for its own grace time, and is gone when the last lets go. It is in
every channel that one of them has it in. So neither a move nor a worker's return is seen by
anybody, and no worker has to know of the others.

Whoever watches is told by messages in the one log, and so with its order, cursors, replay, wake-ups
and proof that nothing is missing. In the step that changes a watched channel's members, one message
goes into the internal channel ``presence_of(channel)``, with event ``presence`` and data

    {"count":2,"changes":[{"event":"occupied"},
                          {"event":"join","user":"42","member":{"name":"Ann"}},
                          {"event":"join","anonymous":"3f9c00d1e2a4"},
                          {"event":"leave","user":"7"},
                          {"event":"vacated"}]}

``count``: members after it. ``occupied`` comes before the first join into an empty channel,
``vacated`` after the last leave. Nothing is appended where nobody watches. Where the first watcher
comes, a message always is, with ``"anew":true``: what changed before it was not told, so a snapshot
that is older has to be taken again.

Beside its connections a worker says how many clients wait in it for each channel's messages now,
with or without an id, and with no grace time: numbers under its lease that nobody is told of.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Protocol

from ..message import Cursor, is_internal


@dataclass(frozen=True, slots=True)
class Entry:
    """One connection of one client, across the requests of a poller too. Its strings, but for
    ``member``, need no escaping in JSON."""

    id: str  # the connection's
    user: str | None
    member: str | None  # JSON text: what others may know of the user
    transport: str
    since: float  # Unix seconds
    channels: tuple[str, ...]
    watches: bool = False  # its channels' changes are to be told
    observer: bool = False  # it is a connection, but no member of its channels


@dataclass(frozen=True, slots=True)
class Connection:
    """What the log knows of one: as the worker says that brought it last, since the earliest."""

    entry: Entry  # its channels in the order of their names
    workers: tuple[str, ...]  # that hold it, the one that brought it last first


@dataclass(frozen=True, slots=True)
class Member:
    """One of a channel's."""

    key: str  # its place in the order: "user:42", "anonymous:3f9c00d1e2a4"
    face: str  # JSON object as others see it: {"user":"42","member":{…}} or {"anonymous":"3f9c…"}


@dataclass(frozen=True, slots=True)
class Members:
    """A channel's members at one moment of the log: with the changes after ``version`` applied to
    it, it stays the truth, from the moment on that a watcher of the channel was brought (else until
    the message with ``anew``)."""

    version: Cursor  # the log's head at that moment
    count: int  # members
    connections: int  # of members and observers
    watchers: int  # connections that watch
    waiting: int  # clients that wait now, in the workers whose leases last
    members: Sequence[Member]  # a page of them, in the order of their keys
    more: bool  # there are members after these


#: What a call brings that says nothing of who waits.
NOBODY: Mapping[str, int] = MappingProxyType({})


class Roster(Protocol):
    """Who is connected, over all workers."""

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
        """Renew the lease of ``worker`` for ``ttl`` seconds, and bring what has changed.

        An entry of ``came`` replaces what this worker has said under its id; ids of ``gone`` are
        dropped, as far as this worker holds them. ``waiting`` replaces what it has said of how many
        wait for these channels; 0 drops it. A lease that ends takes all of its worker's
        entries with it, within about a second, a few at a time, each exactly once; workers that
        follow the log see to that.

        Each connection is one atomic step together with the messages about it. Many go in several
        steps, in this order, so that nobody has to wait for long. What was brought already may be
        brought again and changes nothing.

        ``record``: each step also appends one message to the internal channel ``EVENTS``, with
        event ``events`` and all that happened in it as data:

            [{"event":"connect","connection":"c1…","user":"42","transport":"sse","time":1.5},
             {"event":"subscribe","connection":"c1…","user":"42","channel":"a:1","time":1.5},
             {"event":"occupied","channel":"a:1","time":1.5},
             {"event":"disconnect","connection":"c1…","user":null,"transport":"poll","time":1.5},
             {"event":"vacated","channel":"a:1","time":1.5}]

        What ends with a lease is recorded where the worker's last call said so.

        Return False where the log did not know ``worker``: its lease had ended, a new epoch of the
        log has begun, or it is new. What this call brought is there all the same, but the caller
        has to bring all of its other connections and numbers again. Connections that the log still
        has are not seen to leave by that.

        Raises:
            LogUnavailable: some of it may have been done, and may be brought again.
        """

    def members(self, channel: str, after: str = "", limit: int = 100) -> Members:
        """Return ``channel``'s members: ``limit`` of them after the key ``after``; 0: figures only.

        The figures are kept, not counted: they cost the same for one member and for 10,000. Of
        those that wait there is a number for each worker.

        Raises:
            LogUnavailable: nobody can say.
        """

    def connections(
        self, user: str | None = None, after: str = "", limit: int = 100
    ) -> list[Connection]:
        """Return ``limit`` connections, of ``user`` or of everybody, in the order of their ids,
        after the id ``after``.

        Raises:
            LogUnavailable: nobody can say.
        """

    def connection(self, id: str) -> Connection | None:
        """Return one connection, None where there is none such (any more).

        Raises:
            LogUnavailable: nobody can say.
        """


#: The internal channel of what is recorded for webhooks. No client's channel can have a "/".
EVENTS = "webhooks/events"
#: The internal channel of the console's figures: the one that may be asked for by its name, with an
#: api key that may look.
FIGURES = "console/figures"

_PRESENCE = "presence/"
_PSEUDONYM = 12  # hexadecimal digits: of 10,000 in one channel, two are alike once in 5 million


def presence_of(channel: str) -> str:
    """Return the internal channel that tells of ``channel``'s members."""
    return _PRESENCE + channel


def is_presence(channel: str) -> bool:
    """Tell whether ``channel`` is an internal one that tells of another one's members."""
    return channel.startswith(_PRESENCE)


def of_clients(channels: tuple[str, ...]) -> tuple[str, ...]:
    """Return ``channels`` without what is none of the clients': nobody is a member of that."""
    if FIGURES not in channels:
        return channels  # the same object, which many share
    return tuple(channel for channel in channels if not is_internal(channel))


def pseudonym(id: str) -> str:
    """Return what others may know the connection ``id`` by: the id itself would tell too much."""
    return sha256(id.encode()).hexdigest()[:_PSEUDONYM]
