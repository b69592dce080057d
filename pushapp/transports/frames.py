"""WebSocket frames (RFC 6455 section 5), without any I/O.

What belongs here: bytes to frames and back, and when they break the protocol. What does not: what
the frames say (``websocket``).

A reader exists only while a frame is incomplete or a fragmented message is under way: an idle
connection keeps none, which is why this is not a library's connection object of several KB.
"""

from __future__ import annotations

import codecs
import struct
from enum import IntEnum


class Opcode(IntEnum):
    """RFC 6455 section 11.8."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class FrameError(Exception):
    """The peer broke the protocol; ``code`` is the close code that says how."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """Return one whole, unmasked frame: a server never masks (section 5.1)."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, size) + payload


def text(payload: bytes) -> bytes:
    """Return a text frame."""
    return frame(Opcode.TEXT, payload)


def close(code: int, reason: str = "") -> bytes:
    """Return a close frame; 1005 stands for none and is never sent (section 7.4.1)."""
    if code == 1005:
        return frame(Opcode.CLOSE, b"")
    return frame(Opcode.CLOSE, struct.pack("!H", code) + reason.encode()[:123])


class FrameReader:
    """Turns the bytes of one client into whole messages and control frames."""

    __slots__ = ("_buffer", "_decoder", "_limit", "_opcode", "_parts", "error", "small")

    def __init__(self, limit: int) -> None:
        self._limit = limit  # bytes of one message
        self._buffer = b""
        self._opcode: Opcode | None = None  # of the fragmented message under way
        self._parts = bytearray()  # no list: empty fragments would cost memory without end
        self._decoder: codecs.IncrementalDecoder | None = None
        self.error: FrameError | None = None  # why the connection must be closed
        self.small = 0  # frames under 126 bytes that were no whole text: control ones, and pieces

    @property
    def idle(self) -> bool:
        """Whether nothing is under way: this reader can be dropped, a new one is as good."""
        return not self._buffer and self._opcode is None

    def feed(self, data: bytes) -> list[tuple[Opcode, bytes]]:
        """Return what is whole now: TEXT and BINARY messages put together, and control frames.

        Where the client breaks the protocol, ``error`` says how; what came before it still counts.
        """
        found: list[tuple[Opcode, bytes]] = []
        if self.error is None:
            try:
                self._feed(self._buffer + data if self._buffer else data, found)
            except FrameError as error:
                self.error = error
        return found

    def _feed(self, buffer: bytes, found: list[tuple[Opcode, bytes]]) -> None:
        start = 0
        while (head := self._head(buffer, start)) is not None:
            first, mask, size = head
            if len(buffer) < mask + 4 + size:
                self._check_early(buffer, mask, first)
                break
            payload = _unmask(buffer[mask + 4 : mask + 4 + size], buffer[mask : mask + 4])
            start = mask + 4 + size
            whole = self._take(first, payload)
            if size < 126 and (whole is None or whole[0] is not Opcode.TEXT):
                self.small += 1
            if whole is not None:
                found.append(whole)
                if whole[0] is Opcode.CLOSE:
                    start = len(buffer)  # section 5.5.1: nothing follows it
        self._buffer = buffer[start:]

    def _head(self, buffer: bytes, start: int) -> tuple[int, int, int] | None:
        """Return first byte, place of the mask and payload size; None: more bytes are needed."""
        if len(buffer) < start + 2:
            return None
        first, second = buffer[start], buffer[start + 1]
        opcode = first & 0x0F
        if first & 0x70:
            raise FrameError(1002, "a reserved bit is set")
        if opcode not in _OPCODES:
            raise FrameError(1002, f"opcode {opcode} is reserved")
        if not second & 0x80:
            raise FrameError(1002, "a client's frame must be masked")
        size, mask = second & 0x7F, start + 2
        if opcode & 8:
            if size > 125 or not first & 0x80:
                raise FrameError(1002, "a control frame is over 125 bytes or fragmented")
        elif (opcode == Opcode.CONTINUATION) != (self._opcode is not None):
            raise FrameError(1002, "a message begins or continues where it may not")
        if size == 126:
            if len(buffer) < mask + 2:
                return None
            (size,) = struct.unpack_from("!H", buffer, mask)
            mask += 2
        elif size == 127:
            if len(buffer) < mask + 8:
                return None
            (size,) = struct.unpack_from("!Q", buffer, mask)
            mask += 8
        if not opcode & 8 and len(self._parts) + size > self._limit:
            raise FrameError(1009, f"a message may have {self._limit} bytes")
        return first, mask, size

    def _check_early(self, buffer: bytes, mask: int, first: int) -> None:
        """Fail on bad UTF-8 as soon as it is there, not when the frame is whole (section 8.1)."""
        opcode = self._opcode if first & 0x0F == Opcode.CONTINUATION else first & 0x0F
        if opcode == Opcode.TEXT and len(buffer) > mask + 4:
            came = _unmask(buffer[mask + 4 :], buffer[mask : mask + 4])
            decoder = codecs.getincrementaldecoder("utf-8")()
            if self._decoder is not None:
                decoder.setstate(self._decoder.getstate())
            _decode(decoder, came, final=False)

    def _take(self, first: int, payload: bytes) -> tuple[Opcode, bytes] | None:
        opcode, final = Opcode(first & 0x0F), bool(first & 0x80)
        if opcode & 8:
            if opcode is Opcode.CLOSE:
                _check_close(payload)
            return opcode, payload
        if opcode is not Opcode.CONTINUATION:
            if final:
                if opcode is Opcode.TEXT:
                    _decode(codecs.getincrementaldecoder("utf-8")(), payload, final=True)
                return opcode, payload
            self._opcode = opcode
            if opcode is Opcode.TEXT:
                self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._parts += payload
        if self._decoder is not None:
            _decode(self._decoder, payload, final=final)
        if not final:
            return None
        whole = self._opcode or opcode, bytes(self._parts)
        self._opcode, self._parts, self._decoder = None, bytearray(), None
        return whole


_OPCODES = frozenset(Opcode)
_CLOSE_CODES = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))


def _unmask(payload: bytes, mask: bytes) -> bytes:
    """Section 5.3, for all bytes at once: an integer's xor runs in C."""
    size = len(payload)
    whole = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")).to_bytes(size, "big")


def _decode(decoder: codecs.IncrementalDecoder, data: bytes, *, final: bool) -> None:
    try:
        decoder.decode(data, final)
    except UnicodeDecodeError:
        raise FrameError(1007, "text must be UTF-8") from None


def _check_close(payload: bytes) -> None:
    """Section 7.4: no body, or a code that may be sent and a reason in UTF-8."""
    if not payload:
        return
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not (code in _CLOSE_CODES or 3000 <= code <= 4999):
        raise FrameError(1002, "no such close code")
    _decode(codecs.getincrementaldecoder("utf-8")(), payload[2:], final=True)
