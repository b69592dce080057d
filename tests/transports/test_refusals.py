"""What every transport refuses, in plain words; and who may read what.

What belongs here: wrong parameters and missing rights, on all four. What does not: a wrong
handshake (``test_websocket``), wrong HTTP (``test_parking``).
"""

from __future__ import annotations

import pytest

from ..clients import TRANSPORTS, Refused
from ..server import Server
from .conftest import Connect


@pytest.mark.parametrize(
    ("channels", "came"),
    [
        (["public:a b"], "a b"),
        (["public:é"], ""),
        (["public:a/b"], "a/b"),
        (["public:" + "x" * 122], "xxx"),
        (["public:<script>"], "<script>"),
        ([f"public:{n}" for n in range(101)], "101"),
    ],
)
def test_a_wrong_channel_name_is_refused_and_shown(
    subscribe: Connect, channels: list[str], came: str
) -> None:
    """The detail names the field, what came and what was expected."""
    with pytest.raises(Refused) as refused:
        subscribe(channels)
    assert refused.value.status == 400
    assert "channels" in refused.value.detail and came in refused.value.detail
    assert "expected" in refused.value.detail


def test_a_hundred_channels_are_taken(subscribe: Connect, server: Server) -> None:
    """The limit itself is inside."""
    client = subscribe([f"public:{n}" for n in range(100)])
    server.publish("public:99", "last")
    assert client.data() == ["last"]


@pytest.mark.parametrize("transport", [t for t in TRANSPORTS if t != "websocket"])
def test_without_channels_it_is_refused(subscribe: Connect) -> None:
    """Only a WebSocket may start with none."""
    with pytest.raises(Refused) as refused:
        subscribe([])
    assert refused.value.status == 400 and "channels" in refused.value.detail


@pytest.mark.parametrize("cursor", ["garbage", "a.b", "abc.-1", "1042", "é.1", "a.1 ", "A" * 3000])
def test_a_cursor_that_no_log_gave_out_is_refused(
    subscribe: Connect, channel: str, cursor: str
) -> None:
    """It is not taken for "from now", which would be a silent loss."""
    with pytest.raises(Refused) as refused:
        subscribe([channel], cursor)
    assert refused.value.status == 400
    assert "cursor" in refused.value.detail
    assert len(refused.value.detail) < 400


@pytest.mark.parametrize("history", ["abc", "-1", "1.5", "9" * 30])
def test_a_wrong_history_is_refused(subscribe: Connect, channel: str, history: str) -> None:
    """A number of messages is a whole number."""
    with pytest.raises(Refused) as refused:
        subscribe([channel], history=history)
    assert refused.value.status == 400 and "history" in refused.value.detail


@pytest.mark.parametrize("name", ["private:a", "nameless", "user:42", "publicly:a"])
def test_a_channel_that_is_not_public_needs_a_right(subscribe: Connect, name: str) -> None:
    """401 over HTTP; a WebSocket is told after the handshake, and closed with 1008."""
    with pytest.raises(Refused) as refused:
        subscribe([name], first={"op": "ping"})  # else a WebSocket's token is waited for
    assert refused.value.status == 401
    if refused.value.code is not None:
        assert refused.value.code == 1008
        assert refused.value.error["type"] == "error"


def test_one_channel_without_a_right_among_others_refuses_all(
    subscribe: Connect, channel: str
) -> None:
    """Never a partial answer that looks whole."""
    with pytest.raises(Refused) as refused:
        subscribe([channel, "private:a"], first={"op": "ping"})
    assert refused.value.status == 401
    assert "private:a" in refused.value.detail


def test_a_message_for_a_user_is_in_that_users_channel_alone(
    server: Server, connect: Connect, channel: str
) -> None:
    """``user`` is written with an api key; nobody reads it by its name."""
    reply = server.post({"user": "42", "data": channel})
    kept = server.look("/push/channels/user:42/history")
    assert kept["messages"][-1]["id"] == reply.json["id"]
    assert kept["messages"][-1]["data"] == channel
    assert kept["messages"][-1]["channel"] == "user:42"


def test_an_unknown_parameter_does_no_harm(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """jQuery adds ``_=`` against caches."""
    client = subscribe([channel], _="1795386494")
    server.publish(channel, "there")
    assert client.data() == ["there"]
