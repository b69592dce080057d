"""What every transport promises of messages, cursors and order; each promise stands once.

What belongs here: what holds on all four. What does not: what is missing (``test_loss``), what is
old (``test_history``), what is refused (``test_refusals``), the framing of one transport.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from ..clients import TRANSPORTS
from ..server import API_KEY, Server
from .conftest import Connect

KEY = f"Bearer {API_KEY}"
AWKWARD = {"text": 'Škoda 🐎 \u2028 "\\" </script>\n', "none": None, "list": [1, -2.5e-7, True, {}]}


def number(message_id: str) -> int:
    """Return the N of ``EPOCH.N``, by which ids of one epoch may be compared."""
    return int(message_id.rpartition(".")[2])


def test_a_first_connect_hands_out_a_cursor_before_any_message(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """Recovery works before a first message has come, on a channel that never had one."""
    first = subscribe([channel])
    assert first.cursor and first.recovered is True and first.lost == []
    assert "message" not in first.trail
    first.close()

    server.publish(channel, "while away")

    assert subscribe([channel], first.cursor).data() == ["while away"]


def test_nothing_falls_between_the_first_cursor_and_what_comes_live(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """A message that is published right after the answer arrives, and arrives once."""
    client = subscribe([channel])
    ids = [server.publish(channel, n) for n in range(5)]
    assert [m["id"] for m in client.receive(5)] == ids


def test_a_client_without_a_cursor_starts_now(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """What was published before is not sent, unless history is asked for."""
    server.publish(channel, "before")
    client = subscribe([channel], cursor="")
    server.publish(channel, "after")
    assert client.data() == ["after"]


def test_a_message_has_these_fields_and_no_others(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """id, prev, channel, event, time and data, in this order, as compact JSON."""
    client = subscribe([channel])
    started = time.time()
    ids = [server.publish(channel, AWKWARD, event="order.paid"), server.publish(channel)]
    first, second = client.receive(2)
    assert list(first) == ["id", "prev", "channel", "event", "time", "data"]
    assert [first["id"], second["id"]] == ids and number(ids[0]) < number(ids[1])
    assert (first["prev"], second["prev"]) == (None, first["id"])
    assert (first["channel"], first["event"], second["event"]) == (channel, "order.paid", "message")
    assert abs(first["time"] - started) < 60
    assert (first["data"], second["data"]) == (AWKWARD, None)
    assert client.raw[0] == json.dumps(first, ensure_ascii=False, separators=(",", ":")).encode()


def test_a_message_has_the_same_bytes_on_every_transport(
    server: Server, connect: Connect, channel: str
) -> None:
    """Live or from the log, whichever transport and worker."""
    start = connect("poll", server, [channel]).cursor
    live = [connect(transport, server, [channel]) for transport in TRANSPORTS]
    server.publish(channel, AWKWARD)
    later = [connect(transport, server, [channel], start) for transport in TRANSPORTS]
    for client in live + later:
        client.receive()
    assert len({client.raw[0] for client in live + later}) == 1


@pytest.mark.parametrize("before", TRANSPORTS)
def test_a_cursor_of_any_transport_is_good_on_any_other_and_on_another_worker(
    subscribe: Connect, connect: Connect, server: Server, channel: str, before: str
) -> None:
    """What was missed comes, once and in order; then it goes on live."""
    here, there = server.workers()
    with server.only(here):
        first = connect(before, server, [channel])
    server.publish(channel, "seen")
    assert first.data() == ["seen"]
    first.close()
    server.publish(channel, "missed 1")
    server.publish(channel, "missed 2")

    with server.only(there):
        second = subscribe([channel], first.cursor)
    assert server.worker_of(second.wire) == there
    assert second.recovered is True and second.lost == []
    server.publish(channel, "live")
    assert second.data(3) == ["missed 1", "missed 2", "live"]


def test_a_cursor_outlives_a_restart_of_the_server(
    make_server: Callable[..., Server], connect: Connect, channel: str
) -> None:
    """A deploy costs no client its place, whatever its transport."""
    server = make_server()
    clients = [connect(transport, server, [channel]) for transport in TRANSPORTS]
    server.publish(channel, "seen")
    assert [client.data() for client in clients] == [["seen"]] * 4
    for client in clients:
        client.close()
    server.publish(channel, "missed")
    server.restart()
    server.publish(channel, "after")
    for client in clients:
        again = connect(client.transport, server, [channel], client.cursor)
        assert again.data(2) == ["missed", "after"]
        assert again.recovered is True


def test_reading_moves_the_cursor_on_replay_too(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """A client that comes back again gets no tail a second time."""
    start = subscribe([channel]).cursor
    for n in range(3):
        server.publish(channel, n)
    replayed = subscribe([channel], start)
    assert replayed.data(3) == [0, 1, 2]
    server.publish(channel, "new")
    assert subscribe([channel], replayed.cursor).data() == ["new"]


def test_prev_links_each_message_to_the_one_before_it_in_its_channel(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """Other channels' messages in between do not show."""
    client = subscribe([channel])
    for n in range(4):
        server.publish(channel, n)
        server.publish("public:other", n)
    got = client.receive(4)
    assert [m["prev"] for m in got] == [None, *(m["id"] for m in got[:-1])]


