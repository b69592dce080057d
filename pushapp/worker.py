"""Where gunicorn and parking meet: lifts a connection off a gevent worker and gives it back.

What belongs here: what has to be known of gunicorn's workers, the four hooks, the drain. What does
not: who waits and why (``transports``), settings of gunicorn (``gunicorn_conf``).

How a client is parked. The outermost WSGI callable of the worker is wrapped once. A view that
wants its client to wait leaves a ``Parkable`` on the connection and returns an ordinary empty
response, so that every middleware, ``after_request`` and session sees an ordinary response. The
wrapper takes its status and headers, lifts the socket off, hands both to the ``Parkable``, and
raises ``StopIteration``, which gunicorn's async workers take as "this connection is done".
"""

from __future__ import annotations

import logging
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import GeneratorType
from typing import Any

import gevent
from gevent import Greenlet, getcurrent
from gevent.event import Event
from gevent.monkey import is_module_patched
from gevent.server import StreamServer
from gevent.socket import socket as gevent_socket
from gunicorn.workers.ggevent import GeventWorker

from .extension import live_pushes
from .handover import CONNECTION, Head, Parkable

DRAIN_MARGIN = 3.0  # seconds before gunicorn's graceful_timeout by which a drain is over
WATCH = 0.1  # seconds between looks at whether the worker is to end
_PATCHED = ("socket", "ssl", "select", "threading", "time")

log = logging.getLogger(__name__)


class Connection:
    """One TCP connection, from accept to its end, across requests and parking."""

    __slots__ = ("address", "busy", "client", "close", "listener", "waiting", "yard")

    def __init__(self, yard: Yard, listener: Any, client: Any, address: Any) -> None:
        self.yard, self.listener, self.client, self.address = yard, listener, client, address
        self.busy = False  # a request is in progress
        self.close = False  # ... and is the last one
        self.waiting: Parkable | None = None

    @property
    def parks(self) -> bool:
        """Whether its client can be parked now."""
        return not self.yard.draining and not isinstance(self.client, ssl.SSLSocket)

    def give_back(self, fd: int, early: bytes) -> None:
        """Let gunicorn serve the next request of this connection; ``early`` was read already."""
        self.waiting = None
        self.yard.take_back(self, fd, early)


