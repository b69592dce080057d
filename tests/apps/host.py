"""Somebody's Flask app with a WebSocket route of its own, and Push put into it.

``app`` is as it comes; the others are what a developer may wrap it with. Settings come from the
environment, as everywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flask import Flask
from flask_sock import Sock

from pushapp import Push

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


def _make() -> Flask:
    app = Flask("host")
    app.config["SECRET_KEY"] = "the secret of the host app"
    Push(app)
    sock = Sock(app)

    @sock.route("/echo")
    def echo(ws: Any) -> None:
        while True:
            ws.send(ws.receive())

    @app.get("/readyz")
    @app.get("/healthz")
    def ready() -> str:
        return "ready"

    return app


def _generator(app: Wsgi) -> Wsgi:
    """Wrap ``app`` in a middleware that is a generator: its code runs when it is read."""

    def middleware(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        yield from app(environ, start_response)

    return middleware


def _logging(app: Wsgi) -> Wsgi:
    """Wrap ``app`` in a middleware that logs whatever is raised, as error trackers do."""

    def middleware(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            return app(environ, start_response)
        except BaseException:
            logging.getLogger("host").exception("the app raised")
            raise

    return middleware


def _failing(app: Wsgi) -> Wsgi:
    """Wrap ``app`` in a middleware that fails when it is asked to."""

    def middleware(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if "HTTP_X_FAIL" in environ:
            raise RuntimeError("as asked for")
        return app(environ, start_response)

    return middleware


app = _make()
in_generator = _generator(app)
in_logging = _logging(app)
in_failing = _failing(app)