# Order


def test_messages_of_several_channels_come_in_the_order_of_their_ids(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """One total order over all channels, from the log and live."""
    channels = [f"{channel}.{n}" for n in range(3)]
    start = subscribe(channels).cursor
    drafts = [{"channel": channels[n % 3], "data": n} for n in range(30)]
    ids = server.publish_all(drafts)
    client = subscribe(channels, start)
    ids += server.publish_all(drafts)
    got = client.receive(60)
    assert [m["id"] for m in got] == ids
    assert ids == sorted(ids, key=number)
    assert [m["data"] for m in got] == [*range(30), *range(30)]


def test_a_channel_that_was_not_asked_for_never_arrives(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """Neither live nor from the log, nor one whose name begins the same."""
    start = subscribe([channel]).cursor
    live = subscribe([channel])
    for other in (channel + "x", channel[:-1], channel.upper(), "public:other"):
        server.publish(other, "not for you")
    server.publish(channel, "marker")
    assert live.data() == ["marker"]
    assert subscribe([channel], start).data() == ["marker"]


def test_channels_may_be_separated_by_commas_repeated_and_doubled(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """Each message comes once, whatever the list looked like."""
    a, b, c = (f"{channel}.{x}" for x in "abc")
    client = subscribe([f"{a},{b}", c, a])
    server.publish_all([{"channel": x, "data": x} for x in (a, b, c)])
    assert client.data(3) == [a, b, c]
    assert client.waiting == []


def test_every_character_of_a_name_travels(subscribe: Connect, server: Server) -> None:
    """The whole alphabet of channel names, and the longest one."""
    odd = "public:aZ09_.:@|+~=-"
    longest = odd + "x" * (128 - len(odd))
    client = subscribe([odd, longest])
    for name in (odd, longest):
        server.publish(name, "there")
    assert [m["channel"] for m in client.receive(2)] == [odd, longest]


def test_one_message_to_several_channels_is_one_message_in_each(
    subscribe: Connect, server: Server, channel: str
) -> None:
    """Published together, they come in the order of the list."""
    a, b = f"{channel}.a", f"{channel}.b"
    client = subscribe([a, b])
    reply = server.post({"channels": [b, a], "data": 1})
    assert [m["id"] for m in client.receive(2)] == reply.json["ids"]
    assert [m["channel"] for m in client.events if "id" in m] == [b, a]


def test_a_batch_arrives_in_its_order(subscribe: Connect, server: Server, channel: str) -> None:
    """All of it, from the log and live, and more than one answer holds."""
    start = subscribe([channel]).cursor
    live = subscribe([channel])
    ids = server.publish_all([{"channel": channel, "data": n} for n in range(700)])
    for client in (live, subscribe([channel], start)):
        got = client.receive(700)
        assert [m["id"] for m in got] == ids
        assert [m["data"] for m in got] == list(range(700))
