"""WebSocket: one socket both ways.

What belongs here: one JSON object per text frame, both ways. What does not: what a stream sends
when (``stream``), what its client says (``conversation``), frames as bytes (``frames``).
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Sequence
from typing import Any

from ..broker.roster import is_presence
from ..errors import Flood
from ..handover import Connection, Head
from ..message import Message
from ..parking import LINGER, ParkedSocket
from ..waiter import Waiter
from . import deflate, frames
from .conversation import Conversation
from .frames import FrameReader, Opcode
from .members import frame

ENVELOPE = 4096  # bytes a frame may have beside its data
_READ = 65536

log = logging.getLogger(__name__)


def text_frames(pairs: Sequence[tuple[Message, bytes]]) -> bytes:
    """Encode messages as text frames, and changes of presence."""
    return b"".join(
        [frames.text(frame(m) if is_presence(m.channel) else body) for m, body in pairs]
    )


class WebSocket(Conversation):
    """One WebSocket."""

    __slots__ = ("_greeting", "_reader")
    transport = "websocket"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._greeting = b""
        self._reader: FrameReader | None = None

    # -- framing -------------------------------------------------------------------------------

    encode = staticmethod(text_frames)

    def named(self, kind: str, fields: str, cursor: str | None = None) -> bytes:
        at = "" if cursor is None else f',"cursor":"{cursor}"'
        comma = "," if fields else ""
        return frames.text(f'{{"type":"{kind}"{at}{comma}{fields}}}'.encode())

    def farewell(self, code: int, reason: str) -> bytes:
        return frames.close(code, reason)

    def greets(self, greeting: bytes) -> WebSocket:
        """Send ``greeting`` first: the 101, unless that has been sent."""
        self._greeting = greeting
        return self

    def _take_greeting(self) -> bytes:
        greeting, self._greeting = self._greeting, b""
        return greeting

    # -- parked --------------------------------------------------------------------------------

    def park(self, connection: Connection, fd: int, early: bytes, head: Head) -> None:
        """Begin on the socket ``fd``; see ``handover.Parkable``."""
        outlet = ParkedSocket(fd, self.context.lot, self)
        outlet.pause()
        self._start(outlet, self._take_greeting())
        if early:
            self._feed(early)
        if self._waiting is None:
            outlet.resume()

    def on_input(self) -> None:
        if isinstance(self.outlet, ParkedSocket):
            data = self.outlet.read(_READ)
            if data:
                self._feed(data)

    # -- in its greenlet or thread -------------------------------------------------------------

    def serve(self, sock: Any, early: bytes) -> None:
        """Serve a client that cannot be parked, until it ends."""
        waiter = Waiter(self.context.lot, self)
        self.outlet = waiter
        over = threading.Event()
        writer = threading.Thread(target=_drain, args=(waiter, sock, over), daemon=True)
        writer.start()
        self._start(waiter, self._take_greeting())
        try:
            data = early or sock.recv(_READ)
            while data and not waiter.closed:
                self._feed(data)
                data = sock.recv(_READ)
        except OSError:
            pass  # the client is gone, as at the end of its input
        self.over("gone")
        over.set()
        waiter.finish()
        writer.join(timeout=LINGER)

    # -- what the client says ------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        reader = self._reader or self._new_reader()
        found = reader.feed(data)
        if reader.small:
            small, reader.small = reader.small, 0
            try:
                self.context.limits.frames(self.id, small)
            except Flood as error:
                self.fail(error)
                return
        for opcode, payload in found:
            self._heard(opcode, payload)
        if reader.error is not None:
            self.end(reader.error.code, reader.error.reason, "protocol")
        self._reader = None if reader.idle else reader

    def _new_reader(self) -> FrameReader:
        return FrameReader(self._limit)

    def _heard(self, opcode: Opcode, payload: bytes) -> None:
        if opcode is Opcode.TEXT:
            self._enqueue(payload)
        elif opcode is Opcode.PING:
            self.write(frames.frame(Opcode.PONG, payload))
        elif opcode is Opcode.CLOSE:
            code = int.from_bytes(payload[:2], "big") if payload else 1005
            self.end(code, "", "asked")
        elif opcode is Opcode.BINARY:
            self.end(1003, "text frames alone", "protocol")


class Inflating(WebSocket):
    """One whose client may send compressed, and has too small a window for what we compress."""

    __slots__ = ()

    def _new_reader(self) -> FrameReader:
        return FrameReader(self._limit, deflate.inflate)


class Deflating(Inflating):
    """One that sends and gets compressed messages."""

    __slots__ = ()
    encode = staticmethod(deflate.text_frames)


def kind_of(agreed: deflate.Agreed | None) -> type[WebSocket]:
    """Return which WebSocket goes by what the handshake has agreed on."""
    if agreed is None:
        return WebSocket
    return Deflating if agreed.compresses else Inflating


def _drain(waiter: Waiter, sock: Any, over: threading.Event) -> None:
    """Write what comes out of ``waiter`` to a socket that blocks; then see that it ends, even if
    its client never does. ``over``: nobody reads from it any more."""
    while (data := waiter.read()) is not None:
        try:
            sock.sendall(data)
        except OSError:
            waiter.close()
    try:
        if not over.is_set():
            sock.shutdown(socket.SHUT_WR)
        if not over.wait(LINGER):
            sock.shutdown(socket.SHUT_RD)
    except OSError as error:
        log.debug("it has ended already: %s", error)
