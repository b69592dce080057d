"""An app that lets go of the log while it serves, and looks for changed keys each moment.

What belongs here: what changes under requests that the express lane knows. What does not: what is
expected then (``transports/test_lane_changes``).
"""

from __future__ import annotations

from flask import Flask

from pushapp import Push, key_set, metrics, revocations
from pushapp.api import register_health

key_set.JWKS_AGE, key_set.JWKS_PAUSE = 0.5, 0.1  # seconds, for an hour and a minute
revocations.PERIOD = 0.5  # seconds

app = Flask(__name__)
push = Push(app)
register_health(app)
metrics.register(app)


@app.post("/let-go")
def let_go() -> str:
    push.close()
    return ""
