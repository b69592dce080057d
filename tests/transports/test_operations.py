"""What a client says on its WebSocket, and the reply that it gets.

What belongs here: the ops and their replies. What does not: frames (``test_websocket``).
"""

from __future__ import annotations

import pytest

from ..server import API_KEY, SHORT, Server
from ..websocket_client import TEXT
from .conftest import Open
from .test_contract import number


def test_a_ref_is_repeated_and_none_is_needed(open_ws: Open) -> None:
    """A reply can be told from others' by the text or the number that was sent; nothing else is
    one, and the refusal says so."""
    client = open_ws()
    client.send({"op": "ping"})
    assert "ref" not in client.wait_for("reply")
    for ref in ("a", 7):
        client.send({"op": "ping", "ref": ref})
        assert client.wait_for("reply")["ref"] == ref
    for wrong in (True, 1.5, ["a"]):
        client.send({"op": "ping", "ref": wrong})
        error = client.wait_for("error")
        assert (error["status"], error["field"]) == (400, "ref")
    assert client.ask("ping")["ok"] is True


def test_subscribe_adds_channels_from_now(open_ws: Open, server: Server, channel: str) -> None:
    """The reply carries cursor, recovered and lost; messages follow."""
    added = f"{channel}.added"
    server.publish(added, "before")
    client = open_ws([channel])
    reply = client.ask("subscribe", channels=[added])
    assert reply["ok"] is True and reply["recovered"] is True and reply["cursor"]
    assert not reply.get("lost")
    server.publish(added, "after")
    server.publish(channel, "still")
    assert client.data(2) == ["after", "still"]


def test_subscribe_with_a_cursor_sends_the_backlog_before_the_reply(
    open_ws: Open, server: Server, channel: str
) -> None:
    """What was missed of the added channel, then the reply, then what is live."""
    added = f"{channel}.added"
    start = server.publish(added, 0)
    for n in range(1, 4):
        server.publish(added, n)
    client = open_ws([channel])
    seen = len(client.events)
    reply = client.ask("subscribe", channels=[added], cursor=start)
    assert client.trail[seen:] == ["message"] * 3 + ["reply"]
    assert client.data(3) == [1, 2, 3]
    assert reply["recovered"] is True


def test_while_an_added_backlog_runs_nothing_newer_is_sent(
    open_ws: Open, server: Server, channel: str
) -> None:
    """The last cursor handed out is true for all of its channels, whenever the line breaks.

    At any point of what came: every message of either channel that is newer than the cursor before
    the subscribe, and not newer than the last id, has come.
    """
    added = f"{channel}.added"
    start = server.publish(added, "start")
    old = server.publish_all([{"channel": added, "data": n} for n in range(900)])
    client = open_ws([channel])
    before = len(client.events)
    client.send({"op": "subscribe", "ref": "r", "channels": [added], "cursor": start})
    drafts = [{"channel": (channel, added)[n % 2], "data": n} for n in range(100)]
    new = [server.publish_all(drafts[n : n + 10]) for n in range(0, 100, 10)]
    everything = sorted([*old, *(i for ids in new for i in ids)], key=number)
    while client.cursor != everything[-1] or "reply" not in client.trail[before:]:
        client._read()

    came: set[str] = set()
    went_back = False  # until then, what comes was sent before the op was done
    for event in client.events[before:]:
        point = event.get("id") or event.get("cursor")
        if "id" in event:
            came.add(event["id"])
        if point and event.get("type") != "heartbeat":
            went_back = went_back or event.get("channel") == added
            upto = {i for i in everything if number(i) <= number(point)}
            assert upto <= came or not went_back, (
                f"at {point} these are missing: {sorted(upto - came)[:5]}"
            )
    assert came == set(everything)


