"""The log with a stop-watch: how long appends and reads take, and how often they fail.

What belongs here: what every broker is to be measured by. What does not: anything that it does;
what is not measured passes as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from .broker.interface import PAGE_BYTES, PAGE_MESSAGES, Append, AppendKey, Log, Page, Receipt
from .errors import LogUnavailable
from .message import Cursor, Draft, is_internal
from .tally import Tally

_T = TypeVar("_T")


class MeteredLog:
    """See ``broker.interface.Log``."""

    def __init__(self, log: Log, tally: Tally) -> None:
        self._log, self._tally = log, tally
        self.history, self.clear = log.history, log.clear
        self.channels, self.follow = log.channels, log.follow

    def append(self, drafts: Sequence[Draft], key: AppendKey | None = None) -> list[Receipt]:
        receipts = self._time("append", lambda: self._log.append(drafts, key))
        self._count(drafts, receipts)
        return receipts

    def append_now(self, asked: Sequence[Append]) -> list[list[Receipt] | Exception] | None:
        start = time.perf_counter()
        outcomes = self._log.append_now(asked)
        if outcomes is not None:
            took = time.perf_counter() - start
            for one, outcome in zip(asked, outcomes, strict=True):
                if not isinstance(outcome, Exception):
                    self._tally.log["append"].observe(took)
                    self._count(one.drafts, outcome)
        return outcomes

    def _count(self, drafts: Sequence[Draft], receipts: Sequence[Receipt]) -> None:
        if self._tally.traffic is not None:
            self._tally.traffic.publish(drafts)
        # What webhooks tell of a publish comes with it, as the last one, and is nobody's message.
        self._tally.published += len(receipts) - is_internal(drafts[-1].channel)

    def read(
        self,
        channels: Collection[str],
        cursor: Cursor | None,
        upto: int | None = None,
        limit: int = PAGE_MESSAGES,
        max_bytes: int = PAGE_BYTES,
    ) -> Page:
        return self._time("read", lambda: self._log.read(channels, cursor, upto, limit, max_bytes))

    def _time(self, operation: str, call: Callable[[], _T]) -> _T:
        start = time.perf_counter()
        try:
            result = call()
        except LogUnavailable:
            self._tally.log_errors[operation] += 1
            raise
        self._tally.log[operation].observe(time.perf_counter() - start)
        return result
