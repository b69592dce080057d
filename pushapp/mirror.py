"""Shows a browser its own requests as they came: a script sees neither what the browser adds to a
request nor the handshake of a WebSocket.

What belongs here: the two routes that tell. What does not: who may ask them (``lab``).
"""

from __future__ import annotations

import json
import time

from flask import Blueprint, Response, request
from flask_sock import Sock
from simple_websocket import Server

from .current import current_push
from .reply import json_reply
from .upgrade import switching

SOCKET = "/demo/mirror/socket"
PATHS = frozenset({"/demo/mirror", SOCKET})
LONGEST = 300.0  # seconds that a socket stays open: unlike all other clients it costs a greenlet
_LOOK = 1.0  # seconds between looks whether the worker is to end
_OFFER = "Sec-WebSocket-Extensions"  # never taken up here: flask-sock would, at 90 KB a client

#: What browsers send, in Chromium's order. What a proxy adds is not the page's business.
_SHOWN = (
    "Host",
    "Connection",
    "Pragma",
    "Cache-Control",
    "User-Agent",
    "Upgrade",
    "Origin",
    "Sec-WebSocket-Version",
    "Sec-CH-UA-Platform",
    "Sec-CH-UA",
    "Sec-CH-UA-Mobile",
    "DNT",
    "Sec-GPC",
    "Accept",
    "Sec-Fetch-Site",
    "Sec-Fetch-Mode",
    "Sec-Fetch-Dest",
    "Referer",
    "Accept-Encoding",
    "Accept-Language",
    "Priority",
    "Cookie",
    "Sec-WebSocket-Key",
    _OFFER,
)
_MASKED = "Cookie"  # scripts may not read some of them: shown as stars, as many as there were


def route(sock: Sock, blueprint: Blueprint) -> None:
    """Put the WebSocket into ``blueprint`` that shows its own handshake."""
    sock.route(SOCKET, bp=blueprint, endpoint="mirror_socket")(_serve)


def view() -> Response:
    """Answer with the head of the request, and the server's time."""
    return json_reply({"head": _head(), "time": time.time()})


def decline_offer() -> None:
    """Take what the current request's handshake offers out of it, and keep it to be shown."""
    environ = request.environ
    environ["pushapp.offer"] = environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)


def _serve(ws: Server) -> None:
    """Send both heads of the handshake; then stay until the client goes, or for five minutes."""
    hub = current_push().hub
    answer = switching(request.headers["Sec-WebSocket-Key"]).decode().rstrip().split("\r\n")
    ws.send(json.dumps({"head": _head(), "answer": answer}))
    until = time.monotonic() + LONGEST
    while time.monotonic() < until and not hub.draining:
        ws.receive(timeout=_LOOK)  # raises ConnectionClosed, which is flask-sock's to catch
    ws.close(1012 if hub.draining else 1000)


def _head() -> list[str]:
    """Return the lines of the current request's head."""
    lines = [f"{request.method} {request.full_path.removesuffix('?')} HTTP/1.1"]
    for name in _SHOWN:
        value = request.headers.get(name)
        if name == _OFFER:
            value = request.environ.get("pushapp.offer")
        if value is not None:
            lines.append(f"{name}: {'*' * len(value) if name == _MASKED else value}")
    return lines
