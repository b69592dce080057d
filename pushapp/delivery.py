"""Handing messages to very many subscribers, so that none of them disturbs the others.

What belongs here: one bundle to all who are owed it, what was lost to those who miss it, stopping
on the way, and letting go of one for whom it fails. What does not: who gets what (``audiences``),
and how far everybody has been served (``hub``).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence

from .audiences import Plan, Told
from .background import Turn
from .broker.interface import Log, Page
from .errors import LogUnavailable
from .message import Bundle, Cursor, Loss, is_internal
from .subscriber import Subscriber
from .tally import Tally

CHUNK = 128  # deliveries between two looks at the clock

log = logging.getLogger(__name__)


class Delivery:
    """Hands out for one hub, under its lock; ``leave`` makes it forget a subscriber."""

    def __init__(
        self,
        log: Log,
        lock: threading.RLock,
        tally: Tally,
        leave: Callable[[Subscriber], None],
    ) -> None:
        self._log, self._lock, self._tally, self._leave = log, lock, tally, leave

    def hand_out(
        self, page: Page, position: Cursor, told: Told, plan: Plan, left: set[Subscriber]
    ) -> None:
        """Hand out ``page``, which begins at ``position``: losses to whom they concern, then each
        bundle. ``left``: who has left some of its channels since that was planned."""
        turn = Turn()
        ended = page.cursor.epoch != position.epoch
        start = Cursor(page.cursor.epoch, 0) if ended else position
        for subscriber, lost in told:
            if not ended and subscriber.n > start.n:  # the hub's loss need not be theirs
                self._tell_own(subscriber, lost, page)
            else:
                with self._lock:
                    if subscriber.live:
                        self.guard(subscriber, subscriber.tell, start, lost)
            turn.pause()
        for bundle, subscribers in plan:
            for i in range(0, len(subscribers), CHUNK):
                with self._lock:
                    self.hand(bundle, subscribers[i : i + CHUNK], left)
                turn.pause()
            self._tally.delivery.observe(time.time() - bundle.messages[0].time)

    def hand(
        self, bundle: Bundle, subscribers: Sequence[Subscriber], left: Collection[Subscriber] = ()
    ) -> None:
        """Give ``bundle`` to those who are live and have not had it. The lock is held.

        This loop is most of what a delivery costs beside the kernel: whoever is owed nothing gets
        the bytes from here, and all else is its ``deliver``'s.
        """
        first, last, count = bundle.first, bundle.last, len(bundle.messages)
        plain = not any(is_internal(m.channel) for m in bundle.messages)
        kind, data = Subscriber, b""
        for subscriber in subscribers:
            n = subscriber.n
            if n >= last or not subscriber.live:
                continue
            sock = subscriber.ready
            if sock is not None and n < first and plain and not left:
                if type(subscriber) is not kind:
                    kind = type(subscriber)
                    data = bundle.encoded(kind.encode)
                    size = len(data)
                subscriber.n = last
                subscriber.messages += count
                try:
                    sent = sock.send(data)
                except OSError:
                    sent = 0
                if sent < size:
                    self.guard(subscriber, subscriber.owe, data, sent)
                continue
            part = bundle if n < first else bundle.after(n)
            if part is not None and subscriber in left:
                part = part.of(subscriber.listens)
            subscriber.n = last
            if part is not None:
                self.guard(subscriber, subscriber.deliver, part)

    def _tell_own(self, subscriber: Subscriber, lost: Sequence[Loss], page: Page) -> None:
        """Tell one who has read further than the hub had what they miss themselves, if anything.

        The page says that where it still has something for them: by now the log may have less, and
        what they are about to get is not missing.
        """
        at, own, unknown = Cursor(page.cursor.epoch, subscriber.n), [], []
        for loss in lost:
            of_it = (m for m in page.messages if m.channel == loss.channel and m.n > at.n)
            first = next(of_it, None)
            if first is None or first.prev is None:
                unknown.append(loss.channel)
            elif first.prev > at.n:
                own.append(Loss(loss.channel, str(at), first.id, loss.reason))
        if unknown:
            try:
                own += self._log.read(unknown, at, page.cursor.n, limit=1, max_bytes=1).lost
            except LogUnavailable:  # nobody can say: they come back with their cursor, and are told
                with self._lock:
                    self.guard(subscriber, subscriber.drain, 0.0)
                return
        with self._lock:
            if own and subscriber.live and subscriber.n == at.n:
                self.guard(subscriber, subscriber.tell, at, own)

    def guard(self, subscriber: Subscriber, call, *args) -> None:  # type: ignore[no-untyped-def]
        """Call; what fails for one subscriber must not disturb the others."""
        try:
            call(*args)
        except Exception:
            self._let_go(subscriber)

    def _let_go(self, subscriber: Subscriber) -> None:
        log.exception("handing out to %r failed; it is let go", subscriber)
        self._leave(subscriber)
        subscriber.abandon()
