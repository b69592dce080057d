"""Four small clients with one face, one for each transport.

What belongs here: what the contract says a client sends, reads and remembers. What does not:
what is right or wrong with it; that is the tests' own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

from .wire import TIMEOUT, Ended, Reply, Wire, request

Json = dict[str, Any]

_WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0  # opcodes


class Refused(Exception):
    """The server did not take the client: an HTTP reply, or an error and a close code."""

    def __init__(self, reply: Reply | None, error: Json, code: int | None = None) -> None:
        super().__init__(reply, error, code)
        self.reply, self.error, self.code = reply, error, code

    @property
    def status(self) -> int | None:
        """The HTTP status, or the one that the error frame names."""
        return self.reply.status if self.reply else self.error.get("status")

    @property
    def detail(self) -> str:
        detail: str = self.error["detail"]
        return detail


class Client:
    """One subscriber."""

    transport: ClassVar[str]
    path: ClassVar[str]

    def __init__(
        self,
        port: int,
        channels: Iterable[str] = (),
        cursor: str | Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None,
        **params: object,
    ) -> None:
        self.port, self.channels = port, list(channels)
        self.headers, self.params = dict(headers or {}), params
        self.cursor: Any = cursor  # a list stands for several; the server hands out one
        self.connection: str | None = None
        self.recovered: bool | None = None
        self.lost: list[Json] = []
        self.events: list[Json] = []  # everything that came, in order; messages have no "type"
        self.raw: list[bytes] = []  # the messages' own bytes
        self.local_ports: list[int] = []
        self._inbox: list[Json] = []
        self.wire = self._dial()

    def open(self) -> None:
        """Ask for the channels; return when the server has told where the client stands.

        Raises:
            Refused: it did not take the client.
            Ended: the connection broke; what came before it is in ``events`` all the same.
        """
        try:
            self._open()
        except BaseException:
            self.wire.close()
            raise

    def _dial(self) -> Wire:
        wire = Wire(self.port)
        self.local_ports.append(wire.local_port)
        return wire

    def _open(self) -> None:
        raise NotImplementedError

    def _read(self) -> None:
        """Wait for something and file it."""
        raise NotImplementedError

    def target(self, **params: object) -> str:
        """Return the request target with this client's parameters and these; lists repeat one."""
        query = {"channels": self.channels, **self.params, **params}
        pairs = {name: value for name, value in query.items() if value not in (None, "")}
        return f"{self.path}?{urlencode(pairs, doseq=True, safe=':,')}"

    def receive(self, count: int = 1) -> list[Json]:
        """Wait for that many messages and return them."""
        deadline = time.monotonic() + TIMEOUT
        while len(self._inbox) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self._inbox)} of {count} messages: {self.events[-9:]}")
            self._read()
        taken, self._inbox = self._inbox[:count], self._inbox[count:]
        return taken

    def data(self, count: int = 1) -> list[Any]:
        """Wait for that many messages and return their data."""
        return [message["data"] for message in self.receive(count)]

    def wait_for(self, kind: str) -> Json:
        """Wait for the next event of this type and return it."""
        seen, deadline = len(self.events), time.monotonic() + TIMEOUT
        while True:
            for event in self.events[seen:]:
                if event.get("type") == kind:
                    return event
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {kind}: {self.events[seen:]}")
            seen = len(self.events)
            self._read()

    @property
    def waiting(self) -> list[Json]:
        """Messages that have come and were not received yet."""
        return list(self._inbox)

    @property
    def trail(self) -> list[str]:
        """The kinds of everything that came, in order."""
        return [event.get("type", "message") for event in self.events]

    def history(self, channel: str) -> list[Json]:
        """Return what came as this channel's history."""
        found = [e for e in self.events if e.get("type") == "history" and e["channel"] == channel]
        return [message for event in found for message in event["messages"]]

    def _file_message(self, raw: bytes) -> Json:
        message: Json = json.loads(raw)
        self.raw.append(raw)
        self.events.append(message)
        self._inbox.append(message)
        return message

    def _file_event(self, event: Json) -> None:
        self.events.append(event)
        if event["type"] == "welcome":
            self.connection = event["connection"]
        if event["type"] == "live":
            self.recovered, self.lost = event["recovered"], event.get("lost", [])
        if event["type"] in ("live", "heartbeat"):
            self.cursor = event["cursor"]

    def close(self) -> None:
        """Leave; idempotent."""
        self.wire.close()


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
        for channel, messages in answer.get("history", {}).items():
            self.events.append({"type": "history", "channel": channel, "messages": messages})
        for raw in _elements(self.reply.body, b'"messages":['):
            self._file_message(raw)


