"""How an error looks, and that every answer under the prefix is one of ours.

What belongs here: the table, the shape, and an app of somebody else around it. What does not: which
error comes when.
"""

from __future__ import annotations

import json
import logging
from typing import Any

import flask
import pytest
from flask import Blueprint, Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException, ServiceUnavailable

from pushapp import Push, errors
from pushapp.errors import (
    AtCapacity,
    InvalidInput,
    KeyReused,
    LogUnavailable,
    NoCredentials,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    NotRecognized,
    OutOfScope,
    PushError,
    SettingsError,
    TooLarge,
    Unavailable,
)
from pushapp.problem import TABLE, as_dict, close_code, install, problem

UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket"}

RAISED: dict[str, Exception] = {
    "invalid": InvalidInput("limit", "abc", "a number"),
    "large": TooLarge("body", 5, "4"),
    "stranger": NotAuthenticated("who is there?"),
    "nobody": NoCredentials("who is there?"),
    "unknown": NotRecognized("who is there?"),
    "allowed": NotAllowed("not you"),
    "scope": OutOfScope("not with this token"),
    "found": NotFound("there is none"),
    "reused": KeyReused(),
    "unavailable": LogUnavailable("the disk is full", retry_after=7),
    "full": AtCapacity("no room"),
    "settings": SettingsError("PUSH_SECRET", "sesame", "another"),
    "bug": ZeroDivisionError("sesame"),
    "werkzeug": ServiceUnavailable("later", retry_after=9),
}


@pytest.fixture
def host() -> Flask:
    """Somebody's app, which has handlers and a catch-all of its own, and our blueprint in it."""
    app = Flask(__name__)
    app.extensions["push"] = Push()  # what counts refusals
    blueprint = Blueprint("push", __name__, url_prefix="/push")
    install(blueprint, "/push")

    @blueprint.get("/fine")
    def fine() -> str:
        return "fine"

    @blueprint.route("/one", methods=["GET"])
    @blueprint.route("/one", methods=["DELETE"], endpoint="two")
    def one() -> str:
        return "one"

    @blueprint.get("/items/<int:number>")
    def item(number: int) -> str:
        return str(number)

    @blueprint.get("/raise/<name>")
    def fail(name: str) -> str:
        raise RAISED[name]

    @blueprint.get("/own")
    def own() -> None:
        flask.abort(flask.Response("teapot", 418))

    @blueprint.route("/socket", websocket=True)
    def websocket() -> str:
        return "upgraded"

    @app.route("/", defaults={"path": ""})
    @app.get("/<path:path>")
    def page(path: str) -> str:
        return "the host's page"

    @app.get("/broken")
    def broken() -> None:
        raise NotAllowed("the host's own use of our error")

    @app.errorhandler(404)
    @app.errorhandler(405)
    @app.errorhandler(500)
    @app.errorhandler(HTTPException)
    @app.errorhandler(Exception)
    def theirs(error: Exception) -> tuple[str, int]:
        return "the host's error page", 599

    app.register_blueprint(blueprint)
    return app


@pytest.fixture
def client(host: Flask) -> FlaskClient:
    return host.test_client()


def is_problem(answer: Any, status: int) -> bool:
    """Tell whether it has the shape of RFC 9457, and the headers of all our answers."""
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    if answer.request.method != "HEAD":
        assert answer.json["status"] == status
        assert answer.json["type"] == "about:blank"
        assert answer.json["title"]
    return True


# The table


def test_every_error_has_a_status_and_a_close_code() -> None:
    """Its own, or that of the class above it; an unknown one is our fault."""
    for name, status, code in [
        ("invalid", 400, 1003),
        ("large", 413, 1009),
        ("stranger", 401, 1008),
        ("allowed", 403, 1008),
        ("found", 404, 1008),
        ("reused", 409, 1008),
        ("unavailable", 503, 1013),
        ("full", 503, 1013),
        ("settings", 500, 1011),
        ("bug", 500, 1011),
        ("werkzeug", 503, 1013),
    ]:
        assert as_dict(RAISED[name])["status"] == status, name
        assert close_code(RAISED[name]) == code, name


def test_the_table_holds_errors_alone() -> None:
    """So that a class that was renamed is not forgotten there."""
    known = {c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, PushError)}
    assert set(TABLE) <= known


# The shape


def test_a_field_that_does_not_fit_is_named() -> None:
    """As a member of its own, and in the detail."""
    assert as_dict(InvalidInput("limit", "abc", "a number")) == {
        "status": 400,
        "title": "Bad Request",
        "detail": "limit: got 'abc', expected a number",
        "field": "limit",
    }


@pytest.mark.parametrize("name", ["settings", "bug"])
def test_our_own_faults_say_nothing_of_themselves(client: FlaskClient, name: str) -> None:
    """What they hold may be a secret; the log has it."""
    answer = client.get(f"/push/raise/{name}")
    assert is_problem(answer, 500)
    assert "detail" not in answer.json
    assert "sesame" not in answer.text


def test_our_own_faults_are_logged_with_their_traceback(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    """And others' are not."""
    client.get("/push/raise/invalid")
    assert caplog.records == []
    client.get("/push/raise/bug")
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "/push/raise/bug" in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)


