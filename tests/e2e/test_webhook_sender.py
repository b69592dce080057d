"""The worker that sends webhooks dies, and another one goes on.

What belongs here: ``kill -9`` on a real server. What does not: who may send at one time
(``test_webhooks`` of the whole, and both brokers' contract for claims).
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..jwts import token
from ..receiver import SECRET, Receiver
from ..server import Server
from ..wire import TIMEOUT


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def test_nothing_is_lost_when_the_sender_is_killed(
    make_server: Callable[..., Server], receiver: Receiver
) -> None:
    """Before its batch was acknowledged: what happened comes, in order, soon after."""
    server = make_server(PUSH_WEBHOOK_URL=receiver.url, PUSH_WEBHOOK_SECRET=SECRET)

    def say(data: int) -> None:
        headers = {"Authorization": f"Bearer {token(publish=['room:*'])}"}
        body = json.dumps({"channel": "room:1", "data": data}).encode()
        headers["Content-Type"] = "application/json"
        assert server.ask("POST", "/push/publish", headers, body).status == 200

    receiver.answer = lambda: 500
    say(0)
    receiver.tried.get(timeout=TIMEOUT)
    for pid in server.workers():
        os.kill(pid, signal.SIGKILL)
    receiver.answer = lambda: 200
    server.wait_for_workers()
    say(1)

    def published(events: list[dict[str, Any]]) -> list[int]:
        return [e["message"]["data"] for e in events if e["event"] == "publish"]

    found = receiver.events(lambda events: len(published(events)) >= 2)
    assert published(found) == [0, 1]
