"""Long polling: an answer that comes when there is something to say.

What belongs here: waiting for it, and writing it onto a parked connection, which then serves its
next request. What does not: the answer's shape (``poll``).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from ..background import spawn
from ..errors import LogUnavailable, PushError
from ..handover import Connection, Head
from ..hub import Hub
from ..message import Bundle, Cursor, Loss
from ..outlet import Lot
from ..parking import ParkedSocket
from ..presence import Presence
from ..problem import problem, reason_of
from ..subscriber import Subscriber
from . import alike
from .params import Asked
from .poll import (
    HEADERS,
    Answer,
    add_presence,
    answer,
    etag,
    is_empty,
    settle,
    unchanged,
)

_REST = 2.0  # seconds; a client asks again at once, or has something else to do
_ROUNDS = 100  # reads until the hub must have been reached; each is a lost race with a publisher


class LongPoll(Subscriber):
    """A client that waits for one answer."""

    __slots__ = (
        "_arrived",
        "_asked",
        "_connection",
        "_early",
        "_head",
        "_lot",
        "_refusal",
        "_socket",
        "_who",
        "answered",
        "hub",
        "way",
    )
    transport = "longpoll"

    def __init__(
        self,
        hub: Hub,
        lot: Lot,
        who: Presence,
        asked: Asked,
        connection_id: str,
        *,
        parks: bool,
    ) -> None:
        super().__init__(asked.channels, connection_id, asked.presence)
        self.hub, self._lot, self._who = hub, lot, who
        self._asked = asked
        self._arrived = None if parks else threading.Event()
        self.answered: Answer | None = None
        self._refusal: PushError | None = None  # what is said instead of the answer
        self.way: dict[str, int] | None = None  # in which its answer is counted; see ``tally``
        self._early = b""
        self._socket: ParkedSocket | None = None
        self._connection: Connection | None = None
        self._head: Head | None = None

    def enter(self, hold: float, cursor: Cursor) -> bool:
        """Wait at once, where it is known in the hub that there is nothing up to ``cursor``; False:
        ``begin`` has to. Never waits itself; to be called in the event loop."""
        if not self.hub.enter(self, cursor):
            return False
        self.hub.wheel.set(self, hold)
        return True

    def go_on(self, hold: float, cursor: Cursor, asked: Asked, connection_id: str) -> bool:
        """As ``enter``, for the next request of one that rests, which asks for the same channels;
        False: it has to begin anew, as another one."""
        if not self.hub.go_on(self, cursor):
            return False
        self._asked, self.id = asked, connection_id
        self.hub.wheel.set(self, hold)
        return True

    def begin(self, hold: float) -> None:
        """Join, then read, then wait; where there is something already, it is the answer.

        Raises:
            LogUnavailable: the log does not answer.
        """
        log = self.hub.log
        listens = self.listens
        try:
            self.hub.join(self, listens)
            for _ in range(_ROUNDS):
                page = log.read(listens, self._asked.cursor)
                reply = answer(page, self.id)
                if self.presence:
                    add_presence(reply, page.messages)
                with self.hub.lock:
                    if not is_empty(reply) or self.hub.draining:
                        self._finish(reply)
                        return
                    if self.hub.go_live(self, page.cursor):
                        self.hub.wheel.set(self, hold)
                        return
                self.hub.catch_up(page.cursor)
        except BaseException:
            self.hub.leave(self)  # also where its channels cannot be followed: it has its seat
            raise
        self.hub.leave(self)
        raise LogUnavailable("the log moves on faster than this worker can read it")

    # -- what the hub calls --------------------------------------------------------------------

    def deliver(self, bundle: Bundle) -> None:
        parked, head, connection = self._socket, self._head, self._connection
        if parked is None or head is None or connection is None or self.presence:
            self._answer_alone(bundle)
        elif self.hub.draining or not (head.keep and connection.keeps):
            self._answer_alone(bundle)
        else:  # as all others of this kind, and without an ``Answer`` of its own
            before, behind = alike.around_id(bundle, head, len(self.id))
            self.hub.tally.answered(self.transport, len(bundle.messages), (), self.way)
            if self._early:
                self.hub.let_out(self)
            else:  # to leave and to come again a moment later would be a fifth of the cycle
                self.hub.rest(self, _REST)
            self._socket = self._connection = None
            connection.go_on(parked, before + self.id.encode() + behind, self._early, self)

    def _answer_alone(self, bundle: Bundle) -> None:
        reply = alike.answer(bundle, self.id)
        if self.presence:
            add_presence(reply, bundle.messages)
        self._finish(reply)

    def tell(self, cursor: Cursor, lost: Sequence[Loss]) -> None:
        reply = Answer(self.id, cursor, lost=lost)
        if self.presence:
            add_presence(reply, ())
        self._finish(reply)

    def on_due(self) -> float | None:
        if self.rests:  # nobody has asked again
            self.hub.leave(self)
        else:
            self._finish(Answer(self.id, self.hub.position_of(self)))
        return None

    def drain(self, after: float) -> None:
        if self.live:  # else ``begin`` is still reading, and answers with what it has read
            self._finish(Answer(self.id, self.hub.position_of(self), reconnect=after))

    def ask_again(self) -> None:
        if self.live:  # its next request is asked
            self.on_due()

    def fail(self, error: PushError) -> None:
        if self.live:
            self._refusal = error
            self.hub.tally.refusals[reason_of(error)] += 1
            self.on_due()

    def abandon(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self.on_gone()

    def left(self) -> None:
        self._who.seen(self.id, 0.0)  # its next request is due

    # -- answering -----------------------------------------------------------------------------

    def _finish(self, reply: Answer) -> None:
        if self.answered is None:
            if self.presence and self.id != self._asked.connection:
                reply.owed = self.channels  # a connection begins with who is there
            self.answered = reply
            self.hub.tally.answered(self.transport, reply.count, reply.lost, self.way)
            self.hub.leave(self)
            if self._arrived is not None:
                self._arrived.set()
            self._write()

    def _write(self) -> None:
        """Write the answer if the socket is parked already, and let its next request be served."""
        parked, head, connection = self._socket, self._head, self._connection
        if parked is None or head is None or connection is None or self.answered is None:
            return
        if self.answered.owed and self._refusal is None:
            spawn(self._settle, self.answered)  # it may have to wait for the log
            return
        if self.hub.draining or not connection.keeps:
            head = head.closing()
        data = self._rendered(self.answered, head)
        self._socket = self._connection = None
        if head.keep:
            connection.go_on(parked, data, self._early)
        else:
            parked.finish(data)
            connection.end()

    def _settle(self, reply: Answer) -> None:
        try:
            settle(reply, self._who.roster)
        except LogUnavailable:  # it has missed nothing yet, and asks again
            assert self._asked.cursor is not None  # else it would not wait
            self.answered = Answer(self.id, self._asked.cursor)
        with self.hub.lock:
            self._write()

    def _rendered(self, reply: Answer, head: Head) -> bytes:
        if self._refusal is not None:
            return _refused(self._refusal, head)
        not_modified = unchanged(reply, self._asked)
        tag = etag(reply, self._asked, not_modified)
        if not_modified:
            return head.bare(b"304 NOT MODIFIED") + f"ETag: {tag}\r\n\r\n".encode()
        return head.answer(tag, reply.body())

    def wait(self, hold: float) -> Answer:
        """Wait for the answer in this greenlet or thread: for a client that cannot be parked.

        Raises:
            PushError: what it was let go for.
        """
        if self._arrived is not None:
            self._arrived.wait(hold + 1)  # the wheel answers after ``hold``
        with self.hub.lock:
            if self.answered is None:
                self.on_due()
            if self._refusal is not None:
                raise self._refusal
        assert self.answered is not None  # on_due has answered
        settle(self.answered, self._who.roster)
        return self.answered

    # -- parking -------------------------------------------------------------------------------

    def park(self, connection: Connection, fd: int, early: bytes, head: Head) -> None:
        """Wait on the socket ``fd``; see ``handover.Parkable``."""
        parked = ParkedSocket(fd, self._lot, self)
        self._early = early
        if early:
            parked.pause()  # a pipelined request: it is served after this answer
        with self.hub.lock:
            self.stay(parked, connection, head)

    def stay(self, parked: ParkedSocket, connection: Connection, head: Head) -> None:
        """Wait on a socket that is parked already. The hub's lock is held."""
        parked.owner = self
        self._socket, self._connection, self._head = parked, connection, head
        if self.answered is not None:  # while the empty response went through the middlewares
            self._write()

    def on_input(self) -> None:
        """Look without taking: what comes is the next request, and not ours to read."""
        if self._socket is not None and self._socket.peek():
            self._socket.pause()

    def on_gone(self) -> None:
        connection, self._connection = self._connection, None
        self._socket = None
        self.hub.leave(self)
        if connection is not None:
            connection.end()

    def on_overflow(self) -> None:
        """Nothing is unsent while it waits, so there is nothing to cut."""


def _refused(error: PushError, head: Head) -> bytes:
    """Return ``error`` under a head that was made for an answer."""
    refusal = problem(error)
    kinds = HEADERS["Content-Type"].encode(), refusal.headers["Content-Type"].encode()
    body: bytes = refusal.get_data()
    data = head.of_error(refusal.status, kinds).bare()
    return data + b"Content-Length: %d\r\n\r\n" % len(body) + body
