"""How many subscribers a channel has over all workers: each worker says its own, as leases.

What belongs here: saying it cheaply, however many channels there are. What does not: who they are.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from zlib import crc32

from .broker.interface import Leases
from .errors import LogUnavailable
from .hub import Hub

PERIOD = 1.0  # seconds between looks
TTL = 30.0  # seconds after which what a dead worker said is forgotten
SHARES = 64  # leases of a worker: a change writes its share again, and not all channels

log = logging.getLogger(__name__)


class Census:
    """Says what this worker has; asks what all have."""

    def __init__(self, hub: Hub, leases: Leases) -> None:
        self._hub, self._leases = hub, leases
        self._name = f"worker:{secrets.token_hex(8)}"
        self._said: dict[int, tuple[float, dict[str, str]]] = {}  # share → when, what
        self._closed = threading.Event()
        self._loop = threading.Thread(target=self._run, name="pushapp-census", daemon=True)
        self._loop.start()

    def subscribers(self, channel: str) -> int:
        """Return how many there are, as of a second ago.

        Raises:
            LogUnavailable: nobody can say.
        """
        return sum(int(count) for count in self._leases.read(_key(channel)).values())

    def _run(self) -> None:
        while not self._closed.wait(PERIOD):
            try:
                self._say()
            except LogUnavailable as error:
                log.debug("the census has to wait: %s", error)  # the listener says it aloud
            except Exception:
                log.exception("the census failed; trying again")

    def _say(self) -> None:
        shares: dict[int, dict[str, str]] = {}
        for channel, count in self._hub.counts().items():
            shares.setdefault(crc32(channel.encode()) % SHARES, {})[_key(channel)] = str(count)
        now = time.monotonic()
        for share in shares.keys() | self._said.keys():
            values = shares.get(share, {})
            when, said = self._said.get(share, (0.0, {}))
            if values != said or now - when > TTL / 3:
                self._leases.renew(f"{self._name}/{share}", values, TTL)
                self._said[share] = now, values
            if not values:
                self._said.pop(share, None)

    def close(self) -> None:
        """Take back what was said; idempotent."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._loop.join(timeout=5)
        for share in self._said:
            try:
                self._leases.release(f"{self._name}/{share}")
            except LogUnavailable:
                return  # it expires by itself


def _key(channel: str) -> str:
    return f"channel:{channel}"
