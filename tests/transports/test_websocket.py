"""What is WebSocket's own: the handshake, frames and close codes.

What belongs here: RFC 6455 on our wire. What does not: what a client says in its frames
(``test_operations``).
"""

from __future__ import annotations

import json
import struct

import pytest

from ..clients import Refused
from ..server import ORIGIN, Server
from ..websocket_client import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame
from ..wire import Reply, Wire
from .conftest import Open
from .waiting import HANDSHAKE

KEY = HANDSHAKE["Sec-WebSocket-Key"]


def knock(server: Server, method: str = "GET", **changes: str | None) -> Reply:
    """Try a handshake with some headers changed or (None) left out."""
    headers = HANDSHAKE | {name.replace("_", "-"): value for name, value in changes.items()}
    wire = Wire(server.port)
    try:
        sent = {name: value for name, value in headers.items() if value is not None}
        return wire.ask(method, "/push/ws?channels=public:a", sent)
    finally:
        wire.close()


# The handshake


@pytest.mark.parametrize("missing", ["Upgrade", "Connection"])
def test_what_is_no_upgrade_gets_426(server: Server, missing: str) -> None:
    """With the Upgrade header that says what was expected (RFC 9110 section 15.5.22)."""
    reply = knock(server, **{missing: None})
    assert reply.status == 426
    assert "websocket" in reply.listed("Upgrade")
    assert reply.json["status"] == 426


@pytest.mark.parametrize("version", ["12", "14", "abc", None])
def test_another_version_gets_426_and_the_right_one(server: Server, version: str | None) -> None:
    """RFC 6455 section 4.4."""
    reply = knock(server, Sec_WebSocket_Version=version)
    assert reply.status == 426
    assert reply.header("Sec-WebSocket-Version") == "13"


@pytest.mark.parametrize("key", [None, "", "short", "not base64 at all!!!", KEY + KEY, KEY[:-2]])
def test_a_bad_or_missing_key_gets_400(server: Server, key: str | None) -> None:
    """16 bytes in base64, and nothing else."""
    reply = knock(server, Sec_WebSocket_Key=key)
    assert reply.status == 400
    assert "Sec-WebSocket-Key" in reply.json["detail"]


def test_a_foreign_origin_gets_403(server: Server) -> None:
    """The browser's same-origin rule does not hold for WebSockets: the server has to."""
    refusal = knock(server, Origin="https://evil.example")
    assert refusal.status == 403 and "Origin: got 'https://evil.example'" in refusal.json["detail"]
    assert knock(server, Origin="null").status == 403


def test_an_allowed_origin_and_the_same_are_taken(open_ws: Open, server: Server) -> None:
    """Origin's host equals Host; or it is in the setting."""
    open_ws(["public:a"], headers={"Origin": ORIGIN})
    open_ws(["public:a"], headers={"Origin": "http://push.test", "Host": "push.test"})


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT"])
def test_only_get_shakes_hands(server: Server, method: str) -> None:
    """RFC 6455 section 4.1. To others a proxy in between might see an end that is none."""
    reply = knock(server, method=method, Content_Length="0")
    assert reply.status == 426


def test_header_names_and_values_are_read_as_http_says(open_ws: Open) -> None:
    """In any case, and in a list, as Firefox sends it."""
    headers = {"Connection": "keep-alive, UPGRADE", "Upgrade": "WebSocket"}
    assert open_ws(["public:a"], headers=headers).trail[0] == "welcome"


def test_compression_that_is_offered_is_not_accepted(open_ws: Open) -> None:
    """Every browser offers it; accepted, it costs 100 KB a connection."""
    offer = "permessage-deflate; client_max_window_bits"
    client = open_ws(["public:a"], headers={"Sec-WebSocket-Extensions": offer})
    assert client.reply.header("Sec-WebSocket-Extensions") is None
    assert client.ask("ping")["ok"] is True


