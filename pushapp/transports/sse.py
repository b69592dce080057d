"""Server-sent events: messages as one endless response.

What belongs here: the framing of https://html.spec.whatwg.org/#server-sent-events, chunked for
HTTP/1.1. What does not: what is sent when (``stream``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..background import spawn
from ..broker.roster import is_presence
from ..handover import Connection, Head
from ..message import Message
from ..parking import ParkedSocket
from ..waiter import Waiter
from .members import fields
from .params import Asked
from .poll import HEADERS as POLL_HEADERS
from .stream import Stream

#: no-transform and X-Accel-Buffering: a proxy that compresses or buffers would hold messages back.
HEADERS = POLL_HEADERS | {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}


def events(pairs: Sequence[tuple[Message, bytes]]) -> bytes:
    """Encode messages as unnamed events, changes of presence as named ones; the id is the
    cursor."""
    return b"".join([_event(m, body) for m, body in pairs])


def _event(message: Message, body: bytes) -> bytes:
    kind = b""
    if is_presence(message.channel):
        kind, body = b"event: presence\n", f"{{{fields(message)}}}".encode()
    return b"%bid: %b\ndata: %b\n\n" % (kind, message.id.encode(), body)


def chunk(data: bytes) -> bytes:
    """Frame ``data`` as one chunk (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunked_events(pairs: Sequence[tuple[Message, bytes]]) -> bytes:
    """Encode messages as one chunk of events."""
    return chunk(events(pairs))


class Sse(Stream):
    """An EventSource, whose bytes are framed by nobody else or by the WSGI server."""

    __slots__ = ("_asked",)
    transport = "sse"
    framing = b""  # the header field that says how the body is framed
    encode = staticmethod(events)

    def named(self, kind: str, fields: str, cursor: str | None = None) -> bytes:
        lines = f"event: {kind}\n"
        if kind == "reconnect":
            # what the browser's EventSource obeys by itself
            lines += "retry: " + fields.partition(":")[2] + "\n"
        if cursor is not None:
            comma = "," if fields else ""
            lines += f"id: {cursor}\n"
            fields = f'"cursor":"{cursor}"{comma}{fields}'
        return f"{lines}data: {{{fields}}}\n\n".encode()

    def farewell(self, code: int, reason: str) -> bytes:
        return b""

    def on_input(self) -> None:
        """Nothing that a client could say on an event stream means anything; its end does."""
        if isinstance(self.outlet, ParkedSocket):
            self.outlet.read(65536)

    # -- parked --------------------------------------------------------------------------------

    def wants(self, asked: Asked) -> Sse:
        """Remember what to begin with once it is parked."""
        self._asked: Asked | None = asked
        return self

    def park(self, connection: Connection, fd: int, early: bytes, head: Head) -> None:
        """Begin on the socket ``fd``; see ``handover.Parkable``."""
        outlet = ParkedSocket(fd, self.context.lot, self)
        asked, self._asked = self._asked, None
        assert asked is not None  # it begins once
        self.begin(outlet, asked, head.bare() + self.framing + b"\r\n")

    # -- in its greenlet or thread -------------------------------------------------------------

    def body(self, asked: Asked) -> Iterator[bytes]:
        """Begin, and return what the response yields."""
        waiter = Waiter(self.context.lot, self)
        self.outlet = waiter
        spawn(self.begin, waiter, asked)
        return iter(waiter.read, None)

    def hang_up(self) -> None:
        """The response is over."""
        self.over("gone")
        if self.outlet is not None:
            self.outlet.close()


class ChunkedSse(Sse):
    """An EventSource on a parked HTTP/1.1 connection."""

    __slots__ = ()
    framing = b"Transfer-Encoding: chunked\r\n"
    encode = staticmethod(chunked_events)

    def named(self, kind: str, fields: str, cursor: str | None = None) -> bytes:
        return chunk(super().named(kind, fields, cursor))

    def farewell(self, code: int, reason: str) -> bytes:
        return b"0\r\n\r\n"
