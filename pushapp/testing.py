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

    from .testing_clients import PushClient


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

    def messages(self, channel: str) -> list[dict[str, Any]]:
        """Return the messages of ``channel``, oldest first."""
        from .broker import open_broker
        from .settings import Settings

        broker = open_broker(self._url, Settings().retention)
        try:
            found, _ = broker.log.history(channel, 1000)
        finally:
            broker.close()
        return [json.loads(message.body()) for message in found]

    def data(self, channel: str) -> list[Any]:
        """Return what the messages of ``channel`` hold, oldest first."""
        return [message.get("data") for message in self.messages(channel)]


@pytest.fixture
def push_published(push_log: str) -> Published:
    """What was published: ``.data(channel)``, ``.messages(channel)``."""
    return Published(push_log)


@pytest.fixture
def push_client(push_log: str) -> Callable[[Flask | FlaskClient], PushClient]:
    """``push_client(app)`` or ``push_client(app.test_client())``: a client for each transport."""

    from .testing_clients import PushClient

    def make(app: Flask | FlaskClient) -> PushClient:
        client: Any = app if hasattr(app, "application") else app.test_client()
        return PushClient(client)

    return make
