"""Answers that are written together, at the end of the turn of the loop in which they were made.

What belongs here: holding them back for so long. What does not: the answers (``bay``).

Who reads on the same machine, as a proxy does, is woken by the first write and sleeps again before
the next answer is made. That wake-up costs the writer as much as the answer's Python. Written one
right after the other, a turn's answers wake it once.
"""

from __future__ import annotations

import logging

from gevent import get_hub

from .parking import LARGE, Heir, ParkedSocket

_SOON = -1  # libev's priority: after what has come in this turn, before a fan-out goes on
_TIMER = 0x100  # libev's EV_TIMER; any event will do
_MOST = 64  # answers held back

log = logging.getLogger(__name__)


class Together:
    """The answers of one worker's loop."""

    def __init__(self) -> None:
        loop = get_hub().loop
        self._end = loop.timer(0, priority=_SOON)  # never started: it is fed alone
        self._held: list[tuple[ParkedSocket, bytes, Heir]] = []
        # libuv knows no priorities, and what is fed through cffi never comes
        self._holds = type(loop).__module__ == "gevent.libev.corecext"

    def __len__(self) -> int:
        return len(self._held)

    def hand_over(self, parked: ParkedSocket, data: bytes, heir: Heir) -> None:
        """Have ``parked`` hand over at the end of this turn; see there."""
        if not self._holds or len(data) > LARGE:
            parked.hand_over(data, heir)
            return
        if not self._held:
            self._end.feed(_TIMER, self._write)
        self._held.append((parked, data, heir))
        if len(self._held) >= _MOST:
            self._write()

    def _write(self) -> None:
        while self._held:  # what is fed in here would not come: gevent stops the watcher after it
            held, self._held = self._held, []
            for parked, data, heir in held:
                try:
                    parked.hand_over(data, heir)
                except Exception:  # the others' answers have been made
                    log.exception("handing an answer over failed; its connection ends")
                    parked.close()
                    heir.on_gone()
