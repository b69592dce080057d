"""A connection in the express lane: between two requests, and while one is answered.

What belongs here: reading a head from a parked socket, answering it from what the lane knows, and
giving everything else to gunicorn, untouched. What does not: what the lane knows (``lane``).
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from .again import Again
from .background import spawn
from .broker.interface import Page
from .cutting import END, LONGEST
from .errors import PushError
from .handover import Head
from .lane import Known
from .outlet import Lot
from .parking import ParkedSocket
from .posting import Found, Posting
from .republish import BEGIN
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

    __slots__ = (
        "_busy",
        "_connection",
        "_early",
        "_known",
        "_lot",
        "_parked",
        "_posted",
        "_since",
        "slot",
        "waited",
    )

    def __init__(self, connection: Connection, lot: Lot) -> None:
        self._connection, self._lot = connection, lot
        self._parked: ParkedSocket | None = None
        self._early = b""  # of the next request, as far as it has come
        self._since = 0.0  # monotonic seconds; when it began to be idle
        self._busy = False  # a request is being answered
        self._known: Known | None = None  # what was asked last
        self._posted: Found | None = None  # what was published last
        self.waited: LongPoll | None = None  # for the last request; it may rest for the next
        self.slot: Slot | None = None  # the wheel's

    # -- between requests ----------------------------------------------------------------------

    def expect(self, early: bytes) -> None:
        """Know that ``early`` was read of the next request already."""
        self._early = early

    def take(self, parked: ParkedSocket) -> None:
        """See ``parking.Heir``: the last answer is written."""
        parked.owner, self._busy = self, False
        self._since = time.monotonic()
        yard, is_here = self._connection.yard, parked is self._parked
        self._parked = parked
        if self._early or not (is_here or yard.has_room):
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
        if data.startswith(BEGIN):
            self._on_post(data)
        elif data.endswith(END):
            if self._early:
                self._early = b""
                self._lot.wheel.set(self, self._connection.yard.keepalive)
            try:
                self._serve(data)
            except Exception:  # nobody else would hear of it, and the client would wait
                log.exception("answering in the lane failed; the app tries it")
                self._give_back(data)
        elif len(data) < LONGEST and END not in data and _is_begun(data):
            self._wait_for_more(data)
        else:
            self._give_back(data)

    def _wait_for_more(self, data: bytes) -> None:
        """Have gunicorn take the request that ``data`` begins, unless the rest of it comes."""
        if not self._early:
            self._lot.wheel.set(self, PATIENCE)
        self._early = data

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
        self._let_go_of_waited()
        self._lot.wheel.cancel(self)
        self._connection.yard.forget(self._connection, self)

    def on_overflow(self) -> None:
        """It has not taken an answer, and is due another: cut it."""
        if self._parked is not None:
            self._parked.close()
        self.on_gone()

    def close(self) -> None:
        """End a connection that is idle."""
        if END in self._early:
            self._give_back(self._early)  # a publish that has begun, which gunicorn can still take
        elif self._parked is not None and not self._busy:
            self._parked.finish()
            self.on_gone()

    def _give_back(self, data: bytes) -> None:
        """Let gunicorn serve the request that begins with ``data``."""
        parked = self._parked
        self.on_gone()
        if parked is not None and not parked.closed:
            self._connection.yard.take_back(self._connection, parked.detach(), data)

    # -- publishing ----------------------------------------------------------------------------

    def _on_post(self, data: bytes) -> None:
        """Publish what ``data`` asks for where the lane knows it, once it is there."""
        found = self._connection.yard.find_post(data, self._connection.host, self._posted)
        if found is None:
            if END not in data and len(data) < LONGEST:
                self._wait_for_more(data)
            else:
                self._give_back(data)
            return
        while self._parked is not None and (missing := found.size - len(data)) > 0:
            more = self._parked.read(missing)
            if more is None:
                if self._parked is not None:
                    self._wait_for_more(data)
                return
            data += more
        if self._parked is None or len(data) > found.size:
            self._give_back(data)  # the next request has come, too
            return
        if self._early:
            self._early = b""
            self._lot.wheel.set(self, self._connection.yard.keepalive)
        self._parked.pause()
        self._posted, self._busy = found, True
        self._connection.yard.reading += 1
        Posting(self, found, data).begin()

    def answer(self, head: Head, body: bytes) -> None:
        """See ``posting.Berth``."""
        self._connection.yard.reading -= 1
        ends = self._connection.yard.draining or not self._connection.keeps
        self._send((head.closing() if ends else head).answer("", body), ends=ends, at_once=True)

    def leave_to_app(self, data: bytes, verdict: Exception | None = None) -> None:
        """See ``posting.Berth``."""
        self._connection.yard.reading -= 1
        self._connection.verdict = verdict
        self._give_back(data)

    # -- answering -----------------------------------------------------------------------------

    def _serve(self, head: bytes) -> None:
        """Answer ``head`` at once where that can be done, or begin to."""
        asked = self._find(head)
        known = self._known
        if asked is None or known is None or not known.again.may(asked):
            self._give_back(head)
            return
        again = known.again
        page = again.at_hand(asked)
        if page is None:
            self._begin_to_read(known, asked, head)
        elif again.must_wait(asked, page):
            self._begin_to_wait(known, asked, page, head)
        else:
            self._answer(known, asked, page, head)

    def _find(self, head: bytes) -> Asked | None:
        """Return what is asked for where the lane knows it; mostly it is the same as before."""
        known = self._known
        try:
            asked = None if known is None else known.asks(head)
            if asked is None:
                known = self._connection.yard.find(head, self._connection.host)
                asked = None if known is None else known.asks(head)
        except PushError:  # the app says so
            return None
        self._known = known
        return asked

    def _begin_to_read(self, known: Known, asked: Asked, head: bytes) -> None:
        self._let_go_of_waited()
        if self._parked is not None:
            self._parked.pause()
            self._busy = True
            self._connection.yard.reading += 1
            spawn(self._read, known, asked, head)

    def _read(self, known: Known, asked: Asked, head: bytes) -> None:
        """Answer from the log, in a greenlet of its own."""
        again, waiting = known.again, None
        try:
            page = again.read(asked)
            if again.must_wait(asked, page) and known.found is not None:
                waiting = again.waiting(asked)
                waiting.begin(again.hold(asked))
        except PushError as error:
            log.debug("not answered in the lane: %s", error)  # the app finds it, too, and says so
            self._leave(again, head)
        except Exception:
            log.exception("answering in the lane failed; the app tries it")
            self._leave(again, head)
        else:
            if waiting is not None and waiting.answered is None:
                if self._parked is not None:
                    self._parked.resume()
                self._wait(known, waiting)
            elif waiting is not None:
                self._answer_early(known, asked, waiting, head)
            elif again.must_wait(asked, page):
                self._leave(again, head)
            else:
                self._answer(known, asked, page, head)
        finally:
            self._connection.yard.reading -= 1

    def _answer(self, known: Known, asked: Asked, page: Page, head: bytes) -> None:
        """Answer with ``page``."""
        again = known.again
        ends = self._connection.yard.draining or not self._connection.keeps
        data = None if ends else known.quiet(page, asked)
        if data is not None:
            again.came(page)
            self._send(data)
        else:
            reply = again.answer(page)
            data = self._rendered(known, asked, reply, ends=ends)
            if data is None:
                self._leave(again, head)
                return
            self._send(data, ends=ends)
            if not ends:
                known.answered(page, asked, data, reply.connection)
        again.count(page)

    def _rendered(self, known: Known, asked: Asked, reply: Answer, *, ends: bool) -> bytes | None:
        """Return an answer's bytes; None where nobody knows yet what its head looks like."""
        not_modified = unchanged(reply, asked)
        head = known.unchanged if not_modified else known.found
        if head is None:
            return None
        if ends:
            head = head.closing()
        return head.answer(etag(reply, asked, not_modified), b"" if not_modified else reply.body())

    def _send(self, data: bytes, *, ends: bool = False, at_once: bool = False) -> None:
        """Write an answer, and be ready for the next request."""
        parked, yard = self._parked, self._connection.yard
        if parked is None or parked.closed:
            return
        yard.count()
        self._busy = True
        if ends:
            parked.finish(data)
            self.on_gone()
        elif at_once:
            parked.hand_over(data, self)
        else:
            yard.together.hand_over(parked, data, self)

    def _leave(self, again: Again, head: bytes) -> None:
        """Let the app answer what ``again`` may."""
        again.leave_to_app()
        self._give_back(head)

    # -- waiting -------------------------------------------------------------------------------

    def _answer_early(self, known: Known, asked: Asked, waiting: LongPoll, head: bytes) -> None:
        """Answer one that found something before it waited; it has been counted."""
        assert waiting.answered is not None
        ends = self._connection.yard.draining or not self._connection.keeps
        data = self._rendered(known, asked, waiting.answered, ends=ends)
        if data is None:
            self._leave(known.again, head)
        else:
            self._send(data, ends=ends)

    def _begin_to_wait(self, known: Known, asked: Asked, page: Page, head: bytes) -> None:
        if known.found is None:  # so far it was told 304 alone
            self._leave(known.again, head)
            return
        waited = self.waited
        if waited is not None and known.again.go_on(waited, asked, page.cursor):
            self.waited = None
            self._wait(known, waited)
            return
        self._let_go_of_waited()
        waiting = known.again.waiting(asked)
        if waiting.enter(known.again.hold(asked), page.cursor):
            self._wait(known, waiting)
        else:
            self._begin_to_read(known, asked, head)

    def _let_go_of_waited(self) -> None:
        waited, self.waited = self.waited, None
        if waited is not None and waited.rests:
            waited.hub.leave(waited)

    def _wait(self, known: Known, waiting: LongPoll) -> None:
        parked, connection, found = self._parked, self._connection, known.found
        if parked is None or parked.closed:
            waiting.on_gone()
            return
        assert found is not None  # else it would not have begun to wait
        connection.yard.count()
        self._busy = True
        waiting.stay(parked, connection, found)


def _is_begun(data: bytes) -> bool:
    """Tell whether ``data`` may be the first bytes of a request that the lane knows."""
    return _BEGIN.startswith(data[: len(_BEGIN)]) or BEGIN.startswith(data[: len(BEGIN)])
