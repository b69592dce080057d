"""Where the express lane is off: whoever looks at each request must see them all."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import flask
import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from gunicorn.config import Config
from gunicorn.glogging import Logger

from pushapp import Push, create_app
from pushapp.again import is_watched
from pushapp.lifting import is_unseen

from .server import API_KEY, SECRET


class _OwnApp(Flask):
    pass


class _OwnSessions(SecureCookieSessionInterface):
    pass


def _own_middleware(app: Any) -> None:
    inner = app.wsgi_app
    app.wsgi_app = lambda environ, start: inner(environ, start)


def test_the_standalone_app_looks_at_no_request_itself() -> None:
    assert not is_watched(create_app(PUSH_API_KEYS=API_KEY, PUSH_SECRET=SECRET))
    assert not is_watched(Flask("theirs"))
    assert is_watched(_OwnApp("theirs"))


@pytest.mark.parametrize(
    "watch",
    [
        lambda app: app.before_request(lambda: None),
        lambda app: app.after_request(lambda response: response),
        lambda app: app.teardown_request(lambda error: None),
        lambda app: app.url_value_preprocessor(lambda endpoint, values: None),
        lambda app: setattr(app, "session_interface", _OwnSessions()),
        _own_middleware,
    ],
)
def test_an_app_with_functions_of_its_own_sees_every_request(
    watch: Callable[[Flask], None],
) -> None:
    app = Flask("theirs")
    watch(app)
    assert is_watched(app)


@pytest.mark.parametrize(
    "watch",
    [
        lambda app: app.view_functions.update({"push.publish": lambda: "guarded"}),
        lambda app: app.before_request_funcs["push"].insert(0, lambda: None),
        lambda app: app.teardown_request_funcs.setdefault("push", []).append(lambda error: None),
    ],
)
def test_what_stands_before_one_of_our_routes_sees_every_request(
    watch: Callable[[Flask], None],
) -> None:
    app = Flask("theirs")
    push = Push(app, PUSH_SECRET=SECRET)
    assert not push.is_watched
    watch(app)
    assert push.is_watched


def test_one_who_listens_for_requests_hears_of_every_one() -> None:
    def heard(sender: object, **more: object) -> None:
        raise AssertionError("no request is made here")

    with flask.request_started.connected_to(heard):
        assert is_watched(Flask("theirs"))
    assert not is_watched(Flask("theirs"))


@pytest.mark.parametrize(
    "settings",
    [
        {"accesslog": "-"},
        {"syslog": True},
        {"logconfig": "logging.conf"},
        {"proxy_protocol": "auto"},
        {"keepalive": 0},
    ],
)
def test_gunicorn_sees_every_request_that_it_has_to_log_or_read(settings: dict[str, Any]) -> None:
    config = Config()
    worker = SimpleNamespace(cfg=config, log=Logger(config))
    assert is_unseen(worker)
    for name, value in settings.items():
        config.set(name, value)
    assert not is_unseen(worker)
