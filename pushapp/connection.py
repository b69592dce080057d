"""One TCP connection of a gunicorn worker, from accept to its end.

What belongs here: what is known of it, across requests and parking. What does not: what is done
with it, which is the ``yard``'s.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from .again import Again
from .bay import Bay
from .handover import Parkable
from .parking import ParkedSocket
from .republish import Republish
from .transports.longpoll import LongPoll

if TYPE_CHECKING:
    from .yard import Yard


class Connection:
    """One TCP connection, from accept to its end, across requests and parking."""

    __slots__ = (
        "address",
        "again",
        "bay",
        "busy",
        "client",
        "close",
        "head",
        "listener",
        "turn",
        "verdict",
        "waiting",
        "yard",
    )

    def __init__(self, yard: Yard, listener: Any, client: Any, address: Any) -> None:
        self.yard, self.listener, self.client, self.address = yard, listener, client, address
        self.busy = False  # a request is in progress
        self.close = False  # ... and is the last one
        self.turn: int | None = None  # of the loop, in which the last one began
        self.waiting: Parkable | None = None
        self.again: Again | Republish | None = None  # what may be remembered of its request
        self.verdict: Exception | None = None  # what came of the publish that the app is given next
        self.head = b""  # the head of the next one, where it was read in the lane
        self.bay: Bay | None = None

    @property
    def host(self) -> object:
        """The address of the peer, without a port."""
        return self.address[0] if isinstance(self.address, tuple) else self.address

    @property
    def parks(self) -> bool:
        """Whether its client can be parked now."""
        return not self.yard.draining and not isinstance(self.client, ssl.SSLSocket)

    @property
    def keeps(self) -> bool:
        """Whether there is room to serve its next request: those given back are outside of
        gunicorn's own count."""
        return bool(len(self.yard) < self.yard.most)

    def go_on(
        self, parked: ParkedSocket, data: bytes, early: bytes, waited: LongPoll | None = None
    ) -> None:
        """Write ``data``, and serve what comes next; see ``handover``."""
        bay = self.bay or self.yard.bay_of(self, parked.lot)
        if early:
            bay.expect(early)
        bay.waited = waited
        parked.hand_over(data, bay)

    def end(self) -> None:
        """Its client has left, or is to."""
        if self.bay is not None:
            self.bay.on_gone()
