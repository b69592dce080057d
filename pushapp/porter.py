"""Whoever comes with a WebSocket's handshake is let in without gunicorn and Flask.

What belongs here: whose handshake may be read here, and what becomes of its connection. What does
not: reading it (``knock``), and what it opens, with all checks of any other (``subscribe``).

gunicorn and Flask around our view were over half of what a handshake costs, and after a deploy all
clients come back at once. This is no lane: nothing is remembered from one request to the next, and
every check is made each time. What is to be answered with anything but 101 is left to gunicorn,
which finds the bytes as they came; so is everything where anybody but us would see the request.
"""

from __future__ import annotations

import logging
import os
from types import FunctionType
from typing import TYPE_CHECKING, Any

from flask import Flask
from gunicorn.workers.ggevent import GeventWorker
from werkzeug.exceptions import HTTPException

from .connection import Connection
from .extension import Push
from .handover import CONNECTION, Head
from .heads import HeadTimeout
from .knock import Knock
from .lifting import is_unseen
from .subscribe import open_websocket

if TYPE_CHECKING:
    from .yard import Yard

_UNSENT = Head(b"", (), (), http11=True, keep=False)  # a WebSocket sends its own
#: What tools that trace requests wrap in Flask itself, or in an app.
_WRAPPED = (
    "__call__",
    "wsgi_app",
    "full_dispatch_request",
    "preprocess_request",
    "dispatch_request",
    "finalize_request",
    "process_response",
)

log = logging.getLogger(__name__)


class Porter:
    """Sees each new connection of one worker first."""

    def __init__(self, yard: Yard, worker: Any, push: Push) -> None:
        self._yard, self._worker, self._push = yard, worker, push
        self._knock = Knock(f"{push.settings.prefix}/ws", worker.cfg)

    def answers(self, connection: Connection) -> bool:
        """Read what comes first on ``connection``, and answer it where it is a handshake that opens
        something; else gunicorn finds it unread."""
        client = connection.client
        data = client.come()
        if data is None:
            with HeadTimeout(self._yard.keepalive, client):
                data = client.comes()
            if data is None:
                return True  # it is idle for too long: gunicorn would end it, too
        if self._opens(connection, data):
            return True
        client.early = data
        return False

    def _opens(self, connection: Connection, data: bytes) -> bool:
        yard, push = self._yard, self._push
        server = connection.listener.getsockname()
        environ = self._knock.environ(data, connection.address, server)
        if environ is None or yard.draining or self._worker.wsgi != yard.wsgi:
            return False
        if push.gate.asks or push.is_watched:  # the app's own functions, within Flask's request
            return False
        environ |= {CONNECTION: connection, "gunicorn.socket": connection.client}
        connection.busy = True
        try:
            if not open_websocket(push, environ):
                return False
        except OSError as error:
            log.debug("it has gone within its handshake: %s", error)
        except Exception:
            log.exception("a handshake failed")
        finally:
            connection.busy = False
        yard.count()
        waiting, connection.waiting = connection.waiting, None
        if waiting is not None:
            fd = connection.client.detach()
            connection.client = None
            waiting.park(connection, fd, b"", _UNSENT)
        return True


def porter_of(yard: Yard, worker: Any) -> Porter | None:
    """Return the worker's; None where somebody else is to see each request."""
    app = worker.wsgi
    push = app.extensions.get("push") if type(app) is Flask else None
    if push is None or push.app is not app or not push.settings.park:
        return None
    if type(worker) is not GeventWorker or not is_unseen(worker) or os.environ.get("SCRIPT_NAME"):
        return None
    return Porter(yard, worker, push) if _is_plain(app) and _is_routed(push) else None


def _is_plain(app: Flask) -> bool:
    """Tell whether ``app`` goes by Flask's own methods, and those are its own."""
    if not vars(app).keys().isdisjoint(_WRAPPED):
        return False
    here = Flask.open_instance_resource.__code__.co_filename
    methods = [getattr(Flask, name, None) for name in _WRAPPED]
    return all(type(m) is FunctionType and m.__code__.co_filename == here for m in methods)


def _is_routed(push: Push) -> bool:
    """Tell whether our path alone decides that our view gets a handshake, and no host's name."""
    app = push.app
    named = app.config.get("TRUSTED_HOSTS") or app.config.get("SERVER_NAME")
    if named or app.url_map.host_matching or app.subdomain_matching:
        return False
    try:
        adapter = app.url_map.bind("localhost")
        endpoint, _ = adapter.match(f"{push.settings.prefix}/ws", "GET", websocket=True)
    except HTTPException:
        return False
    return bool(endpoint == "push.websocket_view")
