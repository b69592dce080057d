"""Who is connected here, brought to the roster: one of these per worker.

What belongs here: the connections of this worker, and the one loop that brings what has changed.
What does not: who is there over all workers (``broker/roster``), how clients are told
(``transports/members``), how many wait (``headcount``).

A stream is there from its start to its end. A poller is there from its second request on, which is
the first that repeats its connection's id; between two requests it is held until the next one is
due. Both are reported gone only after the grace time, so that nobody sees a client that comes back.
Nothing here waits for the log but the loop, and the log may be away for as long as it likes.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from .background import let_others, quick_lock
from .broker.bring import together
from .broker.roster import Entry, Roster
from .errors import LogUnavailable
from .headcount import Headcount
from .tokens import Token

PERIOD = 1.0  # seconds between two looks at what has changed
_POLLERS = 100_000  # that a worker lists; 40 MB
_UNTOLD = 10_000  # that have gone, and could not be reported; 2 MB
_TURN = 1000  # of those who are expected that are looked at between two turns of the others
RENEWALS = 3  # of the lease within its time: two may fail

log = logging.getLogger(__name__)


class Stream(Protocol):
    """A client that is there until it ends."""

    @property
    def id(self) -> str:
        """The connection's."""

    @property
    def token(self) -> Token | None:
        """By which it listens."""

    def entry(self) -> Entry:
        """Return what the roster shall say of it, as of now."""


class Expected:
    """A client that is to come again: a poller, or a stream that has ended."""

    __slots__ = ("entry", "token", "until")

    def __init__(self, entry: Entry, token: Token | None, until: float) -> None:
        self.entry = entry
        self.token = token  # by which it came last
        self.until = until  # monotonic seconds, the grace time included


