"""Publishing from a browser with an app's own session, where ``@push.authorize`` allows it.

What belongs here: whom the app lets publish, and that no foreign page can use a visitor's cookie.
What does not: publishing with an api key (``test_api``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, session
from flask.testing import FlaskClient

from pushapp.extension import Push
from pushapp.limits import Limits
from pushapp.quota import Quota

from .test_api import JSON, KEYS, bearer, kept


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Flask]:
    """Somebody's app in which people chat: who is logged in may publish to room:1."""
    app = Flask(__name__)
    app.secret_key = "of the host"
    app.config["PUSH_BROKER_URL"] = f"sqlite:///{tmp_path}/push.db"
    app.config["PUSH_API_KEYS"] = KEYS
    push = Push(app)

    @push.authorize("room:*")
    def may(channel: str, action: str) -> bool:
        return "user" in session and (action == "subscribe" or channel == "room:1")

    yield app
    push.close()


@pytest.fixture
def ann(host: Flask) -> FlaskClient:
    """A browser in which someone is logged in."""
    browser = host.test_client()
    with browser.session_transaction() as session:
        session["user"] = "ann"
    return browser


def say(browser: FlaskClient, body: object, **headers: str) -> Any:
    raw = json.dumps(body).encode()
    return browser.post("/push/publish", data=raw, headers={**JSON, **headers})


def test_an_apps_session_publishes_where_the_app_says(host: Flask, ann: FlaskClient) -> None:
    """There, and nowhere else; in a batch all channels are asked about."""
    assert say(ann, {"channel": "room:1", "data": 1}).status_code == 200
    assert say(ann, {"channel": "room:2", "data": 1}).status_code == 403
    assert say(ann, {"channel": "orders:7", "data": 1}).status_code == 401
    assert say(ann, {"channel": "public:a", "data": 1}).status_code == 401
    assert say(ann, {"user": "42", "data": 1}).status_code == 401
    both = [{"channel": "room:1", "data": 2}, {"channel": "room:2", "data": 2}]
    assert say(ann, {"messages": both}).status_code == 403
    assert say(host.test_client(), {"channel": "room:1", "data": 1}).status_code == 403
    assert kept(host.extensions["push"], "room:1") == [1]


def test_no_session_publishes_to_everyone(host: Flask, ann: FlaskClient) -> None:
    """Whatever the app's functions say: an api key alone does."""

    @host.extensions["push"].authorize
    def may(channel: str, action: str) -> bool:
        return True

    assert say(ann, {"channel": "everyone", "data": 1}).status_code == 403
    assert say(ann, {"channel": "everyone", "data": 1}, **bearer()).status_code == 200
    assert ann.get("/push/poll?channels=everyone").status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://localhost"}, 200),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 400),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 400),
        ({"Content-Type": ""}, 400),
    ],
)
def test_a_foreign_page_cannot_publish_with_a_visitors_cookie(
    host: Flask, ann: FlaskClient, headers: dict[str, str], status: int
) -> None:
    """Neither its scripts nor its forms."""
    answer = say(ann, {"channel": "room:1", "data": 1}, **headers)
    assert answer.status_code == status
    assert kept(host.extensions["push"], "room:1") == ([1] if status == 200 else [])


def test_a_session_behind_a_proxy_that_nobody_named_shares_no_limit(
    host: Flask, ann: FlaskClient
) -> None:
    """By whose address it would be counted cannot be told; who is known by theirs has a limit."""
    push = host.extensions["push"]
    push.limits = Limits(Quota(publishes=0.1))  # one at once
    for n in range(3):
        assert say(ann, {"channel": "room:1", "data": n}).status_code == 200
    peer = {"REMOTE_ADDR": "8.8.8.8"}
    statuses = [
        ann.post(
            "/push/publish",
            json={"channel": "room:1", "data": 1},
            environ_overrides=peer,
        ).status_code
        for _ in range(2)
    ]
    assert statuses == [200, 429]


def test_an_api_key_publishes_from_anywhere_in_any_type(host: Flask) -> None:
    """No cookie is involved: what curl sends by itself is fine."""
    answer = host.test_client().post(
        "/push/publish",
        data=b'{"channel":"orders:7","data":1}',
        headers={
            **bearer(),
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": "https://evil.example",
            "Sec-Fetch-Site": "cross-site",
        },
    )
    assert answer.status_code == 200


def test_a_wrong_api_key_is_not_made_up_for_by_a_cookie(ann: FlaskClient) -> None:
    """Who sends one means it."""
    answer = say(ann, {"channel": "room:1", "data": 1}, **bearer("wrong"))
    assert answer.status_code == 401
