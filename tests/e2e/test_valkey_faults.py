"""Valkey in trouble: a clear error, nothing lost, nothing false told, and well again by itself.

What belongs here: what publishers and subscribers see of each kind of trouble. What does not: all
of them at once under load (``chaos``), and ways to reach a server (``test_valkey_ways``).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from ..clients import TRANSPORTS, Client
from ..server import Server, until
from ..valkey import Valkey
from ..wire import TIMEOUT
from .test_log_in_trouble import assert_says_not_now

pytestmark = pytest.mark.e2e

Connect = Callable[..., Client]
MakeServer = Callable[..., Server]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey of the test's own, which forgets nothing that it has acknowledged."""
    log = Valkey(tmp_path / "valkey", appendonly="yes", appendfsync="always").start()
    yield log
    log.stop()


@pytest.fixture
def server(log: Valkey, make_server: MakeServer) -> Server:
    """Two workers over it."""
    return make_server(PUSH_BROKER_URL=log.url)


@pytest.fixture
def clients(server: Server, connect: Connect, channel: str) -> list[Client]:
    """One on each transport."""
    return [connect(transport, server, [channel]) for transport in TRANSPORTS]


def is_ready(server: Server) -> bool:
    """Tell whether each worker can serve."""
    for pid in server.workers():
        with server.only(pid):
            if server.ask("GET", "/readyz").status != 200:
                return False
    return True


def wait_until_ready(server: Server) -> None:
    until(partial(is_ready, server), "each worker is well again", 3 * TIMEOUT)


def lives(client: Client) -> int:
    return client.trail.count("live")


def assert_told_of_an_end(client: Client, last: str) -> None:
    """It hears that its epoch ended, once, and gets everything up to ``last``."""
    before = lives(client)
    while client.receive()[0]["id"] != last:
        pass
    assert client.recovered is False
    assert {loss["reason"] for loss in client.lost} == {"epoch"}
    assert lives(client) <= before + 1


# -- it is away for a while, and has everything --------------------------------------------------


@pytest.mark.parametrize("trouble", ["killed", "paused"])
def test_while_it_is_away_publishes_are_refused_and_clients_stay(
    log: Valkey, server: Server, clients: list[Client], channel: str, trouble: str
) -> None:
    """503 with Retry-After; what is repeated with its key lands once; nobody is told anything."""
    server.publish(channel, "before")
    assert [client.data() for client in clients] == [["before"]] * 4
    ports = [list(client.local_ports) for client in clients]
    told = [lives(client) for client in clients]

    log.kill() if trouble == "killed" else log.pause()
    publish = {"channel": channel, "data": "meanwhile", "idempotency_key": "one key"}
    assert_says_not_now(server.post(publish))
    assert server.ask("GET", "/readyz").status == 503
    assert server.ask("GET", "/healthz").status == 200
    log.start() if trouble == "killed" else log.resume()

    wait_until_ready(server)
    first, second = (server.post(publish).json["id"] for _ in range(2))
    assert first == second
    server.publish(channel, "after")
    assert [client.data(2) for client in clients] == [["meanwhile", "after"]] * 4
    assert [client.local_ports for client in clients] == ports
    assert [lives(client) for client in clients] == told
    assert all(client.recovered for client in clients)


@pytest.mark.parametrize("kinds", [("pubsub",), ("pubsub", "normal")])
def test_connections_that_it_ends_cost_nobody_anything(
    log: Valkey, server: Server, clients: list[Client], channel: str, kinds: tuple[str, ...]
) -> None:
    """What is published before a worker listens again comes all the same, once and in order."""
    told, cuts = [lives(client) for client in clients], 0
    for n in range(30):
        if n % 5 == 2:
            until(lambda: any(int(client["sub"]) for client in log.clients()), "a worker listens")
            cuts += sum(log.cut(kind) for kind in kinds)
        server.publish(channel, n)
    assert cuts >= 6
    assert [client.data(30) for client in clients] == [list(range(30))] * 4
    assert [lives(client) for client in clients] == told


