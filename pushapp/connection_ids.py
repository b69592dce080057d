"""The ids of connections, across the requests of a poller too.

What belongs here: giving them out, and knowing our own again. What does not: any right; an id
proves nothing by itself.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets

_CONNECTION_ID = re.compile(r"c1([A-Za-z0-9_-]{16})([A-Za-z0-9_-]{22})")


class ConnectionIds:
    """Gives out ids of connections, and knows its own again. An id proves nothing by itself."""

    def __init__(self, *secrets: str) -> None:
        self._secrets = [secret.encode() for secret in secrets]  # the first signs

    def new(self, user: str | None) -> str:
        """Return a new id, bound to ``user``."""
        nonce = secrets.token_urlsafe(12)  # 96 bits: 16 characters
        return f"c1{nonce}{_sign(self._secrets[0], nonce, user)}"

    def check(self, text: str, user: str | None) -> bool:
        """Tell whether ``text`` is an id that was made for ``user``."""
        match = _CONNECTION_ID.fullmatch(text)
        return match is not None and any(
            hmac.compare_digest(match[2], _sign(secret, match[1], user)) for secret in self._secrets
        )


def _sign(secret: bytes, nonce: str, user: str | None) -> str:
    # "connection" keeps these apart from whatever else the secret signs.
    whose = "-" if user is None else f"={user}"
    mac = hmac.digest(secret, f"connection {nonce}{whose}".encode(), "sha256")
    return base64.urlsafe_b64encode(mac[:16]).decode().rstrip("=")  # 128 bits: 22 characters