class Presence:
    """This worker's connections, and the roster of all."""

    def __init__(
        self,
        roster: Roster,
        grace: float,
        *,
        record: bool = False,
        moved: Callable[[], Mapping[str, int]] = dict,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``grace``: seconds for which one that has gone may come back unnoticed. ``record``: what
        happens is wanted for webhooks. ``moved``: as ``Hub.moved``."""
        self.roster, self.grace, self._record, self._clock = roster, grace, record, clock
        self._worker = secrets.token_hex(8)
        self._lock = quick_lock()
        self._streams: dict[str, Stream] = {}
        self._doubles: dict[str, list[Stream]] = {}  # under an id that a newer stream has, too
        self._pollers: dict[str, Expected] = {}
        self._ended: dict[str, Expected] = {}  # streams, in the order in which their grace ends
        self._changed: set[str] = set()  # ids to bring, or to report gone
        self._headcount = Headcount(moved)
        self._renewed = 0.0  # monotonic seconds
        self._closed = threading.Event()
        self._loop = threading.Thread(target=self._run, name="pushapp-presence", daemon=True)
        self._loop.start()

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many streams, pollers, and streams within their grace time there are here."""
        return len(self._streams), len(self._pollers), len(self._ended)

    # -- what transports say -------------------------------------------------------------------

    def came(self, stream: Stream) -> None:
        """A stream has begun, or says something else of itself now."""
        with self._lock:
            self._changed.add(stream.id)
            if stream in self._doubles.get(stream.id, ()):
                return
            before = self._streams.get(stream.id)
            if before is not None and before is not stream:  # it tries a better transport
                self._doubles.setdefault(stream.id, []).append(before)
            self._streams[stream.id] = stream
            self._pollers.pop(stream.id, None)
            self._ended.pop(stream.id, None)

    def left(self, stream: Stream, *, for_good: bool = False) -> None:
        """A stream has ended; one that had not begun may, too. ``for_good``: it was sent away, and
        has no time to come back."""
        id = stream.id
        with self._lock:
            others = self._doubles.get(id, [])
            if stream in others:
                others.remove(stream)
                self._changed.add(id)
            elif self._streams.get(id) is not stream:
                return
            elif others:
                self._streams[id] = others.pop()
                self._changed.add(id)
            else:
                del self._streams[id]
                if for_good:
                    self._changed.add(id)
                else:
                    until = self._clock() + self.grace
                    self._ended[id] = Expected(stream.entry(), stream.token, until)
            if not others:
                self._doubles.pop(id, None)

    def polled(self, entry: Entry, seconds: float, token: Token | None = None) -> None:
        """A poller has come again under its id, by ``token`` if it has one; in ``seconds`` it is
        due to come once more."""
        with self._lock:
            if entry.id in self._streams:
                return
            poller = self._pollers.get(entry.id)
            if poller is None:
                if len(self._pollers) >= _POLLERS:
                    return  # they are served, and not listed
                poller = self._pollers[entry.id] = Expected(entry, token, 0.0)
                self._ended.pop(entry.id, None)
                self._changed.add(entry.id)
            elif not _same(poller.entry, entry):
                poller.entry = entry
                self._changed.add(entry.id)
            poller.token = token
            poller.until = self._clock() + seconds + self.grace

    def seen(self, id: str, seconds: float) -> bool:
        """A poller that ``polled`` knows is alive, and due in ``seconds``; False: it is not known
        (any more). Costs no more than a look into a dictionary."""
        poller = self._pollers.get(id)
        if poller is None:
            return False
        poller.until = self._clock() + seconds + self.grace
        return True

    def dismiss(self, is_over: Callable[[Expected], bool]) -> None:
        """Expect those no longer of whom this is true: they are gone at once."""
        for expected in (self._pollers, self._ended):
            with self._lock:
                all_of_them = list(expected.items())
            for n, (id, one) in enumerate(all_of_them, 1):
                if is_over(one):
                    with self._lock:
                        if expected.get(id) is one:
                            del expected[id]
                            self._changed.add(id)
                if n % _TURN == 0:
                    let_others()

    # -- the loop ------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closed.wait(min(PERIOD, self.grace / RENEWALS)):
            self._try()

    def _try(self) -> None:
        try:
            self.bring()
        except LogUnavailable as error:
            log.debug("presence has to wait: %s", error)  # the listener says it aloud
        except Exception:
            log.exception("bringing presence failed; trying again")

    def bring(self, *, renew: bool = False) -> None:
        """Bring what has changed to the roster; ``renew``: and the lease in any case.

        Raises:
            LogUnavailable: the next call brings it.
        """
        now = self._clock()
        with self._lock:
            self._let_go(now)
            changed, self._changed = self._changed, set()
            came, gone = self._sorted(changed)
            held = bool(self._streams or self._pollers or self._ended)
        waiting = self._headcount.news()
        held = held or bool(self._headcount.said)
        renew = renew or now - self._renewed > self.grace / RENEWALS
        if not changed and not waiting and not (held and renew):
            return
        try:
            known = self._sync(came, gone, waiting)
            if not known:  # it was away for too long, or the log is new
                with self._lock:
                    came = [self._said_by(stream) for stream in self._streams.values()]
                    came += [p.entry for p in self._pollers.values()]
                changed |= {entry.id for entry in came}
                waiting = {**self._headcount.said, **waiting}
                self._sync(came, (), waiting)
        except BaseException:
            with self._lock:
                self._changed |= changed  # some of it may be there: it may be brought again
            self._headcount.lost(waiting)
            self._forget_who_is_gone()
            raise
        self._headcount.brought(waiting)
        self._renewed = now

    def _forget_who_is_gone(self) -> None:
        """Where very much could not be brought, be another worker: what the one before has said
        ends with its lease, and this one says only what is."""
        with self._lock:
            here = len(self._streams) + len(self._pollers) + len(self._ended)
            if max(len(self._changed) - here, self._headcount.past) <= _UNTOLD:
                return
            self._worker, self._renewed = secrets.token_hex(8), 0.0
            self._changed = set()
        self._headcount.forget()

    def _sync(self, came: Sequence[Entry], gone: Sequence[str], waiting: Mapping[str, int]) -> bool:
        return self.roster.sync(
            self._worker, came, gone, waiting, ttl=self.grace, record=self._record
        )

    def _let_go(self, now: float) -> None:
        """Note whose grace time is over."""
        for id, one in list(self._ended.items()):
            if one.until > now:
                break  # those behind it ended later
            del self._ended[id]
            self._changed.add(id)
        for id in [id for id, poller in self._pollers.items() if poller.until < now]:
            del self._pollers[id]
            self._changed.add(id)

    def _sorted(self, changed: set[str]) -> tuple[list[Entry], list[str]]:
        came, gone = [], []
        for id in changed:
            if (stream := self._streams.get(id)) is not None:
                came.append(self._said_by(stream))
            elif (poller := self._pollers.get(id)) is not None:
                came.append(poller.entry)
            elif id not in self._ended:  # one that came and went between two looks is not brought
                gone.append(id)
        return came, gone

    def _said_by(self, stream: Stream) -> Entry:
        """Return the entry of a stream, and of those under its id that are older, together."""
        entries = [one.entry() for one in (stream, *self._doubles.get(stream.id, ()))]
        return entries[0] if len(entries) == 1 else together([("", e) for e in entries]).entry

    def close(self) -> None:
        """Say no more; idempotent. Who was here is held for the grace time, to come back to
        another worker."""
        if not self._closed.is_set():
            self._closed.set()
            self._loop.join(timeout=5)
            self._headcount.end()
            try:
                self.bring(renew=True)
            except LogUnavailable as error:
                log.debug("what was here is forgotten: %s", error)


def _same(one: Entry, other: Entry) -> bool:
    """Tell whether nothing but the time differs."""
    return (one.channels, one.user, one.member, one.transport, one.watches, one.observer) == (
        *(other.channels, other.user, other.member),
        *(other.transport, other.watches, other.observer),
    )
