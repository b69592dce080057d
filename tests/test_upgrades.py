"""docs/upgrades.md: a log that is of a newer format than the worker."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pushapp import create_app

from .clients import Client
from .server import API_KEY, SECRET, Server
from .valkey import Valkey


class Sqlite:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "log.db"
        self.url = f"sqlite:///{self.path}"

    def bring_up(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("PRAGMA user_version = 99")


class OnValkey:
    def __init__(self, folder: Path) -> None:
        self.valkey = Valkey(folder / "valkey").start()
        self.url = self.valkey.url

    def bring_up(self) -> None:
        self.valkey.ask("HSET", "{push}:meta", "format", 99)


@pytest.fixture(params=[Sqlite, OnValkey], ids=["sqlite", "valkey"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sqlite | OnValkey]:
    log: Sqlite | OnValkey = request.param(tmp_path)
    yield log
    if isinstance(log, OnValkey):
        log.valkey.stop()


def test_an_old_fleet_goes_on_and_does_not_start_anew(
    log: Sqlite | OnValkey,
    make_server: Callable[..., Server],
    connect: Callable[..., Client],
    channel: str,
) -> None:
    """Who runs publishes and delivers; who starts is red, says why, and takes nothing."""
    server = make_server(PUSH_BROKER_URL=log.url, WEB_CONCURRENCY=1)
    client = connect("sse", server, [channel])
    server.publish(channel, "before")
    log.bring_up()
    server.publish(channel, "after")
    assert client.data(2) == ["before", "after"]

    started = create_app(PUSH_BROKER_URL=log.url, PUSH_API_KEYS=API_KEY, PUSH_SECRET=SECRET)
    asking = started.test_client()
    ready = asking.get("/readyz")
    assert ready.status_code == 503
    assert "has format 99; this version reads" in ready.get_data(as_text=True)
    bearer = {"Authorization": f"Bearer {API_KEY}"}
    refused = asking.post("/push/publish", json={"channel": channel, "data": 1}, headers=bearer)
    assert refused.status_code == 503 and refused.headers["Retry-After"]
    started.extensions["push"].close()

    history = server.look(f"/push/channels/{channel}/history")["messages"]
    assert [message["data"] for message in history] == ["before", "after"]