def test_what_came_may_be_anything() -> None:
    """It is cut, and shown in ASCII: the answer is JSON whatever it was."""
    error = InvalidInput("field", "\ud800\x00\n" * 1000, "another")
    with Flask(__name__).app_context():
        body = problem(error).get_data()
    assert len(body) < 400
    assert json.loads(body)["field"] == "field"


@pytest.mark.parametrize(
    ("name", "seconds"), [("unavailable", "7"), ("full", "1"), ("werkzeug", "9")]
)
def test_when_to_come_again_is_said(client: FlaskClient, name: str, seconds: str) -> None:
    """Retry-After, in seconds."""
    answer = client.get(f"/push/raise/{name}")
    assert is_problem(answer, 503)
    assert answer.headers["Retry-After"] == seconds
    assert answer.json["detail"]


def test_a_stranger_is_told_how_to_come_in(client: FlaskClient) -> None:
    """RFC 9110 section 15.5.2 wants a challenge; RFC 6750 section 3.1 says what is wrong in it."""
    for name, status, error in (
        ("stranger", 401, ', error="invalid_token"'),
        ("nobody", 401, ""),
        ("unknown", 401, ""),
        ("scope", 403, ', error="insufficient_scope"'),
    ):
        answer = client.get(f"/push/raise/{name}")
        assert is_problem(answer, status)
        assert answer.headers["WWW-Authenticate"] == f'Bearer realm="push"{error}'
    assert "WWW-Authenticate" not in client.get("/push/raise/allowed").headers


def test_an_answer_that_a_view_made_itself_stays(client: FlaskClient) -> None:
    """``abort(response)``."""
    answer = client.get("/push/own")
    assert (answer.status_code, answer.text) == (418, "teapot")


def test_errors_are_not_kept_on_the_way(client: FlaskClient) -> None:
    """A 404 may be true no longer."""
    assert client.get("/push/nothing").headers["Cache-Control"] == "no-store"


# Every answer under the prefix is ours


@pytest.mark.parametrize(
    "path", ["", "/", "/nothing", "/fine/", "/fine/more", "/items/abc", "/a//b", "/%ff", "/a%00b"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "HEAD", "OPTIONS", "BREW"])
def test_an_unknown_path_is_a_problem(client: FlaskClient, method: str, path: str) -> None:
    """Whatever the method; the host's own catch-all and its handlers do not get it."""
    assert is_problem(client.open(f"/push{path}", method=method), 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "BREW"])
def test_a_wrong_method_is_told_the_right_ones(client: FlaskClient, method: str) -> None:
    """The catch-all for unknown paths does not hide it, nor the host's."""
    answer = client.open("/push/fine", method=method)
    assert is_problem(answer, 405)
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert f"method: got '{method}', expected one of GET, HEAD" in answer.json["detail"]


def test_the_methods_of_all_rules_of_a_path_are_told(client: FlaskClient) -> None:
    """A path may have several views."""
    for answer in client.post("/push/one"), client.options("/push/one"):
        allowed = set(answer.headers["Allow"].split(", "))
        assert allowed == {"GET", "HEAD", "DELETE", "OPTIONS"}


def test_head_and_options_work(client: FlaskClient) -> None:
    """Without a body, and with what is allowed."""
    head = client.head("/push/fine")
    assert (head.status_code, head.data) == (200, b"")
    options = client.options("/push/fine")
    assert options.status_code in (200, 204)
    assert {"GET", "HEAD", "OPTIONS"} <= set(options.headers["Allow"].split(", "))
    assert options.headers["X-Content-Type-Options"] == "nosniff"


def test_plain_http_and_websockets_are_told_apart(client: FlaskClient) -> None:
    """426 where a route speaks WebSocket alone, 400 where it does not."""
    answer = client.get("/push/socket")
    assert is_problem(answer, 426)
    assert answer.headers["Upgrade"] == "websocket"
    assert client.get("/push/socket", headers=UPGRADE).text == "upgraded"
    assert is_problem(client.get("/push/fine", headers=UPGRADE), 400)
    assert is_problem(client.get("/push/nothing", headers=UPGRADE), 404)


def test_answers_that_are_no_errors_have_the_headers_too(client: FlaskClient) -> None:
    """All of them."""
    answer = client.get("/push/fine")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


# Nothing outside of it is


def test_the_hosts_own_routes_and_errors_stay_its_own(client: FlaskClient) -> None:
    """Even where it raises an error of ours."""
    assert client.get("/pushing").text == "the host's page"
    assert client.get("/").text == "the host's page"
    assert "X-Content-Type-Options" not in client.get("/").headers
    assert client.post("/").status_code == 599
    assert client.get("/broken").status_code == 599


@pytest.mark.parametrize("error", [Unavailable("x"), InvalidInput("a", 1, "2"), 404, 418])
def test_a_problem_can_be_made_anywhere(error: PushError | int) -> None:
    """Of an error, or of a bare status with a detail."""
    with Flask(__name__).app_context():
        answer = problem(error, "because", {"X-More": "1"})
    assert answer.get_json()["detail"] == "because"
    assert answer.headers["X-More"] == "1"
