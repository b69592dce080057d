"""One writer at a time, and those who wait write together.

What belongs here: the queue in front of the file. What does not: what is written.

SQLite has one writer. Whoever comes while another one of this process is at it, or while the file
is locked by another process, waits in line and is committed with all others that wait.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, cast

from ...background import quick_lock
from ...errors import LogUnavailable, PushError
from .file import PATIENCE, LogFile, attempts
from .trouble import Busy, is_of_request
from .tx import Tx
from .wal import Wal

T = TypeVar("T")

log = logging.getLogger(__name__)

_CHECK = 16  # transactions between two looks at the write-ahead log: each adds 1 to 3 MiB at most
# Bounds on how long a transaction holds the file; one job alone may have more.
_TOGETHER = 200  # jobs in it
_SIZE = 1 << 20  # bytes that they write: 10 ms


class _Unfit(Exception):
    """A job cannot be done; the others of its transaction can."""


class _Job(Generic[T]):
    """Some work, and what came of it."""

    def __init__(self, work: Callable[[Tx], T], size: int) -> None:
        self.work, self.size = work, size
        self.turn = threading.Event()  # it is done, or it leads
        self.unfit = False
        self.done = False
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
    """Runs work in write transactions; ``ring`` is called with those that are news to followers."""

    def __init__(self, file: LogFile, ring: Callable[[Tx], None], wal: Wal) -> None:
        self._file, self._ring, self.wal = file, ring, wal
        self._lock = quick_lock()
        self._waiting: list[_Job[Any]] = []
        self._led = False  # the first who came commits for all who wait
        self.transactions = 0

    def run(self, work: Callable[[Tx], T], size: int = 0) -> T:
        """Return ``work(tx)``, once it is in the log. A ``PushError`` must be raised before
        anything is written. ``size``: bytes that it writes, where it may be many.

        Raises:
            LogUnavailable: nothing was written.
            PushError: what ``work`` raised.
        """
        job = _Job(work, size)
        with self._lock:
            self._waiting.append(job)
            leads, self._led = not self._led, True
        try:
            if not leads:
                job.turn.wait()
            if not job.done:
                self._lead()
        except BaseException:  # a greenlet may be killed wherever it waits
            self._leave(job)
            raise
        if job.error is not None:
            raise job.error
        return cast(T, job.result)

    def run_now(self, works: Sequence[Callable[[Tx], T]], size: int) -> list[T | Exception] | None:
        """Return what each of ``works`` returns or raises, all in one transaction; None where that
        takes waiting, or where it fails for all: nothing was written then. Never waits."""
        if self._file.waits or len(works) > _TOGETHER or size > _SIZE:
            return None
        if (self.transactions + 1) % _CHECK == 0 and self.wal.is_due:
            return None  # it is for one whose caller can wait for that
        with self._lock:
            if self._led:
                return None
            self._led = True
        outcomes: list[T | Exception] = []

        def all_of_it(tx: Tx) -> None:
            for work in works:
                try:
                    outcomes.append(work(tx))
                except PushError as error:
                    outcomes.append(error)

        try:
            tx = self._file.transact(all_of_it)
            self._tell(tx)
        except (Busy, LogUnavailable):  # who waits finds out more
            return None
        except Exception as error:
            if not is_of_request(error):
                raise
            return None
        finally:
            self._hand_over()
        return outcomes

    def _leave(self, job: _Job[Any]) -> None:
        """Take out a job that nobody waits for."""
        with self._lock:
            if job in self._waiting:
                self._waiting.remove(job)
        was_to_lead = job.turn.is_set() and not job.done
        job.done = True
        if was_to_lead:
            self._hand_over()

    def _hand_over(self) -> None:
        """Let the next who waits lead."""
        with self._lock:
            following = self._waiting[0] if self._waiting else None
            self._led = following is not None
        if following is not None:
            following.turn.set()

    def _lead(self) -> None:
        batch: list[_Job[Any]] = []
        try:
            time.sleep(0)  # who is ready to publish just now joins this transaction
            self._commit(batch)
        except Exception as error:
            for job in batch:
                if not (job.done or job.unfit):
                    job.error = error
                job.done = True
        finally:
            with self._lock:  # where this one is killed, the others come again
                self._waiting[:0] = [job for job in batch if not job.done]
            for job in batch:
                if job.done:
                    job.turn.set()
            self._hand_over()

    def _commit(self, batch: list[_Job[Any]]) -> None:
        """Do all that waits, which goes into ``batch``."""

        def all_of_it(tx: Tx) -> None:
            for job in batch:
                job.run(tx)

        def done() -> None:
            for job in batch:
                job.done = True

        for _ in attempts(time.monotonic() + PATIENCE):
            with self._lock:
                self._fill(batch)
            try:
                tx = self._file.transact(all_of_it, done)
            except (Busy, _Unfit):
                continue
            self._tell(tx)
            if not self.transactions % _CHECK:
                self.wal.checkpoint()
            return
        raise self._file.locked()

    def _fill(self, batch: list[_Job[Any]]) -> None:
        """Move what waits into ``batch``, as much as it has room for."""
        size, room = sum(job.size for job in batch), _TOGETHER - len(batch)
        fits = 0
        for job in self._waiting[:room]:
            size += job.size
            if size > _SIZE and (batch or fits):
                break
            fits += 1
        batch += self._waiting[:fits]
        del self._waiting[:fits]

    def _tell(self, tx: Tx) -> None:
        """Tell followers of ``tx``, which is in the log whatever comes of that."""
        self.transactions += 1
        if tx.news:
            try:
                self._ring(tx)
            except Exception:  # who has published must not hear of it; followers look, too
                log.exception("nobody was told of what is in the log")
