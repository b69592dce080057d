"""What the tests of all brokers use: a clock, and short words for publishing and reading."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from pushapp.broker.interface import AppendKey, Broker, Follower, Page, Published
from pushapp.broker.sqlite import SqliteBroker
from pushapp.message import Cursor, Draft, Loss, Message
from pushapp.retention import Retention

TIMEOUT = 20.0  # seconds; only failures pay it

A, B, C = "public:a", "public:b", "public:c"
FEW = "few:a"  # 3 messages are kept
BRIEF = "brief:a"  # messages are kept for a minute
DAY = 86400.0  # seconds


def retention(channel: str) -> Retention:
    """Return how much of a channel the tests' logs keep."""
    namespace = channel.partition(":")[0]
    return {"few": Retention(3, 3600.0), "brief": Retention(1000, 60.0)}.get(
        namespace, Retention(1000, 3600.0)
    )


class Clock:
    """Unix seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


def publish(broker: Broker, *channels: str) -> list[str]:
    """Append a message to each of ``channels``, one by one; return their ids."""
    return [append(broker, Draft(channel, f'"{channel}"'))[0] for channel in channels]


def append(broker: Broker, *drafts: Draft, key: AppendKey | None = None) -> list[str]:
    """Append ``drafts`` together; return their ids."""
    receipts = broker.log.append(drafts, key)
    assert all(isinstance(receipt, Published) for receipt in receipts)
    return [receipt.id for receipt in receipts]


def now(broker: Broker) -> Cursor:
    """Return the cursor of one who starts now."""
    return broker.log.read([], None).cursor


def ids(messages: Iterable[Message]) -> list[str]:
    return [message.id for message in messages]


def data(messages: Iterable[Message]) -> list[str]:
    return [message.data for message in messages]


def cursor(text: str) -> Cursor:
    return Cursor.parse(text)


def told(page: Page) -> list[tuple[str, str | None, str]]:
    """Return the losses of a page, without the cursor that was asked for."""
    return losses(page.lost)


def losses(lost: Iterable[Loss]) -> list[tuple[str, str | None, str]]:
    return [(loss.channel, loss.before, loss.reason) for loss in lost]


def page_with_news(follower: Follower) -> Page:
    """Return the first page that is not empty: a follower may look up for less than news."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        page = follower.next(TIMEOUT)
        if page.messages or page.lost:
            return page
        assert time.monotonic() < deadline, "nothing came"


def receive(follower: Follower, n: int) -> list[Message]:
    """Return what comes until there are ``n`` messages; nothing may be lost."""
    messages, lost = listen(follower, lambda messages, lost: len(messages) >= n)
    assert not lost
    return messages


def listen(
    follower: Follower, enough: Callable[[Sequence[Message], Sequence[Loss]], bool]
) -> tuple[list[Message], list[Loss]]:
    """Return what comes, and what is told to be lost, until that is ``enough``."""
    messages: list[Message] = []
    lost: list[Loss] = []
    deadline = time.monotonic() + TIMEOUT
    while not enough(messages, lost):
        assert time.monotonic() < deadline, f"only {messages} and {lost} came"
        page = follower.next(TIMEOUT)
        assert follower.position == page.cursor
        messages += page.messages
        lost += page.lost
    return messages, lost


def together(*work: Callable[[], object]) -> None:
    """Do all of ``work`` at the same time, each in a thread; raise what one of them raised."""
    start = threading.Barrier(len(work))
    errors: list[BaseException] = []

    def run(job: Callable[[], object]) -> None:
        try:
            start.wait(TIMEOUT)
            job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(job,), daemon=True) for job in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


@contextmanager
def opened(path: Path, **options: Any) -> Iterator[SqliteBroker]:
    """Open the embedded log at ``path`` for a while."""
    broker = SqliteBroker(str(path), retention, **options)
    try:
        yield broker
    finally:
        broker.close()


def copy(path: Path) -> Path:
    """Return a copy of the log as a careful operator makes it."""
    to = path.with_name("copy.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(to),))
    return to


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the file's write lock, as another process's transaction does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


class Script:
    """Another process, which runs some Python and speaks in lines.

    It has ``broker``, a broker on the log, ``say``, and what this module has; ``patched``: gevent
    has patched it.
    """

    _START = """
import sys
if sys.argv[2] == "patched":
    from gevent import monkey; monkey.patch_all()
from pushapp.broker import open_broker
from pushapp.errors import LogUnavailable
from tests.brokers.tools import *
def say(*words): print(*words, flush=True)
broker = open_broker(sys.argv[1], retention)
"""

    def __init__(self, url: str, source: str, *, patched: bool = False) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", self._START + source, url, "patched" if patched else "plain"],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )

    def hear(self) -> str:
        """Return the next line that it says, "" when it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> list[str]:
        """Wait until it has ended well; return the lines that were left."""
        lines = self._rest()
        assert self.process.returncode == 0
        return lines

    def kill(self) -> list[str]:
        """Kill it as the kernel does; return the whole lines that were left."""
        self.process.kill()
        return self._rest()

    def _rest(self) -> list[str]:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            rest = stdout.read()
        self.process.wait(TIMEOUT)
        return rest[: rest.rfind("\n") + 1].splitlines()
