"""The frame reader against RFC 6455, and against wsproto as its oracle."""

from __future__ import annotations

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol

from pushapp.transports import frames
from pushapp.transports.frames import FrameReader, Opcode

LIMIT = 100_000  # bytes


def masked(opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0) -> bytes:
    """Return a frame as a client sends it."""
    mask = os.urandom(4)
    first = (0x80 if fin else 0) | rsv | opcode
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = struct.pack("!BBH", first, 0xFE, size)
    else:
        head = struct.pack("!BBQ", first, 0xFF, size)
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def fed(data: bytes, step: int = 0) -> tuple[list[tuple[Opcode, bytes]], int | None]:
    """Return what a reader makes of ``data``, in pieces of ``step`` bytes; and its error's code."""
    reader = FrameReader(LIMIT)
    found = []
    for i in range(0, len(data), step or max(1, len(data))):
        found += reader.feed(data[i : i + (step or len(data))])
    return found, reader.error.code if reader.error else None


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("step", [0, 1000])
def test_a_text_frame_of_any_length_comes_through(size: int, step: int) -> None:
    """7, 16 and 64 bit lengths, whole or in pieces."""
    assert fed(masked(1, b"x" * size), step) == ([(Opcode.TEXT, b"x" * size)], None)


def test_a_frame_may_come_a_byte_at_a_time() -> None:
    """Nothing is assumed about where the network cuts."""
    data = masked(1, "grüße".encode()) + masked(9, b"p") + masked(1, b"y")
    expected = [(Opcode.TEXT, "grüße".encode()), (Opcode.PING, b"p"), (Opcode.TEXT, b"y")]
    assert fed(data, 1) == (expected, None)


def test_control_frames_may_stand_between_fragments() -> None:
    """Section 5.4."""
    data = masked(1, b"a", fin=False) + masked(9, b"!") + masked(0, b"b")
    assert fed(data) == ([(Opcode.PING, b"!"), (Opcode.TEXT, b"ab")], None)


def test_utf_8_may_be_cut_between_fragments() -> None:
    """Section 5.6: a whole message must be UTF-8, a fragment need not."""
    euro = "€".encode()
    assert fed(masked(1, euro[:1], fin=False) + masked(0, euro[1:]))[0] == [(Opcode.TEXT, euro)]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (masked(1, b"x", rsv=0x40), 1002),
        (masked(3, b"x"), 1002),
        (frames.text(b"unmasked"), 1002),
        (masked(9, b"x", fin=False), 1002),
        (masked(9, b"x" * 126), 1002),
        (masked(0, b"x"), 1002),
        (masked(1, b"x", fin=False) + masked(1, b"x"), 1002),
        (b"\x81\xfe\x00\x7dmask" + b"x" * 125, 1002),
        (b"\x81\xff\x00\x00\x00\x00\x00\x00\xff\xffmask", 1002),
        (b"\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00mask", 1002),
        (masked(8, b"x"), 1002),
        (masked(8, struct.pack("!H", 1005)), 1002),
        (masked(8, struct.pack("!H", 999)), 1002),
        (masked(8, struct.pack("!H", 1000) + b"\xff"), 1007),
        (masked(1, b"\xff"), 1007),
        (masked(1, b"\xe2\x82"), 1007),
        (masked(1, b"\xed\xa0\x80"), 1007),
        (masked(1, b"x" * (LIMIT + 1)), 1009),
        (masked(1, b"x" * LIMIT, fin=False) + masked(0, b"x"), 1009),
    ],
    # masks are random: names made of the bytes would differ between the processes of one run
    ids=lambda value: str(value) if isinstance(value, int) else "frame",
)
def test_what_breaks_the_protocol_has_its_close_code(data: bytes, code: int) -> None:
    """Section 7.4.1."""
    assert fed(data)[1] == code


def test_what_came_before_an_error_still_counts() -> None:
    """Both in one read."""
    assert fed(masked(1, b"first") + masked(3, b"")) == ([(Opcode.TEXT, b"first")], 1002)


def test_bad_utf_8_fails_before_its_frame_is_whole() -> None:
    """Section 8.1, as soon as it is there."""
    assert fed(masked(1, b"\xff" + b"x" * 100)[:10])[1] == 1007


def test_a_reader_is_idle_between_messages_alone() -> None:
    """So that it may be dropped."""
    reader = FrameReader(LIMIT)
    data = masked(1, b"hello")
    reader.feed(data[:3])
    assert not reader.idle
    reader.feed(data[3:])
    assert reader.idle
    reader.feed(masked(1, b"x", fin=False))
    assert not reader.idle


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.integers(1, 50))
def test_it_reads_what_wsproto_writes(payloads: list[bytes], step: int) -> None:
    """Fragmented binary messages of any content, cut anywhere."""
    writer = FrameProtocol(client=True, extensions=[])
    data = b"".join(
        bytes(writer.send_data(p, fin=i == len(payloads) - 1)) for i, p in enumerate(payloads)
    )
    assert fed(data, step) == ([(Opcode.BINARY, b"".join(payloads))], None)


@given(st.binary(max_size=200))
def test_no_bytes_at_all_make_it_raise(data: bytes) -> None:
    """Whatever comes ends as frames or as an error with a code."""
    _, code = fed(data)
    assert code in (None, 1002, 1007, 1009)
