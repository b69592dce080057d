"""One address that opens connections and says nothing, or the same again and again, or much at
once: the others are served all the same.

What belongs here: connections before any request, and on which the same comes without end. What
does not: other requests, streams, ops and frames (``transports/test_limits``), slow heads and
bodies (``transports/test_leaving``).
"""

from __future__ import annotations

import json
from collections.abc import Callable

from ..clients import Client
from ..server import API_KEY, Server, standing_still, until
from ..wire import Reply, Wire, request

MOST = 5


def silent(server: Server) -> Wire:
    """Connect, and say nothing."""
    return Wire(server.port)


def test_an_address_holds_so_many_connections_that_say_nothing(
    make_server: Callable[..., Server], connect: Callable[..., Client], channel: str
) -> None:
    """One more is told 429 at once, without a word of its own; another address gets in, those that
    wait parked do not count here, and a place that was left is given."""
    server = make_server(
        WEB_CONCURRENCY=1,
        PUSH_TRUSTED_PROXIES=0,
        PUSH_LIMITS=f'{{"address_connections":{MOST}}}',
    )
    parked = [connect(kind, server, [channel]) for kind in ("sse", "websocket")]
    inside = [silent(server) for _ in range(MOST)]
    until(lambda: len(server.connections()) == MOST + len(parked), "they are accepted")

    outside = silent(server)
    reply = outside.reply()
    assert reply.status == 429 and int(reply.header("Retry-After") or 0) >= 1
    assert reply.json["type"] == "about:blank" and reply.json["status"] == 429
    assert reply.header("X-Content-Type-Options") == "nosniff"
    assert reply.header("Cache-Control") == "no-store" and reply.closes and outside.is_closed()
    outside.close()

    other = Wire(server.port, source="127.0.0.2")
    assert other.ask("GET", "/healthz").status == 200
    other.close()

    inside.pop().close()
    until(lambda: server.ask("GET", "/healthz").status == 200, "a place that was left is given")
    server.publish(channel, "there")
    assert [client.data() for client in parked] == [["there"]] * 2
    for wire in inside:
        wire.close()


def test_a_trusted_proxy_may_hold_any_number(make_server: Callable[..., Server]) -> None:
    """Everybody comes through it; what it forwards is counted by request."""
    server = make_server(
        WEB_CONCURRENCY=1,
        PUSH_TRUSTED_PROXIES="127.0.0.1",
        PUSH_LIMITS='{"address_connections":2}',
    )
    wires = [silent(server) for _ in range(MOST)]
    assert all(wire.ask("GET", "/healthz").status == 200 for wire in wires)
    for wire in wires:
        wire.close()


def test_a_flood_of_the_same_request_counts_for_its_own_address(
    make_server: Callable[..., Server], channel: str
) -> None:
    """In the express lane, too, where the same head of another address is known already: neither
    goes there uncounted, nor as somebody else."""
    server = make_server(WEB_CONCURRENCY=1, PUSH_TRUSTED_PROXIES=0, PUSH_LIMITS='{"requests":1}')
    poll = request("GET", f"/push/poll?channels={channel}")
    other, wire = Wire(server.port, source="127.0.0.2"), Wire(server.port)

    def ask(wire: Wire) -> Reply:
        wire.send(poll)
        return wire.reply()

    assert [ask(other).status for _ in range(4)] == [200] * 4  # of the ten that may come at once
    until(lambda: ask(wire).status == 429, "a flood is stopped")
    assert [ask(other).status for _ in range(4)] == [200] * 4
    other.close()
    wire.close()


def published_meanwhile(server: Server, channel: str, flood: bytes) -> list[str]:
    """Have the worker find ``flood``, which polls ``channel``, between two publishes of others;
    return what the last of its answers has of these."""
    before, wire, after = (Wire(server.port) for _ in range(3))
    for one in (before, wire, after):  # accepted, so that all are found in one turn of the loop
        assert one.ask("GET", "/healthz").status == 200

    def publish(data: str) -> bytes:
        head = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
        body = json.dumps({"channel": channel, "data": data}).encode()
        return request("POST", "/push/publish", head, body)

    with standing_still(server.workers()):
        before.send(publish("before"))
        wire.send(flood)
        after.send(publish("after"))
    answers = wire.take_rest()
    for one in (before, after):
        assert one.reply().status == 200
    for one in (before, wire, after):
        one.close()
    last = json.loads(answers.rpartition(b"\r\n\r\n")[2])
    return sorted(message["data"] for message in last["messages"])


def test_who_pipelines_has_not_the_worker_alone(
    make_server: Callable[..., Server], channel: str
) -> None:
    """gunicorn goes on for as long as requests lie there; 30 s of that, and it kills the worker."""
    server = make_server(WEB_CONCURRENCY=1)
    target = f"/push/poll?channels={channel}"
    target += f"&cursor={server.ask('GET', target).json['cursor']}"
    flood = request("GET", target) * 300 + request("GET", target, {"Connection": "close"})
    assert published_meanwhile(server, channel, flood) == ["after", "before"]


def test_a_body_in_chunks_of_a_byte_lets_others_have_their_turn(
    make_server: Callable[..., Server], channel: str
) -> None:
    """A mebibyte of them are seconds of CPU, for whoever sends them, with or without a right."""
    server = make_server(WEB_CONCURRENCY=1)
    cursor = server.ask("GET", f"/push/poll?channels={channel}").json["cursor"]
    form = f"channels={channel}&cursor={cursor}&more={'x' * 20_000}".encode()
    head = {"Transfer-Encoding": "chunked", "Connection": "close"}
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in form) + b"0\r\n\r\n"
    flood = request("POST", "/push/poll", head) + chunks
    assert published_meanwhile(server, channel, flood) == ["after", "before"]
