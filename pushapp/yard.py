"""The connections of a gunicorn worker: parked, given back, and let go at the end.

What belongs here: when a connection changes hands, and what is let go at the end. What does not:
when that is (``drain``), who waits and why (``transports``), how it is lifted off gunicorn
(``lifting``), the hooks (``worker``).

How a client is parked. The outermost WSGI callable of the worker is wrapped once. A view that
wants its client to wait leaves a ``Parkable`` on the connection and returns an ordinary empty
response, so that every middleware, ``after_request`` and session sees an ordinary response. The
wrapper takes its status and headers, lifts the socket off, hands both to the ``Parkable``, and
raises ``StopIteration``, which gunicorn's async workers take as "this connection is done".
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from types import GeneratorType
from typing import Any

import gevent
from gevent import Greenlet, Timeout, getcurrent

from .background import let_others
from .bay import Bay
from .body import linger
from .connection import Connection
from .doors import Doors
from .drain import Drain
from .extension import live_pushes
from .handover import CONNECTION, VERDICT
from .heads import HeadTimeout, Listening, Punctual
from .lane import Known, Lane
from .lifting import (
    UNREAD,
    Begun,
    Idle,
    Named,
    end_reading,
    head_of,
    is_read,
    is_unread,
    is_unseen,
)
from .outlet import Lot
from .parking import ParkedSocket
from .porter import Porter, porter_of
from .posting import Found, Posts, head_in
from .republish import Republish
from .settings import Settings
from .together import Together


class Yard:
    """The connections of one gunicorn worker."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._app = worker.wsgi
        self._handle = worker.handle
        self.most = worker.cfg.worker_connections
        self._connections: dict[Greenlet, Connection] = {}
        self.draining = False
        self.keepalive = float(worker.cfg.keepalive)  # seconds
        self.lane = Lane() if is_unseen(worker) else None
        self.posts = Posts()
        self._porter = porter_of(self, worker)
        self.reading = 0  # answers that are being read in the lane, and publishes under way
        self.together = Together()
        self._bays: set[Bay] = set()
        self._doors = Doors(next((push.settings for push in live_pushes()), Settings()))
        self._servers: list[Listening] = []
        worker.wsgi = self.wsgi
        worker.server_class = self._serve
        worker.timeout_ctx = self._head_timeout
        self.drain = Drain(worker, self._let_go, self._is_empty)

    def __len__(self) -> int:
        return len(self._connections)

    def _serve(self, listener: Any, *, spawn: Any, **options: Any) -> Listening:
        """Make what accepts connections: gunicorn's own way, but known to us, so that a drain can
        stop it at once; gunicorn does it up to a second later."""
        tls = {"ssl_context": options["ssl_context"]} if "ssl_context" in options else {}
        handle = partial(self.handle, Named(listener))
        server = Listening(listener, handle=handle, spawn=spawn, **tls)
        if self._worker.cfg.workers > 1:
            server.max_accept = 1
        self._servers.append(server)
        return server

    # -- serving -------------------------------------------------------------------------------

    def handle(self, listener: Any, client: Any, address: Any) -> None:
        """Serve a connection: gunicorn's own way, with a note of who it is."""
        connection = Connection(self, listener, client, address)
        self._doors.let_in(connection, self._serve_new)

    def _serve_new(self, connection: Connection) -> None:
        self._serve_on(connection, self._porter)

    def _serve_on(self, connection: Connection, porter: Porter | None = None) -> None:
        me = getcurrent()
        self._connections[me] = connection
        try:
            if porter is None or not porter.answers(connection):
                self._handle(connection.listener, connection.client, connection.address)
        finally:
            del self._connections[me]

    def _head_timeout(self) -> Timeout:
        """Return how long the current greenlet waits for a head: gunicorn has ``keepalive``."""
        connection, idle = self._connections.get(getcurrent()), self._worker.cfg.keepalive
        if connection is None or not isinstance(connection.client, Punctual):
            return Timeout(idle, False)  # TLS within gunicorn
        return HeadTimeout(idle, connection.client)

    def wsgi(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Call the app; park the client where the app asks for it."""
        connection = self._connections.get(getcurrent())
        if connection is None or connection.client is not environ.get("gunicorn.socket"):
            return self._app(environ, start_response)  # type: ignore[no-any-return]
        connection.waiting = connection.again = None
        if connection.verdict is not None:
            environ[VERDICT], connection.verdict = connection.verdict, None
        head, connection.head = connection.head, b""
        environ[CONNECTION] = connection
        body = environ["wsgi.input"]
        result = self._app(environ, start_response)
        if isinstance(result, GeneratorType):
            # A middleware that is a generator runs the app at its first step only.
            return Begun(result, lambda: self._finish(connection, body, result, start_response))
        if connection.again is not None and not connection.close and is_read(body):
            self._learn(connection, head, environ, start_response.__self__)
            self._lift_next(connection, body.reader.unreader)
        self._finish(connection, body, result, start_response)
        return result  # type: ignore[no-any-return]

    def _finish(self, connection: Connection, body: Any, result: Any, start: Any) -> None:
        response = start.__self__  # gunicorn's Response, which has what the middlewares made of it
        if is_unread(body):  # gunicorn would read on to its end, for as long as it comes
            linger(body.read, UNREAD)
            connection.close = True
        if connection.close:
            response.force_close()
        waiting, connection.waiting = connection.waiting, None
        if waiting is None or not response.status.startswith("200"):
            return  # nobody is to wait, or a middleware has answered something else
        if hasattr(result, "close"):
            result.close()
        if body.read(1):  # the rest of a body would run as the next request
            raise StopIteration
        early = body.reader.unreader.take_buffered()
        head = head_of(response)
        fd = connection.client.detach()
        connection.client = None  # what is left of it weighs as much as the connection
        waiting.park(connection, fd, early, head)
        raise StopIteration

    def take_back(self, connection: Connection, fd: int, early: bytes) -> None:
        """Serve what comes next on ``fd`` in a new greenlet; ``early`` was read of it already."""
        connection.client = Punctual(fileno=fd)
        connection.client.early = early
        connection.head = head_in(early)
        # known from here on, or a drain could end before its greenlet has begun
        self._connections[gevent.spawn(self._serve_returned, connection)] = connection

    def _serve_returned(self, connection: Connection) -> None:
        client = connection.client
        try:
            self._serve_on(connection)
        finally:
            client.close()

    # -- the lane ------------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Whether one more connection may be in the lane."""
        return self.lane is not None and len(self) + len(self._bays) < self.most

    def _learn(
        self, connection: Connection, head: bytes, environ: dict[str, Any], response: Any
    ) -> None:
        """Remember the request that was answered just now, where its head is known."""
        again = connection.again
        if not head or self.lane is None or again is None or again.app is not self._app:
            return
        if isinstance(again, Republish):
            self.posts.learn(head, connection.host, again, environ, response)
        else:
            self.lane.learn(head, connection.host, again, environ, response)

    def _lift_next(self, connection: Connection, reader: Any) -> None:
        """Have the next request of a connection read in the lane."""
        if connection.again is None or connection.waiting is not None or not self.has_room:
            return
        early = reader.take_buffered()
        if early:
            reader.unread(early)  # gunicorn has begun to read it
        elif not self.draining:
            lot = connection.again.lot
            reader.sock = Idle(connection.client, lambda fd: self._lift(connection, fd, lot))

    def _lift(self, connection: Connection, fd: int, lot: Lot) -> None:
        bay = self.bay_of(connection, lot)
        bay.take(ParkedSocket(fd, lot, bay))

    def bay_of(self, connection: Connection, lot: Lot) -> Bay:
        """Return the connection's place in the lane."""
        if connection.bay is None:
            connection.bay = Bay(connection, lot)
            connection.client = connection.again = None  # nobody needs them in the lane
            self._bays.add(connection.bay)
        return connection.bay

    def forget(self, connection: Connection, bay: Bay) -> None:
        """Let go of a connection's place in the lane; idempotent."""
        connection.bay = None
        self._bays.discard(bay)

    def find(self, head: bytes, host: object) -> Known | None:
        """Return what the lane knows of a request."""
        return None if self.lane is None or self.draining else self.lane.find(head, host)

    def find_post(self, data: bytes, host: object, last: Found | None) -> Found | None:
        """Return what the lane knows of the publish that ``data`` begins with."""
        if self.lane is None or self.draining:
            return None
        return self.posts.find(data, host, last)

    def count(self) -> None:
        """Count an answer as gunicorn does, which ends a worker after so many."""
        worker = self._worker
        worker.nr += 1
        if worker.nr >= worker.max_requests and worker.alive:
            worker.log.info("Autorestarting worker after current request.")
            worker.alive = False
            self.drain.look()

    # -- ending --------------------------------------------------------------------------------

    def _let_go(self) -> None:
        """Begin to let everybody go, and let nobody in."""
        self.draining = True
        for server in self._servers:
            server.stop_accepting()
        for connection in list(self._connections.values()):
            if not connection.busy and connection.client is not None:
                end_reading(connection.client)
        for bay in list(self._bays):
            bay.close()
        for push in live_pushes():
            push.drain()

    def _is_empty(self) -> bool:
        """Tell whether everybody has got what they are to get, and has gone."""
        busy = self._connections or self.reading or self.together
        return not busy and not any(push.unsent for push in live_pushes())

    def request_begins(self) -> None:
        connection = self._connections.get(getcurrent())
        if connection is not None:
            connection.busy = True
            # What has come already is not waited for: whoever pipelines without end would have the
            # worker for themselves, until gunicorn kills it as hung. (libuv does not count: -1)
            if connection.turn == _turn():
                let_others()
            connection.turn = _turn()

    def request_ends(self) -> None:
        self.drain.look()  # gunicorn counts, and that may have been enough
        connection = self._connections.get(getcurrent())
        if connection is not None:
            connection.busy = False
            if self.draining and connection.client is not None:
                end_reading(connection.client)


def _turn() -> int:
    """Return which turn of the loop this is: of 256, for whose numbers there is no new object."""
    return int(gevent.get_hub().loop.iteration & 0xFF)
