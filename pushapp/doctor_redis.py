"""Looks at the Valkey or Redis server that the log is on, and says what to change.

What belongs here: what is well and what is not. What does not: asking the server
(``broker.redis.health``), this machine (``doctor``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .broker import open_broker
from .errors import PushError
from .finding import Finding, State
from .settings import Settings

if TYPE_CHECKING:  # the package redis may be missing
    from .broker.redis import RedisBroker
    from .broker.redis.health import Facts

_LEAST = [6, 2]  # XTRIM MINID and ZADD LT came with Redis 6.2; every Valkey has them
_FULL = 0.8  # of maxmemory
_EACH = 3  # connections of a worker
_WAKE_UP = 100  # bytes of one that waits in an output buffer, about
_FEW = 10_000  # of them: a busy log's in a second
_APART = 2.0  # seconds between two clocks
_SET = "in its configuration file and with CONFIG SET (hosted: in the provider's settings)"
_URL = "PUSH_BROKER_URL (or REDIS_URL)"
_KEEP = f"maxmemory-policy noeviction, {_SET}"
_ROOM = "raise maxmemory, or keep less: PUSH_HISTORY_SIZE, PUSH_HISTORY_TTL"
_PRIMARY = f"let {_URL} name the primary, or Sentinels that know it"
_NO_CLUSTER = "use a server that is no cluster; docs/scaling.md says why"
#: What the text of an error holds → what to change; the first that fits.
_CHANGES = {
    "maxmemory-policy": _KEEP,
    "out of memory": _ROOM,
    "READONLY|read only|MASTER": _PRIMARY,
    "cluster": _NO_CLUSTER,
    "NOPERM|permission|user executing": "give its user the rights that docs/scaling.md lists",
    "CERTIFICATE|certificate": "?ssl_ca_certs=/path/ca.pem at the end of the URL; where the"
    " provider signs its own (Heroku): ?ssl_cert_reqs=none",
    "AUTH|WRONGPASS|uthentication|password": f"user and password in {_URL}:"
    " redis://user:password@host",
    "MISCONF": "its own log says why it cannot write to its disk",
    "": f"see that it runs, that {_URL} names it, and that no firewall stands between",
}


def look(settings: Settings, workers: int) -> Iterator[Finding]:
    """Return the findings about the log's server; ``workers`` are this machine's."""
    try:
        broker = open_broker(settings.broker_url, settings.retention, prefix=settings.key_prefix)
    except PushError as error:
        yield Finding(State.BAD, "log", str(error), "set it as it says")
        return
    try:
        yield from _judge(broker, workers)  # type: ignore[arg-type]
    finally:
        broker.close()


def _judge(broker: RedisBroker, workers: int) -> Iterator[Finding]:
    try:
        facts = broker.health.facts()
    except PushError as error:
        yield _trouble(error)
        return
    try:
        broker.check()
        yield Finding(State.OK, "log", "it answers and takes writes")
    except PushError as error:
        yield _trouble(error)
    yield version(facts)
    yield kind(facts)
    yield persistence(facts)
    yield memory(facts)
    yield wake_ups(facts)
    yield connections(facts, workers)
    yield clock(facts)


def _trouble(error: PushError) -> Finding:
    text = str(error)
    change = next(change for sign, change in _CHANGES.items() if re.search(sign, text))
    return Finding(State.BAD, "log", text, change)


def version(facts: Facts) -> Finding:
    """Compare the server's version with what the log's scripts need."""
    name, found = "server", f"{facts.name} {facts.version}"
    if [int(part) for part in re.findall("[0-9]+", facts.version)] < _LEAST:
        return Finding(State.BAD, name, f"{found} is too old", "Redis 6.2 or newer, or Valkey")
    return Finding(State.OK, name, found)


def kind(facts: Facts) -> Finding:
    """Tell whether it is a primary, and what stands by."""
    name = "replicas"
    if facts.role != "master":
        found = "this server is a replica: what is written here is thrown away"
        return Finding(State.BAD, name, found, _PRIMARY)
    if facts.is_cluster:
        found = "this is a cluster's node: when the log's slot moves away, nobody follows"
        return Finding(State.WARN, name, found, _NO_CLUSTER)
    if not facts.replicas:
        return Finding(State.OK, name, "none: while this server is away, publishes get 503")
    found = f"{facts.replicas}; a failover may lose the last moments, and clients are told so"
    return Finding(State.OK, name, found)


def persistence(facts: Facts) -> Finding:
    """Tell what a restart of the server leaves of the log."""
    name, on = "persistence", f"appendonly yes and appendfsync everysec, {_SET}"
    if facts.append_only and facts.fsync == "no":
        found = "append-only file, appendfsync no: a power cut loses what the system had not"
        return Finding(State.WARN, name, f"{found} written yet, often 30 s", on)
    if facts.append_only:
        told = {
            "always": "a 2xx survives a power cut",
            "everysec": "a 2xx survives the server's death; a power cut loses up to a second",
        }.get(facts.fsync or "", "how often it reaches the disk is not told")
        return Finding(State.OK, name, f"append-only file, {facts.fsync or 'hosted'}: {told}")
    if facts.snapshots is None:
        found = "no append-only file, and whether there are snapshots is not told"
        change = "ask the provider what a restart leaves; take a plan with an append-only file"
        return Finding(State.WARN, name, found, change)
    if facts.snapshots:
        found = f"snapshots only (save {facts.snapshots}): a restart loses what came after the last"
        return Finding(State.WARN, name, f"{found} one, although it was acknowledged", on)
    found = "none: a restart loses the log, with the schedule; clients are told, reason epoch"
    return Finding(State.WARN, name, found, on)


def memory(facts: Facts) -> Finding:
    """Compare what the server holds with what it may hold, and what it does when that is full."""
    name, used = "memory", f"{facts.memory / 2**20:.1f} MiB"
    if facts.policy not in ("noeviction", ""):
        found = f"maxmemory-policy is {facts.policy}: it throws messages away unseen"
        return Finding(State.BAD, name, found, _KEEP)
    if not facts.limit:
        found = f"{used} used, maxmemory not set: when its machine is full the kernel ends it"
        return Finding(State.WARN, name, found, f"maxmemory at 3/4 of its machine's, {_SET}")
    found = f"{used} of {facts.limit / 2**20:.1f} MiB used, {facts.policy or 'policy not told'}"
    if facts.memory > _FULL * facts.limit:
        found += f", over {_FULL:.0%}: publishes get 503 when it is full"
        return Finding(State.WARN, name, found, _ROOM)
    return Finding(State.OK, name, found)


def wake_ups(facts: Facts) -> Finding:
    """Look at how many wake-ups may wait for a worker that is busy."""
    name, found = "output buffer", f"pubsub {facts.pubsub_limit}"
    change = f"client-output-buffer-limit pubsub 32mb 8mb 60, {_SET}"
    if not facts.pubsub_limit:
        return Finding(State.OK, name, "the limit for pubsub is not told; the usual 32 MB is good")
    hard, soft, _ = (int(part) for part in facts.pubsub_limit.split())
    if not hard and not soft:
        found += ": no limit, a worker that hangs fills the server's memory"
        return Finding(State.WARN, name, found, change)
    least = min(limit for limit in (hard, soft) if limit)
    if least < _FEW * _WAKE_UP:
        found += f": a busy worker loses its connection after some {least // _WAKE_UP:,} wake-ups"
        return Finding(State.WARN, name, f"{found} and has to read the log anew", change)
    return Finding(State.OK, name, f"{found}: room for some {least // _WAKE_UP:,} wake-ups")


def connections(facts: Facts, workers: int) -> Finding:
    """Compare what is free with what a deploy needs: new workers come before old ones go."""
    name, found = "connections", f"{facts.clients} of {facts.max_clients or 'a number not told'}"
    if facts.max_clients and facts.max_clients - facts.clients < _EACH * workers:
        found += f": a deploy of {workers} workers here needs {_EACH * workers} more for a while"
        change = "raise maxclients (hosted: a larger plan), or lower WEB_CONCURRENCY"
        return Finding(State.WARN, name, found, change)
    return Finding(State.OK, name, found)


def clock(facts: Facts) -> Finding:
    """Compare the two clocks; messages carry the server's time."""
    name = "clock"
    found = (
        f"the server's is {abs(facts.ahead):.1f} s {'ahead of' if facts.ahead > 0 else 'behind'}"
    )
    found += " this machine's"
    if abs(facts.ahead) > _APART:
        change = "let both follow NTP: messages and the schedule carry the server's time"
        return Finding(State.WARN, name, found, change)
    return Finding(State.OK, name, found)