def test_a_frame_in_the_same_packet_as_the_handshake_is_read(server: Server, channel: str) -> None:
    """A client need not wait for the 101, nor for anything else."""
    wire = Wire(server.port)
    lines = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
    early = frame(TEXT, b'{"op":"ping","ref":"early"}')
    wire.send(f"GET /push/ws HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode() + early)
    assert wire.head().status == 101
    while b'"early"' not in wire.received:
        wire.fill()
    wire.close()


# What comes first


def test_the_order_of_things(open_ws: Open, server: Server, channel: str) -> None:
    """welcome, history, live, messages; with a cursor the backlog in history's place."""
    server.publish(channel, "old")
    client = open_ws([channel], history=1)
    last = server.publish(channel, "new")
    client.receive()
    assert client.trail == ["welcome", "history", "live", "message"]
    server.publish(channel, "missed")
    again = open_ws([channel], last)
    assert again.trail == ["welcome", "message", "live"]


def test_it_may_start_with_no_channels(open_ws: Open, server: Server, channel: str) -> None:
    """They are subscribed to later."""
    client = open_ws()
    assert client.trail[0] == "welcome"
    assert client.ask("subscribe", channels=[channel])["ok"] is True
    server.publish(channel, "there")
    assert client.data() == ["there"]


# Frames


def test_a_fragmented_text_is_put_together(open_ws: Open) -> None:
    """With control frames between the fragments, which are answered at once."""
    client = open_ws()
    whole = '{"op":"ping","ref":"é"}'.encode()
    cut = whole.index(b"\xc3") + 1  # in the middle of a character
    client.send_frame(TEXT, whole[:cut], fin=False)
    client.send_frame(PING, b"between")
    client.send_frame(CONTINUATION, b"", fin=False)
    client.send_frame(CONTINUATION, whole[cut:])
    assert client.wait_for(f"opcode {PONG}")["payload"] == b"between"
    while not client.events[-1].get("ref"):
        client._read()
    assert client.events[-1]["ref"] == "é"


def test_a_text_that_comes_a_byte_at_a_time_is_put_together(open_ws: Open) -> None:
    """TCP keeps no packets apart."""
    client = open_ws()
    for byte in frame(TEXT, b'{"op":"ping","ref":"slow"}'):
        client.wire.send(bytes([byte]))
    assert client.wait_for("reply")["ref"] == "slow"


def test_many_frames_in_one_packet_are_all_read(open_ws: Open) -> None:
    """In their order."""
    client = open_ws()
    ops = [json.dumps({"op": "ping", "ref": str(n)}).encode() for n in range(50)]
    client.wire.send(b"".join(frame(TEXT, op) for op in ops))
    for _ in range(50):
        client.wait_for("reply")
    refs = [event["ref"] for event in client.events if event.get("type") == "reply"]
    assert refs == [str(n) for n in range(50)]


@pytest.mark.parametrize("payload", [b"", b"are you there?", b"x" * 125])
def test_a_ping_frame_is_answered_with_its_own_payload(open_ws: Open, payload: bytes) -> None:
    """RFC 6455 section 5.5.3."""
    client = open_ws(["public:a"])
    client.send_frame(PING, payload)
    assert client.wait_for(f"opcode {PONG}")["payload"] == payload


def test_a_pong_that_nobody_asked_for_is_ignored(open_ws: Open) -> None:
    """RFC 6455 section 5.5.3."""
    client = open_ws()
    client.send_frame(PONG, b"")
    assert client.ask("ping")["ok"] is True


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(frame(TEXT, b"{}", mask=False), id="unmasked"),
        pytest.param(frame(TEXT, b"{}", rsv=4), id="a reserved bit"),
        pytest.param(frame(3, b""), id="an unknown opcode"),
        pytest.param(frame(11, b""), id="an unknown control opcode"),
        pytest.param(frame(CONTINUATION, b"{}"), id="a continuation of nothing"),
        pytest.param(frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), id="a text inside a text"),
        pytest.param(frame(PING, b"", fin=False), id="a fragmented ping"),
        pytest.param(frame(PING, b"x" * 126), id="a long ping"),
        pytest.param(frame(CLOSE, b"x"), id="a close of one byte"),
        pytest.param(frame(CLOSE, struct.pack("!H", 1005)), id="a close code that is never sent"),
    ],
)
def test_what_breaks_the_protocol_closes_with_1002(open_ws: Open, sent: bytes) -> None:
    """RFC 6455 section 7.4.1; nobody else is disturbed."""
    bystander = open_ws()
    client = open_ws(["public:a"])
    client.wire.send(sent)
    assert client.closing() == 1002
    assert client.wire.is_closed()
    assert bystander.ask("ping")["ok"] is True


