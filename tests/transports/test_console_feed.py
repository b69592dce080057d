"""The console's feed: figures of all workers, in the log like any message, while somebody watches.

What belongs here: that they come on each transport over each log, are right, and stop. What does
not: the routes (``test_console``), the page (``browser``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from pushapp.broker.roster import FIGURES
from pushapp.extension import Push

from .. import jwts
from ..clients import Client, Refused
from ..server import PUBLISH_KEY, READ_KEY, Server, until
from ..wire import TIMEOUT
from .conftest import Connect

LOOKS = {"Authorization": f"Bearer {READ_KEY}"}
Told = dict[str, Any]


def watch(server: Server) -> Told:
    reply = server.ask("POST", "/push/console/watch", LOOKS)
    assert reply.status == 200, reply
    told: Told = reply.json
    return told


def figures(client: Client, fits: Callable[[dict[str, Told]], bool]) -> dict[str, Told]:
    """Return what each worker has said last, once it ``fits``."""
    latest: dict[str, Told] = {}
    deadline = time.monotonic() + 3 * TIMEOUT
    while not fits(latest):
        assert time.monotonic() < deadline, latest
        (message,) = client.receive()
        assert (message["channel"], message["event"]) == (FIGURES, "figures")
        latest[message["data"]["worker"]["id"]] = message["data"]
    return latest


def total(latest: dict[str, Told], name: str, label: str) -> float:
    return sum(told["numbers"][name].get(label, 0) for told in latest.values())


def test_figures_of_all_workers_come_on_each_transport(
    server: Server, subscribe: Connect, connect: Connect, channel: str
) -> None:
    """Counted where they wait, added up by who looks; the server's own channel is none of them."""
    first, second = server.workers()
    for pid, count in ((first, 1), (second, 2)):
        with server.only(pid):
            for _ in range(count):
                connect("sse", server, [channel])
    client = subscribe([FIGURES], headers=LOOKS)
    assert watch(server)["channel"] == FIGURES

    def all_there(latest: dict[str, Told]) -> bool:
        counts = [told["channels"].get(channel, [0])[0] for told in latest.values()]
        streams = 3 + (client.transport == "sse")  # which one may be said just before it came
        return sorted(counts) == [1, 2] and total(latest, "connections", "sse") == streams

    latest = figures(client, all_there)

    assert {told["worker"]["pid"] for told in latest.values()} == {first, second}
    assert {told["worker"]["label"] for told in latest.values()} == {"0", "1"}
    assert all(FIGURES not in told["channels"] for told in latest.values())


def test_what_a_channel_has_is_counted(server: Server, connect: Connect, channel: str) -> None:
    """By who publishes and by who follows it; a message of the feed is nobody's publish."""
    connect("websocket", server, [channel])
    client = connect("sse", server, [FIGURES], headers=LOOKS)
    watch(server)
    before = figures(client, lambda latest: len(latest) == 2)
    published = sum(told["numbers"]["published"] for told in before.values())
    seen = [0, 0]

    def adds_up(latest: dict[str, Told]) -> bool:
        for event in client.events[len(read) :]:
            read.append(event)
            counts = event["data"]["channels"].get(channel, [0, 0, 0])
            seen[0] += counts[1]
            seen[1] += counts[2]
        return seen == [7, 7]

    read = list(client.events)
    for n in range(7):
        server.publish(channel, n)
    figures(client, adds_up)
    after = figures(client, lambda latest: len(latest) == 2)
    assert sum(told["numbers"]["published"] for told in after.values()) == published + 7


def test_another_machine_hears_that_somebody_watches(
    server: Server, connect: Connect, elsewhere: Push
) -> None:
    """It is asked through the log, and says its own."""
    client = connect("sse", server, [FIGURES], headers=LOOKS)
    watch(server)
    latest = figures(client, lambda latest: len(latest) == 3)
    assert len({told["worker"]["pid"] for told in latest.values()}) == 3
    labels = [told["worker"]["label"] for told in latest.values()]
    assert None in labels, "what has no board says so"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": f"Bearer {PUBLISH_KEY}"}, 403),
        ({"Authorization": f"Bearer {jwts.token('*', lasts=3600)}"}, 403),
    ],
    ids=["nobody", "a key that publishes", "a token for everything"],
)
def test_nobody_else_may_listen(subscribe: Connect, headers: dict[str, str], status: int) -> None:
    """It names channels."""
    with pytest.raises(Refused) as refused:
        subscribe([FIGURES], headers=headers)
    assert refused.value.status == status


def test_nobody_may_publish_there(server: Server) -> None:
    """Not even with a key."""
    assert server.post({"channel": FIGURES, "data": 1}).status == 400


def test_who_watches_is_a_connection_in_no_channel_of_the_servers_own(
    server: Server, subscribe: Connect, channel: str
) -> None:
    """What is listed are the clients' channels."""
    client = subscribe([channel, FIGURES], headers=LOOKS)

    def listed() -> list[Told]:
        if client.transport in ("poll", "longpoll"):
            client._read()
        found: list[Told] = server.look("/push/connections?limit=1000")["connections"]
        return [one for one in found if one["id"] == client.connection]

    (one,) = until(listed, "it is listed")
    assert one["channels"] == [channel]


def test_an_api_key_may_come_in_a_websockets_first_frame(server: Server, connect: Connect) -> None:
    """A browser can send no header there."""
    client = connect("websocket", server, [FIGURES], first={"op": "refresh", "token": READ_KEY})
    watch(server)
    figures(client, lambda latest: len(latest) == 2)
    with pytest.raises(Refused) as refused:
        connect("websocket", server, [FIGURES], first={"op": "refresh", "token": PUBLISH_KEY})
    assert refused.value.status == 403
