"""Deadlines of very many things, cheaply: a wheel of slots.

What belongs here: when something is due. What does not: what it then does (heartbeat, an empty
answer, the end of a lingering close).
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

from .background import let_others

TICK = 0.1  # seconds a slot lasts; how late something may be
_NEVER = 1 << 62  # the number of no slot
_LONGEST = 60.0  # seconds that it sleeps

#: What is due at a time. A dict, because a set of many takes three times the memory; and what is
#: in it refers to it, and not to its number, which would be one more object for each.
Slot = dict["Timed", None]

log = logging.getLogger(__name__)


class Timed(Protocol):
    """Something that falls due. ``slot`` belongs to the wheel; None: it is in none."""

    slot: Slot | None

    def on_due(self) -> float | None:
        """Act; return in how many seconds it is due again, None for never. Must not block."""


class Wheel:
    """Calls ``on_due`` of each item in its time, all from one greenlet (or thread).

    ``lock`` is held while it does, so that nothing else changes what the items look at.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._slots: dict[int, Slot] = {}
        self._now = int(time.monotonic() / TICK)
        self._next = _NEVER  # the slot that ``run`` waits for
        self._earlier = threading.Event()  # an earlier one is wanted, or none
        self._closed = False

    def set(self, item: Timed, seconds: float) -> None:
        """Make ``item`` due in ``seconds``; an earlier setting no longer counts."""
        self.cancel(item)
        due = max(int((time.monotonic() + seconds) / TICK) + 1, self._now + 1)
        slot = item.slot = self._slots.setdefault(due, {})
        slot[item] = None
        if due < self._next:
            self._earlier.set()

    def cancel(self, item: Timed) -> None:
        """Make ``item`` not due at all."""
        slot, item.slot = item.slot, None
        if slot is not None:
            slot.pop(item, None)

    def run(self) -> None:
        """Turn until closed. Where nothing is due it sleeps: to wake up for nothing ten times a
        second was half of what an idle worker used."""
        while not self._closed:
            self._earlier.wait(self._until_next())
            now = self._now = int(time.monotonic() / TICK)
            # Slots that were missed are made up for, in their order; also one that another thread
            # has begun when it had just passed: it would wake us for ever, and never be due.
            for number in sorted(n for n in tuple(self._slots) if n <= now):
                self._fire(self._slots.pop(number))

    def _until_next(self) -> float:
        """Return for how many seconds nothing is due; who sets something earlier says so."""
        self._next = _NEVER  # whoever sets something while we look wakes us, too
        self._earlier.clear()
        slots = tuple(self._slots)
        self._next = min(slots) if slots else _NEVER
        if self._closed:
            return 0.0
        return min(max(self._next * TICK - time.monotonic(), 0.001), _LONGEST)

    def _fire(self, slot: Slot) -> None:
        due = list(slot)
        for start in range(0, len(due), 256):
            with self._lock:
                for item in due[start : start + 256]:
                    if item.slot is not slot:
                        continue  # cancelled or set anew while the others were served
                    item.slot = None
                    try:
                        seconds = item.on_due()
                    except Exception:
                        log.exception("what was due failed: %r", item)
                        continue
                    if seconds is not None:
                        self.set(item, seconds)
            let_others()  # polls and publishes get their turn

    def close(self) -> None:
        """Stop turning; idempotent."""
        self._closed = True
        self._earlier.set()
