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
from pushapp.testing import Refused


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


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_client_in_its_own_with_keeps_its_contexts(push_client, app, ann, transport):
    with ann:
        for _ in range(2):
            with getattr(push_client(ann), transport)(["orders:7"]) as stream:
                ann.post("/ship")
                assert stream.receive()["data"] == {"state": "shipped"}
                assert flask.request.path == "/ship"


def test_all_that_was_published_is_there_in_its_order(push_published, app):
    app.push.publish("b:1", 1)
    app.push.publish(["a:1", "b:1"], 2)
    assert push_published.data() == [1, 2, 2]
    assert [m["channel"] for m in push_published.messages()] == ["b:1", "a:1", "b:1"]


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


@pytest.mark.parametrize("transport", ["poll", "longpoll", "sse", "websocket"])
def test_a_stranger_is_refused_on_every_transport(push_client, app, transport):
    with pytest.raises(Refused) as refused:
        getattr(push_client(app), transport)(["orders:7"])
    assert refused.value.status == 403
    assert "orders:7" in refused.value.problem["detail"]


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_foreign_page_is_refused(push_client, app, transport):
    client = app.test_client()
    client.environ_base["HTTP_ORIGIN"] = "https://evil.example"
    with pytest.raises(Refused) as refused:
        getattr(push_client(client), transport)(["public:a"])
    assert refused.value.status == 403


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_stream_that_is_closed_is_gone(push_client, app, transport):
    stream = getattr(push_client(app), transport)(["public:a"])
    assert len(app.push.hub) == 1
    stream.close()
    stream.close()
    assert len(app.push.hub) == 0
    with pytest.raises(EOFError):
        stream.receive()


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_what_does_not_come_is_not_waited_for_without_end(push_client, app, transport):
    with getattr(push_client(app), transport)(["public:a"]) as stream:
        with pytest.raises(TimeoutError):
            stream.receive(timeout=0.01)


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
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-W",
            "error",
            "-p",
            "no:pushapp",  # where it is installed, it is there already
            "-p",
            "pushapp.testing",
            "test_app.py",
        ],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout + result.stderr
