"""A Flask app with ``Push(app)`` in it, whose webhooks' receiver is ill in every way.

What belongs here: that clients do not notice, and that events come later, in order, when it is
well again. What does not: one answer (``test_courier``), a sender that dies
(``test_webhook_sender``).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pushapp import create_app
from pushapp.broker.roster import EVENTS

from ..clients import Client
from ..jwts import token
from ..receiver import SECRET, Receiver
from ..scrape import Scrape
from ..server import API_KEY, READ_KEY, Server, free_port, until
from ..server import SECRET as SIGNS
from ..wire import TIMEOUT

GARBAGE = b"\x00\xff HTTP/9.9 maybe\r\n\r\n{"
ILL: dict[str, int | bytes] = {
    "fails": 500,
    "refuses": 400,
    "is gone": 410,
    "has moved": 301,
    "talks nonsense": GARBAGE,
}


class Ill:
    """The receiver's place: who is there changes, the address stays."""

    def __init__(self) -> None:
        self.port = free_port()
        self.here: Receiver | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()

    def open(self) -> Receiver:
        self.here = Receiver(port=self.port)
        return self.here

    def close(self) -> None:
        self.may_answer.set()
        if self.here is not None:
            self.here.close()
            self.here = None


@pytest.fixture
def place() -> Iterator[Ill]:
    place = Ill()
    yield place
    place.close()


@pytest.fixture
def server(make_server: Callable[..., Server], place: Ill) -> Server:
    return make_server(
        app="tests.apps.host:app",
        config="python:pushapp.gunicorn_conf",
        PUSH_WEBHOOK_URL=f"http://127.0.0.1:{place.port}/hook",
        PUSH_WEBHOOK_SECRET=SECRET,
    )


def counted(server: Server, outcome: str) -> float:
    """Return how many batches had this outcome, over all workers."""
    reply = server.ask("GET", "/push/metrics", {"Authorization": f"Bearer {READ_KEY}"})
    return Scrape(reply.body.decode()).total("webhooks_total", outcome=outcome)


def test_clients_do_not_notice_and_nothing_is_out_of_order(
    server: Server, place: Ill, connect: Callable[..., Client]
) -> None:
    """Whatever it is that the receiver does: a message is published and delivered meanwhile. What
    happened comes once it is well, signed, each after what happened before it."""
    room, said = "room:1", iter(range(100))
    headers = {"Authorization": f"Bearer {token(room, publish=[room])}"}
    sent = {**headers, "Content-Type": "application/json"}
    clients = [connect(how, server, [room], headers=headers) for how in ("sse", "longpoll")]
    told: list[int] = []
    seen = set[str]()  # each comes at least once

    def say_one() -> int:
        n = next(said)
        body = json.dumps({"channel": room, "data": n}).encode()
        assert server.ask("POST", "/push/publish", sent, body).status == 200
        for client in clients:
            assert client.data() == [n]
        return n

    def is_told(receiver: Receiver, last: int) -> None:
        """Wait until the receiver knows of all up to ``last``."""

        def reached(events: list[dict[str, Any]]) -> bool:
            published = [e["message"]["data"] for e in events if e["event"] == "publish"]
            return bool(published) and published[-1] == last

        for event in receiver.events(reached):
            if event["event"] == "publish" and event["id"] not in seen:
                seen.add(event["id"])
                told.append(event["message"]["data"])

    refused = counted(server, "refused")
    say_one()  # nobody is there
    until(lambda: counted(server, "refused") > refused, "no connection")
    last = say_one()
    receiver = place.open()
    is_told(receiver, last)

    for how, answer in ILL.items():
        receiver.headers = {"Location": f"http://127.0.0.1:{server.port}/healthz"}
        receiver.answer = lambda answer=answer: answer
        while not receiver.tried.empty():
            receiver.tried.get()
        say_one()
        receiver.tried.get(timeout=TIMEOUT)
        last = say_one()
        receiver.answer = lambda: 200
        is_told(receiver, last)
        assert told == list(range(last + 1)), how

    place.may_answer.clear()
    hangs = threading.Event()

    def hang() -> int:
        hangs.set()
        assert place.may_answer.wait(TIMEOUT)
        return 500

    receiver.answer = hang
    say_one()
    assert hangs.wait(TIMEOUT)
    last = [say_one() for _ in range(5)][-1]
    place.may_answer.set()
    receiver.answer = lambda: 200
    is_told(receiver, last)
    assert told == list(range(last + 1))

    until(lambda: counted(server, "refused") >= refused + len(ILL) + 2, "each was counted")
    for words in ("not taken", "refused", "500", "410", "301", "taken again"):
        assert words in server.log, words
    assert counted(server, "lost") == 0


def test_what_was_not_taken_while_it_was_kept_is_named(server: Server, place: Ill) -> None:
    """By the batch, by the log, and in the metrics; then all goes on."""
    headers = {"Authorization": f"Bearer {token(publish=['room:1'])}"}
    sent = {**headers, "Content-Type": "application/json"}

    def say(n: int) -> None:
        body = json.dumps({"channel": "room:1", "data": n}).encode()
        assert server.ask("POST", "/push/publish", sent, body).status == 200

    receiver = place.open()
    say(0)
    receiver.events(lambda events: events)
    place.close()
    say(1)
    url = server.environ["PUSH_BROKER_URL"]
    elsewhere = create_app(PUSH_BROKER_URL=url, PUSH_API_KEYS=API_KEY, PUSH_SECRET=SIGNS)
    push = elsewhere.extensions["push"]
    push.broker.log.clear(EVENTS)  # as the retention of a day does
    push.close()
    receiver = place.open()
    say(2)
    batch = receiver.batches.get(timeout=2 * TIMEOUT)
    assert [e["message"]["data"] for e in batch["events"]] == [2]
    assert batch["lost"][0]["reason"] == "expired"
    until(lambda: counted(server, "lost") == 1, "it was counted")
    assert "events for webhooks were not taken while they were kept" in server.log
