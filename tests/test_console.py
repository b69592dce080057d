"""The console's routes: the page, its files, its key, and what it is told once.

What belongs here: what the server says to a console. What does not: the figures
(``transports/test_console_feed``), the page in a browser (``browser/test_console``).
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from pushapp import Push
from pushapp.console import folder
from pushapp.tally import METRICS

from .clients import Client, WebSocket
from .server import API_KEY, PUBLISH_KEY, READ_KEY, SECRET, Server, until

WATCH = "/push/console/watch"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


# -- the page and its files -----------------------------------------------------------------------


def test_anyone_gets_the_page_and_it_holds_no_secret(client: FlaskClient) -> None:
    """What it shows, it asks for with the key that is typed in."""
    text = client.get("/push/console").text
    assert "<title>pushapp console</title>" in text
    assert API_KEY not in text and SECRET not in text


@pytest.mark.parametrize("path", ["/push/console", "/push/console/console.js"])
def test_nothing_from_elsewhere_runs_and_nobody_frames_it(client: FlaskClient, path: str) -> None:
    """Nor does any text become markup: there is no policy by which it could."""
    headers = client.get(path, buffered=True).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers[POLICY].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'" and policy["trusted-types"] == "'none'"
    assert "unsafe" not in headers[POLICY]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


POLICY = "Content-Security-Policy"


def test_all_that_the_page_loads_is_there(client: FlaskClient) -> None:
    """Relative to itself, wherever that is; and nothing stands inline."""
    text = client.get("/push/console").text
    loaded = set(re.findall(r'(?:src|href)="([^"#]+)"', text))
    assert {"push.js", "console/console.js", "console/console.css", "console/base.css"} <= loaded
    for name in loaded:
        reply = client.get(f"/push/{name}", buffered=True)
        assert reply.status_code == 200 and not name.startswith("/"), name
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:", text)


def test_all_of_its_scripts_are_served_and_loaded_early(client: FlaskClient) -> None:
    """One after the other, as their imports are found, would take as many round trips."""
    text = client.get("/push/console").text
    for path in folder("static").glob("console-*.js"):
        assert f'<link rel="modulepreload" href="console/{path.name}">' in text
        reply = client.get(f"/push/console/{path.name}", buffered=True)
        assert reply.mimetype == "text/javascript"
        for name in re.findall(r"from '\./([^']+)'", reply.text):
            assert (folder("static") / name).exists()


@pytest.mark.parametrize("name", ["push.d.ts", "console.html", "..%2fpushapp%2fconsole.py", "x"])
def test_no_other_file_is(client: FlaskClient, name: str) -> None:
    """The folder holds more, and there are more folders."""
    reply = client.get(f"/push/console/{name}")
    assert reply.status_code == 404
    assert reply.mimetype == "application/problem+json"


@pytest.mark.parametrize(("asked", "language"), [("zh-TW,zh;q=0.9", "zh-CN"), ("fr", "en")])
def test_it_speaks_the_browsers_language(client: FlaskClient, asked: str, language: str) -> None:
    """Chinese where that is wanted, else English."""
    reply = client.get("/push/console", headers={"Accept-Language": asked})
    assert f'<html lang="{language}">' in reply.text
    assert "Accept-Language" in reply.headers["Vary"]


def test_it_is_in_an_app_of_others_too() -> None:
    """Under its prefix, as it is, whatever the app has made of templates."""
    host = Flask("host", template_folder="nowhere", static_folder=None)
    host.config["SECRET_KEY"] = SECRET
    host.jinja_env.block_start_string = "<<"
    Push(host, PUSH_PREFIX="/live", PUSH_API_KEYS=API_KEY)
    reply = host.test_client().get("/live/console")
    assert 'src="console/console.js"' in reply.text
    host.extensions["push"].close()


def test_without_api_keys_it_says_so() -> None:
    """An app of others may have none: then no key is asked for."""
    host = Flask("host", static_folder=None)
    host.config["SECRET_KEY"] = SECRET
    Push(host)
    text = host.test_client().get("/push/console").text
    assert "PUSH_API_KEYS" in text and 'type="password"' not in text
    host.extensions["push"].close()


# -- watching -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), (bearer("wrong"), 401), (bearer(PUBLISH_KEY), 403), (bearer(READ_KEY), 200)],
    ids=["nobody", "a wrong key", "one that publishes", "one that looks"],
)
def test_watching_needs_a_key_that_may_look(
    server: Server, headers: dict[str, str], status: int
) -> None:
    """A cookie is nothing here, so that no foreign page can start it."""
    assert server.ask("POST", WATCH, headers).status == status


def test_what_is_told_once(server: Server) -> None:
    """How the worker is, what the key may, and what the figures are measured by."""
    told = server.ask("POST", WATCH, bearer(READ_KEY)).json
    assert told["channel"] == "console/figures" and told["seconds"] > 60
    assert told["ready"] and not told["may_publish"]
    assert "SQLite" in told["checks"]["log"]["detail"] and told["checks"]["room"]["ok"]
    assert told["bounds"] == {m.name: list(m.bounds) for m in METRICS if m.bounds}
    assert server.ask("POST", WATCH, bearer(API_KEY)).json["may_publish"]


def test_it_stops_when_nobody_watches(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nothing runs and nothing is counted by channel; watching begins it anew."""
    monkeypatch.setattr("pushapp.figures.WATCHED", 2.0)
    monkeypatch.setattr("pushapp.figures._AGAIN", 1.0)
    push = app.extensions["push"]
    start = push.broker.log.read((), None).cursor
    assert push.tally.traffic is None
    for least in (1, 2):
        assert client.post(WATCH, headers=bearer(API_KEY)).status_code == 200
        until(lambda: push.tally.traffic is not None, "it runs")
        until(lambda: push.tally.traffic is None, "it has ended")
        page = push.broker.log.read(["console/figures"], start)
        assert len(page.messages) >= least
    assert push.tally.published == 0, "what it says is nobody's publish"


def test_a_session_of_the_host_app_does_not_shut_the_key_out(
    make_server: Callable[..., Server], connect: Callable[..., Client]
) -> None:
    """A browser sends its cookie with a WebSocket: what the app says of it opens no figures, and
    does not keep the key from coming."""
    server = make_server(
        app="tests.apps.logins:changing",
        config="python:pushapp.gunicorn_conf",
        SECRET_KEY=SECRET,
        WEB_CONCURRENCY=1,
    )
    first = {"op": "refresh", "token": READ_KEY}
    client = connect("websocket", server, ["console/figures"], first=first)
    assert server.ask("POST", WATCH, bearer(READ_KEY)).status == 200
    (message,) = client.receive()
    assert message["data"]["worker"]["pid"] in server.workers()
    theirs = connect("websocket", server, ["room:1"])
    assert isinstance(theirs, WebSocket)
    assert not theirs.ask("refresh", token=READ_KEY)["ok"], "a stream that is somebody's stays so"


def test_it_says_that_the_log_does_not_answer(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that says so is worth more than one that only fails."""
    from pushapp.errors import LogUnavailable

    def fail() -> None:
        raise LogUnavailable("the disk is full")

    push = app.extensions["push"]
    monkeypatch.setattr(push.broker, "check", fail)
    told = client.post(WATCH, headers=bearer(API_KEY)).get_json()
    assert not told["ready"] and told["checks"] == {
        "log": {"ok": False, "detail": "the disk is full"}
    }
