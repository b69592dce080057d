"""Flask-SocketIO under gunicorn's gevent worker, as its documentation has it.

What belongs here: what somebody would write in an afternoon: rooms as channels, a route to publish.
"""

from __future__ import annotations

from flask import Flask, request
from flask_socketio import SocketIO, join_room

app = Flask(__name__)
socketio = SocketIO(app, async_mode="gevent")


@socketio.on("join")
def join(channel: str) -> str:
    join_room(channel)
    return "ready"


@app.post("/publish")
def publish() -> str:
    socketio.emit("message", request.get_data(as_text=True), to=request.args["channel"])
    return "ok"


@app.get("/poll")
def poll() -> dict[str, object]:
    return {"cursor": 0, "messages": []}
