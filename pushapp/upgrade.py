"""The WebSocket route: flask-sock's, without a library's connection object where it parks.

What belongs here: what lies between flask-sock and our view. What does not: which handshakes are
right (``transports.handshake``), what the view does.

flask-sock makes of each connection a ``simple_websocket.Server`` with wsproto and h11, and a class
for its response. A client that parks needs nothing of it but the answer to its handshake, which
leaves with the stream's first bytes. All others take flask-sock's own way: where nothing parks, and
where the app has given options for its sockets.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, request
from flask_sock import Sock
from simple_websocket import Server

from .current import current_push
from .handover import connection_of
from .transports.deflate import Agreed, negotiate

if TYPE_CHECKING:
    from .extension import Push

OURS = "pushapp.websocket"  # the environ's key that marks our own route
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


class Lean:
    """What our view gets in the place of a ``Server``. Nothing has been sent yet."""

    __slots__ = ("agreed", "connected", "greeting", "mode", "sock")

    def __init__(self, environ: dict[str, Any], agreed: Agreed | None) -> None:
        self.sock = environ["gunicorn.socket"]
        self.agreed = agreed
        key = environ["HTTP_SEC_WEBSOCKET_KEY"]
        self.greeting = switching(key, agreed)  # to be sent before all else
        self.mode = "gunicorn"
        self.connected = True


class Ended(Response):
    """The answer after which gunicorn closes the connection: all has been said."""

    def __call__(self, environ: object, start_response: object) -> Any:
        raise StopIteration


def switching(key: str, agreed: Agreed | None = None) -> bytes:
    """Return the answer to a handshake with ``key``, as wsproto writes it."""
    accept = base64.b64encode(hashlib.sha1(key.encode("latin-1") + _GUID).digest())
    extensions = b"" if agreed is None else b"Sec-WebSocket-Extensions: %b\r\n" % agreed.answer
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n%b\r\n" % (accept, extensions)
    )


def agreed_with(ws: Server | Lean) -> Agreed | None:
    """Return what compression has been agreed on; with a ``Server`` it never is."""
    return ws.agreed if isinstance(ws, Lean) else None


def greeting(ws: Server | Lean) -> bytes:
    """Return what has to be sent before the first frame."""
    return ws.greeting if isinstance(ws, Lean) else b""


def route(blueprint: Blueprint, path: str, view: Callable[[Server | Lean], None]) -> None:
    """Put ``view`` into ``blueprint``, as flask-sock does."""
    theirs = _Taken()
    Sock().route(path, bp=theirs)(view)

    @wraps(view)
    def websocket_route() -> Response:
        # Browsers always offer compression, and a Server always takes it: 90 KB a client.
        offers = request.environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", "")
        push = current_push()
        if not may_be_lean(push, request.environ):
            return theirs.view()
        ws = lean(push, request.environ, offers)
        view(ws)
        return Ended() if ws.mode == "gunicorn" else Response()

    blueprint.add_url_rule(path, view_func=websocket_route, **theirs.options)


class _Taken:
    """What flask-sock takes for a blueprint, to learn what it would put into one."""

    view: Callable[[], Response]
    options: dict[str, Any]

    def route(self, path: str, **options: Any) -> Callable[[Callable[[], Response]], None]:
        self.options = options

        def take(view: Callable[[], Response]) -> None:
            self.view = view

        return take


def lean(push: Push, environ: dict[str, Any], offers: str) -> Lean:
    """Return what the view gets of a handshake with these ``offers`` of extensions."""
    return Lean(environ, negotiate(offers) if push.settings.deflate else None)


def may_be_lean(push: Push, environ: dict[str, Any]) -> bool:
    """Tell whether nothing but our own answer to its handshake is needed."""
    options = push.app.config.get("SOCK_SERVER_OPTIONS") or {}
    return (
        options.keys() <= {"thread_class"}
        and "HTTP_HOST" in environ  # h11 refuses a request without
        and push.settings.park
        and connection_of(environ) is not None
    )


# -- flask-sock's reader thread -------------------------------------------------------------------


def use_our_threads(config: dict[str, Any]) -> None:
    """Keep simple-websocket from reading our sockets; the host's own routes keep their readers.

    flask-sock takes the options of every Server from the app's config, whoever's route it is.
    """
    options = config.get("SOCK_SERVER_OPTIONS") or {}
    theirs = options.get("thread_class", threading.Thread)
    if theirs is not _Reader and getattr(theirs, "func", None) is not _Reader:
        config["SOCK_SERVER_OPTIONS"] = {**options, "thread_class": partial(_Reader, theirs)}


class _Reader:
    """The thread that simple-websocket starts, unless the Server is ours."""

    def __init__(self, kind: Callable[..., Any], target: Any) -> None:
        self._thread = None if OURS in target.__self__.environ else kind(target=target)
        self.name = ""

    def start(self) -> None:
        if self._thread is not None:
            self._thread.name = self.name or self._thread.name
            self._thread.start()