def test_a_worker_that_sleeps_past_the_output_buffer_limit_misses_nothing(
    log: Valkey, make_server: MakeServer, connect: Connect, channel: str
) -> None:
    """Valkey drops one who does not read what it hears; all of that is in the log."""
    log.ask("CONFIG", "SET", "client-output-buffer-limit", "pubsub 16384 0 0")
    server = make_server(PUSH_BROKER_URL=log.url)
    asleep, awake = server.workers()
    with server.only(asleep):
        client = connect("sse", server, [channel])
    busy = f"{channel}{'.' * 80}"  # long names fill buffers
    with server.only(asleep):
        others = [connect("sse", server, [f"{busy}{n}"]) for n in range(3)]
    with server.only(awake):
        dropped = _dropped(log)
        for _ in range(600):
            server.publish_all([{"channel": f"{busy}{m % 3}", "data": m} for m in range(100)])
            if _dropped(log) > dropped:
                break
        server.publish(channel, "missed")
    assert _dropped(log) > dropped, "the limit was not reached"
    assert client.data() == ["missed"] and lives(client) == 1
    assert others[0].receive(34)[33]["data"] == 99


def _dropped(log: Valkey) -> int:
    return int(log.ask("INFO", "stats")["client_output_buffer_limit_disconnections"])


# -- it comes back with less ---------------------------------------------------------------------


def test_an_emptied_server_is_a_new_epoch(
    log: Valkey, server: Server, clients: list[Client], channel: str
) -> None:
    """Everybody is told, whether connected or coming back, and goes on."""
    old = server.publish(channel, "gone")
    assert [client.data() for client in clients] == [["gone"]] * 4
    log.kill()
    assert_says_not_now(server.ask("GET", f"/push/poll?channels={channel}"))
    log.wipe()
    wait_until_ready(server)
    new = server.publish(channel, "new")
    assert new.partition(".")[0] != old.partition(".")[0]
    for client in clients:
        assert_told_of_an_end(client, new)
    last = server.publish(channel, "and on")
    assert [client.receive()[0]["id"] for client in clients] == [last] * 4


def test_a_server_with_an_older_state_gives_no_id_twice_and_says_so(
    log: Valkey, server: Server, clients: list[Client], channel: str, tmp_path: Path
) -> None:
    """The workers remember that there was more: whoever has a cursor from before is told."""
    kept = server.publish(channel, "kept")
    log.back_up(tmp_path / "copy")
    gone = [server.publish(channel, "gone") for _ in range(3)]
    assert [len(client.receive(4)) for client in clients] == [4] * 4

    log.go_back(tmp_path / "copy")
    wait_until_ready(server)
    new = [server.publish(channel, "new") for _ in range(3)]

    assert not {kept, *gone} & set(new)
    for client in clients:
        assert_told_of_an_end(client, new[-1])
    page = server.look(f"/push/channels/{channel}/history")["messages"]
    assert [message["data"] for message in page] == ["kept", "new", "new", "new"]


def test_an_older_state_that_nobody_remembers_is_still_found_out(
    log: Valkey, server: Server, connect: Connect, channel: str, tmp_path: Path
) -> None:
    """The servers were restarted with it: ids jump, and a cursor from the lost part is of none."""
    kept = server.publish(channel, "kept")
    log.back_up(tmp_path / "copy")
    gone = [server.publish(channel, "gone") for _ in range(3)]
    server.stop()
    log.go_back(tmp_path / "copy")
    server.start()
    new = [server.publish(channel, "new") for _ in range(4)]

    assert not {kept, *gone} & set(new)
    for transport in TRANSPORTS:
        client = connect(transport, server, [channel], gone[1])
        assert client.recovered is False
        assert {loss["reason"] for loss in client.lost} == {"epoch"}
        assert client.data(5) == ["kept", *["new"] * 4]
        client = connect(transport, server, [channel], kept)
        assert client.recovered is True and client.data(4) == ["new"] * 4


