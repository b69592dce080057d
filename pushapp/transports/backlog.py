"""A stream's backlog: what it has missed, page by page as its socket drains.

What belongs here: reading from a cursor on until the hub is reached, and telling what is lost
before anything moves the client past it. What does not: what a stream sends beside it (``stream``),
the pages that many share (``pushapp.backlogs``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..broker.interface import Page
from ..errors import LogUnavailable
from ..message import Bundle, Cursor, Loss
from ..outlet import Outlet
from . import members
from .lists import STALL
from .poll import array, history

if TYPE_CHECKING:
    from .stream import Stream

_BYTES = 256 * 1024
_ROUNDS = 1000  # reads until the hub must have been reached; each is a page, or a lost race


class Backlog:
    """What one stream has to catch up with. Lists of members as of ``told`` have been sent."""

    def __init__(self, stream: Stream, told: Cursor | None = None) -> None:
        self._stream, self._told = stream, told
        self.lost: list[Loss] = []  # all that is missing
        self._owed: list[Loss] = []  # ... of which the client has not been told yet

    def send(
        self,
        channels: Sequence[str],
        cursor: Cursor | None,
        reached: Callable[[Cursor, Sequence[Loss]], bool],
        upto: Cursor | None = None,
    ) -> None:
        """Send what ``channels`` have from ``cursor`` on, at most ``upto``.

        What is missing is told before messages: each of them moves the client's cursor past it, and
        who is cut off in between would never hear. ``reached(cursor, owed)`` is asked under the
        hub's lock where everything has been read, with what has not been told; False reads on.

        Raises:
            LogUnavailable: the log does not answer, or the hub cannot be reached.
        """
        stream = self._stream
        hub, outlet = stream.context.hub, stream.outlet
        for _ in range(_ROUNDS):
            page, bundle = self._page(channels, cursor, upto)
            missing = members.lost_messages(page.lost)  # a list heals what is lost of presence
            self.lost += missing
            self._owed += missing
            news = members.since(page.messages, self._told)
            if outlet is None or outlet.closed:
                hub.leave(stream)  # it went before or while it joined
                return
            with hub.lock:
                if news:
                    if self._owed and cursor is not None:
                        stream.tell(cursor, self._owed)
                        self._owed = []
                    if bundle is None or len(news) != len(bundle.messages):
                        bundle = Bundle(news)
                    stream.messages += len(news)
                    write = outlet.write if page.more else outlet.write_soon
                    write(bundle.encoded(stream.encode))
                cursor = page.cursor
                if not page.more and reached(cursor, self._owed):
                    return
            if not page.more:
                hub.catch_up(cursor)
            elif not outlet.wait_drained(STALL):
                stream.too_slow()
                return
        raise LogUnavailable("the log moves on faster than this worker can read it")

    def _page(
        self, channels: Sequence[str], cursor: Cursor | None, upto: Cursor | None
    ) -> tuple[Page, Bundle | None]:
        """Return the next page, with its messages as others share them where they may."""
        context = self._stream.context
        hub = context.hub
        most = min(_BYTES, context.lot.limit // 4)  # a page is all of a backlog that is ever unsent
        if cursor is None:
            return Page(hub.now()), None
        if upto is None:
            backlog = hub.backlogs.read(channels, cursor, most)
            return backlog.page, backlog.bundle
        page = hub.log.read(channels, cursor, upto=upto.n, max_bytes=most)
        if page.cursor.epoch != upto.epoch:  # its ids must not move those who are in the old one
            raise LogUnavailable("the log has begun a new epoch")
        return page, None


def send_history(stream: Stream, channels: Sequence[str], limit: int) -> None:
    """Send kept messages from before; they move no cursor.

    Raises:
        LogUnavailable: the log does not answer.
    """
    outlet = stream.outlet
    for name in channels:  # one at a time, as the socket drains: together they may be 100 MiB
        for channel, messages in history(stream.context.hub.log, (name,), limit).items():
            fields = f'"channel":"{channel}","messages":{array(messages).decode()}'
            stream.write(stream.named("history", fields))
        if outlet is None or not outlet.wait_drained(STALL):
            stream.too_slow()
            return


def drains(outlet: Outlet) -> bool:
    """Wait until nothing is unsent, for as long as the client reads; False: it does not."""
    unsent = outlet.unsent
    while not outlet.wait_drained(STALL):
        if outlet.closed or outlet.unsent >= unsent:
            return False
        unsent = outlet.unsent
    return True
