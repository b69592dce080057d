"""permessage-deflate (RFC 7692): messages compressed once, however many get them.

What belongs here: what is agreed on in the handshake, compressed text frames, and inflating what a
client sends. What does not: frames as such (``frames``).

Each message is compressed by itself (``no_context_takeover`` both ways). So all clients get the
same bytes, and a client that waits keeps no window: a context for each would be 40 to 130 KB, and a
compression for each.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..broker.roster import is_presence
from ..message import Message
from . import frames
from .frames import FrameError
from .members import frame

LEAST = 256  # bytes of a message that is compressed: a shorter one fits into a packet as it is
MOST = 1 << 20  # ... which would keep a worker from all else for over 10 ms
WINDOW = 12  # bits: 2 to 7 % more bytes than 15, in a third of the time for 1 KB
_MEMORY = 5  # zlib's memLevel: 8 has 128 KB to clear for each message
_LEVEL = 6  # zlib's default
_TAIL = b"\x00\x00\xff\xff"  # ends each flush, and is left out (section 7.2.1)
_END = b"\x03\x00"  # an empty last block: what is whole takes it for its end
_NAME = "permessage-deflate"
_BITS = re.compile("[89]|1[0-5]")
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110 section 5.6.2
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*(?:=\s*({_TOKEN}|"{_TOKEN}"))?\s*')
_Parameters = Mapping[str, str | None]


class Agreed(NamedTuple):
    """What a handshake has agreed on."""

    answer: bytes  # the value of Sec-WebSocket-Extensions
    window: int  # bits of what the client can inflate

    @property
    def compresses(self) -> bool:
        """Whether what we compress for all is for it, too; else it alone may send compressed."""
        return self.window >= WINDOW


def negotiate(offers: str) -> Agreed | None:
    """Take the first of ``offers``, a Sec-WebSocket-Extensions header, that can be taken."""
    for offer in offers.split(","):
        name, *parts = offer.split(";")
        if name.strip() != _NAME:
            continue
        parameters = _parameters(parts)
        if parameters is not None:
            return _agree(parameters)
    return None


def _parameters(parts: Sequence[str]) -> _Parameters | None:
    """Return an offer's parameters; None where it has to be declined (section 7.1)."""
    found: dict[str, str | None] = {}
    for part in parts:
        match = _PARAMETER.fullmatch(part)
        if match is None or match[1] in found:
            return None
        name, value = match[1], match[2]
        if value is not None:
            value = value.strip('"')
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if value is not None:
                return None
        elif name in ("server_max_window_bits", "client_max_window_bits"):
            if value is None and name == "server_max_window_bits":
                return None
            if value is not None and not _BITS.fullmatch(value):
                return None
        else:
            return None
        found[name] = value
    return found


def _agree(parameters: _Parameters) -> Agreed:
    answer = f"{_NAME}; server_no_context_takeover; client_no_context_takeover"
    bits = parameters.get("server_max_window_bits")
    if bits is not None:
        answer += f"; server_max_window_bits={bits}"
    return Agreed(answer.encode(), zlib.MAX_WBITS if bits is None else int(bits))


def text_frames(pairs: Sequence[tuple[Message, bytes]]) -> bytes:
    """Encode messages as text frames, and changes of presence; each is compressed once, however
    many bundles it is part of."""
    return b"".join([_frame(m, frame(m) if is_presence(m.channel) else body) for m, body in pairs])


def _frame(message: Message, payload: bytes) -> bytes:
    if not LEAST <= len(payload) <= MOST:
        return frames.text(payload)
    packed = message.packed
    if packed is None or packed[0] != payload:  # its tombstone is another one
        packed = message.packed = payload, text(payload)
    return packed[1]


def text(payload: bytes) -> bytes:
    """Return a text frame, compressed where that makes it shorter."""
    packed = deflate(payload)
    return frames.packed_text(packed) if len(packed) < len(payload) else frames.text(payload)


def deflate(payload: bytes, window: int = WINDOW) -> bytes:
    """Return ``payload`` compressed, for a window of 2 to the ``window`` bytes or more."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -window, _MEMORY)
    return (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[: -len(_TAIL)]


def inflate(data: bytes, limit: int) -> bytes:
    """Return what a client has compressed.

    Raises:
        FrameError: it is over ``limit`` bytes, of which no more are made, or no compressed data.
    """
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        payload = unpacker.decompress(data + _TAIL + _END, limit + 1)
    except zlib.error:
        raise FrameError(1007, "what came is not compressed data") from None
    if len(payload) > limit:
        raise FrameError(1009, f"a message may have {limit} bytes")
    # a client may end it with a last block of its own, and one byte to begin the tail (7.2.3.4)
    rest = unpacker.unused_data
    if not unpacker.eof or rest not in (b"", _TAIL + _END, b"\x00" + _TAIL + _END):
        raise FrameError(1007, "what came is not compressed data, or not all of it")
    return payload