def test_subscribe_tells_a_loss_before_a_message_moves_the_cursor_past_it(
    open_ws: Open, server: Server, channel: str
) -> None:
    """Whoever is cut off behind the first of them comes back with a newer cursor."""
    short = channel.replace("public", "short")
    start = server.publish(short, "start")
    for n in range(SHORT + 5):
        server.publish(short, n)
    client = open_ws([channel])
    seen = len(client.events)
    reply = client.ask("subscribe", channels=[short], cursor=start)
    kept = client.receive(SHORT)

    assert client.trail[seen:] == ["live", *["message"] * SHORT, "reply"]
    told = client.events[seen]
    assert told["recovered"] is False and told["cursor"] == start
    assert told["lost"] == [
        {"channel": short, "after": start, "before": kept[0]["id"], "reason": "expired"}
    ]
    assert reply["recovered"] is True and "lost" not in reply


def test_subscribe_where_nothing_is_left_tells_the_loss_in_its_reply(
    open_ws: Open, server: Server, channel: str
) -> None:
    """There is no message that it would have to come before."""
    gone = f"{channel}.gone"
    start = server.publish(gone, "start")
    server.publish(gone, "gone")
    asked = {"Authorization": f"Bearer {API_KEY}"}
    server.ask("DELETE", f"/push/channels/{gone}/history", asked)
    client = open_ws([channel])
    reply = client.ask("subscribe", channels=[gone], cursor=start)
    assert reply["recovered"] is False
    assert reply["lost"] == [{"channel": gone, "after": start, "before": None, "reason": "expired"}]


def test_subscribe_with_a_cursor_of_another_epoch_says_so_first(
    open_ws: Open, server: Server, channel: str
) -> None:
    """What is kept comes behind it, from the oldest on."""
    kept = f"{channel}.kept"
    server.publish(kept, "kept")
    client = open_ws([channel])
    seen = len(client.events)
    reply = client.ask("subscribe", channels=[kept], cursor="elsewhere.1")
    assert client.trail[seen:] == ["live", "message", "reply"]
    assert [loss["reason"] for loss in client.events[seen]["lost"]] == ["epoch"]
    assert reply["recovered"] is True


def test_subscribe_with_history(open_ws: Open, server: Server, channel: str) -> None:
    """As a history event, before the reply."""
    for n in range(3):
        server.publish(channel, n)
    client = open_ws()
    client.ask("subscribe", channels=[channel], history=2)
    assert [m["data"] for m in client.history(channel)] == [1, 2]
    assert client.trail[-2:] == ["history", "reply"]


def test_subscribing_again_changes_nothing(open_ws: Open, server: Server, channel: str) -> None:
    """Each message still comes once."""
    client = open_ws([channel])
    assert client.ask("subscribe", channels=[channel])["ok"] is True
    server.publish(channel, "once")
    server.publish(channel, "marker")
    assert client.data(2) == ["once", "marker"]


def test_after_an_unsubscribes_reply_nothing_of_that_channel_comes(
    open_ws: Open, server: Server, channel: str
) -> None:
    """The others go on."""
    other = f"{channel}.other"
    client = open_ws([channel, other])
    assert client.ask("unsubscribe", channels=[channel])["ok"] is True
    server.publish(channel, "not for you")
    server.publish(other, "marker")
    assert client.data() == ["marker"]


