"""Fixtures: brokers on one log, and a clock that stands until it is moved. No tests here.

Where the brokers are of each kind in turn, ``kinds`` says what that means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pushapp.broker.interface import Broker

from ..valkey import Valkey
from .kinds import KINDS, Kind
from .tools import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=KINDS)
def make_kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Kind]]:
    """Make empty logs of each kind in turn."""
    make = KINDS[request.param]
    valkey: Valkey | None = request.getfixturevalue("valkey") if request.param == "redis" else None
    kinds: list[Kind] = []

    def make_one() -> Kind:
        kinds.append(make(tmp_path / f"log{len(kinds)}", valkey))
        return kinds[-1]

    yield make_one
    for kind in kinds:
        kind.forget()


@pytest.fixture
def kind(make_kind: Callable[[], Kind]) -> Kind:
    """An empty log, which nobody has opened."""
    return make_kind()


@pytest.fixture
def open_log(kind: Kind, clock: Clock) -> Iterator[Callable[[], Broker]]:
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
