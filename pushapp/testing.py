"""pytest fixtures for an app that has a Push: no server, no patching, a log of the test's own.

What belongs here: what the tests of such an app need. What does not: how this project tests itself.

    def test_shipping_is_told(push_client, push_published, client):
        with push_client(client).sse(["orders:7"]) as stream:
            client.post("/orders/7/ship")
            assert stream.receive()["data"] == {"state": "shipped"}
        assert push_published.data("orders:7") == [{"state": "shipped"}]

Installed with pip these are there by themselves; else ``pytest -p pushapp.testing``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from .broker.interface import Log
    from .testing_clients import PushClient

_MOST = 1000  # messages of a channel, or channels, that are read at a time
_BYTES = 1 << 30  # of a channel: a test reads all of it


class Refused(Exception):
    """The app did not take the client; ``problem`` is what it said (RFC 9457)."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('title')}: {problem.get('detail')}")
        self.status, self.problem = status, problem


@pytest.fixture
def push_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A log of the test's own, for apps made before and after; return its URL."""
    from .extension import live_pushes

    url = f"sqlite:///{tmp_path}/push.db"
    monkeypatch.setenv("PUSH_BROKER_URL", url)
    before = [(push, push.settings) for push in live_pushes()]
    for push, settings in before:
        push.close()
        push.settings = dataclasses.replace(settings, broker_url=url)
    yield url
    for push in live_pushes():
        push.close()
    for push, settings in before:
        push.settings = settings


class Published:
    """What was published in this test, read from the log."""

    def __init__(self, url: str) -> None:
        self._url = url

    def messages(self, channel: str | None = None) -> list[dict[str, Any]]:
        """Return the messages of ``channel``, or of all channels, oldest first."""
        from .broker import open_broker
        from .settings import Settings

        broker = open_broker(self._url, Settings().retention)
        try:
            names = [channel] if channel is not None else _names(broker.log)
            kept = [
                m for name in names for m in broker.log.history(name, _MOST, max_bytes=_BYTES)[0]
            ]
        finally:
            broker.close()
        return [json.loads(m.body()) for m in sorted(kept, key=lambda m: m.n)]

    def data(self, channel: str | None = None) -> list[Any]:
        """Return what the messages of ``channel``, or of all channels, hold, oldest first."""
        return [message.get("data") for message in self.messages(channel)]


def _names(log: Log) -> list[str]:
    names: list[str] = []
    while found := log.channels(after=names[-1] if names else "", limit=_MOST):
        names += [info.channel for info in found]
    return names


@pytest.fixture
def push_published(push_log: str) -> Published:
    """What was published: ``.data()`` and ``.messages()``, of one channel or of all."""
    return Published(push_log)


@pytest.fixture
def push_client(push_log: str) -> Callable[[Flask | FlaskClient], PushClient]:
    """``push_client(app)`` or ``push_client(app.test_client())``: a client for each transport."""

    from .testing_clients import PushClient

    def make(app: Flask | FlaskClient) -> PushClient:
        client: Any = app if hasattr(app, "application") else app.test_client()
        return PushClient(client)

    return make
