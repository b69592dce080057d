"""Ways to reach a server: TLS, a user with few rights, Sentinel; and what a failover costs.

What belongs here: the URLs that an operator may write. What does not: servers in trouble
(``test_valkey_faults``).
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import redis

from pushapp.broker import open_broker
from pushapp.errors import LogUnavailable
from pushapp.retention import Retention

from ..clients import TRANSPORTS, Client
from ..needs import needs
from ..server import Server, free_port, until
from ..valkey import Valkey
from .test_valkey_faults import assert_told_of_an_end, lives, wait_until_ready

pytestmark = pytest.mark.e2e

Connect = Callable[..., Client]
MakeServer = Callable[..., Server]

#: What the broker needs, and nothing else: docs/scaling.md says so, too.
RIGHTS = (
    "resetkeys ~{push}:* resetchannels &{push}/*"
    " -@all +@read +@write +@pubsub +@scripting +@connection +time -@dangerous +info"
)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Valkey]]:
    """Start servers: ``start("name", program=…, tls_port=…)``."""
    with ExitStack() as stack:

        def start_one(name: str, **options: Any) -> Valkey:
            server = Valkey(tmp_path / name, **options).start()
            stack.callback(server.stop)
            return server

        yield start_one


def assert_works(server: Server, connect: Connect, channel: str) -> None:
    """Publishing and every transport, at each worker."""
    clients = [connect(transport, server, [channel]) for transport in TRANSPORTS]
    for pid in server.workers():
        with server.only(pid):
            server.publish(channel, "heard")
    assert [client.data(2) for client in clients] == [["heard"] * 2] * 4


def test_tls(
    start: Callable[..., Valkey],
    make_server: MakeServer,
    connect: Connect,
    channel: str,
    tmp_path: Path,
) -> None:
    """``rediss://``, with an authority of one's own; a server that none vouches for is refused."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [needs("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        + ["-subj", "/CN=valkey", "-addext", "subjectAltName=IP:127.0.0.1"]
        + ["-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    port = free_port()
    start(
        "tls",
        program=needs("redis-server"),  # the wheel's Valkey was built without TLS
        tls_port=port,
        tls_cert_file=certificate,
        tls_key_file=key,
        tls_auth_clients="no",
    )
    url = f"rediss://127.0.0.1:{port}/0"
    server = make_server(PUSH_BROKER_URL=f"{url}?ssl_ca_certs={certificate}")
    assert_works(server, connect, channel)
    with closing(open_broker(url, lambda channel: Retention(1, 1.0))) as broker:
        with pytest.raises(LogUnavailable, match="(?i)certificate verify failed"):
            broker.check()


def test_a_user_with_few_rights(
    start: Callable[..., Valkey], make_server: MakeServer, connect: Connect, channel: str
) -> None:
    """The app's own keys and channels suffice; without the password nothing works."""
    log = start("acl", user=f"pushapp on >secret {RIGHTS}")
    url = f"redis://pushapp:secret@127.0.0.1:{log.port}/0"
    with (
        redis.Redis.from_url(url) as stranger,
        pytest.raises(redis.ResponseError, match="No permissions"),
    ):
        stranger.set("a key of somebody else", "1")
    server = make_server(PUSH_BROKER_URL=url)
    assert_works(server, connect, channel)
    later = {"channel": channel, "data": "later", "delay": 60, "retain": True}
    assert "scheduled" in server.post(later).json
    server.look("/push/channels")


def offset(log: Valkey) -> int:
    """How much of what is replicated it has (WAIT counts only what its own connection wrote)."""
    told: int = log.ask("INFO", "replication")["master_repl_offset"]
    return told


@pytest.mark.parametrize("lagging", [False, True], ids=["up to date", "lagging"])
def test_sentinel_and_a_failover(
    start: Callable[..., Valkey],
    make_server: MakeServer,
    connect: Connect,
    channel: str,
    lagging: bool,
) -> None:
    """A replica that has everything takes over and nobody notices; one that lacks something, and
    everybody is told. No id is given twice."""
    first = start("first", appendonly="yes")
    second = start("second", appendonly="yes", replicaof=f"127.0.0.1 {first.port}")
    sentinel = start(
        "sentinel",
        role="--sentinel",
        sentinel=[
            f"monitor log 127.0.0.1 {first.port} 1",
            "down-after-milliseconds log 60000",  # a busy machine is no failure
            "failover-timeout log 3000",
        ],
    )
    until(lambda: sentinel.ask("SENTINEL", "REPLICAS", "log"), "the sentinel knows the replica")
    server = make_server(PUSH_BROKER_URL=f"redis+sentinel://127.0.0.1:{sentinel.port}/log")
    clients = [connect(transport, server, [channel]) for transport in TRANSPORTS]
    given = [server.publish(channel, "before")]
    written = offset(first)
    until(lambda: offset(second) >= written, "the replica has it")
    if lagging:
        second.pause()
        first.cut("replica")  # else what follows waits for it in its socket
        given.append(server.publish(channel, "gone"))
    assert [len(client.receive(len(given))) for client in clients] == [len(given)] * 4
    told = [lives(client) for client in clients]

    first.kill()
    second.resume()
    sentinel.ask("SENTINEL", "SET", "log", "down-after-milliseconds", "500")
    wait_until_ready(server)
    new = [server.publish(channel, "after") for _ in range(2)]

    assert not set(given) & set(new)
    if lagging:
        for client in clients:
            assert_told_of_an_end(client, new[-1])
    else:
        assert [client.data(2) for client in clients] == [["after"] * 2] * 4
        assert [lives(client) for client in clients] == told
        assert all(client.recovered for client in clients)
