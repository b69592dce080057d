"""Plain flask-sock under gunicorn's gevent worker, as its documentation has it: the usual way.

What belongs here: what somebody would write in an afternoon, with no trick, good or bad. Sockets in
a set, `send` on each of them; a list of messages for long poll and SSE.
"""

from __future__ import annotations

from collections.abc import Iterator

from flask import Flask, Response, jsonify, request
from flask_sock import Server, Sock
from gevent.event import Event
from simple_websocket import ConnectionClosed

HOLD = 25  # seconds a long poll waits

app = Flask(__name__)
sock = Sock(app)
sockets: set[Server] = set()
messages: list[str] = []
arrived = Event()


@sock.route("/ws")
def websocket(socket: Server) -> None:
    sockets.add(socket)
    try:
        socket.send("ready")
        while True:
            socket.receive()
    finally:
        sockets.discard(socket)


@app.post("/publish")
def publish() -> str:
    global arrived
    message = request.get_data(as_text=True)
    messages.append(message)
    arrived.set()
    arrived = Event()
    for socket in list(sockets):
        try:
            socket.send(message)
        except ConnectionClosed:
            sockets.discard(socket)
    return "ok"


def _since(cursor: int) -> Response:
    return jsonify(cursor=len(messages), messages=messages[cursor:])


@app.get("/longpoll")
def longpoll() -> Response:
    cursor = request.args.get("cursor", type=int)
    if cursor is None:
        return _since(len(messages))
    if cursor == len(messages):
        arrived.wait(HOLD)
    return _since(cursor)


@app.get("/poll")
def poll() -> Response:
    return _since(request.args.get("cursor", len(messages), type=int))


@app.get("/sse")
def sse() -> Response:
    def events() -> Iterator[str]:
        cursor = len(messages)
        yield ": ready\n\n"
        while True:
            if cursor == len(messages):
                arrived.wait(HOLD)
            for message in messages[cursor:]:
                cursor += 1
                yield f"data: {message}\n\n"

    return Response(events(), mimetype="text/event-stream")
