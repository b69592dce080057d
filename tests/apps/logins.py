"""The examples with logins as they are, ready to be started by the tests; and an app in which the
one who is logged in changes while a stream goes on.

Settings come from the environment, as everywhere.
"""

from __future__ import annotations

from flask import Flask, request

from examples.with_flask_login import app as flask_login
from examples.with_session import app as session
from pushapp import Push

WHO = ["ann"]


def _make() -> Flask:
    app = Flask("changing")
    push = Push(app)
    push.user(lambda: WHO[0] or None)
    push.authorize("room:*")(lambda channel: 0.2)

    @app.post("/become")
    def become() -> str:
        WHO[0] = request.args["user"]
        return ""

    return app


changing = _make()
for each in (flask_login, session, changing):
    for path in ("/readyz", "/healthz"):
        each.add_url_rule(path, path, lambda: "ready")
