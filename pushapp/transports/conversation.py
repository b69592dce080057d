"""What a client says on its stream, and what comes of it.

What belongs here: doing the ops one after the other, replies, and waiting for a token. What does
not: an op's fields (``op``), frames (``websocket``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from ..auth import Grant, Sketch
from ..background import let_others, spawn
from ..errors import Flood, InvalidInput, NoCredentials, NotFound, PushError
from ..message import Cursor, Loss, dump
from ..outlet import Outlet
from ..parking import ParkedSocket
from ..problem import as_dict, reason_of
from ..subscriber import Subscriber, listened
from . import members
from . import op as op_fields
from .backlog import Backlog, send_history
from .context import Context
from .lists import send_first
from .params import Asked, channels
from .stream import Stream, recovery

FIRST_FRAME = 5.0  # seconds for a token, where the channels need one and none has come

log = logging.getLogger(__name__)


class Ops(Protocol):
    """What a client may do on its socket; each is asked with the sketch of its request."""

    def may_subscribe(self, sketch: Sketch, channels: Sequence[str]) -> Grant:
        """Return the grant, or raise."""

    def refresh(self, sketch: Sketch, text: str, stream: Subscriber) -> tuple[Sketch, Grant]:
        """Return the sketch of ``stream`` with another token, and the grant that it gives, or
        raise."""

    def publish(self, sketch: Sketch, body: Mapping[str, object]) -> dict[str, Any]:
        """Publish, and return the answer, or raise."""


class Conversation(Stream):
    """A stream whose client speaks, too."""

    __slots__ = ("_asked", "_limit", "_ops", "_unknown", "_waiting")

    def __init__(
        self,
        context: Context,
        asked: Asked,
        connection_id: str,
        grant: Grant | NoCredentials,
        sketch: Sketch,
        ops: Ops,
        limit: int,
    ) -> None:
        unknown, known = (grant, None) if isinstance(grant, NoCredentials) else (None, grant)
        super().__init__(context, asked, connection_id, known, sketch)
        self._asked: Asked | None = asked
        self._unknown = unknown  # it has to bring a token first, or is told this
        self._ops, self._limit = ops, limit
        # what is to be done after what is being done, an op most often; None: nothing is
        self._waiting: list[Callable[[], None]] | None = None

    # -- beginning -----------------------------------------------------------------------------

    def _start(self, outlet: Outlet, greeting: bytes = b"") -> None:
        if self._unknown is not None:
            outlet.write(self.welcome(outlet, greeting))
            try:
                self.context.hub.join(self, ())  # it counts, and a drain finds it
            except PushError as error:
                self.fail(error)
            else:
                self.context.hub.wheel.set(self, FIRST_FRAME)
        else:
            self.begin(outlet, self._take_asked(), greeting)

    def _take_asked(self) -> Asked:
        asked, self._asked = self._asked, None
        assert asked is not None  # it begins once
        return asked

    def on_due(self) -> float | None:
        if self._unknown is None:
            return super().on_due()
        self.fail(self._unknown)
        return None

    # -- what the client says ------------------------------------------------------------------

    def _enqueue(self, payload: bytes) -> None:
        """Do one op after the other, in a greenlet, because an op may wait for the log."""
        do = partial(self._do, payload)
        with self.context.hub.lock:
            if self._waiting is None:
                self._begin_work(do)
            else:
                self._waiting.append(do)

    def _soon(self, do: Callable[[], None]) -> None:
        """Do it before the ops that wait, which may ask how far this stream has been served."""
        with self.context.hub.lock:
            if self._waiting is None:
                self._begin_work(do)
            else:
                self._waiting.insert(0, do)

    def _begin_work(self, do: Callable[[], None]) -> None:
        self._waiting = [do]
        if isinstance(self.outlet, ParkedSocket):
            self.outlet.pause()  # no more is read than one read's worth of ops
        spawn(self._work, self._waiting)

    def _work(self, waiting: list[Callable[[], None]]) -> None:
        try:
            while (do := self._next(waiting)) is not None:
                do()
                let_others()  # a flood of them must not hold up the others
        finally:  # whatever became of an op, the next one is read
            if self._waiting is waiting:
                self._waiting = None
            if isinstance(self.outlet, ParkedSocket):
                self.outlet.resume()

    def _next(self, waiting: list[Callable[[], None]]) -> Callable[[], None] | None:
        """Take what is to be done next; where that is nothing, whoever comes next begins anew."""
        with self.context.hub.lock:  # real threads: nobody adds anything meanwhile
            if waiting and self.outlet is not None and not self.outlet.closed:
                return waiting.pop(0)
            self._waiting = None
            return None

    def _do(self, payload: bytes) -> None:
        ref: object = None
        try:
            op = op_fields.parse(payload)
            ref = op.pop("ref", None)
            if ref is not None and (isinstance(ref, bool) or not isinstance(ref, str | int)):
                ref, came = None, ref
                raise InvalidInput("ref", came, "a string or a whole number")
            self.context.limits.operation(self.id)
            self._ops_table(op)(op, ref)
        except PushError as error:
            if self._unknown is not None or isinstance(error, Flood):
                self.fail(error)
            else:
                self._refuse(ref, error)
        except Exception:
            log.exception("an op failed on connection %s", self.id)
            self._refuse(ref, PushError())

    def _refuse(self, ref: object, error: PushError) -> None:
        self.context.hub.tally.refusals[reason_of(error)] += 1
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
            "presence": self._presence,
            "refresh": self._refresh,
            "ping": self._ping,
        }
        if not isinstance(name, str) or name not in table:
            raise InvalidInput("op", name, " or ".join(table))
        if self._unknown is not None and name != "refresh":
            raise self._unknown
        return table[name]

    def _refresh(self, op: dict[str, Any], ref: object) -> None:
        text = op_fields.token(op)
        op_fields.only(op)
        sketch, grant = self._ops.refresh(self._sketch, text, self)
        self.go_by(sketch, grant)
        unknown, self._unknown = self._unknown, None
        self._reply(ref, '"ok":true')
        if unknown is not None:
            self.go_on(self._take_asked())
        else:
            self.context.presence.came(self)  # the token may say something else of them

    def _ping(self, op: dict[str, Any], ref: object) -> None:
        op_fields.only(op)
        self._reply(ref, '"ok":true')

    def _publish(self, op: dict[str, Any], ref: object) -> None:
        answer = self._ops.publish(self._sketch, op)
        self._reply(ref, f'"ok":true,{dump(answer)[1:-1]}')

    def _presence(self, op: dict[str, Any], ref: object) -> None:
        channel, after = op_fields.channel(op), op_fields.after(op)
        op_fields.only(op)
        if channel not in self.channels:
            self._ops.may_subscribe(self._sketch, (channel,))
        found = self.context.presence.roster.members(channel, after, members.PAGE)
        self._reply(ref, f'"ok":true,"channel":"{channel}",{members.list_fields(found)}')

    def _unsubscribe(self, op: dict[str, Any], ref: object) -> None:
        leaving = op_fields.names(op)
        op_fields.only(op)
        unknown = [name for name in leaving if name not in self.channels]
        if unknown:
            raise NotFound(f"channels: {unknown[0]} is not subscribed here")
        hub = self.context.hub
        with hub.lock:
            hub.leave(self, listened(leaving, self.presence))
            self.channels = tuple(name for name in self.channels if name not in leaving)
            self.context.presence.came(self)
            self._reply(ref, '"ok":true', str(hub.position_of(self)) if self.live else None)

    def _subscribe(self, op: dict[str, Any], ref: object) -> None:
        wanted, cursor, limit = op_fields.names(op), op_fields.cursor(op), op_fields.history(op)
        op_fields.only(op)
        added = tuple(name for name in wanted if name not in self.channels)
        channels((*self.channels, *added), least=1)  # together they must not be too many
        grant = self._ops.may_subscribe(self._sketch, wanted)
        # where that fails half of it may have been sent: it comes back with its cursor
        self._attempt(partial(self._go_back, added, cursor, limit, grant, ref))

    def _go_back(
        self, added: tuple[str, ...], cursor: Cursor | None, limit: int, grant: Grant, ref: object
    ) -> None:
        """Send the backlog of ``added``, then go on with all channels from where it was.

        Until then nothing newer is sent for any channel, so that each cursor handed out on the way
        is true for all of them.
        """
        hub = self.context.hub
        with hub.lock:
            if not self.live:  # it has fallen behind while it was asked whether it may, or ended
                if not self.reason and self._waiting is not None:
                    again = partial(self._go_back, added, cursor, limit, grant, ref)
                    self._waiting.insert(1, partial(self._attempt, again))
                return
            position = hub.position_of(self)
            self.live = False
            self.channels = (*self.channels, *added)  # so that whoever ends it leaves these, too
        hub.join(self, listened(added, self.presence))
        self.context.presence.came(self)
        if cursor is None and limit:
            send_history(self, added, limit)
        backlog = Backlog(self, send_first(self, added) if self.presence else None)
        if cursor is not None and added:
            backlog.send(added, cursor, lambda *_: True, upto=position)
        with hub.lock:
            self.ask_by(grant)

        def reached(cursor: Cursor, lost: Sequence[Loss]) -> bool:
            if hub.draining:
                self.drain(0.0)
                return True
            if not hub.go_live(self, cursor):
                return False
            if lost:
                hub.tally.lost(self.transport, lost)
            self._reply(ref, f'"ok":true,{recovery(lost)}', str(cursor))
            return True

        backlog.send(self.listens, position, reached)
