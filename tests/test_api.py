"""Publishing and looking over HTTP, through Flask's test client and a real log."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from pushapp import create_app
from pushapp.extension import Push
from pushapp.strict_json import MAX_BODY

KEYS = "whole,read:looks,publish:publishes"
JSON = {"Content-Type": "application/json"}
MINUTE = 60.0  # seconds
NEEDED = 'Bearer realm="push"'  # WWW-Authenticate


def bearer(key: str = "whole") -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    app = create_app(
        PUSH_API_KEYS=KEYS, PUSH_SECRET="s" * 32, PUSH_BROKER_URL=f"sqlite:///{tmp_path}/push.db"
    )
    yield app
    app.extensions["push"].close()


@pytest.fixture
def push(app: Flask) -> Push:
    return app.extensions["push"]


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def publish(client: FlaskClient, body: object, **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post("/push/publish", data=raw, headers={**JSON, **bearer(), **headers})


def kept(push: Push, channel: str) -> list[Any]:
    messages, _ = push.broker.log.history(channel, 100)
    return [json.loads(m.data) for m in messages]


def test_one_message_has_one_id(client: FlaskClient, push: Push) -> None:
    """And is in the log when the answer is there."""
    answer = publish(client, {"channel": "orders:7", "data": {"any": "json"}})
    assert answer.status_code == 200
    (message,), _ = push.broker.log.history("orders:7", 10)
    assert answer.json == {"id": message.id}
    assert json.loads(message.body()) == {
        "id": message.id,
        "prev": None,
        "channel": "orders:7",
        "event": "message",
        "time": round(message.time, 3),
        "data": {"any": "json"},
    }


def test_several_channels_get_the_same(client: FlaskClient, push: Push) -> None:
    """One id each, in order."""
    answer = publish(client, {"channels": ["a:1", "b:2"], "data": 1})
    assert len(answer.json["ids"]) == 2
    assert kept(push, "a:1") == kept(push, "b:2") == [1]


def test_a_user_is_the_channel_of_that_name(client: FlaskClient, push: Push) -> None:
    """user:42."""
    assert publish(client, {"user": "42", "data": "hi"}).status_code == 200
    assert kept(push, "user:42") == ["hi"]


def test_a_batch_is_all_or_nothing(client: FlaskClient, push: Push) -> None:
    """One that does not fit keeps all the others out."""
    good = {"channel": "a:1", "data": 1}
    bad = publish(client, {"messages": [good, {"channel": "no space", "data": 2}]})
    assert bad.status_code == 400 and bad.json["field"] == "messages[1].channel"
    assert kept(push, "a:1") == []
    whole = publish(client, {"messages": [good, {"user": "7", "data": 2, "event": "typing"}]})
    assert len(whole.json["ids"]) == 2 and kept(push, "user:7") == [2]


def test_a_key_makes_it_happen_once(client: FlaskClient, push: Push) -> None:
    """In the body or in the header; with another body it is refused."""
    body = {"channel": "a:1", "data": 1, "idempotency_key": "k"}
    first = publish(client, body)
    assert publish(client, body).json == first.json
    header = {"Idempotency-Key": "k"}
    assert publish(client, {"channel": "a:1", "data": 1}, **header).json == first.json
    other = publish(client, {"channel": "a:1", "data": 2}, **header)
    assert other.status_code == 409
    assert publish(client, body, **{"Idempotency-Key": "another"}).status_code == 400
    assert kept(push, "a:1") == [1]


def test_a_key_belongs_to_its_api_key(client: FlaskClient, push: Push) -> None:
    """Two publishers may choose the same."""
    body = {"channel": "a:1", "data": 1, "idempotency_key": "k"}
    assert publish(client, body).json != publish(client, body, **bearer("publishes")).json
    assert kept(push, "a:1") == [1, 1]


def test_a_retained_value_stays_until_it_is_cleared(client: FlaskClient) -> None:
    """``data: null`` clears it."""
    first = publish(client, {"channel": "a:1", "data": {"on": True}, "retain": True}).json["id"]
    channel = client.get("/push/channels/a:1", headers=bearer()).json
    assert channel["retained"]["id"] == first and channel["retained"]["data"] == {"on": True}
    publish(client, {"channel": "a:1", "data": 2})
    assert client.get("/push/channels/a:1", headers=bearer()).json["retained"]["id"] == first
    publish(client, {"channel": "a:1", "data": None, "retain": True})
    assert client.get("/push/channels/a:1", headers=bearer()).json["retained"] is None


def test_a_scheduled_message_is_not_there_before_its_time(client: FlaskClient, push: Push) -> None:
    """And can be cancelled, once."""
    answer = publish(client, {"channel": "a:1", "data": 1, "delay": MINUTE}).json
    assert abs(answer["at"] - time.time() - MINUTE) < MINUTE / 2
    assert answer["scheduled"].startswith("s") and kept(push, "a:1") == []
    where = f"/push/scheduled/{answer['scheduled']}"
    assert client.delete(where, headers=bearer()).json == {"cancelled": True}
    assert client.delete(where, headers=bearer()).status_code == 404


def test_in_a_batch_the_schedule_answers_at_its_place(client: FlaskClient, push: Push) -> None:
    """What is due at once has an id."""
    past, future = time.time() - 1, time.time() + MINUTE
    answer = publish(
        client,
        {
            "messages": [
                {"channel": "a:1", "data": 1},
                {"channel": "a:1", "data": 2, "at": future},
                {"channel": "a:1", "data": 3, "at": past},
            ]
        },
    )
    now, later, overdue = answer.json["ids"]
    assert later["at"] == future and isinstance(now, str) and isinstance(overdue, str)
    assert kept(push, "a:1") == [1, 3]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, "body"),
        (b"{", 400, "body"),
        (b"\xff", 400, "body"),
        (b"[]", 400, "body"),
        (b'{"channel":"a","data":NaN}', 400, "body"),
        (b'{"channel":"a","data":-Infinity}', 400, "body"),
        (b'{"channel":"a","data":1e999}', 400, "data"),
        (b'{"channel":"a","data":"\\ud800"}', 400, "body"),
        (b'{"channel":"a","data":{"\\udfff":1}}', 400, "body"),
        (b'{"channel":"a","data":' + b"1" * 5000 + b"}", 400, "body"),
        (b'{"channel":"a","data":' + b"[" * 200 + b"]" * 200 + b"}", 400, "body"),
        (b'{"channel":"a","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "body"),
        (b'{"channel":"a","data":"' + b"x" * 65536 + b'"}', 413, "data"),
        (b'{"channel":"a","data":"' + b"x" * (1 << 20) + b'"}', 413, "body"),
        ({"channel": "a"}, 400, "data"),
        ({"data": 1}, 400, "channel"),
        ({"channel": "a", "user": "b", "data": 1}, 400, "user"),
        ({"channel": "", "data": 1}, 400, "channel"),
        ({"channel": "a b", "data": 1}, 400, "channel"),
        ({"channel": "ä", "data": 1}, 400, "channel"),
        ({"channel": "a" * 129, "data": 1}, 400, "channel"),
        ({"channel": ["a"], "data": 1}, 400, "channel"),
        ({"channels": [], "data": 1}, 400, "channels"),
        ({"channels": ["a"] * 101, "data": 1}, 400, "channels"),
        ({"channels": ["a", "b c"], "data": 1}, 400, "channels[1]"),
        ({"user": 42, "data": 1}, 400, "user"),
        ({"user": "x" * 124, "data": 1}, 400, "user"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"channel": "a", "data": 1}] * 1001}, 400, "messages"),
        ({"messages": [1]}, 400, "messages[0]"),
        ({"messages": [{"channel": "a", "data": 1}], "event": "x"}, 400, "event"),
        ({"channel": "a", "data": 1, "evnt": "x"}, 400, "evnt"),
        ({"channel": "a", "data": 1, "event": "a b"}, 400, "event"),
        ({"channel": "a", "data": 1, "event": 1}, 400, "event"),
        ({"channel": "a", "data": 1, "ttl": 0}, 400, "ttl"),
        ({"channel": "a", "data": 1, "ttl": -1}, 400, "ttl"),
        ({"channel": "a", "data": 1, "ttl": "10"}, 400, "ttl"),
        ({"channel": "a", "data": 1, "ttl": True}, 400, "ttl"),
        ({"channel": "a", "data": 1, "retain": 1}, 400, "retain"),
        ({"channel": "a", "data": 1, "delay": -1}, 400, "delay"),
        ({"channel": "a", "data": 1, "delay": 31 * 86400}, 400, "delay"),
        ({"channel": "a", "data": 1, "at": 1e300}, 400, "at"),
        ({"channel": "a", "data": 1, "delay": 1, "at": 1}, 400, "at"),
        ({"channel": "a", "data": 1, "idempotency_key": ""}, 400, "idempotency_key"),
        ({"channel": "a", "data": 1, "idempotency_key": "x" * 129}, 400, "idempotency_key"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_published(
    client: FlaskClient, push: Push, body: object, status: int, field: str
) -> None:
    """The field, what came, what was expected; and nothing of it in the log."""
    before = push.cursor()
    answer = publish(client, body)
    assert (answer.status_code, answer.json["field"]) == (status, field)
    assert answer.content_type == "application/problem+json"
    assert answer.json["detail"].startswith(f"{field}: got ")
    assert ", expected " in answer.json["detail"] and "Traceback" not in answer.text
    assert push.cursor() == before


@pytest.mark.parametrize(
    ("headers", "status", "challenge"),
    [
        ({}, 401, NEEDED),
        (bearer("wrong"), 401, f'{NEEDED}, error="invalid_token"'),
        ({"Authorization": "Basic d2hvbGU6"}, 401, NEEDED),
        ({"Authorization": "Bearer"}, 401, f'{NEEDED}, error="invalid_token"'),
        ({"Authorization": "bearer whole"}, 200, None),
        (bearer("publishes"), 200, None),
        (bearer("looks"), 403, f'{NEEDED}, error="insufficient_scope"'),
    ],
)
@pytest.mark.parametrize("path", ["/push/publish", "/push/revoke"])
def test_publishing_needs_a_key_that_may(
    client: FlaskClient, path: str, headers: dict[str, str], status: int, challenge: str | None
) -> None:
    """Read-only keys and strangers are told apart, and what is wrong with a key (RFC 6750)."""
    body = {"channel": "a", "data": 1} if path == "/push/publish" else {"user": "42"}
    answer = client.post(path, json=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers.get("WWW-Authenticate") == challenge


@pytest.mark.parametrize(("key", "status"), [("looks", 200), ("publishes", 403), ("wrong", 401)])
@pytest.mark.parametrize("path", ["/channels", "/channels/a", "/channels/a/history"])
def test_looking_needs_a_key_that_may(
    client: FlaskClient, path: str, key: str, status: int
) -> None:
    """Publish-only keys see nothing."""
    assert client.get(f"/push{path}", headers=bearer(key)).status_code == status


def test_history_goes_back_page_by_page(client: FlaskClient) -> None:
    """``before`` an id, and ``more`` while there is."""
    ids = [publish(client, {"channel": "a:1", "data": n}).json["id"] for n in range(5)]
    page = client.get("/push/channels/a:1/history?limit=2", headers=bearer()).json
    assert [m["id"] for m in page["messages"]] == ids[3:] and page["more"] is True
    where = f"/push/channels/a:1/history?limit=9&before={ids[3]}"
    page = client.get(where, headers=bearer()).json
    assert [m["id"] for m in page["messages"]] == ids[:3] and page["more"] is False


@pytest.mark.parametrize("before", ["abc", "", "other.7"])
def test_an_id_of_another_log_has_nothing_before_it(client: FlaskClient, before: str) -> None:
    """Its number would point anywhere: refused, and not guessed."""
    answer = client.get(f"/push/channels/a:1/history?before={before}", headers=bearer())
    assert (answer.status_code, answer.json["field"]) == (400, "before")


@pytest.mark.parametrize("path", ["/channels/a%20b", "/channels/a%20b/history", "/channels/é"])
def test_a_channel_that_cannot_be_is_refused(client: FlaskClient, path: str) -> None:
    """And not reported as empty."""
    answer = client.get(f"/push{path}", headers=bearer())
    assert (answer.status_code, answer.json["field"]) == (400, "channel")


def test_a_channel_that_never_was_is_empty(client: FlaskClient) -> None:
    """Nobody has to make one first."""
    assert client.get("/push/channels/a:1", headers=bearer()).json == {
        "channel": "a:1",
        "last": None,
        "kept": 0,
        "online": 0,
        "subscribers": 0,
        "retained": None,
    }
    history = client.get("/push/channels/a:1/history", headers=bearer()).json
    assert history == {"channel": "a:1", "messages": [], "more": False}
    assert client.delete("/push/channels/a:1/history", headers=bearer()).json == {"deleted": 0}


@pytest.mark.parametrize("path", ["/channels/a:1/history", "/scheduled/s1"])
def test_a_key_that_only_looks_deletes_nothing(client: FlaskClient, path: str) -> None:
    """403, and what was there is there."""
    assert client.delete(f"/push{path}", headers=bearer("looks")).status_code == 403


def test_an_expired_retained_value_is_a_tombstone(client: FlaskClient, push: Push) -> None:
    """As everywhere: its time is over, its id is not."""
    publish(client, {"channel": "a:1", "data": 1, "retain": True, "ttl": 1e-6})
    retained = client.get("/push/channels/a:1", headers=bearer()).json["retained"]
    assert retained is None or (retained["expired"] is True and "data" not in retained)


def test_a_deleted_history_is_gone_and_its_last_id_is_not(client: FlaskClient) -> None:
    """So that a client behind it is told."""
    last = publish(client, {"channels": ["a:1"], "data": 1, "retain": True}).json["ids"][-1]
    cursor = client.get("/push/poll?channels=demo:x").json["cursor"]
    assert client.delete("/push/channels/a:1/history", headers=bearer()).json == {"deleted": 1}
    channel = client.get("/push/channels/a:1", headers=bearer()).json
    assert (channel["last"], channel["kept"], channel["retained"]) == (last, 0, None)
    before = cursor.rpartition(".")[0] + ".0"
    answer = client.get(f"/push/poll?channels=a:1&cursor={before}", headers=bearer()).json
    assert [loss["reason"] for loss in answer["lost"]] == ["expired"]


def test_channels_are_listed_in_order_and_page_by_page(client: FlaskClient) -> None:
    """By prefix, after a name."""
    publish(client, {"channels": ["b:1", "a:2", "a:1"], "data": 1})

    def page(query: str) -> tuple[list[str], bool]:
        answer = client.get(f"/push/channels{query}", headers=bearer()).json
        return [channel["channel"] for channel in answer["channels"]], answer["more"]

    assert page("") == page("?limit=3") == (["a:1", "a:2", "b:1"], False)
    assert page("?prefix=a:") == page("?prefix=a:&limit=2") == (["a:1", "a:2"], False)
    assert page("?after=a:1&limit=1") == (["a:2"], True)


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "abc", ""])
def test_a_limit_that_does_not_fit_is_named(client: FlaskClient, limit: str) -> None:
    """From 1 to 1000."""
    answer = client.get(f"/push/channels?limit={limit}", headers=bearer())
    assert (answer.status_code, answer.json["field"]) == (400, "limit")


def test_readiness_names_what_an_acknowledgement_survives(client: FlaskClient) -> None:
    """And liveness needs nothing."""
    assert client.get("/healthz").json == {"ok": True}
    assert "survives" in client.get("/readyz").json["checks"]["log"]


def test_readiness_says_what_is_wrong(client: FlaskClient, push: Push) -> None:
    """503 names it; the process itself is well."""
    push.hub.draining = True
    answer = client.get("/readyz")
    assert answer.status_code == 503 and "Retry-After" in answer.headers
    assert "about to end" in answer.json["detail"]
    assert client.get("/healthz").status_code == 200


def test_readiness_needs_room(tmp_path: Path) -> None:
    """A worker that is full gets no new clients from a balancer."""
    app = create_app(
        PUSH_API_KEYS="whole",
        PUSH_SECRET="s" * 32,
        PUSH_BROKER_URL=f"sqlite:///{tmp_path}/push.db",
        PUSH_MAX_CONNECTIONS=1,
    )
    client = app.test_client()
    assert client.get("/readyz").json["checks"]["room"] == "0 of 1 connections"
    with client.get("/push/sse?channels=public:a", buffered=False) as stream:
        assert next(stream.response)
        answer = client.get("/readyz")
        assert answer.status_code == 503 and "1 of 1" in answer.json["detail"]
    app.extensions["push"].close()


class Endless:
    """A body without an end."""

    def __init__(self) -> None:
        self.taken = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "all of it would be too much"
        self.taken += size
        return b" " * size


@pytest.mark.parametrize(
    ("head", "most"),
    [
        ({"wsgi.input_terminated": True}, 2 * MAX_BODY),  # chunks tell their sum only by coming
        ({"CONTENT_LENGTH": str(10 << 20)}, 0),
    ],
)
def test_a_body_that_is_too_long_is_not_read(
    client: FlaskClient, head: dict[str, object], most: int
) -> None:
    """Up to the limit; not at all where it says so itself."""
    body = Endless()
    environ = {"wsgi.input": body, **head}
    answer = client.post("/push/publish", headers=bearer(), environ_overrides=environ)
    assert (answer.status_code, answer.json["field"]) == (413, "body")
    assert body.taken <= most


def test_a_log_that_cannot_be_opened_is_told_and_asked_again(tmp_path: Path) -> None:
    """503 with Retry-After, naming the file; no traceback, and it recovers."""
    path = tmp_path / "push.db"
    path.write_bytes(b"this is not a database" * 100)
    app = create_app(
        PUSH_API_KEYS="whole", PUSH_SECRET="s" * 32, PUSH_BROKER_URL=f"sqlite:///{path}"
    )
    client = app.test_client()
    for answer in (
        publish(client, {"channel": "a", "data": 1}),
        client.get("/push/poll?channels=public:a"),
        client.get("/push/sse?channels=public:a"),
        client.get("/readyz"),
    ):
        assert answer.status_code == 503 and "Retry-After" in answer.headers
        assert "push.db: " in answer.json["detail"]
        assert str(tmp_path) not in answer.json["detail"], "where it lies is nobody's business"
    path.unlink()
    assert publish(client, {"channel": "a", "data": 1}).status_code == 200
    app.extensions["push"].close()