class Yard:
    """The connections of one gunicorn worker."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._app = worker.wsgi
        self._handle = worker.handle
        self._connections: dict[Greenlet, Connection] = {}
        self._returned: set[Greenlet] = set()  # outside of gunicorn's pool: waited for at the end
        self.draining = False
        self._drained = Event()
        self._servers: list[StreamServer] = []
        worker.wsgi = self.wsgi
        worker.server_class = self._serve
        gevent.spawn(self._watch)

    def __len__(self) -> int:
        return len(self._connections)

    def _serve(self, listener: Any, *, spawn: Any, **options: Any) -> StreamServer:
        """Make what accepts connections: gunicorn's own way, but known to us, so that a drain can
        stop it at once; gunicorn does it up to a second later."""
        tls = {"ssl_context": options["ssl_context"]} if "ssl_context" in options else {}
        handle = partial(self.handle, listener)
        server = StreamServer(listener, handle=handle, spawn=spawn, **tls)
        if self._worker.cfg.workers > 1:
            server.max_accept = 1
        self._servers.append(server)
        return server

    # -- serving -------------------------------------------------------------------------------

    def handle(self, listener: Any, client: Any, address: Any) -> None:
        """Serve a connection: gunicorn's own way, with a note of who it is."""
        me = getcurrent()
        self._connections[me] = Connection(self, listener, client, address)
        try:
            self._handle(listener, client, address)
        finally:
            del self._connections[me]

    def wsgi(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Call the app; park the client where the app asks for it."""
        connection = self._connections.get(getcurrent())
        if connection is None or connection.client is not environ.get("gunicorn.socket"):
            return self._app(environ, start_response)  # type: ignore[no-any-return]
        connection.waiting = None
        environ[CONNECTION] = connection
        body = environ["wsgi.input"]
        result = self._app(environ, start_response)
        if isinstance(result, GeneratorType):
            # A middleware that is a generator runs the app at its first step only.
            return _Begun(result, lambda: self._finish(connection, body, result, start_response))
        self._finish(connection, body, result, start_response)
        return result  # type: ignore[no-any-return]

    def _finish(self, connection: Connection, body: Any, result: Any, start: Any) -> None:
        response = start.__self__  # gunicorn's Response, which has what the middlewares made of it
        if connection.close:
            response.force_close()
        if connection.waiting is None:
            return
        if hasattr(result, "close"):
            result.close()
        waiting, connection.waiting = connection.waiting, None
        if body.read(1):  # the rest of a body would run as the next request
            raise StopIteration
        early = body.reader.unreader.take_buffered()
        head = _head(response)
        fd = connection.client.detach()
        waiting.park(connection, fd, early, head)
        raise StopIteration

    def take_back(self, connection: Connection, fd: int, early: bytes) -> None:
        """Serve what comes next on ``fd`` in a new greenlet."""
        client = _Replayed(early, fd)
        greenlet = gevent.spawn(
            self._serve_returned, connection.listener, client, connection.address
        )
        self._returned.add(greenlet)
        greenlet.rawlink(self._returned.discard)

    def _serve_returned(self, listener: Any, client: Any, address: Any) -> None:
        try:
            self.handle(listener, client, address)
        finally:
            client.close()

    # -- ending --------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Begin the drain when the worker is to end: its exit hook comes too late for that,
        because idle connections keep gunicorn waiting until it kills the worker."""
        while self._worker.alive:
            gevent.sleep(WATCH)
        self.draining = True
        try:
            self._drain()
        finally:
            self._drained.set()

    def _drain(self) -> None:
        deadline = time.monotonic() + max(1.0, self._worker.cfg.graceful_timeout - DRAIN_MARGIN)
        for server in self._servers:
            server.stop_accepting()
        for connection in list(self._connections.values()):
            if not connection.busy:
                _end_reading(connection.client)
        pushes = live_pushes()
        for push in pushes:
            push.drain()
        while time.monotonic() < deadline:
            if not self._connections and not any(push.unsent for push in pushes):
                return
            self._worker.notify()
            gevent.sleep(WATCH)

    def wait_drained(self) -> None:
        """Wait until the drain is over."""
        while not self._drained.wait(1.0):
            self._worker.notify()

    def request_begins(self) -> None:
        connection = self._connections.get(getcurrent())
        if connection is not None:
            connection.busy = True

    def request_ends(self) -> None:
        connection = self._connections.get(getcurrent())
        if connection is not None:
            connection.busy = False
            if self.draining:
                _end_reading(connection.client)


class _Begun:
    """A generator's result, whose first step decides whether the client is parked."""

    def __init__(self, result: Any, finish: Callable[[], None]) -> None:
        self._result, self._finish = result, finish

    def __iter__(self) -> Iterator[bytes]:
        # gunicorn calls iter() outside of any "for" step, so a StopIteration from here gets
        # through to where it closes the connection.
        first = list(_one(self._result))
        self._finish()
        return _chain(first, self._result)

    def close(self) -> None:
        self._result.close()


def _one(iterator: Any) -> Iterator[bytes]:
    for item in iterator:
        yield item
        return


def _chain(first: list[bytes], rest: Any) -> Iterator[bytes]:
    yield from first
    yield from rest


class _Replayed(gevent_socket):  # type: ignore[misc]
    """A socket some of whose input has been read already."""

    def __init__(self, early: bytes, fd: int) -> None:
        super().__init__(fileno=fd)
        self._early = early

    def recv(self, size: int, flags: int = 0) -> bytes:
        if self._early:
            data, self._early = self._early[:size], self._early[size:]
            return data
        return super().recv(size, flags)  # type: ignore[no-any-return]


_heads: dict[bytes, bytes] = {}
_HEADS = 256  # distinct heads remembered; most waiting clients share one


def _head(response: Any) -> Head:
    skip = ("content-length", "connection", "transfer-encoding", "etag")
    lines = [f"{k}: {v}\r\n" for k, v in response.headers if k.lower() not in skip]
    fields = "".join(lines).encode("latin-1")
    if len(_heads) >= _HEADS:
        _heads.clear()
    fields = _heads.setdefault(fields, fields)
    http11 = response.req.version > (1, 0)
    # HTTP/1.0 with keep-alive: its clients rely on the end of the connection often enough
    return Head(response.status, fields, http11, keep=http11 and not response.should_close())


def _end_reading(client: Any) -> None:
    """Make gunicorn find no further request on a connection."""
    try:
        # on the socket beneath: gevent's own would raise in the greenlet that is reading
        client._sock.shutdown(socket.SHUT_RD)
    except OSError as error:
        log.debug("it has ended already: %s", error)


# -- the hooks, as gunicorn calls them -------------------------------------------------------------


def post_worker_init(worker: Any) -> None:
    """Check that the worker fits, and take its connections in hand."""
    missing = [name for name in _PATCHED if not is_module_patched(name)]
    if missing or not isinstance(worker, GeventWorker):
        worker.log.error(
            "pushapp needs gunicorn's gevent worker, started before anything else is imported"
            " (worker_class = 'gevent'); not patched here: %s",
            ", ".join(missing) or "nothing, but the worker is no gevent worker",
        )
        sys.exit(4)  # gunicorn's APP_LOAD_ERROR: the master stops, too
    worker.pushapp_yard = Yard(worker)
    for push in live_pushes():
        push.start()


def pre_request(worker: Any, request: Any) -> None:
    """Note that a request is in progress on this connection."""
    worker.pushapp_yard.request_begins()


def post_request(worker: Any, request: Any, environ: Any, response: Any) -> None:
    """Note that it is no longer."""
    worker.pushapp_yard.request_ends()


def worker_exit(server: Any, worker: Any) -> None:
    """Wait for the drain, and let go of the log."""
    yard = getattr(worker, "pushapp_yard", None)
    if yard is not None and not worker.alive and not worker.aborted:
        yard.wait_drained()
    for push in live_pushes():
        push.close()
