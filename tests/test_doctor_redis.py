"""``doctor`` on a Valkey or Redis server: what is wrong is found, and what to change is said."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pushapp import doctor, doctor_redis
from pushapp.broker import open_broker
from pushapp.broker.redis import RedisBroker
from pushapp.broker.redis.health import Facts
from pushapp.finding import Finding, State
from pushapp.settings import Settings

from .needs import needs
from .server import API_KEY, SECRET, free_port, until
from .valkey import Valkey

COMPLETE = {"PUSH_API_KEYS": API_KEY, "PUSH_SECRET": SECRET}
SAFE = {"appendonly": "yes", "maxmemory": "100mb"}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Valkey]]:
    """Start servers with a config of the test's own."""
    servers: list[Valkey] = []

    def start_one(**config: object) -> Valkey:
        servers.append(Valkey(tmp_path / f"valkey{len(servers)}", **config))
        return servers[-1].start()

    yield start_one
    for server in servers:
        server.stop()


def look(url: str, workers: int = 1) -> dict[str, Finding]:
    return {f.name: f for f in doctor_redis.look(Settings(broker_url=url), workers)}


@pytest.fixture(scope="module")
def facts(valkey: Valkey) -> Facts:
    broker = open_broker(valkey.url, Settings().retention)
    assert isinstance(broker, RedisBroker)
    facts = broker.health.facts()
    broker.close()
    return facts


def test_a_server_that_is_set_well_is_well(start: Callable[..., Valkey]) -> None:
    """Every check passes, and what a 2xx survives is named."""
    server = start(**SAFE)
    findings = look(server.url)
    assert not [str(f) for f in findings.values() if f.state is not State.OK]
    assert "survives the server's death" in findings["persistence"].found
    assert "noeviction" in findings["memory"].found
    assert server.ask("DBSIZE") == 1, "looking leaves the log's own figures and nothing else"


def test_the_doctor_looks_at_the_server_of_its_settings(start: Callable[..., Valkey]) -> None:
    """The machine's findings, with the server's after them."""
    url = start(**SAFE).url
    names = [finding.name for finding in doctor.look({**COMPLETE, "REDIS_URL": url})]
    assert {"open files", "server", "persistence", "clock"} <= set(names)


@pytest.mark.parametrize(
    ("config", "name", "state", "found", "change"),
    [
        ({"appendonly": "no"}, "persistence", State.WARN, "none:", "appendonly yes"),
        (
            {"appendonly": "no", "save": "900 1"},
            *("persistence", State.WARN, "save 900 1", "appendonly yes"),
        ),
        (
            {"appendfsync": "no"},
            *("persistence", State.WARN, "appendfsync no", "appendfsync everysec"),
        ),
        ({"appendfsync": "always"}, "persistence", State.OK, "survives a power cut", ""),
        (
            {"maxmemory_policy": "allkeys-lru"},
            *("log", State.BAD, "maxmemory-policy is allkeys-lru", "maxmemory-policy noeviction"),
        ),
        (
            {"maxmemory_policy": "volatile-ttl"},
            *("memory", State.BAD, "is volatile-ttl", "maxmemory-policy noeviction"),
        ),
        ({"maxmemory": 0}, "memory", State.WARN, "maxmemory not set", "3/4"),
        ({"maxmemory": "100kb"}, "log", State.BAD, "out of memory", "raise maxmemory"),
        (
            {"client_output_buffer_limit": "pubsub 64kb 0 0"},
            *("output buffer", State.WARN, "pubsub 65536 0 0", "pubsub 32mb 8mb 60"),
        ),
        (
            {"client_output_buffer_limit": "pubsub 0 0 0"},
            *("output buffer", State.WARN, "fills the server's memory", "pubsub 32mb 8mb 60"),
        ),
        ({"maxclients": 20}, "connections", State.WARN, "8 workers here needs 24", "maxclients"),
        (
            {"user": "default on nopass ~* &* +@all -info"},
            *("log", State.BAD, "Valkey/Redis: ", "rights that docs/scaling.md lists"),
        ),
    ],
)
def test_what_is_wrong_is_found(
    start: Callable[..., Valkey],
    config: dict[str, object],
    name: str,
    state: State,
    found: str,
    change: str,
) -> None:
    """A real server that is set so: what came, and what to set."""
    finding = look(start(**SAFE | config).url, workers=8)[name]
    assert finding.state is state, finding
    assert found in finding.found
    assert change in finding.change


def test_a_server_that_is_nearly_full_is_told(start: Callable[..., Valkey]) -> None:
    """Before publishes get 503, and not after."""
    server = start(**SAFE)
    used = int(server.ask("INFO", "memory")["used_memory"])
    server.ask("CONFIG", "SET", "maxmemory", int(1.2 * used))
    finding = look(server.url)["memory"]
    assert finding.state is State.WARN
    assert "over 80%" in finding.found
    assert "PUSH_HISTORY_TTL" in finding.change


