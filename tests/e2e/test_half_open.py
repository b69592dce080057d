"""Half-open connections: a client whose network is gone, of which nobody tells the server.

What belongs here: packets that are really lost, on a line that still looks whole. What does not:
clients that leave with a word (``transports/test_leaving``), or that only do not read (there, too).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pytest

from ..clients import CLIENTS, Client, LongPoll
from ..far import Far, Refused
from ..scrape import scrape
from ..server import Server, until
from ..wire import TIMEOUT

HEARTBEAT = 6.0  # seconds
MARGIN = 5.0  # seconds for a busy machine; less than a third heartbeat
STREAMS = ("sse", "websocket")
WAITING = ("longpoll", *STREAMS)  # who is not parked has an answer in its own time


@pytest.fixture(scope="module")
def far() -> Iterator[Far]:
    try:
        far = Far()
    except Refused as refused:  # of what the kernel forbids, CI can do nothing about either
        pytest.skip(f"no second network here: {refused}")
    yield far
    far.close()


def client_of(far: Far, transport: str, port: int, channel: str, cursor: str | None) -> Client:
    """Return a client of the far network, whose packets pass the cable."""
    kind = type("Far", (CLIENTS[transport],), {"host": far.address})
    with far.inside():
        client: Client = kind(port, [channel], cursor)
        client.open()
    return client


def test_who_has_silently_gone_is_found_within_two_heartbeats(
    far: Far, make_server: Callable[..., Server], channel: str
) -> None:
    """Whether something is sent to it or not, parked or not; and back again it misses nothing."""
    settings = {"WEB_CONCURRENCY": 1, "BIND": "0.0.0.0", "PUSH_HEARTBEAT": HEARTBEAT}
    parked = make_server(**settings)
    unparked = make_server(PUSH_PARK=0, **settings)
    servers = [parked, unparked]
    silent = f"{channel}.silent"
    start = servers[0].publish(channel, "start")
    clients = [
        client_of(far, transport, server.port, name, start)
        for server, transports in zip(servers, (WAITING, STREAMS), strict=True)
        for transport in transports
        for name in (channel, silent)
    ]
    for client in clients:
        if isinstance(client, LongPoll):
            client.ask(timeout=55)
    ports = {client.wire.local_port for client in clients}

    def held() -> set[int]:
        return ports & {port for server in servers for port in server.connections()}

    def waiting() -> float:
        return sum(scrape(server).total("connections") for server in servers)

    until(lambda: waiting() == len(clients), "all of them wait")
    far.pull()
    pulled = time.monotonic()
    servers[0].publish(channel, "missed")
    assert held() == ports, "nobody has told the servers"
    until(lambda: not held(), "their sockets are closed", 3 * TIMEOUT)
    assert time.monotonic() - pulled < 2 * HEARTBEAT + MARGIN
    until(lambda: waiting() == 0, "nobody waits")  # who is not parked has found out by a write
    for client in clients:
        server = servers[client.port == servers[1].port]
        if client.transport in STREAMS:
            line = rf"ended connection={client.connection} .* reason=gone "
            until(lambda line=line, server=server: re.search(line, server.log), "it is told")
    unparked.check_log()  # to gunicorn it is a failure

    servers[0].publish(silent, "missed")
    far.plug()
    for client in clients:
        (name,) = client.channels
        again = client_of(far, client.transport, client.port, name, client.cursor)
        assert again.recovered is True and again.data() == ["missed"]
        again.close()
        client.close()
