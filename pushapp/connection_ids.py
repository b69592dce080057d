"""The ids of connections, across the requests of a poller too.

What belongs here: giving them out, and knowing our own again. What does not: any right; an id
proves nothing by itself.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import time
from collections.abc import Callable

_CONNECTION_ID = re.compile(r"c1([A-Za-z0-9_-]{16})([A-Za-z0-9_-]{22})")
_ORIGIN = 1_577_836_800.0  # Unix seconds of 2020-01-01: 40 bits of milliseconds last until 2054


class ConnectionIds:
    """Gives out ids of connections, and knows its own again. An id proves nothing by itself."""

    def __init__(self, *secrets: str, clock: Callable[[], float] = time.time) -> None:
        self._secrets = [secret.encode() for secret in secrets]  # the first signs
        self._clock = clock

    def new(self, user: str | None) -> str:
        """Return a new id, bound to ``user``."""
        born = int((self._clock() - _ORIGIN) * 1000).to_bytes(5, "big")
        nonce = _text(born + secrets.token_bytes(7))  # 96 bits: 16 characters
        return f"c1{nonce}{_sign(self._secrets[0], nonce, user)}"

    def check(self, text: str, user: str | None) -> bool:
        """Tell whether ``text`` is an id that was made for ``user``."""
        match = _CONNECTION_ID.fullmatch(text)
        return match is not None and any(
            hmac.compare_digest(match[2], _sign(secret, match[1], user)) for secret in self._secrets
        )

    @staticmethod
    def is_one(text: str) -> bool:
        """Tell whether ``text`` looks like an id."""
        return _CONNECTION_ID.fullmatch(text) is not None

    @staticmethod
    def born(text: str) -> float:
        """Return when an id was made (Unix seconds)."""
        return _ORIGIN + int.from_bytes(base64.urlsafe_b64decode(text[2:18])[:5], "big") / 1000


def _sign(secret: bytes, nonce: str, user: str | None) -> str:
    # "connection" keeps these apart from whatever else the secret signs.
    whose = "-" if user is None else f"={user}"
    mac = hmac.digest(secret, f"connection {nonce}{whose}".encode(), "sha256")
    return _text(mac[:16])  # 128 bits: 22 characters


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
