"""A channel that keeps its newest message alone: who reads too slowly for it skips to that.

What belongs here: streams whose client does not keep up, of channels that ask for no more. What
does not: one that wants everything, which is cut off (``test_leaving``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from pushapp.tally import TRANSPORTS

from ..clients import Client, WebSocket
from ..scrape import scrape
from ..server import API_KEY, Server, until
from .conftest import Connect
from .test_contract import number

LARGE = "x" * 60_000
BUFFER = 1 << 20  # bytes
LATEST = {
    "PUSH_BUFFER": BUFFER,
    "PUSH_NAMESPACES": '{"prices":{"size":1}}',
    "PUSH_PUBLIC_NAMESPACES": "public,prices",
    "PUSH_LIMITS": '{"requests":0}',
}


def fill(server: Server, name: str, clients: int) -> list[str]:
    """Publish until ``clients`` have as much unsent as they may, and as much again; return the
    ids."""
    ids: list[str] = []

    def are_full() -> bool:
        ids.append(server.publish(name, LARGE))
        return scrape(server).total("unsent_bytes") > clients * (BUFFER - 2 * len(LARGE))

    until(are_full, "nothing more goes out")
    for _ in range(BUFFER // len(LARGE)):
        are_full()
    return ids


def read_up_to(client: Client, last: str) -> None:
    while client.receive()[0]["id"] != last:
        pass


def check(client: Client, name: str, ids: Sequence[str]) -> None:
    """Each message of ``name`` has come, once and in order, or is in ``lost``."""
    came = [event["id"] for event in client.events if event.get("channel") == name]
    assert came == sorted(set(came), key=number)
    told = [loss for event in client.events for loss in event.get("lost", ())]
    spans = [(number(loss["after"]), number(loss["before"])) for loss in told]
    missing = [number(id_) for id_ in ids if id_ not in came]
    assert missing, "it kept up: nothing was tried here"
    for n in missing:
        assert any(after < n < before for after, before in spans), f"{n} is missing, untold: {told}"
    for after, before in spans:
        assert any(after < n < before for n in missing), "told, and nothing is missing"


@pytest.mark.parametrize("park", [1, 0])
def test_who_reads_slowly_skips_to_the_newest_and_is_told(
    make_server: Callable[..., Server], connect: Connect, channel: str, park: int
) -> None:
    """It stays connected, its buffer stays bounded, and it goes on where the log is."""
    server = make_server(WEB_CONCURRENCY=1, PUSH_PARK=park, **LATEST)
    name = channel.replace("public", "prices")
    slow = [connect(transport, server, [name]) for transport in ("sse", "websocket")]
    ids = fill(server, name, len(slow))
    assert scrape(server).total("unsent_bytes") <= len(slow) * BUFFER

    for client in slow:
        read_up_to(client, ids[-1])
    last = server.publish(name, "live again")
    for client in slow:
        read_up_to(client, last)
        check(client, name, ids)
        assert [e for e in client.events if e.get("type") == "live"][-1]["recovered"] is True
        told = {"transport": client.transport}
        assert scrape(server).total("recoveries_total", outcome="skipped", **told) >= 1
        assert scrape(server).total("recoveries_total", outcome="expired", **told) == 0
        client.close()
    assert "reason=slow" not in server.log

    def have_left() -> bool:
        server.publish(name, "so that who is not parked is missed")
        return not {client.wire.local_port for client in slow} & set(server.connections())

    until(have_left, "it is noticed that they left")


def test_who_comes_back_to_the_newest_has_lost_nothing_that_anybody_wants(
    make_server: Callable[..., Server], connect: Connect, channel: str
) -> None:
    """The client is told all the same; an alert looks at the losses that are none of these."""
    server = make_server(WEB_CONCURRENCY=1, **LATEST)
    name = channel.replace("public", "prices")

    def come_back(transport: str, start: str) -> tuple[Client, float, float]:
        client = connect(transport, server, [name], start)
        now = scrape(server)
        skipped, expired = (
            now.total("recoveries_total", transport=transport, outcome=outcome)
            for outcome in ("skipped", "expired")
        )
        assert client.recovered is False and client.lost[0]["reason"] == "expired"
        return client, skipped, expired

    start = server.publish(name, "start")
    for data in ("old", "new"):
        server.publish(name, data)
    for transport in TRANSPORTS:
        client, *counts = come_back(transport, start)
        assert counts == [1, 0] and client.data() == ["new"]

    asked = {"Authorization": f"Bearer {API_KEY}"}
    server.ask("DELETE", f"/push/channels/{name}/history", asked)
    for transport in TRANSPORTS:  # even the newest is gone
        _, *counts = come_back(transport, start)
        assert counts == [1, 1]


def test_who_listens_to_another_channel_too_is_cut_off(
    make_server: Callable[..., Server], connect: Connect, channel: str
) -> None:
    """Of that one it wants everything: it comes back for it with its cursor."""
    server = make_server(WEB_CONCURRENCY=1, **LATEST)
    name = channel.replace("public", "prices")
    connect("sse", server, [name, channel])
    drafts = [{"channel": name, "data": LARGE}]

    def is_cut_off() -> bool:
        server.publish_all(drafts)
        return "reason=slow" in server.log

    until(is_cut_off, "it is cut off")


def test_an_op_of_one_who_is_behind_is_done_when_it_has_caught_up(
    make_server: Callable[..., Server], connect: Connect, channel: str
) -> None:
    """The cursor of its reply is true for all of its channels."""
    server = make_server(WEB_CONCURRENCY=1, **LATEST)
    name, added = channel.replace("public", "prices"), f"{channel}.added"
    start = server.publish(added, "start")
    kept = server.publish(added, "kept")
    client = connect("websocket", server, [name])
    ids = fill(server, name, 1)
    assert isinstance(client, WebSocket)
    reply = client.ask("subscribe", channels=[added], cursor=start)
    check(client, name, ids)
    came = [event.get("id") for event in client.events]
    assert kept in came and ids[-1] in came
    assert number(reply["cursor"]) >= number(ids[-1])
