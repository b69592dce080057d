"""Webhooks of a real server, at a real receiver.

What belongs here: what an app's own server gets to see, and that nobody has to wait for it. What
does not: batches and trying again (``test_webhooks`` of the whole).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from ..clients import TRANSPORTS
from ..jwts import token
from ..receiver import SECRET, Receiver
from ..server import API_KEY, Server
from ..wire import TIMEOUT
from .conftest import Connect, settings_of
from .test_tokens import bearer, refresh

GRACE = 2.5  # seconds; a worker that is kept from its turn for most of it is taken for dead


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def hooked(
    log_kind: str,
    receiver: Receiver,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """A server that tells the receiver."""
    settings = {
        "PUSH_WEBHOOK_URL": receiver.url,
        "PUSH_WEBHOOK_SECRET": f"{'x' * 32},{SECRET}",
        "PUSH_PRESENCE_GRACE": GRACE,
        **settings_of(log_kind, request),
    }
    server = Server(tmp_path_factory.mktemp("hooked"), **settings).start()
    yield server
    server.stop()


def say(server: Server, text: str, body: dict[str, Any]) -> None:
    headers = {**bearer(text), "Content-Type": "application/json"}
    reply = server.ask("POST", "/push/publish", headers, json.dumps(body).encode())
    assert reply.status == 200, reply


def told(receiver: Receiver, kind: str, user: str, count: int) -> list[dict[str, Any]]:
    """Wait for so many events of this kind about the user; return them, each once."""
    found: dict[str, dict[str, Any]] = {}

    def enough(events: list[dict[str, Any]]) -> bool:
        about = [e for e in events if e["event"] == kind and e.get("user") == user]
        found.update({e["id"]: e for e in about})
        return len(found) >= count

    receiver.events(enough)
    return list(found.values())


def tells_of(kind: str, channels: Iterable[str]) -> Callable[[list[dict[str, Any]]], bool]:
    """Tell whether there is an event of this kind about each channel."""
    return lambda events: set(channels) <= {e.get("channel") for e in events if e["event"] == kind}


def test_what_clients_publish_is_told(
    hooked: Server, connect: Connect, receiver: Receiver, user: str
) -> None:
    """Over HTTP and a WebSocket, in order, once under one key; not what an api key publishes."""
    text, room = token(user=user, publish=["room:*"]), f"room:{user}"
    again = {"channel": room, "data": {"n": 1}, "idempotency_key": user}
    for _ in range(2):
        say(hooked, text, again)
    hooked.publish(room, "by the app")
    batch = [{"channel": f"{room}:{n}", "data": n, "event": "said"} for n in (2, 3)]
    say(hooked, text, {"messages": batch})
    client: Any = connect("websocket", hooked, first=refresh(text))
    assert client.ask("publish", channel=room, data=4)["ok"] is True
    found = told(receiver, "publish", user, 4)
    assert [e["message"]["data"] for e in found] == [{"n": 1}, 2, 3, 4]
    assert found[1]["message"] == {"channel": f"{room}:2", "event": "said", "data": 2}
    kept = hooked.look(f"/push/channels/{room}/history")["messages"]
    assert [m["data"] for m in kept] == [{"n": 1}, "by the app", 4]


def test_nobody_waits_for_a_slow_receiver(
    hooked: Server, connect: Connect, receiver: Receiver, user: str
) -> None:
    """Messages are published and delivered while it takes its time."""
    answered, asked = threading.Event(), SimpleQueue[None]()

    def wait() -> int:
        asked.put(None)
        assert answered.wait(3 * TIMEOUT)
        return 200

    receiver.answer = wait
    text, room = token(f"room:{user}", user=user, publish=["room:*"]), f"room:{user}"
    client = connect("websocket", hooked, [room], headers=bearer(text))
    say(hooked, text, {"channel": room, "data": 0})
    asked.get(timeout=TIMEOUT)
    for n in range(1, 30):
        say(hooked, text, {"channel": room, "data": n})
    assert client.data(30) == list(range(30))
    assert not answered.is_set()
    answered.set()
    found = told(receiver, "publish", user, 30)
    assert [e["message"]["data"] for e in found] == list(range(30))
    receiver.answer = lambda: 200


def test_who_comes_and_goes_is_told(
    hooked: Server, connect: Connect, receiver: Receiver, user: str
) -> None:
    """On each transport: a connection's beginning, its channels, and its end; a channel's first
    and last. All four in one test: each would wait for the same grace time."""
    rooms = {transport: f"room:{user}:{transport}" for transport in TRANSPORTS}
    headers = bearer(token("room:*", user=user))
    clients = {how: connect(how, hooked, [room], headers=headers) for how, room in rooms.items()}
    for how, client in clients.items():
        hooked.publish(rooms[how], 1)
        assert client.data() == [1]  # a poller is there once it has come again
    came: list[dict[str, Any]] = receiver.events(tells_of("subscribe", rooms.values()))
    for client in clients.values():
        client.close()
    came += receiver.events(tells_of("vacated", rooms.values()))
    events = {event["id"]: event for event in came}.values()  # each comes at least once
    for how, client in clients.items():
        theirs = [e for e in events if e.get("connection") == client.connection]
        assert [e["event"] for e in theirs] == ["connect", "subscribe", "disconnect"]
        first, _, last = theirs
        assert first["transport"] == last["transport"] == how
        assert first["user"] == last["user"] == user
        assert first["time"] <= last["time"]
        of_room = [e["event"] for e in events if e.get("channel") == rooms[how]]
        assert sorted(of_room) == ["occupied", "subscribe", "vacated"]


def test_who_sends_does_not_say_so_to_clients(hooked: Server) -> None:
    """The channel that events wait in is nobody's to read, to write, or to see."""
    name = "webhooks%2Fevents"
    everything = bearer(token("*", publish=["*"]))
    for key in (everything, bearer(API_KEY)):
        assert hooked.ask("GET", f"/push/poll?channels={name}", key).status == 400
    assert hooked.post({"channel": "webhooks/events", "data": []}).status == 400
    assert not [c for c in hooked.look("/push/channels")["channels"] if "/" in c["channel"]]
