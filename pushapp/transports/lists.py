"""Lists of members on a stream: at its beginning, and again where changes are not complete.

What belongs here: when a list is read, and its place between the changes. What does not: how it
looks (``members``), what else a stream sends (``stream``).
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..background import spawn
from ..broker.roster import Members
from ..errors import LogUnavailable
from ..message import Cursor
from . import members

if TYPE_CHECKING:
    from .stream import Stream

STALL = 30.0  # seconds for one page, after which a client that reads its backlog is too slow
_ROUNDS = 1000  # reads of lists; each is a lost race with a publisher
_SOON = 3.0  # seconds within which those come back that could not be told who is there

log = logging.getLogger(__name__)


def send_first(stream: Stream, channels: Sequence[str]) -> Cursor | None:
    """Send who is in ``channels``; return as of when, at the least.

    Raises:
        LogUnavailable: nobody can say.
    """
    outlet, told = stream.outlet, None
    for name in channels:
        found = stream.context.presence.roster.members(name, limit=members.PAGE)
        told = told or found.version
        stream.write(_frame(stream, name, found))
        if outlet is None or not outlet.wait_drained(STALL):
            stream.too_slow()
            break
    return told


def send_again(stream: Stream, channels: Sequence[str]) -> None:
    """Send who is in ``channels`` soon, between the changes before and after. Never waits."""
    if channels:
        spawn(_send, stream, channels)  # they have to be read


def _send(stream: Stream, channels: Sequence[str]) -> None:
    hub, roster = stream.context.hub, stream.context.presence.roster
    left = list(channels)
    try:
        for _ in range(_ROUNDS):
            found = roster.members(left[-1], limit=members.PAGE)
            with hub.lock:
                if stream.n <= found.version.n or not stream.live:
                    stream.write(_frame(stream, left.pop(), found))
            if not left:
                return
    except LogUnavailable as error:
        log.debug("connection %s comes back for its lists: %s", stream.id, error)
    with hub.lock:
        stream.drain(random.uniform(0, _SOON))


def _frame(stream: Stream, channel: str, found: Members) -> bytes:
    return stream.named("presence", f'"channel":"{channel}",{members.list_fields(found)}')
