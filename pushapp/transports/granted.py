"""Whose a stream is, and for how long that is believed.

What belongs here: its grant, the sketch of the request that it was given for, and asking again once
it ends. What does not: the answer (``auth``), and what else falls due on a stream (``stream``).
"""

from __future__ import annotations

import logging
import math
import time

from ..auth import TOKEN, Grant, Sketch
from ..background import spawn
from ..broker.roster import Entry, of_clients
from ..errors import NotAuthenticated, PushError, Unavailable
from ..shared import moment
from ..subscriber import Subscriber
from ..tokens import Token
from .context import Context
from .params import Asked

log = logging.getLogger(__name__)


class Granted(Subscriber):
    """A client that may listen for as long as its grant lasts, and then as the next one says."""

    __slots__ = ("_ask_at", "_member", "_observer", "_sketch", "context", "since")

    def __init__(
        self,
        context: Context,
        asked: Asked,
        connection_id: str,
        grant: Grant | None,
        sketch: Sketch,
    ) -> None:
        """``grant``: None where it has to bring a token first, which ``go_by`` is told of."""
        super().__init__(asked.channels, connection_id, asked.presence)
        self.context = context
        self.since = time.time()
        self._sketch = sketch  # of the request, to ask again whether it still may
        self._ask_at = math.inf  # monotonic seconds
        self._member: str | None = None
        self._observer = False
        if grant is not None:
            self._ask_at = _end_of(grant)
            self._is_whose(grant)

    def _is_whose(self, grant: Grant) -> None:
        self.user, self._member, self._observer = grant.user, grant.member, grant.observer

    @property
    def token(self) -> Token | None:
        """See ``presence.Stream``."""
        sketch = self._sketch
        token = sketch if isinstance(sketch, Token) else sketch.get(TOKEN)
        return token if isinstance(token, Token) else None

    def entry(self) -> Entry:
        """See ``presence.Stream``."""
        about = self.user, self._member, self.transport, self.since, of_clients(self.channels)
        return Entry(self.id, *about, self.presence, self._observer)

    def set_due(self) -> None:
        """Have ``on_due`` called by the time at which its grant ends, unless it has ended."""
        raise NotImplementedError

    def ask_by(self, grant: Grant) -> None:
        """Ask again as soon as ``grant`` ends, if that is before all others do."""
        self._ask_at = min(self._ask_at, _end_of(grant))
        self.set_due()

    def go_by(self, sketch: Sketch, grant: Grant) -> None:
        """Go by ``grant`` from here on; ``sketch`` is what it was given for.

        Raises:
            TooManyRequests: its user has as many connections as may be.
        """
        self.context.hub.name(self, grant.user)
        self._sketch, self._ask_at = sketch, math.inf
        self._is_whose(grant)
        self.ask_by(grant)

    def asks_in(self, now: float) -> float:
        """Return in how many seconds its grant ends; ``now``: monotonic seconds."""
        return max(0.0, self._ask_at - now)

    def ask_if_due(self, now: float) -> None:
        """Ask again where its grant has ended."""
        if now >= self._ask_at:
            self._ask_at = math.inf
            self.ask_again()

    def ask_again(self) -> None:
        spawn(self._ask_again)

    def _ask_again(self) -> None:
        sketch = self._sketch
        try:
            grant = self.context.may_still(sketch, self.channels)
        except PushError as error:
            if self._sketch is sketch:  # else it has brought another token meanwhile
                self.fail(error)
        except Exception:
            log.exception("asking whether connection %s still may failed; it ends", self.id)
            self.fail(Unavailable("it cannot be told now whether you may listen"))
        else:
            if grant.user != self.user:
                self.fail(NotAuthenticated("somebody else, or nobody, is known here now"))
                return
            with self.context.hub.lock:
                self.ask_by(grant)


def _end_of(grant: Grant) -> float:
    """Return when to ask again (monotonic seconds)."""
    return math.inf if grant.seconds is None else moment(grant.seconds)
