"""``pushapp.testing`` as the developer of another app uses it: in a plain pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

APP_TESTS = """
import threading

import flask
import gevent.monkey
import pytest

from pushapp import Push


@pytest.fixture
def app(push_log):
    app = flask.Flask(__name__)
    app.secret_key = "s" * 40
    app.push = Push(app)

    @app.push.authorize("orders:*")
    def may_read(channel):
        return flask.session.get("user") == "ann"

    @app.post("/login")
    def login():
        flask.session["user"] = "ann"
        return ""

    @app.post("/ship")
    def ship():
        app.push.publish("orders:7", {"state": "shipped"})
        return ""

    return app


@pytest.fixture
def ann(app):
    client = app.test_client()
    client.post("/login")
    return client


def test_nothing_is_patched():
    assert not gevent.monkey.is_module_patched("socket")


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_stream_gets_what_the_app_publishes(push_client, push_published, ann, transport):
    with getattr(push_client(ann), transport)(["orders:7"]) as stream:
        ann.post("/ship")
        assert stream.receive()["data"] == {"state": "shipped"}
    assert push_published.data("orders:7") == [{"state": "shipped"}]


def test_polls_go_on_from_a_pages_cursor(push_client, app, ann):
    cursor = app.push.cursor()
    client = push_client(ann)
    assert client.longpoll(["orders:7"], cursor)["messages"] == []
    ann.post("/ship")
    for ask in client.poll, client.longpoll:
        assert [m["data"] for m in ask(["orders:7"], cursor)["messages"]] == [{"state": "shipped"}]


def test_a_long_poll_is_answered_when_something_comes(push_client, app, ann):
    cursor = app.push.cursor()
    answers = []
    client = push_client(ann)
    poll = threading.Thread(
        target=lambda: answers.append(client.longpoll(["orders:7"], cursor, timeout=5))
    )
    poll.start()
    app.push.publish("orders:7", 1)
    poll.join(5)
    assert [m["data"] for m in answers[0]["messages"]] == [1]


def test_a_stranger_is_refused_on_every_transport(push_client, app):
    client = push_client(app)
    for ask in client.poll, client.longpoll, client.sse:
        with pytest.raises(AssertionError, match="403"):
            ask(["orders:7"])
    with pytest.raises(EOFError, match="1008"):
        client.websocket(["orders:7"])


def test_each_test_has_a_log_of_its_own(push_published):
    assert push_published.messages("orders:7") == []


def test_a_websocket_can_speak(push_client, ann, app):
    with push_client(ann).websocket() as socket:
        socket.send({"op": "subscribe", "channels": ["orders:7"], "ref": 1})
        assert socket.wait_for("reply")["ok"]
        app.push.publish("orders:7", 1)
        assert socket.receive()["data"] == 1
"""


def test_the_fixtures_serve_an_app_with_a_push(tmp_path: Path) -> None:
    """Streams, polls, refusals, and a log per test, in a process that nothing has patched."""
    (tmp_path / "test_app.py").write_text(APP_TESTS)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "pushapp.testing", "test_app.py"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "8 passed" in result.stdout
