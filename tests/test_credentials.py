"""Tokens in somebody's own Flask app, beside its session and its own credentials.

What belongs here: who decides where both could. What does not: an app without functions of its own
(``transports/test_tokens``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask, g, request, session
from flask.testing import FlaskClient

from pushapp.extension import Push
from pushapp.testing_clients import PushClient

from .jwts import by_hand, claims, token
from .server import SECRET
from .transports.test_tokens import bearer
from .wire import TIMEOUT

THEIRS = by_hand({"alg": "HS256"}, {"sub": "ann"}, b"the app's own")  # not ours to verify


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """An app whose users have credentials of its own kind for room:1; room:9 is nobody's."""
    app = Flask(__name__)
    app.secret_key = SECRET
    app.config["PUSH_BROKER_URL"] = f"sqlite:///{tmp_path}/push.db"
    push = Push(app)

    @push.authorize("room:*")
    def may(channel: str) -> bool:
        return channel == "room:1" and request.headers.get("Authorization") == f"Bearer {THEIRS}"

    yield app
    push.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def status(client: FlaskClient, channel: str, text: str) -> int:
    answer = client.get(f"/push/poll?channels={channel}", headers=bearer(text))
    return int(answer.status_code)


def test_what_is_no_token_of_ours_is_left_to_the_apps_functions(client: FlaskClient) -> None:
    """They have their say; where none of them is asked it opens nothing."""
    assert status(client, "room:1", THEIRS) == 200
    assert status(client, "room:9", THEIRS) == 403
    assert status(client, "orders:7", THEIRS) == 401


def test_a_token_opens_what_it_names_and_the_functions_the_rest(client: FlaskClient) -> None:
    """The app has signed it; what it does not name is asked about."""
    assert status(client, "room:9", token("room:9")) == 200
    assert status(client, "room:1", token("room:9")) == 403
    assert status(client, "orders:7", token("room:9")) == 403


def test_a_token_of_ours_that_has_ended_is_told_so(client: FlaskClient) -> None:
    """It is not taken for something else."""
    assert status(client, "public:a", token(lasts=-1)) == 401


def test_the_app_makes_tokens(app: Flask, client: FlaskClient) -> None:
    """For its templates: signed with its SECRET_KEY."""
    push: Push = app.extensions["push"]
    text = push.token("42", channels=["orders:*"], expires=60)
    assert status(client, "orders:7", text) == 200
    assert status(client, "user:42", text) == 200
    assert status(client, "user:43", text) == 403


def test_flasks_own_way_to_change_the_key_is_known(tmp_path: Path) -> None:
    """What the key before signed still counts."""
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "another" + SECRET
    app.config["SECRET_KEY_FALLBACKS"] = [SECRET, b"x" * 40]
    app.config["PUSH_BROKER_URL"] = f"sqlite:///{tmp_path}/push.db"
    push = Push(app)
    for secret in (SECRET.encode(), b"x" * 40):
        text = by_hand({"alg": "HS256"}, claims(channels=["orders:*"]), secret)
        assert status(app.test_client(), "orders:7", text) == 200
    push.close()


def test_basic_credentials_of_a_proxy_are_no_token(client: FlaskClient) -> None:
    """A page behind a password prompt sends them with every request."""
    answer = client.get("/push/poll?channels=public:a", headers={"Authorization": "Basic YTpi"})
    assert answer.status_code == 200


def test_an_answer_about_the_credentials_before_does_not_end_a_refreshed_stream(
    app: Flask, client: FlaskClient
) -> None:
    """The app thinks about the session for a while; meanwhile a token has come."""
    push: Push = app.extensions["push"]
    asked, may_answer = threading.Event(), threading.Event()
    answers: list[float] = []

    @push.authorize("slow:*")
    def slow(channel: str) -> float | bool:
        if not answers:
            answers.append(0.1)
            return 0.1  # ask again in so many seconds
        asked.set()
        may_answer.wait(TIMEOUT)
        return False

    with PushClient(client).websocket(["slow:1"]) as stream:
        assert asked.wait(TIMEOUT)
        stream.send({"op": "refresh", "token": token("slow:1")})
        assert stream.wait_for("reply")["ok"] is True
        may_answer.set()
        stream.send({"op": "ping"})
        assert stream.wait_for("reply")["ok"] is True
        push.publish("slow:1", "still")
        assert stream.receive()["data"] == "still"


def test_what_a_hook_of_the_app_has_found_in_a_foreign_pages_cookie_does_not_count(
    tmp_path: Path,
) -> None:
    """Flask-Login and many an app keep in ``g`` who asks; with "*" that must not be believed."""
    app = Flask(__name__)
    app.secret_key = SECRET
    app.config["PUSH_BROKER_URL"] = f"sqlite:///{tmp_path}/push.db"
    push = Push(app, PUSH_ALLOWED_ORIGINS="*")

    @app.before_request
    def who() -> None:
        g.user = session.get("user")

    @push.authorize
    def may(channel: str) -> bool:
        return g.get("user", session.get("user")) is not None

    client = app.test_client()
    with client.session_transaction() as begun:
        begun["user"] = "ann"
    origins = {"http://localhost": 200, "https://evil.example": 403}
    for origin, status in origins.items():
        answer = client.get("/push/poll?channels=orders:7", headers={"Origin": origin})
        assert answer.status_code == status
    push.close()


def test_a_process_that_begins_knows_what_was_revoked_at_its_first_request(
    app: Flask, client: FlaskClient
) -> None:
    """It opens the log before it looks at a token."""
    push: Push = app.extensions["push"]
    text = push.token("42", expires=60)
    push.revoke("42", before=time.time() + 1)
    push.close()
    fresh = Flask(__name__)
    fresh.secret_key = SECRET
    fresh.config["PUSH_BROKER_URL"] = app.config["PUSH_BROKER_URL"]
    again = Push(fresh)
    assert status(fresh.test_client(), "user:42", text) == 401
    again.close()
