"""permessage-deflate (RFC 7692): what is agreed on, each message compressed once, and bombs.

What belongs here: compression. What does not: frames as such (``test_frames``), a browser
(``browser/test_compression``).
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import FrameProtocol

from pushapp.message import Message
from pushapp.transports import deflate, frames
from pushapp.transports.frames import FrameError
from pushapp.transports.websocket import Deflating, Inflating, WebSocket, kind_of

from .. import websocket_client
from ..server import Server
from ..websocket_client import CONTINUATION, PING, TEXT

OFFER = "permessage-deflate; client_max_window_bits"
RSV1 = 4
TAIL = b"\x00\x00\xff\xff"
BASE = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
LONG = {"text": "the same words again and again, " * 40}


class Packed(websocket_client.WebSocket):
    """A client that offers compression, and keeps what came compressed."""

    offer = OFFER

    def handshake(self) -> dict[str, str]:
        self.packed: list[bytes] = []
        return {**super().handshake(), "Sec-WebSocket-Extensions": self.offer}

    def _plain(self, first: int, payload: bytes) -> bytes:
        if not first & 0x40:
            return super()._plain(first, payload)
        assert first == 0xC0 | TEXT, "of whole texts alone"
        self.packed.append(payload)
        return inflated(payload)

    def send_packed(self, payload: bytes) -> None:
        self.send_frame(TEXT, deflate.deflate(payload), rsv=RSV1)


def inflated(payload: bytes, window: int = 15) -> bytes:
    """Return what a client makes of a payload, with a window of so many bits."""
    return zlib.decompressobj(-window).decompress(payload + TAIL)


@pytest.fixture(scope="module")
def packing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that compresses."""
    path = tmp_path_factory.mktemp("packing")
    server = Server(path, WEB_CONCURRENCY=1, PUSH_DEFLATE=1, PUSH_HEARTBEAT=1).start()
    yield server
    server.stop()


@pytest.fixture
def open_packed(packing: Server) -> Iterator[Callable[..., Packed]]:
    """Open clients that offer compression."""
    clients: list[Packed] = []

    def open_one(*args: object, **params: object) -> Packed:
        client = Packed(packing.port, *args, **params)  # type: ignore[arg-type]
        clients.append(client)
        client.open()
        return client

    yield open_one
    for client in clients:
        client.close()


# The handshake


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        ("permessage-deflate", BASE),
        (OFFER, BASE),
        ("permessage-deflate; client_max_window_bits=9", BASE),
        (' permessage-deflate ; client_max_window_bits = "12" ', BASE),
        ("permessage-deflate;server_no_context_takeover;client_no_context_takeover", BASE),
        ("permessage-deflate; server_max_window_bits=12", BASE + b"; server_max_window_bits=12"),
        ("permessage-deflate; server_max_window_bits=9", BASE + b"; server_max_window_bits=9"),
        ("x-webkit-deflate-frame, permessage-deflate", BASE),
        ("permessage-deflate; from_the_future, permessage-deflate", BASE),
        ("", None),
        ("x-webkit-deflate-frame", None),
        ("permessage-deflate; from_the_future", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=7", None),
        ("permessage-deflate; server_max_window_bits=012", None),
        ("permessage-deflate; client_max_window_bits=x", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; ;", None),
        ("permessage-deflate\x00", None),
    ],
)
def test_the_first_offer_that_can_be_taken_is(offers: str, answer: bytes | None) -> None:
    """RFC 7692 section 7.1: one with a parameter that is unknown, repeated or wrong is declined."""
    agreed = deflate.negotiate(offers)
    assert (agreed and agreed.answer) == answer


def test_who_has_too_small_a_window_gets_nothing_compressed() -> None:
    """Its own messages may be; ours would need more of a window than it has."""
    kinds = {
        "permessage-deflate": Deflating,
        "permessage-deflate; server_max_window_bits=12": Deflating,
        "permessage-deflate; server_max_window_bits=11": Inflating,
        "none of ours": WebSocket,
    }
    assert {offer: kind_of(deflate.negotiate(offer)) for offer in kinds} == kinds
    assert Inflating.encode is WebSocket.encode is not Deflating.encode


