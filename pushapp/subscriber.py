"""One waiting client in a worker, as the hub sees it.

What belongs here: what every transport has to answer to. What does not: how (``transports``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from .broker.roster import presence_of
from .errors import PushError
from .message import Bundle, Cursor, Loss, Message
from .wheel import Slot


class Subscriber:
    """One waiting client in this worker, whatever its transport. The hub calls, under its lock.

    None of these methods may block or raise.
    """

    __slots__ = (
        *("address", "channels", "id", "live", "messages", "n", "presence", "ready", "rests"),
        *("slot", "user"),
    )
    transport: ClassVar[str]

    def __init__(
        self, channels: tuple[str, ...], connection_id: str = "", presence: bool = False
    ) -> None:
        self.channels = channels
        self.id = connection_id
        self.presence = presence  # it is told who comes and goes there
        self.live = False  # the hub hands out to it
        self.rests = False  # it has its place there until it goes on, see ``Hub.rest``
        self.n = -1  # it has everything of its channels up to here, in the hub's epoch
        #: Its raw socket, while messages may be sent there at once: nothing is unsent before them.
        self.ready: Any = None
        self.messages = 0  # that it was handed, and nobody has counted yet
        self.slot: Slot | None = None  # the wheel's
        self.user: str | None = None  # by its token
        self.address: str | None = None  # what it counts for; see ``address.counted_address``

    @property
    def listens(self) -> tuple[str, ...]:
        """All that the hub hands out to it: its channels, and what tells of their members."""
        return listened(self.channels, self.presence) if self.presence else self.channels

    @staticmethod
    def encode(pairs: Sequence[tuple[Message, bytes]]) -> bytes:
        """Return messages as they are on its wire, where it is ever ``ready``: once for all who get
        the same."""
        raise NotImplementedError

    def deliver(self, bundle: Bundle) -> None:
        """Take what is new."""
        raise NotImplementedError

    def owe(self, data: bytes, sent: int) -> None:
        """Send the rest of ``data``, of which ``ready`` took so many bytes; 0: it may be gone."""
        raise NotImplementedError

    def tell(self, cursor: Cursor, lost: Sequence[Loss]) -> None:
        """Tell the client that ``lost`` is missing; it is at ``cursor`` now."""
        raise NotImplementedError

    def on_due(self) -> float | None:
        """See ``wheel.Timed``."""
        raise NotImplementedError

    def drain(self, after: float) -> None:
        """Let the client go; it shall come back after ``after`` seconds."""
        raise NotImplementedError

    def ask_again(self) -> None:
        """Find out whether the client still may listen."""
        raise NotImplementedError

    def fail(self, error: PushError) -> None:
        """Let the client go because of ``error``, and say so."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Let go of its socket at once."""

    def left(self) -> None:
        """It waits no longer: it has left the hub, or rests there."""


def listened(channels: tuple[str, ...], presence: bool) -> tuple[str, ...]:
    """Return ``channels``, and with ``presence`` those that tell of their members."""
    return (*channels, *map(presence_of, channels)) if presence else channels
