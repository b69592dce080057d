"""One writer at a time, and those who wait write together.

What belongs here: the queue in front of the file. What does not: what is written.

SQLite has one writer. Whoever comes while another one of this process is at it, or while the file
is locked by another process, waits in line and is committed with all others that wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from ...errors import PushError
from .file import PATIENCE, LogFile, Tx, attempts
from .native import start
from .trouble import Busy, is_of_request

T = TypeVar("T")

_TOGETHER = 200  # jobs in one transaction: a bound on how long it holds the file


class _Unfit(Exception):
    """A job cannot be done; the others of its transaction can."""


class _Job(Generic[T]):
    """Some work, and what came of it."""

    def __init__(self, work: Callable[[Tx], T]) -> None:
        self.work = work
        self.done = threading.Event()
        self.unfit = False
        self.result: T | None = None
        self.error: Exception | None = None

    def run(self, tx: Tx) -> None:
        if self.unfit:
            return
        self.error = None
        try:
            self.result = self.work(tx)
        except PushError as error:
            self.error = error  # raised before anything was written: the others go on
        except Exception as error:
            if not is_of_request(error):
                raise
            self.error, self.unfit = error, True
            raise _Unfit from error  # what it has written goes, and the others come again


class Writer:
    """Runs work in write transactions; ``ring`` is called when followers have news."""

    def __init__(self, file: LogFile, ring: Callable[[], None]) -> None:
        self._file, self._ring = file, ring
        self._lock = threading.Lock()
        self._waiting: list[_Job[Any]] = []
        self._busy = False  # somebody commits what waits
        self.transactions = 0

    def run(self, work: Callable[[Tx], T]) -> T:
        """Return ``work(tx)``, once it is in the log. A ``PushError`` must be raised before
        anything is written.

        Raises:
            LogUnavailable: nothing was written.
            PushError: what ``work`` raised.
        """
        job = _Job(work)
        with self._lock:
            self._waiting.append(job)
            busy, self._busy = self._busy, True
        if not busy:
            start(self._work)  # who is ready to publish just now joins
        job.done.wait()
        if job.error is not None:
            raise job.error
        return cast(T, job.result)

    def _work(self) -> None:
        """Commit until nobody waits."""
        while True:
            batch: list[_Job[Any]] = []
            try:
                if self._commit(batch):
                    self._ring()
            except Exception as error:
                for job in batch:
                    if not job.unfit:
                        job.error = error
            for job in batch:
                job.done.set()
            with self._lock:
                self._busy = bool(self._waiting)
                if not self._busy:
                    return

    def _commit(self, batch: list[_Job[Any]]) -> bool:
        """Do all that waits, which goes into ``batch``; tell whether followers have news."""

        def work(tx: Tx) -> None:
            for job in batch:
                job.run(tx)

        for _ in attempts(time.monotonic() + PATIENCE):
            with self._lock:
                room = _TOGETHER - len(batch)
                batch += self._waiting[:room]
                del self._waiting[:room]
            try:
                news = self._file.transact(work)
            except (Busy, _Unfit):
                continue
            self.transactions += 1
            return news
        raise self._file.locked()
