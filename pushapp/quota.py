"""How much one client may use of a worker: the figures that an operator can set.

What belongs here: the names and defaults of PUSH_LIMITS. What does not: counting (``limits``,
``seats``).

The defaults are there so that one client cannot take a worker from all others, and lie well above
what a school or an office behind one address does.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from .errors import SettingsError, show

_NAME = "PUSH_LIMITS"
_MOST = 10**9  # a sanity bound


class Quota(NamedTuple):
    """All per worker, but for a user's connections; 0: no limit. What is per second may come in a
    burst of ten seconds' worth."""

    user_connections: float = 100  # waiting at a time, of one user, over all workers
    address_connections: float = 4000  # ... of one address
    connects: float = 100  # streams that begin a second, from one address
    requests: float = 1000  # a second, from one address, without an api key
    operations: float = 50  # frames a second, of one WebSocket
    publishes: float = 50  # messages a second, of one user
    key_publishes: float = 0  # ... of one api key

    @classmethod
    def parse(cls, text: str) -> Quota:
        """Return the defaults with what ``text``, a JSON object, says in their places.

        Raises:
            SettingsError: it does not fit.
        """
        expected = f'JSON such as {{"connects":100}}, of {", ".join(cls._fields)}'
        try:
            table = json.loads(text or "{}")
        except ValueError:
            raise SettingsError(_NAME, text, expected) from None
        if not isinstance(table, dict):
            raise SettingsError(_NAME, text, expected)
        for name, value in table.items():
            if name not in cls._fields:
                raise SettingsError(_NAME, name, expected)
            if type(value) not in (int, float) or not 0 <= value <= _MOST:
                came = f"{name}: {show(value)}"
                raise SettingsError(_NAME, came, "a number of 0 (no limit) or more")
        return cls(**table)
