"""Plain flask-sock under gunicorn's gevent worker, as its documentation has it: the usual way.

What belongs here: what somebody would write in an afternoon, with no trick, good or bad. Sockets in
a set, `send` on each of them; a list of messages for long poll and SSE.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from flask import Flask, Response, jsonify, request
from flask_sock import Server, Sock
from gevent.event import Event
from simple_websocket import ConnectionClosed

HOLD = 25  # seconds a long poll waits

app = Flask(__name__)
sock = Sock(app)


class Channel:
    def __init__(self) -> None:
        self.sockets: set[Server] = set()
        self.messages: list[str] = []
        self.arrived = Event()

    def since(self, cursor: int) -> Response:
        return jsonify(cursor=len(self.messages), messages=self.messages[cursor:])


channels: defaultdict[str, Channel] = defaultdict(Channel)


def asked() -> Channel:
    return channels[request.args["channel"]]


@sock.route("/ws")
def websocket(socket: Server) -> None:
    channel = asked()
    channel.sockets.add(socket)
    try:
        socket.send("ready")
        while True:
            socket.receive()
    finally:
        channel.sockets.discard(socket)


@app.post("/publish")
def publish() -> str:
    message = request.get_data(as_text=True)
    channel = asked()
    channel.messages.append(message)
    channel.arrived.set()
    channel.arrived = Event()
    for socket in list(channel.sockets):
        try:
            socket.send(message)
        except ConnectionClosed:
            channel.sockets.discard(socket)
    return "ok"


@app.get("/longpoll")
def longpoll() -> Response:
    channel = asked()
    cursor = request.args.get("cursor", type=int)
    if cursor is None:
        cursor = len(channel.messages)
    elif cursor == len(channel.messages):
        channel.arrived.wait(HOLD)
    return channel.since(cursor)


@app.get("/poll")
def poll() -> Response:
    channel = asked()
    return channel.since(request.args.get("cursor", len(channel.messages), type=int))


@app.get("/sse")
def sse() -> Response:
    channel = asked()

    def events() -> Iterator[str]:
        cursor = len(channel.messages)
        yield ": ready\n\n"
        while True:
            if cursor == len(channel.messages):
                channel.arrived.wait(HOLD)
            for message in channel.messages[cursor:]:
                cursor += 1
                yield f"data: {message}\n\n"

    return Response(events(), mimetype="text/event-stream")