# -- it cannot take more, or is set wrongly ------------------------------------------------------


def test_a_server_without_memory_refuses_and_is_well_when_it_has_some(
    log: Valkey, server: Server, clients: list[Client], channel: str
) -> None:
    """Nothing is thrown away to make room; what was there can be read."""
    start = server.publish(channel, "before")
    log.ask("CONFIG", "SET", "maxmemory", "1mb")
    assert_says_not_now(server.post({"channel": channel, "data": "refused"}))
    assert server.ask("GET", "/readyz").status == 503
    log.ask("CONFIG", "SET", "maxmemory", "0")
    wait_until_ready(server)
    last = server.publish(channel, "after")
    assert [client.data(2) for client in clients] == [["before", "after"]] * 4
    page = server.look(f"/push/channels/{channel}/history")["messages"]
    assert [message["id"] for message in page] == [start, last]


def test_a_server_that_is_nearly_full_turns_readyz_red(
    log: Valkey, server: Server, channel: str
) -> None:
    """While there is still time, and nothing is refused yet."""
    used = int(log.ask("INFO", "memory")["used_memory"])
    log.ask("CONFIG", "SET", "maxmemory", used * 102 // 100 + (64 << 10))
    reply = server.ask("GET", "/readyz")
    assert reply.status == 503 and "nearly full" in reply.json["detail"]
    server.publish(channel, "there is room")
    log.ask("CONFIG", "SET", "maxmemory", 2 * used)
    assert server.ask("GET", "/readyz").status == 200
    log.ask("CONFIG", "SET", "maxmemory", "0")


def test_a_policy_that_throws_keys_away_turns_readyz_red(log: Valkey, server: Server) -> None:
    """Else a message is gone and nobody knows."""
    log.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    reply = server.ask("GET", "/readyz")
    assert reply.status == 503 and "allkeys-lru" in reply.json["detail"]
    log.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert server.ask("GET", "/readyz").status == 200


# -- what it costs -------------------------------------------------------------------------------


def named(log: Valkey) -> list[dict[str, str]]:
    """Return the connections that say that they are ours."""
    return [client for client in log.clients() if client["name"].startswith("pushapp:")]


def test_a_worker_takes_three_connections_at_most_with_its_name_on_them(
    log: Valkey, server: Server, clients: list[Client], connect: Connect, channel: str
) -> None:
    """Whatever its clients do; and no more after all were cut and are there again."""
    others = [connect("websocket", server, [f"{channel}.{n}"]) for n in range(20)]

    def held() -> list[int]:
        """How many connections each worker has to the log."""
        return [
            sum(
                connection.raddr.port == log.port and connection.status == "ESTABLISHED"
                for connection in psutil.Process(pid).net_connections("tcp4")
                if connection.raddr
            )
            for pid in server.workers()
        ]

    for kind in (None, "pubsub", "normal"):
        if kind is not None:
            log.cut(kind)
        for n in range(10):
            server.publish_all([{"channel": f"{channel}.{m}", "data": n} for m in range(20)])
        assert all(len(client.receive(10)) == 10 for client in others)
        wait_until_ready(server)
        assert all(1 <= count <= 3 for count in held())
        until(lambda: len(named(log)) == sum(held()), "each has its name")  # which it says first


def test_a_killed_worker_leaves_nothing_open(
    log: Valkey, server: Server, clients: list[Client], channel: str
) -> None:
    """Its connections end with it; the next one takes as many."""
    others = len(log.clients()) - len(named(log))
    os.kill(server.workers()[0], signal.SIGKILL)
    server.wait_for_workers()
    wait_until_ready(server)
    until(lambda: len(log.clients()) - others <= 6, "three connections of each worker at most")
