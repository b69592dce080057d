"""Webhooks: telling an app's own server what happens, in the order of the log, at least once.

What belongs here: who sends, from where on, batches, and trying again. What does not: how events
get into the log (``broker.roster``, ``Push.append``), signatures (``signature``), one POST
(``courier``).

Events wait in the log, in a channel of their own. One worker of all at a time follows it: it holds
a claim, which another gets when it dies. Up to where they were taken is kept in the log as well. So
nothing is lost by restarts and deaths, until the log's retention takes it; then the next batch says
what is missing.
"""

from __future__ import annotations

import json
import logging
import random
import secrets
import threading
import time
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from .broker.interface import Broker
from .broker.roster import EVENTS
from .errors import LogUnavailable
from .message import Cursor, Loss, Message, dump

PERIOD = 1.0  # seconds in which events are gathered
LEASE = 8.0  # seconds after which a sender that is not heard of is followed by another
MOST = 100  # events in a batch
MOST_BYTES = 256 * 1024  # of their JSON, but at least one event
FIRST_PAUSE, LAST_PAUSE = 1.0, 60.0  # seconds between attempts; doubled each time
_KEPT = 30 * 86400.0  # seconds that the place is remembered
_KEY = "webhooks"  # of the claim, and of the place among the leases

log = logging.getLogger(__name__)


class Courier(Protocol):
    """Takes a body to the receiver; see ``courier``."""

    def deliver(self, body: bytes) -> str | None:
        """Return None where it was taken, else why not, in words. Returns within LEASE / 2."""


@dataclass(frozen=True, slots=True)
class Place:
    """Up to where events were taken: all up to ``cursor``, and of the message ``begun`` after it
    the first ``part``."""

    cursor: Cursor
    begun: Cursor | None = None  # it may be of a newer epoch than ``cursor``
    part: int = 0

    def __str__(self) -> str:
        return json.dumps([self.cursor, self.begun, self.part])

    @classmethod
    def parse(cls, text: str) -> Place:
        cursor, begun, part = json.loads(text)
        return cls(Cursor(*cursor), Cursor(*begun) if begun else None, part)


@dataclass(frozen=True, slots=True)
class Batch:
    """What is sent at once."""

    body: bytes
    place: Place  # after it
    more: bool  # there is more already
    lost: str = ""  # what is said in the log where something is missing before it


