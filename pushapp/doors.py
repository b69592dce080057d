"""How many connections each address has that do nothing yet: they cost a greenlet each.

What belongs here: counting them where they are accepted, before a byte is read. What does not:
those that wait parked (``seats``), requests (``limits``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from .address import counted_peer
from .connection import Connection
from .errors import TooManyRequests
from .problem import problem
from .seats import AFTER
from .settings import Settings

log = logging.getLogger(__name__)


def _refusal() -> bytes:
    """Return the answer to one who was not let in, as the app would write it."""
    answer = problem(TooManyRequests("too many connections from this address", AFTER))
    fields = {**answer.headers, "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    body: bytes = answer.get_data()
    return f"HTTP/1.1 {answer.status}\r\n{head}\r\n".encode() + body


_REFUSAL = _refusal()


class Doors:
    """The connections in gunicorn's hands, by the address of a peer that is no proxy of ours."""

    def __init__(self, settings: Settings) -> None:
        self._proxies = settings.trusted_proxies
        self._most = settings.quota.address_connections
        self._inside: dict[str, int] = {}

    def let_in(self, connection: Connection, serve: Callable[[Connection], None]) -> None:
        """Have it served, unless its address has as many as may be already."""
        host = connection.host
        key = counted_peer(host, self._proxies) if isinstance(host, str) and self._most else None
        if key is None:
            serve(connection)
            return
        count = self._inside.get(key, 0)
        if count >= self._most:
            _turn_away(connection.client)
            return
        self._inside[key] = count + 1
        try:
            serve(connection)
        finally:
            self._leave(key)

    def _leave(self, key: str) -> None:
        self._inside[key] -= 1
        if not self._inside[key]:
            del self._inside[key]


def _turn_away(client: Any) -> None:
    """Say so to one who was not let in, without waiting for what it asks."""
    try:
        client.setblocking(False)
        client.send(_REFUSAL)
    except OSError as error:
        log.debug("it has gone, or takes nothing: %s", error)
    client.close()
