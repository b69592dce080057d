"""WebSocket frames (RFC 6455 section 5), without any I/O.

What belongs here: bytes to frames and back, and when they break the protocol. What does not: what
the frames say (``websocket``).

A reader exists only while a frame is incomplete or a fragmented message is under way: an idle
connection keeps none, which is why this is not a library's connection object of several KB.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from enum import IntEnum

_PACKED = 0x40  # RSV1: of a message's first frame, where it is compressed (RFC 7692 section 6)
Inflate = Callable[[bytes, int], bytes]  # a message's payload, at most so many bytes of it


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


def frame(opcode: int, payload: bytes) -> bytes:
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


def packed_text(packed: bytes) -> bytes:
    """Return a text frame whose payload has been compressed."""
    return frame(_PACKED | Opcode.TEXT, packed)


def close(code: int, reason: str = "") -> bytes:
    """Return a close frame; 1005 stands for none and is never sent (section 7.4.1)."""
    if code == 1005:
        return frame(Opcode.CLOSE, b"")
    return frame(Opcode.CLOSE, struct.pack("!H", code) + reason.encode()[:123])


class FrameReader:
    """Turns the bytes of one client into whole messages and control frames.

    Each byte is looked at once, wherever the network cuts: a client that sends one at a time costs
    no more than its bytes. ``inflate`` is given where compression was agreed on (RFC 7692).
    """

    __slots__ = (
        *("_control", "_decoder", "_first", "_head", "_inflate", "_left"),
        *("_limit", "_mask", "_opcode", "_packed", "_parts", "error", "small"),
    )

    def __init__(self, limit: int, inflate: Inflate | None = None) -> None:
        self._limit = limit  # bytes of one message, as it comes and inflated
        self._inflate = inflate
        self._head = b""  # of the next frame, while it is not whole
        self._first = -1  # first byte of the frame whose payload is coming; -1: none is
        self._left = 0  # bytes of it to come
        self._mask = b""  # of the next of these
        self._control = b""  # payload so far of the control frame that is coming
        self._opcode: Opcode | None = None  # of the message under way
        self._packed = False  # whether that one is compressed
        self._parts = bytearray()  # no list: empty fragments would cost memory without end
        self._decoder: codecs.IncrementalDecoder | None = None
        self.error: FrameError | None = None  # why the connection must be closed
        self.small = 0  # frames under 126 bytes that were no whole text: control ones, and pieces

    @property
    def idle(self) -> bool:
        """Whether nothing is under way: this reader can be dropped, a new one is as good."""
        return self._first < 0 and not self._head and self._opcode is None

    def feed(self, data: bytes) -> list[tuple[Opcode, bytes]]:
        """Return what is whole now: TEXT and BINARY messages put together, and control frames.

        Where the client breaks the protocol, ``error`` says how; what came before it still counts.
        """
        found: list[tuple[Opcode, bytes]] = []
        if self.error is None:
            try:
                self._feed(self._head + data, found)
            except FrameError as error:
                self.error = error
        return found

    def _feed(self, data: bytes, found: list[tuple[Opcode, bytes]]) -> None:
        start, self._head = 0, b""
        while True:
            if self._first < 0:
                begin = self._begin(data, start)
                if begin is None:
                    self._head = data[start:]
                    return
                start = begin
            size = min(self._left, len(data) - start)
            payload = _unmask(data[start : start + size], self._mask)
            start += size
            self._left -= size
            if self._left:
                turn = size % 4
                self._mask = self._mask[turn:] + self._mask[:turn]
            whole = self._control_frame(payload) if self._first & 8 else self._message(payload)
            if self._left:
                return
            self._first = -1
            if whole is not None:
                found.append(whole)
                if whole[0] is Opcode.CLOSE:
                    return  # section 5.5.1: nothing follows it

    def _begin(self, data: bytes, start: int) -> int | None:
        """Begin the frame at ``start``; return where its payload does. None: more is needed."""
        if len(data) < start + 2:
            return None
        first, second = data[start], data[start + 1]
        self._check(first, second)
        size, mask = second & 0x7F, start + 2
        if size >= 126:
            form, least = _LENGTHS[size]
            mask += struct.calcsize(form)
            if len(data) < mask:
                return None
            (size,) = struct.unpack_from(form, data, start + 2)
            if not least <= size < 1 << 63:
                raise FrameError(1002, "a length must take as few bytes as it can")
        if not first & 8 and len(self._parts) + size > self._limit:
            raise FrameError(1009, f"a message may have {self._limit} bytes")
        if len(data) < mask + 4:
            return None
        self._first, self._left, self._mask = first, size, data[mask : mask + 4]
        opcode, final = Opcode(first & 0x0F), bool(first & 0x80)
        if opcode in (Opcode.TEXT, Opcode.BINARY):
            self._opcode, self._packed = opcode, bool(first & _PACKED)
        whole_text = final and not first & 8 and self._opcode is Opcode.TEXT
        if size < 126 and not whole_text:
            self.small += 1
        return mask + 4

    def _check(self, first: int, second: int) -> None:
        """Check what the first two bytes of a frame say (section 5.2)."""
        opcode = first & 0x0F
        may_be_packed = self._inflate is not None and opcode in (Opcode.TEXT, Opcode.BINARY)
        if first & 0x70 & ~(_PACKED if may_be_packed else 0):
            raise FrameError(1002, "a reserved bit is set")
        if opcode not in _OPCODES:
            raise FrameError(1002, f"opcode {opcode} is reserved")
        if not second & 0x80:
            raise FrameError(1002, "a client's frame must be masked")
        if opcode & 8:
            if second & 0x7F > 125 or not first & 0x80:
                raise FrameError(1002, "a control frame is over 125 bytes or fragmented")
        elif (opcode == Opcode.CONTINUATION) != (self._opcode is not None):
            raise FrameError(1002, "a message begins or continues where it may not")

    def _control_frame(self, payload: bytes) -> tuple[Opcode, bytes] | None:
        """Take the next bytes of a control frame; return it once it is whole."""
        self._control += payload
        if self._left:
            return None
        opcode, whole = Opcode(self._first & 0x0F), self._control
        self._control = b""
        if opcode is Opcode.CLOSE:
            _check_close(whole)
        return opcode, whole

    def _message(self, payload: bytes) -> tuple[Opcode, bytes] | None:
        """Take the next bytes of a message; return it once it is whole."""
        opcode = self._opcode
        assert opcode is not None  # its first frame has begun
        final = bool(self._first & 0x80) and not self._left
        is_text = opcode is Opcode.TEXT
        if is_text and not self._packed:  # as soon as it is there (section 8.1)
            self._decoder = _decode(payload, self._decoder, final=final)
        if not final:
            self._parts += payload
            return None
        if self._parts:
            payload = bytes(self._parts + payload)
            self._parts.clear()
        self._opcode = None
        if self._packed:
            assert self._inflate is not None  # or RSV1 was refused
            payload = self._inflate(payload, self._limit)
            if is_text:
                _decode(payload, None, final=True)
        return opcode, payload


_OPCODES = frozenset(Opcode)
_LENGTHS = {126: ("!H", 126), 127: ("!Q", 65536)}  # how a longer one is written, from which on
_CLOSE_CODES = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))


def _unmask(payload: bytes, mask: bytes) -> bytes:
    """Section 5.3, for all bytes at once: an integer's xor runs in C."""
    size = len(payload)
    whole = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")).to_bytes(size, "big")


def _decode(
    data: bytes, decoder: codecs.IncrementalDecoder | None, *, final: bool
) -> codecs.IncrementalDecoder | None:
    """Check that ``data`` is UTF-8; return what the next bytes go on with. None: at the end."""
    if decoder is None and not final:
        decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        if decoder is None:
            data.decode()
        else:
            decoder.decode(data, final)
    except UnicodeDecodeError:
        raise FrameError(1007, "text must be UTF-8") from None
    return None if final else decoder


def _check_close(payload: bytes) -> None:
    """Section 7.4: no body, or a code that may be sent and a reason in UTF-8."""
    if not payload:
        return
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not (code in _CLOSE_CODES or 3000 <= code <= 4999):
        raise FrameError(1002, "no such close code")
    _decode(payload[2:], None, final=True)
