"""An app that begins to look at requests while it serves, in any of the ways that Flask has.

What belongs here: the ways, and how many handshakes were seen. What does not: what is expected then
(``transports/test_porter``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import flask
from flask import Flask, Request
from flask.sessions import SecureCookieSessionInterface

from pushapp import Push
from pushapp.api import register_health
from pushapp.auth import Gate

PATH = "/push/ws"

app = Flask("looking")
app.secret_key = "the secret of the app that looks"
push = Push(app)
register_health(app)
seen = [0]
looking = ExitStack()


def look(*_: Any) -> None:
    """See the current request."""
    seen[0] += flask.request.path == PATH


def look_after(response: Any) -> Any:
    look()
    return response


@contextmanager
def among(functions: dict[Any, list[Any]], scope: str | None, one: Any = look) -> Iterator[None]:
    functions[scope].append(one)
    yield
    functions[scope].remove(one)


@contextmanager
def on_signal() -> Iterator[None]:
    with flask.request_started.connected_to(look):
        yield


@contextmanager
def in_a_wrapped_view() -> Iterator[None]:
    views, name = app.view_functions, "push.websocket_view"
    before = views[name]

    def wrapped(**given: Any) -> Any:
        look()
        return before(**given)

    views[name] = wrapped
    yield
    views[name] = before


@contextmanager
def in_a_middleware() -> Iterator[None]:
    before = app.wsgi_app

    def middleware(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        seen[0] += environ["PATH_INFO"] == PATH
        return before(environ, start_response)

    app.wsgi_app = middleware  # type: ignore[method-assign]
    yield
    del app.wsgi_app


@contextmanager
def in_a_request_class() -> Iterator[None]:
    class Looking(Request):
        def __init__(self, environ: Any, *more: Any, **options: Any) -> None:
            super().__init__(environ, *more, **options)
            seen[0] += self.path == PATH

    app.request_class = Looking
    yield
    del app.request_class


@contextmanager
def in_a_session() -> Iterator[None]:
    class Looking(SecureCookieSessionInterface):
        def open_session(self, app: Flask, request: Request) -> Any:
            seen[0] += request.path == PATH
            return super().open_session(app, request)

    before, app.session_interface = app.session_interface, Looking()
    yield
    app.session_interface = before


@contextmanager
def to_say_who_it_is() -> Iterator[None]:
    @push.user
    def who() -> None:
        look()

    yield
    push.gate = Gate(push.settings, push.api_keys, push.tokens)


WAYS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "before": lambda: among(app.before_request_funcs, None),
    "before-ours": lambda: among(app.before_request_funcs, "push"),
    "after": lambda: among(app.after_request_funcs, None, look_after),
    "teardown": lambda: among(app.teardown_request_funcs, None),
    "values": lambda: among(app.url_value_preprocessors, None),
    "signal": on_signal,
    "view": in_a_wrapped_view,
    "middleware": in_a_middleware,
    "request": in_a_request_class,
    "session": in_a_session,
    "user": to_say_who_it_is,
}


@app.post("/look/<way>")
def begin(way: str) -> str:
    looking.enter_context(WAYS[way]())
    return ""


@app.post("/look-away")
def end() -> str:
    looking.close()
    return ""


@app.get("/seen")
def count() -> str:
    return str(seen[0])
