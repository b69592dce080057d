"""What the server promises and what it is set to, in words and figures.

What belongs here: asking it, and reading its answers. What does not: what is good or bad
(``check`` and ``doctor`` say that).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from ...errors import LogUnavailable
from .line import Line

_FRESH = 30.0  # seconds that an answer is good for


@dataclass(frozen=True, slots=True)
class Facts:
    """Answers of INFO and CONFIG; None where a hosted server does not say."""

    name: str  # "Valkey" or "Redis"
    version: str
    policy: str  # maxmemory-policy
    memory: int  # bytes in use
    limit: int  # maxmemory in bytes; 0: none
    append_only: bool
    fsync: str | None  # appendfsync
    snapshots: str | None  # the save points; None: it does not say
    pubsub_limit: str | None  # of client-output-buffer-limit: "hard soft seconds"
    replicas: int
    role: str  # "master", or "slave" for a replica
    is_cluster: bool
    clients: int  # connections to it
    max_clients: int
    ahead: float  # seconds that its clock is ahead of this machine's


class Health:
    """Asks at most every half minute."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._known: Facts | None = None
        self._when = 0.0

    def facts(self) -> Facts:
        """Return what the server is like.

        Raises:
            LogUnavailable: it does not answer.
        """
        now = time.monotonic()
        if self._known is None or now - self._when > _FRESH:
            self._known, self._when = self._ask(), now
        return self._known

    def _ask(self) -> Facts:
        lines = self._line.ask("INFO").splitlines()
        info = {name: value for name, _, value in (line.partition(":") for line in lines)}
        seconds, us = self._line.ask("TIME")
        ahead = int(seconds) + int(us) / 1e6 - time.time()
        valkey = info.get("valkey_version", "")
        limits = (self._config("client-output-buffer-limit") or "").split()
        at = limits.index("pubsub") if "pubsub" in limits else len(limits)
        return Facts(
            name="Valkey" if valkey else "Redis",
            version=valkey or info.get("redis_version", ""),
            policy=info.get("maxmemory_policy", ""),
            memory=int(info.get("used_memory", 0)),
            limit=int(info.get("maxmemory", 0)),
            append_only=info.get("aof_enabled") == "1",
            fsync=self._config("appendfsync"),
            snapshots=self._config("save"),
            pubsub_limit=" ".join(limits[at + 1 : at + 4]) or None,
            replicas=int(info.get("connected_slaves", 0)),
            role=info.get("role", ""),
            is_cluster=info.get("cluster_enabled") == "1",
            clients=int(info.get("connected_clients", 0)),
            max_clients=int(info.get("maxclients", 0)),
            ahead=ahead,
        )

    def _config(self, name: str) -> str | None:
        try:
            answer = self._line.ask("CONFIG", "GET", name)
        except LogUnavailable:
            return None  # hosted servers and narrow ACLs refuse it
        return str(answer[1]) if len(answer) == 2 else None

    def durability(self) -> str:
        """Return what an acknowledged message survives."""
        try:
            facts = self.facts()
        except LogUnavailable as error:
            return f"not known: {error}"
        server = f"{facts.name} {facts.version}"
        if facts.append_only:
            power = {
                "always": "and a power cut",
                "everysec": "and a power cut but for the last second",
            }.get(facts.fsync or "", "and a power cut as its appendfsync is set")
            return f"{server}, append-only file: survives the death of the server {power}"
        if facts.snapshots:
            return f"{server}, snapshots only: a restart loses what came after the last one"
        if facts.snapshots is None:
            return f"{server}: as its persistence is set, which it does not tell"
        return f"{server} keeps nothing on disk: a restart of the server loses the log"