def test_a_binary_frame_closes_with_1003(open_ws: Open) -> None:
    """Everything is JSON text."""
    client = open_ws(["public:a"])
    client.send_frame(BINARY, b'{"op":"ping"}')
    assert client.closing() == 1003


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(frame(TEXT, b'{"op":"\xff"}'), id="in one frame"),
        pytest.param(frame(TEXT, b'{"op":"\xc3'), id="cut at the end"),
        pytest.param(frame(TEXT, b'{"\xed\xa0\x80":1}'), id="a surrogate"),
        pytest.param(
            frame(TEXT, b'{"op":"\xc3', fin=False) + frame(CONTINUATION, b'"}'), id="over fragments"
        ),
        pytest.param(frame(CLOSE, struct.pack("!H", 1000) + b"\xff"), id="in a close reason"),
    ],
)
def test_bad_utf_8_closes_with_1007(open_ws: Open, sent: bytes) -> None:
    """RFC 6455 section 8.1."""
    client = open_ws(["public:a"])
    client.wire.send(sent)
    assert client.closing() == 1007


def test_a_frame_over_the_limit_closes_with_1009_before_it_has_come(open_ws: Open) -> None:
    """Its length says enough: nobody makes the server keep 10 MB."""
    client = open_ws(["public:a"])
    client.wire.send(bytes([0x80 | TEXT, 0x80 | 127]) + struct.pack("!Q", 10 << 20) + b"mask")
    assert client.closing() == 1009


def test_fragments_over_the_limit_together_close_with_1009(open_ws: Open) -> None:
    """The limit is the message's, not the frame's."""
    client = open_ws(["public:a"])
    part = b"x" * 100_000
    with pytest.raises(Refused) as refused:
        client.send_frame(TEXT, part, fin=False)
        for _ in range(100):
            client.send_frame(CONTINUATION, part, fin=False)
            client.wire.socket.setblocking(False)
            try:
                client.wire.fill()
            except BlockingIOError:
                continue  # nothing yet: it is still under the limit
            finally:
                client.wire.socket.settimeout(10)
            client._read()
        client._read()
    assert refused.value.code == 1009


# Closing


@pytest.mark.parametrize(
    "payload", [b"", struct.pack("!H", 1000) + b"bye", struct.pack("!H", 4321)]
)
def test_a_close_frame_is_echoed_and_the_connection_ends(open_ws: Open, payload: bytes) -> None:
    """RFC 6455 section 5.5.1: with the code that came; the server closes first (7.1.1)."""
    client = open_ws(["public:a"])
    client.send_frame(CLOSE, payload)
    code = client.closing()
    assert code == (struct.unpack("!H", payload[:2])[0] if payload else 1005)
    assert client.wire.is_closed()


def test_after_its_close_frame_a_client_is_not_listened_to(
    open_ws: Open, server: Server, channel: str
) -> None:
    """What follows the close frame in the same packet is dropped."""
    client = open_ws([channel])
    late = frame(TEXT, b'{"op":"ping","ref":"late"}')
    client.wire.send(frame(CLOSE, struct.pack("!H", 1000)) + late)
    assert client.closing() == 1000
    assert client.wire.is_closed()
    assert "reply" not in client.trail
