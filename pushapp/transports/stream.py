"""What the two streams, SSE and WebSocket, do alike.

What belongs here: the order of things (welcome, history, backlog, live, messages), heartbeats, slow
clients, the end. What does not: whether the client still may (``granted``), framing (``sse``,
``websocket``).
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from functools import partial

from ..auth import Grant, Sketch
from ..background import spawn
from ..departures import why
from ..errors import PushError
from ..message import Bundle, Cursor, Loss, dump
from ..outlet import Outlet
from ..problem import as_dict, close_code
from ..shared import moment
from . import members
from .backlog import Backlog, drains, send_history
from .context import Context
from .granted import Granted
from .lists import send_again, send_first
from .params import Asked

VERSION = 1  # of the wire contract
SLOW = 4008  # close code
_SENT_AWAY = ("kicked", "refused")  # reasons for which nobody waits for them to come back

log = logging.getLogger(__name__)


class Stream(Granted):
    """A client that gets messages one after the other until it leaves."""

    __slots__ = ("_renew_at", "outlet", "reason")

    def __init__(
        self,
        context: Context,
        asked: Asked,
        connection_id: str,
        grant: Grant | None,
        sketch: Sketch,
    ) -> None:
        super().__init__(context, asked, connection_id, grant, sketch)
        self.outlet: Outlet | None = None
        self.reason = ""  # why it has ended
        # whoever came together, after a deploy, does not leave together
        self._renew_at = moment(context.life * random.uniform(0.75, 1.25), context.life / 256)

    # -- framing, which each transport has its own of ---------------------------------------------

    def named(self, kind: str, fields: str, cursor: str | None = None) -> bytes:
        """Return what is no message: ``fields`` is JSON without its braces."""
        raise NotImplementedError

    def farewell(self, code: int, reason: str) -> bytes:
        """Return the last bytes of this stream; see ``problem.close_code``."""
        raise NotImplementedError

    # -- beginning -----------------------------------------------------------------------------

    def begin(self, outlet: Outlet, asked: Asked, greeting: bytes = b"") -> None:
        """Hand out what a new stream begins with, after ``greeting``, then go live.

        May take as long as the client reads its backlog; a client that does not is cut off.
        """
        outlet.write_soon(self.welcome(outlet, greeting))
        self.context.hub.wheel.set(self, self._next_due())
        self.go_on(asked)

    def welcome(self, outlet: Outlet, greeting: bytes = b"") -> bytes:
        """Begin on ``outlet``; return what says so, after ``greeting``."""
        self.outlet = outlet
        outlet.serve(self)
        self.context.hub.tally.opened[self.transport] += 1
        beat = self.context.heartbeat
        welcome = f'"connection":"{self.id}","heartbeat":{beat:g},"version":{VERSION}'
        return greeting + self.named("welcome", welcome)

    def go_on(self, asked: Asked) -> None:
        """Hand out what follows the welcome, then go live. As ``begin``."""
        self._attempt(partial(self._go_on, asked))

    def _go_on(self, asked: Asked) -> None:
        listens = self.listens
        self.context.hub.join(self, listens)
        self.context.presence.came(self)
        cursor, told = asked.cursor, None
        if cursor is None and (asked.history or asked.presence):
            cursor = self.context.hub.now()  # first: it is before what is told
            if asked.history:
                send_history(self, self.channels, asked.history)
        if asked.presence:
            told = send_first(self, self.channels)
        backlog = Backlog(self, told)
        backlog.send(listens, cursor, self._live)
        if asked.cursor is not None and not backlog.lost:
            self.context.hub.tally.recovered(self.transport)

    def _attempt(self, do: Callable[[], None]) -> None:
        """Do what goes live in the end; whoever cannot is let go."""
        try:
            do()
        except PushError as error:
            self.fail(error)
        except Exception:
            log.exception("connection %s cannot go live; it ends", self.id)
            self.fail(PushError())

    def _live(self, cursor: Cursor, lost: Sequence[Loss]) -> bool:
        hub = self.context.hub
        if hub.draining:
            self.drain(0.0)
            return True
        if not hub.go_live(self, cursor):
            return False
        self.tell(cursor, lost)
        return True

    # -- what the hub calls --------------------------------------------------------------------

    def deliver(self, bundle: Bundle) -> None:
        data, outlet = bundle.encoded(self.encode), self.outlet
        if outlet is None:
            return
        if outlet.unsent and self._falls_behind(outlet, len(data)):
            first = bundle.messages[0]
            self.live = False
            self._soon(partial(self._catch_up, Cursor(first.epoch, first.n - 1)))
            return
        outlet.write(data)
        self.messages += len(bundle.messages)
        if self.presence:
            send_again(self, members.begin_anew(bundle.messages))

    def owe(self, data: bytes, sent: int) -> None:
        if self.outlet is None:
            return
        if sent:
            self.outlet.keep(data, sent)
        else:
            self.outlet.write(data)  # which finds out why

    def _falls_behind(self, outlet: Outlet, size: int) -> bool:
        """Tell whether ``size`` bytes more would be too much, for one who wants the newest alone:
        whoever wants everything is cut off, and comes back for it."""
        most = self.context.lot.limit - size
        return outlet.unsent > most and all(map(self.context.is_latest_only, self.channels))

    def _soon(self, do: Callable[[], None]) -> None:
        """Do what may wait, beside whoever asks for it."""
        spawn(do)

    def _catch_up(self, at: Cursor) -> None:
        """Go on from ``at`` as soon as what is unsent has been read."""
        if self.outlet is None or not drains(self.outlet):
            self.too_slow()
        else:
            self._attempt(partial(self._follow, at))

    def _follow(self, at: Cursor) -> None:
        told = send_first(self, self.channels) if self.presence else None
        Backlog(self, told).send(self.listens, at, self._live)

    def tell(self, cursor: Cursor, lost: Sequence[Loss]) -> None:
        lists, lost = members.lost_lists(lost), members.lost_messages(lost)
        if lost:
            self.context.hub.tally.lost(self.transport, lost)
        if self.outlet is not None:
            self.outlet.write_soon(self.named("live", recovery(lost), str(cursor)))
        send_again(self, lists)

    def left(self) -> None:
        self.context.presence.left(self, for_good=self.reason in _SENT_AWAY)

    def on_due(self) -> float | None:
        now = time.monotonic()
        self.ask_if_due(now)
        if now >= self._renew_at and self.live:
            self._end_in_order("renewed", 0.0)
            return None
        if self.live:  # else a backlog is on its way, and the cursor is the last message's
            self.write(self.named("heartbeat", "", str(self.context.hub.position_of(self))))
        if self.outlet is None or self.outlet.closed:
            return None
        return self._next_due()

    def _next_due(self) -> float:
        return min(self.context.heartbeat, self.asks_in(time.monotonic()))

    def set_due(self) -> None:
        if self.outlet is not None and not self.outlet.closed:
            self.context.hub.wheel.set(self, self._next_due())

    def drain(self, after: float) -> None:
        if self.live or self.context.hub.draining:
            self._end_in_order("drain", after)

    def _end_in_order(self, reason: str, after: float) -> None:
        """Have the client come back in ``after`` seconds."""
        frame = self.named("reconnect", f'"after":{int(after * 1000)}')
        self.end(1012, "restart", reason, frame)

    # -- what the outlet calls -----------------------------------------------------------------

    def on_input(self) -> None:
        raise NotImplementedError

    def on_gone(self) -> None:
        self.over("gone")

    def on_overflow(self) -> None:
        self.too_slow()

    # -- writing and ending --------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send ``data`` unless the stream has ended."""
        if self.outlet is not None:
            self.outlet.write(data)

    def over(self, reason: str) -> None:
        """Listen no more; the first reason (see ``tally.ENDS``) is told to the operator."""
        with self.context.hub.lock:
            is_first, self.reason = not self.reason, self.reason or reason
            self.context.hub.leave(self)
            if is_first:
                self.context.departures.add(self, reason)

    def end(self, code: int, text: str, reason: str, frame: bytes = b"") -> None:
        """Say goodbye, after ``frame``; what has been sent still gets there."""
        with self.context.hub.lock:
            self.over(reason)
            if self.outlet is not None:
                self.outlet.finish(frame + self.farewell(code, text))

    def abandon(self) -> None:
        self.over("error")
        if self.outlet is not None:
            self.outlet.close()

    def fail(self, error: PushError) -> None:
        frame = self.named("error", dump(as_dict(error))[1:-1])
        self.end(close_code(error), type(error).__name__, why(error), frame)

    def too_slow(self) -> None:
        """Cut the client off: it has its cursor, and comes back with it."""
        with self.context.hub.lock:
            self.over("slow")
            if self.outlet is not None and not self.outlet.closed:
                self.outlet.cut(self.farewell(SLOW, "slow"))


def recovery(lost: Sequence[Loss]) -> str:
    """Return ``recovered`` and ``lost`` as JSON fields."""
    if not lost:
        return '"recovered":true'
    return f'"recovered":false,"lost":{dump([loss.as_json() for loss in lost])}'