def test_a_wrong_password_is_told_and_not_shown(start: Callable[..., Valkey]) -> None:
    """The URL is what has to be changed."""
    server = start(user=["default on nopass ~* &* +@all", "push on >right ~* &* +@all"])
    (finding,) = look(server.url.replace("//", "//push:wrong@")).values()
    assert finding.state is State.BAD
    assert "redis://user:password@host" in finding.change
    assert "wrong@" not in str(finding)


def test_a_certificate_that_nobody_vouches_for_is_told(
    start: Callable[..., Valkey], tmp_path: Path
) -> None:
    """A hosted server that signs its own: what the finding says to add to the URL helps."""
    key, certificate, port = tmp_path / "key.pem", tmp_path / "certificate.pem", free_port()
    subprocess.run(
        [needs("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=valkey"]
        + ["-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    start(
        program=needs("redis-server"),  # the wheel's Valkey was built without TLS
        **{"tls_port": port, "tls_cert_file": certificate, "tls_key_file": key},
        tls_auth_clients="no",
    )
    url = f"rediss://127.0.0.1:{port}"
    (finding,) = look(url).values()
    assert finding.state is State.BAD
    assert "?ssl_cert_reqs=none" in finding.change
    assert look(f"{url}?ssl_cert_reqs=none")["log"].state is State.OK


def test_a_node_of_a_cluster_is_told(start: Callable[..., Valkey]) -> None:
    """The log works on the node that has its slot, which nobody follows when it moves."""
    ports = [free_port() for _ in range(2)]
    nodes = [start(cluster_enabled="yes", cluster_port=port) for port in ports]
    finding = look(nodes[0].url)["log"]
    assert finding.state is State.BAD
    assert "no cluster" in finding.change
    nodes[0].ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    until(lambda: look(nodes[0].url)["log"].state is State.OK, "the cluster takes writes")
    assert look(nodes[0].url)["replicas"].state is State.WARN
    nodes[1].ask("CLUSTER", "MEET", "127.0.0.1", nodes[0].port, ports[0])
    elsewhere = f"does not have the log: 297 127.0.0.1:{nodes[0].port}"
    until(lambda: elsewhere in str(look(nodes[1].url)["log"]), "the other node says who has it")


def test_what_the_server_does_not_tell_is_no_fault(start: Callable[..., Valkey]) -> None:
    """A hosted server without CONFIG: what cannot be seen is said, nothing is made up."""
    server = start(**SAFE, user="default on nopass ~* &* +@all -config")
    findings = look(server.url)
    assert not [str(f) for f in findings.values() if f.state is not State.OK]
    assert "not told" in findings["persistence"].found
    assert "not told" in findings["output buffer"].found
    server = start(user="default on nopass ~* &* +@all -config")
    assert "ask the provider" in look(server.url)["persistence"].change


def test_a_replica_is_no_place_for_a_log(start: Callable[..., Valkey]) -> None:
    """Read-only or, worse, writable: its primary is what the URL has to name."""
    primary = start(**SAFE)
    replica = start(**SAFE, replicaof=f"127.0.0.1 {primary.port}")
    findings = look(replica.url)
    assert findings["log"].state is State.BAD
    assert "primary" in findings["log"].change
    writable = start(**SAFE, replicaof=f"127.0.0.1 {primary.port}", replica_read_only="no")
    assert look(writable.url)["replicas"].state is State.BAD
    assert "2;" in look(primary.url)["replicas"].found


def test_nobody_there_is_bad() -> None:
    """A port where nothing listens is one finding, not a traceback."""
    (finding,) = doctor_redis.look(Settings(broker_url=f"redis://127.0.0.1:{free_port()}"), 1)
    assert finding.state is State.BAD
    assert "refused" in finding.found
    assert "firewall" in finding.change


def test_a_url_that_is_none_is_bad() -> None:
    """What redis-py makes of a URL is said in the setting's name."""
    (finding,) = doctor_redis.look(Settings(broker_url="redis://host:port/zero"), 1)
    assert finding.state is State.BAD
    assert "PUSH_BROKER_URL" in finding.found


def test_an_old_server_is_bad(facts: Facts) -> None:
    """Redis below 6.2 lacks commands that the log is made of."""
    assert doctor_redis.version(replace(facts, name="Redis", version="6.0.16")).state is State.BAD
    assert doctor_redis.version(replace(facts, name="Redis", version="6.2.0")).state is State.OK


def test_clocks_that_are_apart_are_told(facts: Facts) -> None:
    """Messages carry the server's time: the difference is named, whichever is ahead."""
    assert doctor_redis.clock(facts).state is State.OK
    assert "5.0 s behind" in doctor_redis.clock(replace(facts, ahead=-5.0)).found
    assert doctor_redis.clock(replace(facts, ahead=5.0)).state is State.WARN
