"""A connection in the express lane: between two requests, and while one is answered.

What belongs here: reading a head from a parked socket, answering it from what the lane knows, and
giving everything else to gunicorn, untouched. What does not: what the lane knows (``lane``).
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from .background import spawn
from .cutting import END, LONGEST
from .errors import PushError
from .lane import Known
from .outlet import Lot
from .parking import ParkedSocket
from .transports.longpoll import LongPoll
from .transports.params import Asked
from .transports.poll import Answer, etag, unchanged
from .wheel import Slot

if TYPE_CHECKING:
    from .connection import Connection

PATIENCE = 1.0  # seconds that the rest of a head may take before it is gunicorn's
_BEGIN = b"GET /"

log = logging.getLogger(__name__)


class Bay:
    """One connection, as the owner of its socket between requests."""

    __slots__ = ("_busy", "_connection", "_early", "_lot", "_parked", "_since", "slot")

    def __init__(self, connection: Connection, lot: Lot) -> None:
        self._connection, self._lot = connection, lot
        self._parked: ParkedSocket | None = None
        self._early = b""  # of the next request, as far as it has come
        self._since = 0.0  # monotonic seconds; when it began to be idle
        self._busy = False  # a request is being answered
        self.slot: Slot | None = None  # the wheel's

    # -- between requests ----------------------------------------------------------------------

    def expect(self, early: bytes) -> None:
        """Know that ``early`` was read of the next request already."""
        self._early = early

    def take(self, parked: ParkedSocket) -> None:
        """See ``parking.Heir``: the last answer is written."""
        self._parked, self._busy = parked, False
        parked.owner = self
        self._since = time.monotonic()
        yard = self._connection.yard
        if self._early or not yard.has_room:
            self._give_back(self._early)
        elif yard.draining:
            self.close()
        else:
            parked.resume()
            if self.slot is None:
                self._lot.wheel.set(self, yard.keepalive)

    def on_input(self) -> None:
        if self._parked is None or (data := self._parked.read(LONGEST)) is None:
            return
        if self._early:
            data = self._early + data
        if data.endswith(END):
            if self._early:
                self._early = b""
                self._lot.wheel.set(self, self._connection.yard.keepalive)
            self._serve(data)
        elif len(data) < LONGEST and _BEGIN.startswith(data[: len(_BEGIN)]):
            if not self._early:
                self._lot.wheel.set(self, PATIENCE)
            self._early = data
        else:
            self._give_back(data)

    def on_due(self) -> float | None:
        """The rest of a head has not come, or no request for a long time."""
        keepalive = self._connection.yard.keepalive
        if self._busy:
            return keepalive
        if self._early:
            self._give_back(self._early)
            return None
        left = self._since + keepalive - time.monotonic()
        if left > 0:
            return left
        self.close()
        return None

    def on_gone(self) -> None:
        self._parked = None
        self._lot.wheel.cancel(self)
        self._connection.yard.forget(self._connection, self)

    def on_overflow(self) -> None:
        """It has not taken an answer, and is due another: cut it."""
        if self._parked is not None:
            self._parked.close()
        self.on_gone()

    def close(self) -> None:
        """End a connection that is idle."""
        if self._parked is not None and not self._busy:
            self._parked.finish()
            self.on_gone()

    def _give_back(self, data: bytes) -> None:
        """Let gunicorn serve the request that begins with ``data``."""
        parked = self._parked
        self.on_gone()
        if parked is not None and not parked.closed:
            self._connection.yard.take_back(self._connection, parked.detach(), data)

    # -- answering -----------------------------------------------------------------------------

    def _serve(self, head: bytes) -> None:
        """Answer ``head`` at once where that can be done, or begin to."""
        connection = self._connection
        found = connection.yard.find(head, connection.host)
        if found is None:
            self._give_back(head)
            return
        known, again = found[0], found[0].again
        try:
            asked = again.asks(found[1])
        except PushError:  # the app says so
            self._give_back(head)
            return
        if not again.may(asked):
            self._give_back(head)
            return
        page = again.at_hand(asked)
        if page is None:
            self._begin_to_read(known, asked, head)
            return
        reply = again.answer(page)
        if not again.must_wait(asked, reply):
            if self._answer(known, asked, reply, head):
                again.count(reply)
            return
        if 200 not in known.heads:  # so far it was told 304 alone
            self._give_back(head)
            return
        waiting = again.waiting(asked, reply)
        if waiting.enter(again.hold(asked), reply.cursor):
            self._wait(known, waiting)
        else:
            self._begin_to_read(known, asked, head)

    def _begin_to_read(self, known: Known, asked: Asked, head: bytes) -> None:
        if self._parked is not None:
            self._parked.pause()
            self._busy = True
            self._connection.yard.reading += 1
            spawn(self._read, known, asked, head)

    def _read(self, known: Known, asked: Asked, head: bytes) -> None:
        """Answer from the log, in a greenlet of its own."""
        again, waiting = known.again, None
        try:
            reply = again.answer(again.read(asked))
            if again.must_wait(asked, reply) and 200 in known.heads:
                waiting = again.waiting(asked, reply)
                waiting.begin(again.hold(asked))
        except PushError as error:
            log.debug("not answered in the lane: %s", error)  # the app finds it, too, and says so
            self._give_back(head)
        except Exception:
            log.exception("answering in the lane failed; the app tries it")
            self._give_back(head)
        else:
            if waiting is None and again.must_wait(asked, reply):
                self._give_back(head)
            elif waiting is None:
                if self._answer(known, asked, reply, head):
                    again.count(reply)
            elif waiting.answered is not None:  # before it waited: see ``subscribe``
                self._answer(known, asked, waiting.answered, head)
            else:
                self._wait(known, waiting)
        finally:
            self._connection.yard.reading -= 1

    def _answer(self, known: Known, asked: Asked, reply: Answer, request: bytes) -> bool:
        """Write an answer; where nobody knows what its head looks like, leave it to the app."""
        not_modified = unchanged(reply, asked)
        head = known.heads.get(304 if not_modified else 200)
        parked, connection = self._parked, self._connection
        if head is None or parked is None or parked.closed:
            self._give_back(request)
            return False
        connection.yard.count()
        self._busy = True
        ends = connection.yard.draining or not connection.keeps
        if ends:
            head = head.closing()
        data = head.answer(etag(reply, asked, not_modified), b"" if not_modified else reply.body())
        if ends:
            parked.finish(data)
            self.on_gone()
        else:
            parked.hand_over(data, self)
        return True

    def _wait(self, known: Known, waiting: LongPoll) -> None:
        parked, connection = self._parked, self._connection
        if parked is None or parked.closed:
            waiting.on_gone()
            return
        connection.yard.count()
        self._busy = True
        parked.resume()
        waiting.stay(parked, connection, known.heads[200])
