"""Who is connected, on the server."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...errors import LogUnavailable
from ..roster import Connection, Entry, Members


class RedisRoster:
    """See ``interface.Roster``."""

    def sync(
        self,
        worker: str,
        came: Sequence[Entry],
        gone: Collection[str],
        *,
        ttl: float,
        record: bool = False,
    ) -> bool:
        raise LogUnavailable("Valkey/Redis: this log keeps no roster")

    def members(self, channel: str, after: str = "", limit: int = 100) -> Members:
        raise LogUnavailable("Valkey/Redis: this log keeps no roster")

    def connections(
        self, user: str | None = None, after: str = "", limit: int = 100
    ) -> list[Connection]:
        raise LogUnavailable("Valkey/Redis: this log keeps no roster")

    def connection(self, id: str) -> Connection | None:
        raise LogUnavailable("Valkey/Redis: this log keeps no roster")