class LongPoll(Poll):
    """Asks, and has its answer when there is one."""

    transport, path = "longpoll", "/push/longpoll"
    pause = 0.0

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


class WebSocket(Client):
    """Speaks frames. ``ask`` sends an operation and waits for its reply."""

    transport, path = "websocket", "/push/ws"

    def _open(self) -> None:
        self.code: int | None = None  # the close code that came
        self.reason = ""
        self._ref = 0
        self.key = base64.b64encode(os.urandom(16)).decode()
        self.wire.send(request("GET", self.target(cursor=self.cursor), self.handshake()))
        self.reply = self.wire.head()
        if self.reply.status != 101:
            self.reply.body = self.wire.take(int(self.reply.header("Content-Length") or 0))
            raise Refused(self.reply, self.reply.json)
        digest = hashlib.sha1((self.key + _WEBSOCKET_GUID).encode()).digest()
        assert self.reply.header("Sec-WebSocket-Accept") == base64.b64encode(digest).decode()
        last = "live" if self.channels else "welcome"
        while last not in self.trail:
            self._read()

    def handshake(self) -> dict[str, str]:
        return {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": self.key,
            **self.headers,
        }

    def _read(self) -> None:
        opcode, payload = self.frame()
        if opcode == TEXT:
            event = json.loads(payload)
            if "type" not in event:
                self.cursor = self._file_message(payload).get("cursor", event["id"])
                return
            self._file_event(event)
            if event["type"] == "reply" and "cursor" in event:
                self.cursor = event["cursor"]
        elif opcode == CLOSE:
            self.code = struct.unpack("!H", payload[:2])[0] if payload else 1005
            self.reason = payload[2:].decode()
            error = next((e for e in reversed(self.events) if e.get("type") == "error"), {})
            raise Refused(None, error, self.code)
        else:
            self.events.append({"type": f"opcode {opcode}", "payload": payload})

    def frame(self) -> tuple[int, bytes]:
        """Read one frame, which a server must send whole, unmasked and uncompressed."""
        first, second = self.wire.take(2)
        assert first & 0xF0 == 0x80, f"FIN alone should be set: {first:#x}"
        assert second < 128, "a server masks nothing"
        length = second
        if second == 126:
            (length,) = struct.unpack("!H", self.wire.take(2))
        elif second == 127:
            (length,) = struct.unpack("!Q", self.wire.take(8))
        return first & 0x0F, self.wire.take(length)

    def send(self, operation: Json) -> None:
        self.send_frame(TEXT, json.dumps(operation).encode())

    def send_frame(
        self, opcode: int, payload: bytes, *, fin: bool = True, mask: bool = True, rsv: int = 0
    ) -> None:
        self.wire.send(frame(opcode, payload, fin=fin, mask=mask, rsv=rsv))

    def ask(self, op: str, **fields: object) -> Json:
        """Send an operation with a ref of its own; return the reply that repeats it."""
        self._ref += 1
        ref = f"ref-{self._ref}"
        self.send({"op": op, "ref": ref, **fields})
        while True:
            reply = self.wait_for("reply")
            if reply.get("ref") == ref:
                return reply

    def closing(self) -> int:
        """Wait until the server closes; return its close code."""
        try:
            while True:
                self._read()
        except Refused as end:
            assert end.code is not None
            return end.code


def frame(
    opcode: int, payload: bytes, *, fin: bool = True, mask: bool = True, rsv: int = 0
) -> bytes:
    """Return one WebSocket frame (RFC 6455 section 5.2), right or deliberately wrong."""
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = mask << 7
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 65536:
        head += bytes([bit | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", len(payload))
    if not mask:
        return head + payload
    key = os.urandom(4)
    pad = (key * (len(payload) // 4 + 1))[: len(payload)]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return head + key + masked.to_bytes(len(payload), "big")


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
