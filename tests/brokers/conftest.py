"""Fixtures: brokers on one log, and a clock that stands until it is moved. No tests here.

Where the brokers are of each kind in turn, ``kinds`` says what that means.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pushapp.broker.interface import Broker
from pushapp.broker.redis import RedisBroker

from ..valkey import Valkey
from .kinds import KINDS, Kind
from .tools import Clock, retention

Open = Callable[..., RedisBroker]


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


@pytest.fixture
def prefix(valkey: Valkey) -> Iterator[str]:
    """An app of its own on the server that the tests share."""
    prefix = f"test-{uuid.uuid4().hex}"
    yield prefix
    valkey.forget(prefix)


@pytest.fixture
def open_one(valkey: Valkey, prefix: str) -> Iterator[Open]:
    """Open brokers, by default on that app's log."""
    brokers: list[RedisBroker] = []

    def open_one(url: str = valkey.url, **options: object) -> RedisBroker:
        brokers.append(RedisBroker(url, retention, **{"prefix": prefix, **options}))  # type: ignore[arg-type]
        return brokers[-1]

    yield open_one
    for broker in brokers:
        broker.close()


@pytest.fixture
def make_valkey(tmp_path: Path) -> Iterator[Callable[..., Valkey]]:
    """Start servers with a config of their own."""
    servers: list[Valkey] = []

    def make(**config: object) -> Valkey:
        servers.append(Valkey(tmp_path / f"server{len(servers)}", **config))  # type: ignore[arg-type]
        return servers[-1].start()

    yield make
    for server in servers:
        server.stop()
