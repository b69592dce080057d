"""Publishes that came without the app: those of one turn of the event loop are appended together.

What belongs here: collecting them, and appending at once where that can be done. What does not:
whether they may be published (``republish``), who is answered (``posting``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gevent import get_hub

from .background import spawn
from .broker.interface import Append, Log, Receipt

#: What became of a publish.
Outcome = list[Receipt] | Exception


class _Slip(NamedTuple):
    asked: Append
    done: Callable[[Outcome], None]  # must not raise


class Desk:
    """The publishes that are under way to one log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._waiting: list[_Slip] = []  # one of a connection at most

    def take(self, asked: Append, done: Callable[[Outcome], None]) -> None:
        """Append; tell ``done`` what came of it, never before this returns."""
        self._waiting.append(_Slip(asked, done))
        if len(self._waiting) == 1:  # who has come in the same turn is read before this is called
            get_hub().loop.run_callback(self._append)

    def _append(self) -> None:
        slips, self._waiting = self._waiting, []
        outcomes: list[Outcome] | None
        try:
            outcomes = self._log.append_now([slip.asked for slip in slips])
        except Exception as error:  # it may be in the log: nobody may try again
            outcomes = [error] * len(slips)
        if outcomes is None:
            for slip in slips:
                spawn(self._append_patiently, slip)
        else:
            for slip, outcome in zip(slips, outcomes, strict=True):
                slip.done(outcome)

    def _append_patiently(self, slip: _Slip) -> None:
        outcome: Outcome
        try:
            outcome = self._log.append(slip.asked.drafts, slip.asked.key)
        except Exception as error:
            outcome = error
        slip.done(outcome)
