"""A WebSocket client that sees every frame, and can send wrong ones.

What belongs here: RFC 6455 from the client's side. What does not: what is right or wrong with what
comes; that is the tests' own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct

from .subscriber import Client, Json, Refused
from .wire import request

_WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0  # opcodes


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
        if self.first is not None:
            self.send(self.first)
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
            if event["type"] == "presence" and "members" not in event:
                self.cursor = event["version"]
        elif opcode == CLOSE:
            self.code = struct.unpack("!H", payload[:2])[0] if payload else 1005
            self.reason = payload[2:].decode()
            error = next((e for e in reversed(self.events) if e.get("type") == "error"), {})
            raise Refused(None, error, self.code)
        else:
            self.events.append({"type": f"opcode {opcode}", "payload": payload})

    def frame(self) -> tuple[int, bytes]:
        """Read one frame, which a server must send whole and unmasked."""
        first, second = self.wire.take(2)
        assert second < 128, "a server masks nothing"
        length = second
        if second == 126:
            (length,) = struct.unpack("!H", self.wire.take(2))
        elif second == 127:
            (length,) = struct.unpack("!Q", self.wire.take(8))
        return first & 0x0F, self._plain(first, self.wire.take(length))

    def _plain(self, first: int, payload: bytes) -> bytes:
        """Return the payload of a frame that begins with ``first``: it must be uncompressed."""
        assert first & 0xF0 == 0x80, f"FIN alone should be set: {first:#x}"
        return payload

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
