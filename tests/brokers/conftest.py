"""Fixtures: brokers on one log, and a clock that stands until it is moved. No tests here.

A broker of another kind is one more class like ``Sqlite`` and one more line in ``KINDS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pushapp.broker.interface import Broker
from pushapp.broker.sqlite import SqliteBroker

from .tools import Clock, retention


class Sqlite:
    """How the shared suite handles the embedded log."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "push.db"
        self.url = f"sqlite:///{self.path}"

    def open(self, clock: Clock) -> SqliteBroker:
        return SqliteBroker(str(self.path), retention, clock=clock)

    def tidy(self, broker: SqliteBroker) -> None:
        """Remove at once all that is too old."""
        while broker.writer.run(broker.upkeep.sweep):
            pass

    def lose_wake_ups(self) -> None:
        """Make sure that no follower hears a publish any more."""
        for bell in Path(f"{self.path}-wake").glob("*.bell"):
            bell.unlink()


KINDS = {"sqlite": Sqlite}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Sqlite:
    """An empty log of each kind, which nobody has opened."""
    return KINDS[request.param](tmp_path)


@pytest.fixture
def broker_url(kind: Sqlite) -> str:
    """The log's URL, as an operator writes it."""
    return kind.url


@pytest.fixture
def open_log(kind: Sqlite, clock: Clock) -> Iterator[Callable[[], Broker]]:
    """Open one more broker on the log."""
    brokers: list[Broker] = []

    def open_one() -> Broker:
        brokers.append(kind.open(clock))
        return brokers[-1]

    yield open_one
    for broker in brokers:
        broker.close()


@pytest.fixture
def tx(open_log: Callable[[], Broker]) -> Broker:
    """One worker's broker."""
    return open_log()


@pytest.fixture
def rx(open_log: Callable[[], Broker]) -> Broker:
    """Another worker's broker on the same log."""
    return open_log()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the embedded log's own tests keep it."""
    return tmp_path / "push.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"