def test_a_channel_that_is_subscribed_again_goes_on(
    open_ws: Open, server: Server, channel: str
) -> None:
    """With the cursor of then, what was published between comes."""
    client = open_ws([channel])
    server.publish(channel, "seen")
    assert client.data() == ["seen"]
    cursor = client.cursor
    client.ask("unsubscribe", channels=[channel])
    server.publish(channel, "between")
    client.ask("subscribe", channels=[channel], cursor=cursor)
    server.publish(channel, "live")
    assert client.data(2) == ["between", "live"]


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ({"op": "subscribe", "channels": ["a b"]}, "channels"),
        ({"op": "subscribe", "channels": []}, "channels"),
        ({"op": "subscribe", "channels": "public:a"}, "channels"),
        ({"op": "subscribe", "channels": [1]}, "channels"),
        ({"op": "subscribe"}, "channels"),
        ({"op": "subscribe", "channels": [f"public:{n}" for n in range(101)]}, "channels"),
        ({"op": "subscribe", "channels": ["public:a"], "cursor": "garbage"}, "cursor"),
        ({"op": "subscribe", "channels": ["public:a"], "cursor": 5}, "cursor"),
        ({"op": "subscribe", "channels": ["public:a"], "history": -1}, "history"),
        ({"op": "unsubscribe", "channels": 5}, "channels"),
        ({"op": "dance"}, "op"),
        ({"op": 5}, "op"),
        ({"op": None}, "op"),
        ({}, "op"),
    ],
)
def test_an_op_that_does_not_fit_is_refused_in_its_reply(
    open_ws: Open, sent: dict[str, object], named: str
) -> None:
    """ok is false, the detail names the field, and the connection goes on."""
    client = open_ws()
    client.send({**sent, "ref": "r"})
    reply = client.wait_for("reply")
    assert (reply["ref"], reply["ok"]) == ("r", False)
    assert named in str(reply["error"]) and "expected" in str(reply["error"])
    assert client.ask("ping")["ok"] is True


def test_a_connection_has_a_hundred_channels_in_all(open_ws: Open, user: str) -> None:
    """However many ops name them; those that are there already count once, and what was too much
    is not half done."""
    client = open_ws()
    names = [f"public:{user}-{n}" for n in range(101)]
    assert client.ask("subscribe", channels=names[:60])["ok"] is True
    reply = client.ask("subscribe", channels=names[60:])
    assert reply["ok"] is False and reply["error"]["field"] == "channels"
    assert client.ask("unsubscribe", channels=names[60:61])["error"]["status"] == 404
    assert client.ask("subscribe", channels=names[50:100])["ok"] is True


@pytest.mark.parametrize(
    "text",
    ["not json", "", "[1]", '"op"', "null", "1e999", "[" * 50_000, '{"op":"ping"', "NaN"]
    + ['{"op":"ping","ref":"\\ud800"}', '{"op":"ping","\\ud800":1}'],
)
def test_a_text_that_is_no_json_object_is_told_and_disturbs_nobody(
    open_ws: Open, server: Server, channel: str, text: str
) -> None:
    """There is no ref to reply to: an error says what was expected; messages go on."""
    client = open_ws([channel])
    client.send_frame(TEXT, text.encode())
    while not ({"error", "reply"} & set(client.trail)):
        client._read()
    told = client.events[-1]
    assert told.get("ok") in (None, False) and "expected" in str(told)
    server.publish(channel, "still there")
    assert client.data() == ["still there"]


def test_a_private_channel_is_refused_and_the_stream_goes_on(
    open_ws: Open, server: Server, channel: str
) -> None:
    """Asked for later, a missing right costs the op and not the stream."""
    client = open_ws([channel])
    reply = client.ask("subscribe", channels=["private:a"])
    assert reply["ok"] is False
    server.publish(channel, "still there")
    assert client.data() == ["still there"]


def test_publishing_needs_a_right(open_ws: Open, server: Server, channel: str) -> None:
    """Public namespaces are read by anyone and written by nobody; nothing is published."""
    client = open_ws([channel])
    assert client.ask("publish", channel=channel, data="mine")["ok"] is False
    server.publish(channel, "marker")
    assert client.data() == ["marker"]


def test_refreshing_without_tokens_is_refused_in_the_reply(open_ws: Open) -> None:
    """A token that nobody can check is not taken for a good one."""
    client = open_ws()
    assert client.ask("refresh", token="x.y.z")["ok"] is False


def test_ops_are_done_in_their_order(open_ws: Open, server: Server, channel: str) -> None:
    """Sent at once: the last one counts."""
    client = open_ws()
    for op in ("subscribe", "unsubscribe", "subscribe"):
        client.send({"op": op, "ref": op, "channels": [channel]})
    refs = [client.wait_for("reply")["ref"] for _ in range(3)]
    assert refs == ["subscribe", "unsubscribe", "subscribe"]
    server.publish(channel, "there")
    assert client.data() == ["there"]
