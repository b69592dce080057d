"""Four small clients with one face, one for each transport.

What belongs here: what the contract says a client sends, reads and remembers. What does not: what
they have in common (``subscriber``), frames (``websocket_client``), what is right or wrong.
"""

from __future__ import annotations

import json
import threading
from typing import Any

from .subscriber import Client as Client
from .subscriber import Json
from .subscriber import Refused as Refused
from .websocket_client import WebSocket as WebSocket
from .wire import Ended, request


class Poll(Client):
    """Asks again and again, on one connection for as long as the server keeps it."""

    transport, path = "poll", "/push/poll"
    pause = 0.02  # seconds between two questions; far less than ``advice`` says

    def _open(self) -> None:
        self._ask()
        self.first = self.reply

    def _read(self) -> None:
        if not self.reply.json.get("more"):
            threading.Event().wait(self.pause)
        self._ask()

    def _ask(self) -> None:
        question = request("GET", self._question(), self.headers)
        try:
            self.wire.send(question)
            self.reply = self.wire.reply()
        except ConnectionError:  # it may close an idle connection at any time
            self.wire.close()
            self.wire = self._dial()
            self.wire.send(question)
            self.reply = self.wire.reply()
        if self.reply.closes:
            self.wire.close()
            self.wire = self._dial()
        if self.reply.status != 200:
            raise Refused(self.reply, self.reply.json)
        self._file_answer(self.reply.json)

    def _question(self) -> str:
        return self.target(cursor=self.cursor, connection=self.connection)

    def _file_answer(self, answer: Json) -> None:
        self.connection, self.cursor = answer["connection"], answer["cursor"]
        if not answer["recovered"] or self.recovered is None:
            self.recovered, self.lost = answer["recovered"], answer.get("lost", [])
        for channel, told in answer.get("presence", {}).items():
            self._file_event({"type": "presence", "channel": channel, **told})
        for channel, messages in answer.get("history", {}).items():
            self.events.append({"type": "history", "channel": channel, "messages": messages})
        for raw in _elements(self.reply.body, b'"messages":['):
            self._file_message(raw)


class LongPoll(Poll):
    """Asks, and has its answer when there is one."""

    transport, path = "longpoll", "/push/longpoll"
    pause = 0.0

    def ask(self, timeout: float) -> None:
        """Begin to wait, and do not read what comes of it."""
        target = self.target(cursor=self.cursor, connection=self.connection, timeout=timeout)
        self.wire.send(request("GET", target, self.headers))

    def _question(self) -> str:
        """Wait a second at most, so that a message to a channel that it lost is noticed soon."""
        timeout = self.params.get("timeout", 1)
        return self.target(cursor=self.cursor, connection=self.connection, timeout=timeout)


class Sse(Client):
    """Reads one endless reply of events."""

    transport, path = "sse", "/push/sse"

    def _open(self) -> None:
        self._body = b""
        self.wire.send(request("GET", self.target(cursor=self.cursor), self.headers))
        self.reply = self.wire.head()
        if self.reply.status != 200:
            length = int(self.reply.header("Content-Length") or 0)
            self.reply.body = self.wire.take(length)
            raise Refused(self.reply, self.reply.json)
        self._chunked = "chunked" in self.reply.listed("Transfer-Encoding")
        self.ids: list[str] = []  # each id: line that came
        while self.recovered is None:
            self._read()

    def _read(self) -> None:
        fields = self._fields()
        kind, data = fields.get(b"event"), fields.get(b"data")
        if b"id" in fields:
            self.cursor = fields[b"id"].decode()
            self.ids.append(self.cursor)
        if data is None:
            return  # a comment
        if kind is None:
            self._file_message(data)
            return
        event = {**json.loads(data), "type": kind.decode()}
        self._file_event(event)
        if kind == b"error":
            raise Refused(None, event)

    def _fields(self) -> dict[bytes, bytes]:
        """Read one event, or one block of comments: field → value."""
        while b"\n\n" not in self._body:
            if self._chunked:
                data = self.wire.chunk()
            else:
                if not self.wire.received:
                    self.wire.fill()
                data = self.wire.take(len(self.wire.received))
            if not data:
                raise Ended(f"the stream ended after {self.trail[-5:]}")
            self._body += data
        block, _, self._body = self._body.partition(b"\n\n")
        fields: dict[bytes, bytes] = {}
        for line in block.split(b"\n"):
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            fields[name] = fields[name] + b"\n" + value if name in fields else value
        fields.pop(b"", None)
        return fields


def _elements(body: bytes, mark: bytes) -> list[bytes]:
    """Return the bytes of each member of the JSON array that follows ``mark``."""
    text = body.decode()
    at = text.index(mark.decode()) + len(mark)
    decoder, found = json.JSONDecoder(), []
    while text[at] != "]":
        _, end = decoder.raw_decode(text, at)
        found.append(text[at:end].encode())
        at = end + (text[end] == ",")
    return found


CLIENTS: dict[str, type[Client]] = {c.transport: c for c in (Poll, LongPoll, Sse, WebSocket)}
TRANSPORTS = tuple(CLIENTS)


def open_client(transport: str, port: int, *args: Any, **params: Any) -> Client:
    """Open a client of this transport; see ``Client`` for the arguments."""
    client = CLIENTS[transport](port, *args, **params)
    client.open()
    return client