def test_an_idle_client_weighs_nothing_more() -> None:
    """What has been agreed on is its class; a window is nobody's."""
    assert Deflating.__basicsize__ == Inflating.__basicsize__ == WebSocket.__basicsize__


# Compressed once


def message(data: str) -> Message:
    return Message("k", 2, 1, "public:a", "message", 1.5, None, data)


def test_a_message_is_compressed_once_however_many_bundles_it_is_in() -> None:
    """The second time the very same bytes come back."""
    long = message(json.dumps(LONG))
    first = deflate.text_frames([(long, long.body())])
    assert deflate.text_frames([(long, long.body())]) is first
    assert opened(first) == long.body()


def test_a_message_and_its_tombstone_are_two() -> None:
    """However long the names in it are."""
    long = Message("k", 2, 1, "c" * 128, "e" * 64, 1.5, 2.0, json.dumps(LONG))
    for body in (long.body(), long.tombstone(), long.body()):
        assert opened(deflate.text_frames([(long, body)])) == body


def opened(frame: bytes) -> bytes:
    """Return what is in a frame of ours, by wsproto's reading."""
    extension = PerMessageDeflate()
    extension._enabled = True
    reader = FrameProtocol(client=True, extensions=[extension])
    reader.receive_bytes(frame)
    (found,) = reader.received_frames()
    text: str = found.payload
    return text.encode()


@pytest.mark.parametrize("data", ['"short"', json.dumps(os.urandom(600).hex()[:130])])
def test_what_is_short_goes_as_it_is(data: str) -> None:
    """Under ``LEAST`` bytes nothing is gained."""
    short = message(data)
    assert deflate.text_frames([(short, short.body())]) == frames.text(short.body())


def test_what_compression_makes_longer_goes_as_it_is() -> None:
    """Bytes that are random already."""
    noise = os.urandom(1000)
    assert deflate.text(noise) == frames.text(noise)


@given(st.text(min_size=0, max_size=3000), st.integers(1, 40))
def test_a_window_of_twelve_bits_is_enough(text: str, times: int) -> None:
    """Whatever the text, by zlib's own word; and ours comes back by our own way."""
    payload = (text * times).encode()
    assert inflated(deflate.deflate(payload), deflate.WINDOW) == payload
    assert deflate.inflate(deflate.deflate(payload), len(payload)) == payload


# Inflating


@pytest.mark.parametrize(
    "packed",
    ["f248cdc9c90700", "f348cdc9c90700", "f248050000 00ffffcac9c90700", "000500faff48656c6c6f00"],
)
def test_the_rfcs_own_examples_are_read(packed: str) -> None:
    """Section 7.2.3: one block, a last block, two blocks, and one that is not compressed."""
    assert deflate.inflate(bytes.fromhex(packed), 5) == b"Hello"


@pytest.mark.parametrize("limit", [0, 1, 4])
def test_what_is_over_the_limit_is_1009(limit: int) -> None:
    """No more than the limit is ever made of it."""
    with pytest.raises(FrameError) as caught:
        deflate.inflate(deflate.deflate(b"Hello"), limit)
    assert caught.value.code == 1009


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\xff\xff\xff",
        deflate.deflate(b"Hello" * 100)[:-3],
        deflate.deflate(os.urandom(100))[:-30],
        zlib.compress(b"Hello"),
        b"\x03\x00" * 1000,
        bytes.fromhex("f348cdc9c90700") * 2,
    ],
    ids=["nothing", "noise", "cut", "cut raw", "zlib's head", "many ends", "after the end"],
)
def test_what_is_not_compressed_data_is_1007(packed: bytes) -> None:
    """Never a part that looks whole."""
    with pytest.raises(FrameError) as caught:
        deflate.inflate(packed, 1000)
    assert caught.value.code == 1007


@given(st.binary(max_size=300), st.integers(0, 500))
def test_no_bytes_at_all_make_it_raise_anything_else(packed: bytes, limit: int) -> None:
    """They end as at most ``limit`` bytes, or as an error with a code."""
    try:
        assert len(deflate.inflate(packed, limit)) <= limit
    except FrameError as error:
        assert error.code in (1007, 1009)


