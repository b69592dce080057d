"""Any bytes, cut anywhere, are read as another reader reads them, or end with the right code.

What belongs here: the frame reader against one that is written for being plain: it has all bytes at
once, looks at one frame after the other, and knows nothing of ours but the limits. What does not:
single rules (``test_frames``), compression as such (``test_deflate``).
"""

from __future__ import annotations

import codecs
import struct
import zlib

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pushapp.transports import deflate
from pushapp.transports.frames import FrameReader

LIMIT = 300  # bytes of a message
TAIL = b"\x00\x00\xff\xff\x03\x00"  # what was cut off, and an empty last block
KEY = b"mask"
Heard = list[tuple[int, bytes]]
SENDABLE = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}  # close codes


class Broken(Exception):
    """With its close code."""


def plainly(data: bytes, *, packs: bool) -> tuple[Heard, int | None]:
    """Return the messages and control frames in ``data``, and how it breaks the protocol."""
    heard: Heard = []
    try:
        _read(data, packs, heard)
    except Broken as broken:
        return heard, broken.args[0]
    return heard, None


def _read(data: bytes, packs: bool, heard: Heard) -> None:
    kind, packed, message = 0, False, b""
    while len(data) >= 2:
        fin, rsv, opcode = data[0] >> 7, data[0] >> 4 & 7, data[0] & 15
        masked, size = data[1] >> 7, data[1] & 127
        first = opcode in (1, 2)
        fine = rsv == 0 or (rsv == 4 and packs and first)
        fine = fine and masked == 1 and opcode in (0, 1, 2, 8, 9, 10)
        fine = fine and ((fin == 1 and size < 126) if opcode >= 8 else first == (kind == 0))
        if not fine:
            raise Broken(1002)
        more = {126: 2, 127: 8}.get(size, 0)
        if len(data) < 2 + more:
            return
        if more:
            size = int.from_bytes(data[2 : 2 + more], "big")
            if size < (126 if more == 2 else 65536) or size >= 2**63:
                raise Broken(1002)
        if opcode < 8 and len(message) + size > LIMIT:
            raise Broken(1009)
        key, payload = data[2 + more : 6 + more], data[6 + more : 6 + more + size]
        if len(key) < 4:
            return
        payload = bytes(b ^ key[n & 3] for n, b in enumerate(payload))
        whole = len(data) >= 6 + more + size
        data = data[6 + more + size :]
        if opcode >= 8:
            if not whole:
                return
            if opcode == 8:
                _check_close(payload)
            heard.append((opcode, payload))
            if opcode == 8:
                return
            continue
        if first:
            kind, packed, message = opcode, rsv == 4, b""
        message += payload
        ends = whole and fin == 1
        if kind == 1 and not packed:
            _check_text(message, ends)
        if not whole:
            return
        if ends:
            if packed:
                message = _inflate(message)
                if kind == 1:
                    _check_text(message, True)
            heard.append((kind, message))
            kind, packed, message = 0, False, b""


def _check_text(text: bytes, whole: bool) -> None:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(text, whole)
    except UnicodeDecodeError:
        raise Broken(1007) from None


def _check_close(payload: bytes) -> None:
    if payload:
        if len(payload) == 1 or struct.unpack("!H", payload[:2])[0] not in SENDABLE:
            raise Broken(1002)
        _check_text(payload[2:], True)


def _inflate(packed: bytes) -> bytes:
    """Inflate byte by byte: where the limit is passed first, it is that; else all must be right."""
    unpacker, made, data = zlib.decompressobj(-15), b"", packed + TAIL
    for n in range(len(data)):
        try:
            made += unpacker.decompress(data[n : n + 1])
        except zlib.error:
            raise Broken(1009 if len(made) > LIMIT else 1007) from None
        if len(made) > LIMIT:
            raise Broken(1009)
    # it has ended there, or by itself before, with or without a byte that begins what was cut off
    if not unpacker.eof or unpacker.unused_data not in (b"", TAIL, b"\x00" + TAIL):
        raise Broken(1007)
    return made