class Webhooks:
    """Sends, where no other worker does."""

    def __init__(self, broker: Broker, courier: Courier, counts: MutableMapping[str, int]) -> None:
        """``counts``: the batches that were taken and refused, and how often some were lost."""
        self._broker, self._courier, self._counts = broker, courier, counts
        self._name = secrets.token_hex(8)
        self._place: Place | None = None  # None: another one sends, as far as we know
        self._fresh = False  # nothing was ever sent: what is missing was nobody's
        self._held = -LEASE  # monotonic seconds of the last claim that was ours
        self._failures = 0  # in a row
        self._complained: Cursor | None = None  # of what was lost after it
        self._not_before = 0.0  # monotonic seconds of the next attempt
        self._closed = threading.Event()
        self._loop = threading.Thread(target=self._run, name="pushapp-webhooks", daemon=True)
        self._loop.start()

    def _run(self) -> None:
        while not self._closed.is_set():
            pause = PERIOD
            try:
                pause = self._turn()
            except LogUnavailable as error:
                log.debug("webhooks have to wait: %s", error)  # the listener says it aloud
            except Exception:
                log.exception("sending webhooks failed; trying again")
            self._closed.wait(pause)

    def _turn(self) -> float:
        """Send a batch if that is ours to do; return after how many seconds to come again."""
        if not self._holds():
            return random.uniform(0.5, 1) * LEASE / 3
        if self._place is None:
            self._place = self._last_place()
        pause = self._not_before - time.monotonic()
        if pause > 0:
            return min(pause, LEASE / 3)  # and hold on to the claim meanwhile
        batch = self._next_batch(self._place)
        if batch is None:
            return PERIOD
        if batch.lost and self._complained != self._place.cursor:
            self._complained = self._place.cursor
            self._counts["lost"] += 1
            log.error("events for webhooks were not taken while they were kept: %s", batch.lost)
        trouble = self._courier.deliver(batch.body)
        self._counts["taken" if trouble is None else "refused"] += 1
        if trouble is not None:
            return self._fail(trouble)
        if self._failures:
            log.warning("webhooks are taken again")
        self._failures = 0
        if self._holds() and self._place is not None:
            self._place, self._fresh = batch.place, False
            self._broker.leases.renew(_KEY, {_KEY: str(batch.place)}, _KEPT)
        return 0.0 if batch.more else PERIOD

    def _holds(self) -> bool:
        """Tell whether it is ours to send. Where another one may have sent meanwhile, the place is
        forgotten: who slept too long must not take back what the next one has done."""
        now = time.monotonic()
        won = self._broker.leases.claim(_KEY, LEASE, self._name)
        if not won or now - self._held > LEASE:
            self._place = None
        if won:
            self._held = now
        return won

    def _fail(self, trouble: str) -> float:
        if not self._failures:
            log.warning("a webhook was not taken, and is sent until it is: %s", trouble)
        longest = min(LAST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures, 10))
        pause = random.uniform(0.5, 1) * longest
        self._failures += 1
        self._not_before = time.monotonic() + pause
        return min(pause, LEASE / 3)

    def _last_place(self) -> Place:
        kept = self._broker.leases.read(_KEY).get(_KEY)
        self._fresh = kept is None
        if kept is not None:
            return Place.parse(kept)
        return Place(Cursor(self._broker.log.read((), None).cursor.epoch, 0))

    def _next_batch(self, place: Place) -> Batch | None:
        """Return what comes after ``place``; None: nothing yet."""
        page = self._broker.log.read((EVENTS,), place.cursor, limit=MOST, max_bytes=MOST_BYTES)
        lost = [] if self._fresh else page.lost
        taken: list[str] = []
        size = 0
        for message, part, text, is_last in _events(page.messages, place):
            if taken and (len(taken) == MOST or size + len(text) > MOST_BYTES):
                return Batch(_body(taken, place, lost), place, True, _told(lost))
            taken.append(text)
            size += len(text)
            at = Cursor(message.epoch, message.n)
            place = Place(at) if is_last else replace(place, begun=at, part=part)
        if not taken and not lost:
            return None
        if not page.more:
            place = Place(page.cursor)
        return Batch(_body(taken, place, lost), place, page.more, _told(lost))

    def close(self) -> None:
        """Stop, and let another one send at once; idempotent."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._loop.join(timeout=LEASE)
        if self._place is None:
            return
        try:
            self._broker.leases.claim(_KEY, 0.0, self._name)
        except LogUnavailable as error:
            log.debug("the next to send webhooks waits for a while: %s", error)


def _events(
    messages: list[Message] | Any, place: Place
) -> Iterator[tuple[Message, int, str, bool]]:
    """Return each event after ``place``: its message, how many of that message it completes, its
    JSON with its id, and whether it is the message's last."""
    for message in messages:
        found = json.loads(message.data)
        begin = place.part if (message.epoch, message.n) == place.begun else 0
        for part, event in enumerate(found[begin:], begin + 1):
            text = dump({"id": f"{message.id}.{part}", **event})
            yield message, part, text, part == len(found)


def _told(lost: Sequence[Loss]) -> str:
    """Return in words what is missing."""
    return ", ".join(f"all after {one.after} and before {one.before or 'now'}" for one in lost)


def _body(events: list[str], place: Place, missing: Sequence[Loss]) -> bytes:
    """Return the JSON of a batch."""
    cursor = f"{place.begun}.{place.part}" if place.begun else str(place.cursor)
    body = f'{{"events":[{",".join(events)}],"cursor":"{cursor}"'
    if missing:
        told = [{"after": one.after, "before": one.before, "reason": one.reason} for one in missing]
        body += f',"lost":{dump(told)}'
    return f"{body}}}".encode()
