"""The log on the server: appending and reading.

What belongs here: what ``interface.Log`` promises, as calls of the scripts. What does not: the
scripts (``lua/``), following (``follow``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from ...errors import KeyReused
from ...message import Cursor, Draft, Loss, Message
from ...retention import Retention
from ..continuity import is_complete
from ..interface import (
    PAGE_BYTES,
    PAGE_MESSAGES,
    Append,
    AppendKey,
    ChannelInfo,
    Follower,
    Page,
    Published,
    Receipt,
    Scheduled,
)
from ..names import random_name
from .line import Line
from .scripts import APPEND, CHANNELS, CLEAR, HISTORY, READ
from .server import PATIENCE, Names

KEY_TTL = 300.0  # seconds that an idempotency key is remembered (docs/protocol.md)
_OWN_KEY_TTL = 4 * PATIENCE  # ... and one that only guards our own second attempt


class RedisLog:
    """See ``interface.Log``."""

    def __init__(
        self,
        writes: Line,
        reads: Line,
        retention: Callable[[str], Retention],
        follow: Callable[[], Follower],
        scheduled: Callable[[float], None],  # told the time of what was put into the schedule
    ) -> None:
        self._writes, self._reads, self._retention = writes, reads, retention
        self._scheduled = scheduled
        self._names = Names()
        self.follow = follow

    def append(self, drafts: Sequence[Draft], key: AppendKey | None = None) -> list[Receipt]:
        args: list[object]
        if key is None:
            args = [self._names.next(), "", _OWN_KEY_TTL]
        else:
            args = [f"{len(key.scope)}:{key.scope}:{key.key}", key.fingerprint, KEY_TTL]
        for draft in drafts:
            args += self._arguments(draft)
        (answer,) = self._writes.run(APPEND, *args)
        if answer == "reused":
            raise KeyReused
        receipts: list[Receipt] = []
        for name, *at in answer:
            receipts.append(Scheduled(name, float(at[0])) if at else Published(name))
        times = [receipt.at for receipt in receipts if isinstance(receipt, Scheduled)]
        if times:
            self._scheduled(min(times))
        return receipts

    def append_now(self, asked: Sequence[Append]) -> None:
        """It always takes waiting; those who wait are sent together."""

    def _arguments(self, draft: Draft) -> list[object]:
        """Return the nine that append.lua wants; what does not fit fails before it is sent."""
        size, keep = self._retention(draft.channel)
        return [
            draft.channel,
            draft.data.encode(),
            draft.event,
            "" if draft.ttl is None else repr(0.0 + draft.ttl),
            "1" if draft.retain else "0",
            size,
            repr(0.0 + keep),
            "" if draft.at is None else repr(0.0 + draft.at),
            "" if draft.at is None else random_name(8),
        ]

    def read(
        self,
        channels: Collection[str],
        cursor: Cursor | None,
        upto: int | None = None,
        limit: int = PAGE_MESSAGES,
        max_bytes: int = PAGE_BYTES,
    ) -> Page:
        page, _ = read(self._reads, list(channels), cursor, upto, limit, max_bytes)
        return page

    def history(
        self,
        channel: str,
        limit: int,
        before: int | None = None,
        max_bytes: int = PAGE_BYTES,
    ) -> tuple[list[Message], ChannelInfo]:
        epoch, _, last, base, kept, value, rows = self._reads.head(
            HISTORY, channel, limit, "" if before is None else before, max_bytes
        )
        found = [_message(epoch, channel, row) for row in reversed(rows)]
        retained = _message(epoch, channel, value) if value else None
        return found, ChannelInfo(channel, _last(epoch, last, base), kept, retained)

    def clear(self, channel: str) -> int:
        (count,) = self._writes.run(CLEAR, channel)
        return int(count)

    def channels(self, prefix: str = "", after: str = "", limit: int = 100) -> list[ChannelInfo]:
        epoch, _, rows = self._reads.head(CHANNELS, prefix, after, limit)
        return [
            ChannelInfo(name, _last(epoch, last, base), kept, None)
            for name, last, base, kept in rows
        ]


def read(
    line: Line,
    channels: Sequence[str],
    cursor: Cursor | None,
    upto: int | None,
    limit: int,
    max_bytes: int,
    first: bool = False,
    told: Mapping[str, int] | None = None,
) -> tuple[Page, dict[str, int]]:
    """Return a page, and the number of each channel's last message, as of the same moment.

    ``first``: before others that wait for the line. ``told``: up to where what is missing of a
    channel has been named already.
    """
    epoch, _, bound, ours, floor, latest, states, rows, more = line.head(
        READ,
        *(("", 0) if cursor is None else cursor),
        "" if upto is None else upto,
        limit,
        max_bytes,
        *channels,
        first=first,
    )
    lasts: dict[str, int] = {}
    lost: list[Loss] = []
    for name, state in zip(channels, states, strict=True):
        lasts[name] = int(state[0] or 0)
        if cursor is not None:
            known = max(cursor.n, told.get(name, 0)) if told else cursor.n
            loss = _loss(name, state, cursor, known, epoch, ours, int(floor))
            lost += [] if loss is None else [loss]
    time = float(latest) if latest else None
    if cursor is None:
        return Page(Cursor(epoch, int(bound)), latest=time), lasts
    messages = [_message(epoch, channels[place - 1], row) for place, row in rows]
    at = messages[-1].n if more else int(bound)
    return Page(Cursor(epoch, at), messages, bool(more), lost, time), lasts


def _loss(
    name: str,
    state: Sequence[str],
    cursor: Cursor,
    known: int,
    epoch: str,
    ours: int,
    floor: int,
) -> Loss | None:
    last, base, first, prev = state
    before = f"{epoch}.{first}" if first else None
    if not ours:
        return Loss(name, str(cursor), before, "epoch")
    first_prev = int(prev or base) if first else None
    if is_complete(known, first_prev, int(last) if last else floor):
        return None
    return Loss(name, str(cursor), before, "expired")


def _message(epoch: str, channel: str, row: Sequence[Any]) -> Message:
    n, prev, event, time, expires, data = row
    return Message(
        epoch,
        int(n),
        int(prev) if prev else None,
        channel,
        event,
        float(time),
        float(expires) if expires else None,
        data,
    )


def _last(epoch: str, last: str, base: str) -> str | None:
    return f"{epoch}.{last}" if last and int(last) > int(base) else None
