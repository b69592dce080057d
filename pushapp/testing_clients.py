"""A client for each transport, over Flask's test client.

What belongs here: clients of an app in the same, unpatched process. What does not: the fixtures
that hand them out (``testing``).
"""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, TextMessage

from .testing import Refused
from .transports.sse import Sse

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from .extension import Push

TIMEOUT = 5.0  # seconds that a wait lasts at most; only a failing test pays them


class Stream:
    """An open stream; a context manager. ``receive`` gives messages, ``events`` keeps the rest."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.events: list[dict[str, Any]] = []  # each with its ``type``
        self._waited = 0  # of the events
        self._messages: deque[dict[str, Any]] = deque()
        self._frames: SimpleQueue[dict[str, Any] | None] = SimpleQueue()

    def receive(self, timeout: float = TIMEOUT) -> dict[str, Any]:
        """Return the next message.

        Raises:
            TimeoutError: none came.
            EOFError: the stream has ended; ``events`` may say why.
        """
        while not self._messages:
            self._next(timeout)
        return self._messages.popleft()

    def wait_for(self, kind: str, timeout: float = TIMEOUT) -> dict[str, Any]:
        """Wait for the next event of this type (``live``, ``reply``, …) that was not waited for
        yet; messages before it stay to be received.

        Raises:
            TimeoutError: it did not come.
            EOFError: the stream has ended.
        """
        while True:
            fresh = self.events[self._waited :]
            for place, event in enumerate(fresh, self._waited + 1):
                if event["type"] == kind:
                    self._waited = place
                    return event
            self._next(timeout)

    def _next(self, timeout: float) -> None:
        try:
            frame = self._frames.get(timeout=timeout)
        except Empty:
            raise TimeoutError(f"nothing in {timeout:g} s; before: {self.events}") from None
        if frame is None:
            self._frames.put(None)
            raise EOFError(f"the stream has ended; before: {self.events}")
        if "type" in frame:
            self.events.append(frame)
        else:
            self._messages.append(frame)
        self.cursor = frame.get("cursor", frame.get("id", self.cursor))

    def close(self) -> None:
        """End it; idempotent."""

    def begin(self) -> None:
        """Wait until it is live.

        Raises:
            Refused: the app does not let it listen.
            TimeoutError: it did not come so far.
        """
        try:
            self.wait_for("live")
        except EOFError:
            self.close()
            for event in self.events:
                if event["type"] == "error":
                    raise Refused(event["status"], event) from None
            raise
        except TimeoutError:
            self.close()
            raise

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Sse(Stream):
    def __init__(self, response: Any, push: Push) -> None:
        super().__init__()
        self._response, self._push = response, push
        self._pump = threading.Thread(target=self._read, daemon=True)
        self._pump.start()

    def _read(self) -> None:
        text = ""
        for data in self._response.response:
            text += data.decode() if isinstance(data, bytes) else data
            *events, text = text.split("\n\n")
            for event in events:
                fields = dict(line.partition(": ")[::2] for line in event.splitlines())
                frame = json.loads(fields["data"])
                if "event" in fields:
                    frame["type"] = fields["event"]
                self._frames.put(frame)
        self._frames.put(None)

    def close(self) -> None:
        # at the server's end: the response is being read in another thread
        ours = [event["connection"] for event in self.events if event["type"] == "welcome"]
        for subscriber in self._push.hub.subscribers():
            if isinstance(subscriber, Sse) and subscriber.id in ours:
                subscriber.hang_up()
        self._pump.join(TIMEOUT)
        self._response.close()


class _WebSocket(Stream):
    def __init__(self, client: FlaskClient, path: str, headers: dict[str, str]) -> None:
        super().__init__()
        self._socket, theirs = socket.socketpair()
        self._frame = Connection(ConnectionType.CLIENT)
        key = base64.b64encode(os.urandom(16)).decode()
        headers = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key,
            **headers,
        }
        self._answer: Any = None  # the response, where there was no handshake

        def serve() -> None:
            with theirs:
                environ = {"werkzeug.socket": theirs}
                self._answer = client.get(path, headers=headers, environ_overrides=environ)

        self._server = threading.Thread(target=serve, daemon=True)
        self._server.start()
        self._pump = threading.Thread(target=self._read, daemon=True)
        self._pump.start()

    def begin(self) -> None:
        try:
            super().begin()
        except EOFError:
            if self._answer is not None and self._answer.status_code >= 400:
                raise _refusal(self._answer) from None
            raise

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(65536)
        except OSError:
            return b""  # closed with something unread, at either end

    def _read(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = self._receive()
            if not data:
                self._frames.put(None)
                return
            head += data
        data = head.partition(b"\r\n\r\n")[2]
        text = ""
        while True:
            if data:
                self._frame.receive_data(data)
            for event in self._frame.events():
                if isinstance(event, TextMessage):
                    text += event.data
                    if event.message_finished:
                        self._frames.put(json.loads(text))
                        text = ""
                elif isinstance(event, CloseConnection):
                    closing = {"type": "close", "code": event.code, "reason": event.reason}
                    self._frames.put(closing)
            data = self._receive()
            if not data:
                self._frames.put(None)
                return

    def send(self, op: dict[str, Any]) -> None:
        """Say something, such as ``{"op": "subscribe", "channels": […]}``."""
        self._socket.sendall(self._frame.send(TextMessage(json.dumps(op))))

    def close(self) -> None:
        with suppress(OSError):  # the other end, or an earlier close, has been faster
            self._socket.shutdown(socket.SHUT_RDWR)
        self._pump.join(TIMEOUT)
        self._server.join(TIMEOUT)
        self._socket.close()


class PushClient:
    """A client for each transport, over Flask's test client: its cookies are sent along.

    Each method raises ``Refused`` where the app does not let it listen.
    """

    def __init__(self, client: FlaskClient) -> None:
        # A twin with the same cookie jar: the one that was given may be within its own ``with``,
        # and keeps request contexts then that a thread beside it must not touch.
        self._client = client.application.test_client()
        self._client._cookies = client._cookies
        self._client.environ_base = client.environ_base
        self._push: Push = client.application.extensions["push"]
        self._prefix = self._push.settings.prefix

    def poll(self, channels: Sequence[str], cursor: str | None = None, **more: Any) -> Any:
        """Return the answer of one poll, as JSON."""
        return self._ask("poll", channels, cursor, more)

    def longpoll(self, channels: Sequence[str], cursor: str | None = None, **more: Any) -> Any:
        """Return the answer of one long poll; it waits ``timeout`` (default 1) s at most."""
        return self._ask("longpoll", channels, cursor, {"timeout": 1, **more})

    def sse(self, channels: Sequence[str], cursor: str | None = None, **more: Any) -> Stream:
        """Open an event stream; it is live when this returns."""
        response = self._client.get(
            f"{self._prefix}/sse", query_string=_query(channels, cursor, more), buffered=False
        )
        if response.status_code != 200:
            raise _refusal(response)
        stream = _Sse(response, self._push)
        stream.begin()
        return stream

    def websocket(
        self,
        channels: Sequence[str] = (),
        cursor: str | None = None,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> _WebSocket:
        """Open a WebSocket; it is live when this returns."""
        path = f"{self._prefix}/ws?{urlencode(_query(channels, cursor, more))}"
        stream = _WebSocket(self._client, path, headers or {})
        stream.begin()
        return stream

    def _ask(self, how: str, channels: Sequence[str], cursor: str | None, more: Any) -> Any:
        query = _query(channels, cursor, more)
        response = self._client.get(f"{self._prefix}/{how}", query_string=query)
        if response.status_code != 200:
            raise _refusal(response)
        return response.get_json()


def _refusal(response: Any) -> Refused:
    return Refused(response.status_code, response.get_json(force=True, silent=True) or {})


def _query(channels: Sequence[str], cursor: str | None, more: dict[str, Any]) -> dict[str, str]:
    query = {name: str(value) for name, value in more.items()}
    if channels:
        query["channels"] = ",".join(channels)
    if cursor is not None:
        query["cursor"] = cursor
    return query
