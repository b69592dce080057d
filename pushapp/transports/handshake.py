"""The WebSocket handshake, before flask-sock answers it.

What belongs here: what RFC 6455 section 4.2.1 asks of a client. What does not: origin and rights.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from flask import Request

from ..errors import InvalidInput


class Refused(Exception):
    """A handshake that is answered with ``status`` and no upgrade."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str]) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def check_handshake(request: Request) -> None:
    """Check what RFC 6455 section 4.2.1 asks of a client; flask-sock would answer 500.

    Raises:
        Refused: a header is missing or wrong.
    """
    environ = request.environ
    if request.method != "GET":  # a route that takes GET takes HEAD, too
        detail = f"method: got {request.method!a}, expected GET"
        raise Refused(426, detail, {"Upgrade": "websocket"})
    if environ.get("SERVER_PROTOCOL") == "HTTP/1.0":
        detail = "WebSocket needs HTTP/1.1; a proxy in between speaks 1.0"
        raise Refused(426, detail, {"Upgrade": "websocket"})
    if environ.get("HTTP_SEC_WEBSOCKET_VERSION") != "13":
        came = environ.get("HTTP_SEC_WEBSOCKET_VERSION", "none")
        detail = f"Sec-WebSocket-Version: got {came!a}, expected 13"
        raise Refused(426, detail, {"Sec-WebSocket-Version": "13", "Upgrade": "websocket"})
    key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "")
    try:
        size = len(base64.b64decode(key, validate=True))
    except (binascii.Error, ValueError):
        size = -1
    if size != 16:
        raise InvalidInput("Sec-WebSocket-Key", key, "16 bytes in base64")
