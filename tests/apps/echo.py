"""A server whose WebSocket at ``/`` sends back what it gets: our connection class, nothing else.

It is what suites of WebSocket conformance drive. Settings come from the environment, as everywhere.
"""

from __future__ import annotations

from flask import Blueprint, Flask, request
from simple_websocket import Server

from pushapp import create_app, upgrade
from pushapp.auth import Grant
from pushapp.current import current_push
from pushapp.handover import connection_of
from pushapp.outlet import Outlet
from pushapp.sketch import sketch
from pushapp.transports import deflate, frames
from pushapp.transports.frames import Opcode
from pushapp.transports.handshake import check_handshake
from pushapp.transports.params import asked
from pushapp.transports.websocket import Inflating, WebSocket
from pushapp.upgrade import Lean

_RSV1 = 0x40
MOST = 16 << 20  # bytes of a message: what the suites send at most


class Echo(WebSocket):
    """Sends back what it gets, and says nothing else."""

    def _start(self, outlet: Outlet, greeting: bytes = b"") -> None:
        self.outlet = outlet
        outlet.write(greeting)
        self.context.hub.join(self, ())

    def _heard(self, opcode: Opcode, payload: bytes) -> None:
        if opcode in (Opcode.TEXT, Opcode.BINARY):
            self.write(self._as_frame(opcode, payload))
        else:
            super()._heard(opcode, payload)

    def _as_frame(self, opcode: Opcode, payload: bytes) -> bytes:
        return frames.frame(opcode, payload)


class DeflatingEcho(Inflating, Echo):
    """Compresses whatever it sends back, however short, in the client's own window."""

    window = deflate.WINDOW

    def _as_frame(self, opcode: Opcode, payload: bytes) -> bytes:
        return frames.frame(_RSV1 | opcode, deflate.deflate(payload, self.window))


def view(ws: Server | Lean) -> None:
    """Park an echo, as our own view parks a stream."""
    push = current_push()
    agreed = upgrade.agreed_with(ws)
    kind = Echo if agreed is None else DeflatingEcho
    wanted = asked(request, request.args, stream=False, least=0)
    running = push.start()
    connection = push.connection_id(None, None)
    echo = kind(running.context, wanted, connection, Grant(None, None), sketch(), running.ops, MOST)
    if agreed is not None and isinstance(echo, DeflatingEcho):
        echo.window = agreed.window
    berth = connection_of(request.environ)
    if berth is None:
        echo.serve(ws.sock, early=b"")
    else:
        berth.waiting = echo.greets(upgrade.greeting(ws))
        ws.mode = "werkzeug"
    ws.connected = False


def _make() -> Flask:
    app = create_app()
    blueprint = Blueprint("echo", __name__)

    @blueprint.before_request
    def before() -> None:
        check_handshake(request)
        upgrade.use_our_threads(app.config)
        request.environ[upgrade.OURS] = True

    upgrade.route(blueprint, "/", view)
    app.register_blueprint(blueprint)
    return app


app = _make()