# On the wire


def test_two_subscribers_get_the_same_bytes(
    packing: Server, open_packed: Callable[..., Packed], channel: str
) -> None:
    """A fifth of what it was; a short one, and all that is not a message, is as it was."""
    clients = [open_packed([channel]) for _ in range(2)]
    plain = websocket_client.WebSocket(packing.port, [channel])
    plain.open()
    for client in clients:
        assert client.reply.header("Sec-WebSocket-Extensions") == BASE.decode()
    for data in ("short", LONG, "short again"):
        packing.publish(channel, data)
    expected = plain.receive(3)
    for client in clients:
        assert client.receive(3) == expected
        assert client.raw == plain.raw
        client.wait_for("heartbeat")
    ours, theirs = (client.packed for client in clients)
    assert ours == theirs
    assert [inflated(packed) for packed in ours] == [plain.raw[1]]
    assert len(ours[0]) < len(plain.raw[1]) / 5
    plain.close()


def test_a_backlog_is_compressed_too(
    packing: Server, open_packed: Callable[..., Packed], channel: str
) -> None:
    """It is messages as any others."""
    cursor = packing.publish(channel, "first")
    packing.publish(channel, LONG)
    client = open_packed([channel], cursor)
    assert client.data() == [LONG]
    assert len(client.packed) == 1


def test_an_op_may_come_compressed_and_in_pieces(open_packed: Callable[..., Packed]) -> None:
    """RSV1 stands on the first piece alone (section 6.1); control frames may come between."""
    client = open_packed()
    client.send_packed(b'{"op":"ping","ref":"whole"}')
    assert client.wait_for("reply")["ref"] == "whole"
    packed = deflate.deflate(b'{"op":"ping","ref":"in pieces"}')
    client.send_frame(TEXT, packed[:5], fin=False, rsv=RSV1)
    client.send_frame(PING, b"!")
    client.send_frame(CONTINUATION, packed[5:])
    assert client.wait_for("reply")["ref"] == "in pieces"
    assert client.ask("ping")["ok"] is True, "uncompressed as ever"


@pytest.mark.parametrize(
    ("opcode", "payload", "rsv", "code"),
    [
        (PING, b"", RSV1, 1002),
        (CONTINUATION, b"", RSV1, 1002),
        (TEXT, b"", 2, 1002),
        (TEXT, b"\xff\xff\xff", RSV1, 1007),
        (TEXT, deflate.deflate(b"\xff"), RSV1, 1007),
    ],
)
def test_what_breaks_the_rules_closes(
    open_packed: Callable[..., Packed], opcode: int, payload: bytes, rsv: int, code: int
) -> None:
    """RSV1 on a control frame or a later piece, another bit, no deflate data, no UTF-8 in it."""
    client = open_packed()
    if opcode == CONTINUATION:
        client.send_frame(TEXT, b"", fin=False, rsv=RSV1)
    client.send_frame(opcode, payload, rsv=rsv)
    assert client.closing() == code


def test_who_offers_nothing_may_not_compress(packing: Server) -> None:
    """1002, as where it is switched off."""
    client = websocket_client.WebSocket(packing.port)
    client.open()
    client.send_frame(TEXT, deflate.deflate(b"{}"), rsv=RSV1)
    assert client.closing() == 1002
    client.close()


def test_a_bomb_closes_with_1009_and_costs_no_memory(
    packing: Server, open_packed: Callable[..., Packed]
) -> None:
    """64 KB that stand for 64 MB: what is over the limit is never made."""
    bomb = deflate.deflate(bytes(64 << 20))
    assert len(bomb) < 70_000
    (pid,) = packing.workers()
    before = psutil.Process(pid).memory_info().rss
    for _ in range(10):
        client = open_packed()
        client.send_frame(TEXT, bomb, rsv=RSV1)
        assert client.closing() == 1009
    assert psutil.Process(pid).memory_info().rss - before < 16 << 20
