"""WebSocket: one socket both ways.

What belongs here: the handshake's checks, one JSON object per text frame, the ops of a client. What
does not: what a stream sends when (``stream``), frames as bytes (``frames``).
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ..auth import Grant
from ..background import spawn
from ..errors import InvalidInput, NotFound, PushError
from ..handover import Connection, Head
from ..message import Bundle, Cursor, Loss, Message, dump
from ..parking import LINGER, ParkedSocket
from ..problem import as_dict
from ..waiter import Waiter
from . import frames
from . import op as op_fields
from .frames import FrameReader, Opcode
from .params import Asked, channels
from .stream import Context, Stream, recovery

ENVELOPE = 4096  # bytes a frame may have beside its data
_READ = 65536

log = logging.getLogger(__name__)


def text_frames(pairs: Sequence[tuple[Message, bytes]]) -> bytes:
    """Encode messages as text frames."""
    return b"".join([frames.text(body) for _, body in pairs])


class Ops(Protocol):
    """What a client may do on its socket; each is asked with the sketch of its request."""

    def may_subscribe(self, sketch: Mapping[str, object], channels: Sequence[str]) -> Grant:
        """Return the grant, or raise."""

    def publish(self, sketch: Mapping[str, object], body: Mapping[str, object]) -> dict[str, Any]:
        """Publish, and return the answer, or raise."""


class WebSocket(Stream):
    """One WebSocket."""

    __slots__ = ("_asked", "_limit", "_narrowed", "_ops", "_reader", "_waiting")

    def __init__(
        self,
        context: Context,
        asked: Asked,
        connection_id: str,
        grant: Grant,
        sketch: Mapping[str, object],
        ops: Ops,
        limit: int,
    ) -> None:
        super().__init__(context, asked, connection_id, grant, sketch)
        self._asked: Asked | None = asked
        self._ops, self._limit = ops, limit
        self._narrowed = False  # it has left channels that a planned bundle may still hold
        self._reader: FrameReader | None = None
        self._waiting: list[bytes] = []  # ops that came while another is being done

    # -- framing -------------------------------------------------------------------------------

    def bundle(self, bundle: Bundle) -> bytes:
        return bundle.encoded(text_frames)

    def named(self, kind: str, fields: str, cursor: str | None = None) -> bytes:
        at = "" if cursor is None else f',"cursor":"{cursor}"'
        comma = "," if fields else ""
        return frames.text(f'{{"type":"{kind}"{at}{comma}{fields}}}'.encode())

    def farewell(self, code: int, reason: str) -> bytes:
        return frames.close(code, reason)

    def deliver(self, bundle: Bundle) -> None:
        if self._narrowed:
            wanted = [m for m in bundle.messages if m.channel in self.channels]
            if not wanted:
                return
            bundle = Bundle(wanted)
        super().deliver(bundle)

    # -- parked --------------------------------------------------------------------------------

    def park(self, connection: Connection, fd: int, early: bytes, head: Head) -> None:
        """Begin on the socket ``fd``; see ``handover.Parkable``. The 101 has been sent."""
        outlet = ParkedSocket(fd, self.context.lot, self)
        outlet.pause()
        self._start(outlet)
        if early:
            self._feed(early)
        if not self._waiting:
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
        self._start(waiter)
        try:
            data = early or sock.recv(_READ)
            while data and not waiter.closed:
                self._feed(data)
                data = sock.recv(_READ)
        except OSError:
            pass  # the client is gone, as at the end of its input
        self.context.hub.leave(self)
        over.set()
        waiter.finish()
        writer.join(timeout=LINGER)

    def _start(self, outlet: ParkedSocket | Waiter) -> None:
        asked, self._asked = self._asked, None
        assert asked is not None  # it starts once
        self.begin(outlet, asked)

    # -- what the client says ------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        reader = self._reader or FrameReader(self._limit)
        for opcode, payload in reader.feed(data):
            if opcode is Opcode.TEXT:
                self._enqueue(payload)
            elif opcode is Opcode.PING:
                self.write(frames.frame(Opcode.PONG, payload))
            elif opcode is Opcode.CLOSE:
                code = int.from_bytes(payload[:2], "big") if payload else 1005
                self.end(code, "")
            elif opcode is Opcode.BINARY:
                self.end(1003, "text frames alone")
        if reader.error is not None:
            self.end(reader.error.code, reader.error.reason)
        self._reader = None if reader.idle else reader

    def _enqueue(self, payload: bytes) -> None:
        """Do one op after the other, in a greenlet, because an op may wait for the log."""
        self._waiting.append(payload)
        if len(self._waiting) == 1:
            if isinstance(self.outlet, ParkedSocket):
                self.outlet.pause()  # no more is read than one read's worth of ops
            spawn(self._work)

    def _work(self) -> None:
        try:
            while self._waiting and self.outlet is not None and not self.outlet.closed:
                self._do(self._waiting[0])
                del self._waiting[0]
                time.sleep(0)  # a flood of them must not hold up the others
        finally:  # whatever became of an op, the next one is read
            self._waiting.clear()
            if isinstance(self.outlet, ParkedSocket):
                self.outlet.resume()

    def _do(self, payload: bytes) -> None:
        ref: object = None
        try:
            op = op_fields.parse(payload)
            ref = op.pop("ref", None)
            if ref is not None and not isinstance(ref, str | int):
                ref, came = None, ref
                raise InvalidInput("ref", came, "a string or a whole number")
            self._ops_table(op)(op, ref)
        except PushError as error:
            self._refuse(ref, error)
        except Exception:
            log.exception("an op failed on connection %s", self.id)
            self._refuse(ref, PushError())

    def _refuse(self, ref: object, error: PushError) -> None:
        fields = dump(as_dict(error))
        if ref is None:
            self.write(self.named("error", fields[1:-1]))
        else:
            self._reply(ref, f'"ok":false,"error":{fields}')

    def _reply(self, ref: object, fields: str, cursor: str | None = None) -> None:
        at = "" if ref is None else f'"ref":{dump(ref)},'
        self.write(self.named("reply", at + fields, cursor))

    def _ops_table(self, op: dict[str, Any]) -> Callable[[dict[str, Any], object], None]:
        name = op.pop("op", None)
        table = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "publish": self._publish,
            "ping": self._ping,
        }
        if not isinstance(name, str) or name not in table:
            raise InvalidInput("op", name, " or ".join(table))
        return table[name]

    def _ping(self, op: dict[str, Any], ref: object) -> None:
        op_fields.only(op)
        self._reply(ref, '"ok":true')

    def _publish(self, op: dict[str, Any], ref: object) -> None:
        answer = self._ops.publish(self._sketch, op)
        self._reply(ref, f'"ok":true,{dump(answer)[1:-1]}')

    def _unsubscribe(self, op: dict[str, Any], ref: object) -> None:
        leaving = op_fields.names(op)
        op_fields.only(op)
        unknown = [name for name in leaving if name not in self.channels]
        if unknown:
            raise NotFound(f"channels: {unknown[0]} is not subscribed here")
        hub = self.context.hub
        with hub.lock:
            hub.leave(self, leaving)
            self.channels = tuple(name for name in self.channels if name not in leaving)
            self._narrowed = True
            self._reply(ref, '"ok":true', str(hub.position_of(self)))

    def _subscribe(self, op: dict[str, Any], ref: object) -> None:
        wanted, cursor, limit = op_fields.names(op), op_fields.cursor(op), op_fields.history(op)
        op_fields.only(op)
        added = tuple(name for name in wanted if name not in self.channels)
        channels((*self.channels, *added), least=1)  # together they must not be too many
        grant = self._ops.may_subscribe(self._sketch, wanted)
        try:
            self._go_back(added, cursor, limit, grant, ref)
        except PushError as error:
            self.fail(error)  # half of it may have been sent: it comes back with its cursor

    def _go_back(
        self, added: tuple[str, ...], cursor: Cursor | None, limit: int, grant: Grant, ref: object
    ) -> None:
        """Send the backlog of ``added``, then go on with all channels from where it was.

        Until then nothing newer is sent for any channel, so that each cursor handed out on the way
        is true for all of them.
        """
        hub = self.context.hub
        with hub.lock:
            position = hub.position_of(self)
            self.live = self._narrowed = False
            self.channels = (*self.channels, *added)  # so that whoever ends it leaves these, too
        hub.join(self, added)
        if cursor is None and limit:
            self.send_history(added, limit)
        lost: list[Loss] = []
        if cursor is not None and added:
            _, lost = self.read_on(added, cursor, lambda *_: True, upto=position.n)
        with hub.lock:
            self.ask_by(grant)

        def reached(cursor: Cursor, more: list[Loss]) -> bool:
            if hub.draining:
                self.drain(0.0)
                return True
            if not hub.go_live(self, cursor):
                return False
            self._reply(ref, f'"ok":true,{recovery([*lost, *more])}', str(cursor))
            return True

        self.read_on(self.channels, position, reached)


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
