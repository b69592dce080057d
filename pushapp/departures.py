"""The ends of streams: counted, and one line each in the log.

What belongs here: what such a line says, and writing many of them without holding up the others.
What does not: when a stream ends (``transports``). A long poll that is answered, and a poller that
asks no more, are no ends: presence tells who is there.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import Protocol

from .background import let_others, spawn
from .errors import (
    ConnectionEnded,
    Flood,
    InvalidInput,
    NotAllowed,
    NotAuthenticated,
    PushError,
    TokenExpired,
    Unavailable,
)
from .tally import Tally

_MOST = 20_000  # lines that wait to be written, 4 MB; of more, their number is logged
_TURN = 32  # lines in one go: about a millisecond

#: Error class → why a stream that it ends has ended; see ``tally.ENDS``.
WHY: dict[type[PushError], str] = {
    PushError: "error",
    InvalidInput: "protocol",
    NotAuthenticated: "refused",
    TokenExpired: "expired",
    NotAllowed: "refused",
    ConnectionEnded: "kicked",
    Unavailable: "busy",
    Flood: "flood",
}

log = logging.getLogger(__name__)


class Leaver(Protocol):
    """A stream that has ended."""

    @property
    def transport(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def user(self) -> str | None: ...
    @property
    def since(self) -> float:
        """When it began, in Unix seconds."""

    messages: int  # that it was handed


class Departures:
    """Counts who leaves, and says so. Every value of a line is ours or was checked: a line holds
    no token, no query, and nothing that could begin another line."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._lines: deque[str] = deque()
        self._dropped = 0

    def add(self, who: Leaver, reason: str) -> None:
        """``who`` has ended because of ``reason``, one of ``tally.ENDS``."""
        tally = self._tally
        tally.ended[who.transport, reason] += 1
        messages, who.messages = who.messages, 0  # it is counted here from now on
        tally.deliveries[who.transport] += messages
        if not log.isEnabledFor(logging.INFO):
            return
        if len(self._lines) >= _MOST:
            self._dropped += 1
            return
        seconds = time.time() - who.since
        self._lines.append(
            f"ended connection={who.id} user={who.user or '-'} transport={who.transport}"
            f" reason={reason} seconds={seconds:.1f} messages={messages}"
        )
        if len(self._lines) == 1:
            spawn(self._write)  # beside: ten thousand may leave at once

    def _write(self) -> None:
        while self._lines:
            self._write_some(_TURN)
            let_others()

    def _write_some(self, most: int) -> None:
        for _ in range(min(most, len(self._lines))):
            log.info("%s", self._lines.popleft())
        if self._dropped and not self._lines:
            dropped, self._dropped = self._dropped, 0
            log.info("ended: %d more connections, of which there is no line", dropped)

    def close(self) -> None:
        """Write what is left."""
        self._write_some(len(self._lines))


def why(error: PushError) -> str:
    """Return why a stream that ``error`` ends has ended."""
    return next(WHY[kind] for kind in type(error).__mro__ if kind in WHY)
