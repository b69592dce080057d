"""What a broker promises. The docstrings are the specification; ``tests/brokers`` checks them.

A broker is where the log lives. It is five small interfaces: the log, the schedule, leases,
control, and the roster of who is connected (``roster``). Several brokers may be open on one log
(one per worker, and publishers outside of any worker); what one appends all of them read.

Rules that hold for all methods:

* Everything may be called from any greenlet, or from any thread of a process that is not patched.
  A call may wait for I/O but never stops the other greenlets of its worker.
* ``LogUnavailable`` is raised where the log cannot answer in time; nothing was acknowledged then.
* Ids and ``prev`` are given out in one place only: inside the broker's own atomic append.
* An id is never given out twice in one epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ..message import Cursor, Draft, Loss, Message
from .roster import Roster

PAGE_MESSAGES = 500  # docs/protocol.md: at most this many in one poll's answer
PAGE_BYTES = 1 << 20  # ... or this many bytes of data, but at least one message


class Page(NamedTuple):
    """Messages of some channels, oldest first, read at one moment of the log.

    ``cursor`` is a point up to which *every* asked channel has been read: the log's head at that
    moment, or the last message of the page when there is ``more``. ``lost`` names what is missing
    between the cursor asked for and the messages here; empty means that nothing is.
    """

    cursor: Cursor
    messages: Sequence[Message] = ()
    more: bool = False
    lost: Sequence[Loss] = ()
    latest: float | None = (
        None  # Unix seconds of the newest message in any asked channel, kept or not
    )
    own: bool = False  # of a follower's: this process has appended it, and nobody else has rung


@dataclass(frozen=True, slots=True)
class ChannelInfo:
    """What the log knows of a channel."""

    channel: str
    last: str | None  # id of its last message, kept or not; None: it never had one that we know of
    kept: int  # number of messages kept
    retained: Message | None  # its retained value


class Published(NamedTuple):
    """The log has it, under this id."""

    id: str


class Scheduled(NamedTuple):
    """The log will publish it when it falls due."""

    id: str  # "s…"
    at: float  # Unix seconds


Receipt = Published | Scheduled


@dataclass(frozen=True, slots=True)
class AppendKey:
    """What makes an append happen once: the same key again gives the first receipts back.

    ``scope`` keeps publishers apart (a hash of the api key), ``fingerprint`` tells whether the
    request is the same one.
    """

    scope: str
    key: str
    fingerprint: str


class Append(NamedTuple):
    """What is to be appended together, and what makes it happen once."""

    drafts: Sequence[Draft]
    key: AppendKey | None = None


class Tail(NamedTuple):
    """Where the log is at one moment."""

    cursor: Cursor  # its head
    trimmed: int  # nothing after this number was ever removed
    floor: int  # up to here channels were forgotten; a cursor below it may have lost one


class Follower(Protocol):
    """One worker's place in the log. It moves forward only, and misses nothing.

    Used by one greenlet (``next``), while others ``watch`` and ``unwatch``.
    """

    position: Cursor  # everything of the watched channels up to here was returned by ``next``

    def watch(self, *channels: str) -> None:
        """Follow ``channels`` from ``position`` on, at the latest when this returns.

        Raises:
            LogUnavailable: they cannot be followed now.
        """

    def unwatch(self, *channels: str) -> None:
        """Stop following ``channels``."""

    def next(self, timeout: float) -> Page:
        """Wait until there may be something new, at most ``timeout`` seconds; return what there is.

        All of the watched channels after ``position`` in id order, at most a page, or a few where
        very many channels have news at once (with ``more`` the next call returns at once).
        Afterwards ``position`` is ``page.cursor``. A wake-up that got lost, alone or with its
        connection, delays this by a second or a few. A hole (the worker slept until messages had
        been trimmed) or an epoch that ended is told in ``lost``; what is kept still comes.

        Raises:
            LogUnavailable: the log did not answer; ``position`` is as it was.
        """

    def tail(self) -> Tail | None:
        """Return where the log is now, with everything that was ever acknowledged before the call;
        None where that takes waiting. Never waits: it may be called from the event loop itself."""

    def wake(self) -> None:
        """Make a waiting ``next`` return soon."""

    def close(self) -> None:
        """End a waiting ``next`` and let go of everything; idempotent."""


class Log(Protocol):
    """The ordered store of messages; one total order over all channels."""

    def append(self, drafts: Sequence[Draft], key: AppendKey | None = None) -> list[Receipt]:
        """Append all of ``drafts`` or none; return a receipt for each, in order.

        A draft with ``at`` in the future goes into the schedule in the same step. With
        ``retain`` it also becomes the channel's retained value (``data`` of ``null`` clears it).
        When it returns, the log has it, as safely as the broker's ``durability`` says.

        Raises:
            LogUnavailable: nothing was appended.
            KeyReused: ``key`` was used within 5 minutes with another fingerprint.
        """

    def append_now(self, asked: Sequence[Append]) -> list[list[Receipt] | Exception] | None:
        """Append each of ``asked``, as ``append`` does; return what it would return or raise for
        each. None where that takes waiting, or where it fails for all: nothing was appended then.

        Never waits: it may be called from the event loop itself.
        """

    def read(
        self,
        channels: Collection[str],
        cursor: Cursor | None,
        upto: int | None = None,
        limit: int = PAGE_MESSAGES,
        max_bytes: int = PAGE_BYTES,
    ) -> Page:
        """Return what ``channels`` have after ``cursor``, oldest first; None: only where now is.

        ``upto``: nothing above this number (the page's cursor is at most that, too).

        Complete for a channel exactly when its first kept message after the cursor has ``prev``
        at or below it, or there is none and the channel's last id is at or below it; else ``lost``
        names the channel with reason ``expired``. A cursor of another epoch, above the log's own
        head, or inside a gap that a lost tail left: ``lost`` names every channel with reason
        ``epoch``, and what is kept comes from the oldest on.
        """

    def history(
        self,
        channel: str,
        limit: int,
        before: int | None = None,
        max_bytes: int = PAGE_BYTES,
    ) -> tuple[list[Message], ChannelInfo]:
        """Return the last ``limit`` kept messages (before number ``before``), oldest first; fewer
        where they have more than ``max_bytes`` of data, but at least one."""

    def clear(self, channel: str) -> int:
        """Delete the kept messages and the retained value; return how many messages that were.

        The channel's last id outlives them, so that a client behind it is told of the loss.
        """

    def channels(self, prefix: str = "", after: str = "", limit: int = 100) -> list[ChannelInfo]:
        """Return known channels in the order of their names (``retained`` is left out); internal
        ones, which no client can name, are not shown."""

    def follow(self) -> Follower:
        """Return a new follower; its position is the head of the log."""


class Schedule(Protocol):
    """Messages that are not due yet. Each falls due exactly once, whoever calls."""

    def fire_due(self) -> float | None:
        """Append what is due; return in how many seconds the next one is, None if there is none."""

    def cancel(self, scheduled_id: str) -> bool:
        """Take one out; False where there is none such (any more)."""


class Leases(Protocol):
    """Small values that expire by themselves unless renewed; for counts and presence."""

    def renew(self, holder: str, values: Mapping[str, str], ttl: float) -> None:
        """Set what ``holder`` has to say under each key, for ``ttl`` seconds, replacing what it
        said before under any key."""

    def read(self, key: str) -> dict[str, str]:
        """Return holder → value of all that are alive under ``key``."""

    def release(self, holder: str) -> None:
        """Drop all that ``holder`` has said."""

    def claim(self, key: str, ttl: float, holder: str | None = None) -> bool:
        """Tell whether ``key`` is claimed by this call: True for the first, whichever broker asks,
        False for everybody else until ``ttl`` seconds later; then it is free again.

        ``holder``: the same one may claim it again, for ``ttl`` seconds from then on; with 0 it
        gives it back.

        One atomic step. Claims are nobody's leases: ``read`` does not show them, whatever the key,
        and ``release`` does not drop them.

        Raises:
            LogUnavailable: it cannot be told; it may have been claimed.
        """


class Control(Protocol):
    """Orders from one worker to all (kick, revoke); each worker gets each once, in order."""

    def tell(self, order: Mapping[str, object]) -> None:
        """Give ``order``, a JSON object, to every broker that is open on the log."""

    def orders(self) -> list[Mapping[str, object]]:
        """Return the orders since the last call (since the broker was opened, at the first)."""


class Broker(Protocol):
    """Where the log lives."""

    log: Log
    schedule: Schedule
    leases: Leases
    control: Control
    roster: Roster

    @property
    def durability(self) -> str:
        """What an acknowledged message survives, in words."""

    def check(self) -> None:
        """Return when the log answers and can be written.

        Raises:
            LogUnavailable: it does not; the text says why.
        """

    def close(self) -> None:
        """Let go of everything; idempotent."""
