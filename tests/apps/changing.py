"""An app that lets go of the log while it serves, and looks for changed keys each moment; and one
with a function of its own besides, which changes what a token that counts no longer is told.

What belongs here: what changes under requests that the express lane knows. What does not: what is
expected then (``transports/test_lane_changes``).
"""

from __future__ import annotations

from flask import Flask, session

from pushapp import Push, key_set, metrics, revocations
from pushapp.api import register_health

key_set.JWKS_AGE, key_set.JWKS_PAUSE = 0.5, 0.1  # seconds, for an hour and a minute
revocations.PERIOD = 0.5  # seconds


def _make() -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "signs this app's session"
    push = Push(app)
    register_health(app)
    metrics.register(app)

    @app.post("/let-go")
    def let_go() -> str:
        push.close()
        return ""

    return app


app, visited = _make(), _make()


@visited.extensions["push"].authorize("visits:*")
def visit(channel: str) -> bool:
    session["visits"] = session.get("visits", 0) + 1
    return True