def _frame(
    opcode: int, payload: bytes, fin: bool, rsv: int, key: bytes, form: int, packed: bool
) -> bytes:
    if packed:
        payload = deflate.deflate(payload)
    size = len(payload)
    form = max(form, 0 if size < 126 else 1)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    head += (
        bytes([0x80 | min(size, 125)]),
        b"\xfe" + struct.pack("!H", size),
        b"\xff" + struct.pack("!Q", size),
    )[form]
    return head + key + bytes(b ^ key[n & 3] for n, b in enumerate(payload))


def _mostly(usual: list[int], any_: st.SearchStrategy[int]) -> st.SearchStrategy[int]:
    return st.one_of(*[st.sampled_from(usual)] * 9, any_)


PAYLOADS = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=60).map(str.encode),
    st.text(max_size=20).map(lambda text: text.encode() * 20),
    st.binary(min_size=1, max_size=2).map(lambda piece: piece * 160),
    st.sampled_from([b"", b"\x03\xe8", b"\x03\xe8bye", b"\x03\xed", b"\x13\x88\xff", b"x" * 126]),
)
FRAMES = st.builds(
    _frame,
    opcode=_mostly([0, 1, 1, 2, 9, 10, 0, 8], st.integers(0, 15)),
    payload=PAYLOADS,
    fin=st.booleans(),
    rsv=_mostly([0, 0, 4], st.integers(0, 7)),
    key=st.binary(min_size=4, max_size=4),
    form=_mostly([0], st.integers(0, 2)),
    packed=st.booleans(),
)


@st.composite
def _messages(draw: st.DrawFn) -> bytes:
    """Return a message as it should be, in pieces, with what may stand between them."""
    payload, packed = draw(PAYLOADS), draw(st.booleans())
    if packed:
        payload = deflate.deflate(payload)
    ends = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=3)))
    found, opcode = b"", draw(st.sampled_from([1, 2]))
    for start, end in zip([0, *ends], [*ends, len(payload)], strict=True):
        first, last = not found, end == len(payload)
        found += _frame(
            opcode if first else 0, payload[start:end], last, 4 * (packed and first), KEY, 0, False
        )
        if last:
            return found
        if draw(st.booleans()):
            found += _frame(9, b"!", True, 0, KEY, 0, False)
    return found


MIXED = st.one_of(_messages(), _messages(), _messages(), FRAMES)
STREAMS = st.one_of(st.lists(MIXED, max_size=8).map(b"".join), st.binary(max_size=60))
LONE_EURO = _frame(1, "€".encode()[:2], False, 0, KEY, 0, False)


@settings(max_examples=400, deadline=None)
@given(STREAMS, st.lists(st.integers(0, 400), max_size=12), st.booleans())
@example(LONE_EURO + _frame(0, b"\xac", True, 0, KEY, 0, False), [7, 8, 9], False)
@example(_frame(1, bytes(LIMIT + 1), True, 4, KEY, 0, True), [3], True)
@example(_frame(1, b"too long a length", True, 0, KEY, 1, False), [], False)
@example(
    _frame(1, b"packed", True, 4, KEY, 0, True) + _frame(1, b"not", True, 0, KEY, 0, False),
    [],
    True,
)
def test_it_reads_what_another_reads(data: bytes, cuts: list[int], packs: bool) -> None:
    """The same messages before the same close code; and it keeps no more than a message."""
    reader = FrameReader(LIMIT, deflate.inflate if packs else None)
    heard: Heard = []
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    for start, end in zip(places, places[1:], strict=False):
        found = reader.feed(data[start:end])
        heard += [(int(opcode), payload) for opcode, payload in found]
        assert len(reader._head) < 14 and len(reader._control) < 126
        assert len(reader._parts) <= LIMIT
        if any(opcode == 8 for opcode, _ in found):
            break  # whoever reads listens no more
    assert (heard, reader.error and reader.error.code) == plainly(data, packs=packs)
