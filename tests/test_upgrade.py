"""The WebSocket route's short way answers what flask-sock's own does, and knows when not to."""

from __future__ import annotations

import base64
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask, request
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection

from pushapp.extension import Push
from pushapp.handover import CONNECTION
from pushapp.upgrade import may_be_lean, switching


@given(st.binary(min_size=16, max_size=16))
def test_the_handshake_is_answered_as_by_wsproto(key: bytes) -> None:
    """Byte for byte: that is what flask-sock sends."""
    text = base64.b64encode(key).decode()
    oracle = WSConnection(ConnectionType.SERVER)
    oracle.receive_data(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + text.encode() + b"\r\n\r\n"
    )
    list(oracle.events())
    assert switching(text) == oracle.send(AcceptConnection())


@pytest.mark.parametrize(
    ("options", "parks", "lean"),
    [
        (None, True, True),
        ({"thread_class": object}, True, True),
        ({"subprotocols": ["chat"]}, True, False),
        ({"max_message_size": 10}, True, False),
        (None, False, False),
    ],
)
def test_an_apps_own_options_go_flask_socks_way(
    tmp_path: Path, options: dict[str, object] | None, parks: bool, lean: bool
) -> None:
    """They may change the answer; and so does who cannot be parked."""
    app = Flask(__name__)
    app.secret_key = "s" * 32
    app.config["PUSH_BROKER_URL"] = f"sqlite:///{tmp_path}/push.db"
    if options is not None:
        app.config["SOCK_SERVER_OPTIONS"] = options
    push = Push(app)
    with app.test_request_context("/push/ws"):
        environ = {**request.environ, CONNECTION: SimpleNamespace(parks=parks)}
        assert may_be_lean(push, environ) is lean
