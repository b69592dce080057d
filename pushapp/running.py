"""What a process that serves has open: made once per process, after any fork.

What belongs here: what is opened in which order, and closed. What does not: what any of it does.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flask import Flask

from .broker import open_broker
from .courier import HttpCourier
from .departures import Departures
from .desk import Desk
from .endings import Endings
from .errors import AtCapacity
from .figures import Figures
from .hub import Hub
from .metered import MeteredLog
from .orders import Orders
from .outlet import Lot
from .presence import Presence
from .revocations import Revocations
from .seats import Seats
from .sketch import Ops, Still
from .transports.context import Context
from .transports.websocket import ENVELOPE
from .webhooks import Webhooks

if TYPE_CHECKING:
    from .extension import Push


class Running:
    """The log, its hub, and the loops beside it."""

    def __init__(self, push: Push, app: Flask) -> None:
        settings = push.settings
        self.pid = os.getpid()
        self.closed = False
        self._most = settings.max_connections
        self.broker = open_broker(
            settings.broker_url, settings.retention, prefix=settings.key_prefix
        )
        try:
            self.broker.log = MeteredLog(self.broker.log, push.tally)
            self.hub = Hub(self.broker, Seats(settings.quota), push.tally)
        except BaseException:
            self.broker.close()
            raise
        self.lot = Lot(self.hub.wheel, settings.buffer, settings.buffer_total, settings.heartbeat)
        self.desk = Desk(self.broker.log)
        self.presence = Presence(
            self.broker.roster,
            settings.presence_grace,
            record=bool(settings.webhook_url),
            moved=self.hub.moved,
        )
        self.orders = Orders(self.broker, self.hub.listener.stirred)
        self.revocations = Revocations(
            self.broker.leases, self.hub, push.tokens, self.orders, self.presence
        )
        self.endings = Endings(self.hub, push.ids, self.orders, self.presence)
        self.figures = Figures(push, self, self.orders)
        self.orders.begin(self.revocations, self.endings, self.figures)
        self.departures = Departures(push.tally)
        self.context = Context(
            self.hub,
            self.lot,
            self.presence,
            settings.heartbeat,
            Still(app, push.gate),
            self.departures,
            push.limits,
            settings.stream_life,
            settings.is_latest_only,
        )

        self.ops = Ops(app)
        self.frame_limit = settings.max_message + ENVELOPE  # bytes; one number for all
        self.webhooks: Webhooks | None = None
        if settings.webhook_url:
            courier = HttpCourier(settings.webhook_url, settings.webhook_secrets)
            self.webhooks = Webhooks(self.broker, courier, push.tally.webhooks)

    def check_room(self, user: str | None, address: str | None) -> None:
        """Return when one more client, of this user at this address, may wait here.

        Raises:
            AtCapacity: none may.
            TooManyRequests: they have as many as they may.
        """
        self.hub.seats.check(user, address)
        if len(self.hub) >= self._most:
            raise AtCapacity("this worker holds as many connections as it may", retry_after=5)

    def close(self) -> None:
        """Let go of it all."""
        self.closed = True
        self.presence.close()
        if self.webhooks is not None:
            self.webhooks.close()
        self.figures.close()
        self.orders.close()
        self.hub.close()
        self.departures.close()
        self.broker.close()
