"""The ids of connections, across the requests of a poller too.

What belongs here: giving them out, and knowing our own again. What does not: any right; an id
proves nothing by itself.
"""

from __future__ import annotations

import hashlib
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from hmac import compare_digest
from random import getrandbits

_CONNECTION_ID = re.compile(r"c1([A-Za-z0-9_-]{16})([A-Za-z0-9_-]{22})")
_ORIGIN = 1_577_836_800.0  # Unix seconds of 2020-01-01: 40 bits of milliseconds last until 2054
_BLOCK = 64  # bytes of SHA-256's (RFC 2104)


class ConnectionIds:
    """Gives out ids of connections, and knows its own again. An id proves nothing by itself."""

    def __init__(self, *secrets: str, clock: Callable[[], float] = time.time) -> None:
        self._signers = [_Signer(secret.encode()) for secret in secrets]  # the first signs
        self._clock = clock

    def new(self, user: str | None) -> str:
        """Return a new id, bound to ``user``."""
        # 40 bits of time and 56 that differ, in each process of its own: 16 characters. Nobody has
        # to be unable to guess these, and the system's own random bytes take longer than all else.
        born = int((self._clock() - _ORIGIN) * 1000)
        nonce = urlsafe_b64encode((born << 56 | getrandbits(56)).to_bytes(12, "big"))
        return f"c1{nonce.decode()}{self._signers[0].sign(nonce, user).decode()}"

    def check(self, text: str, user: str | None) -> bool:
        """Tell whether ``text`` is an id that was made for ``user``."""
        match = _CONNECTION_ID.fullmatch(text)
        if match is None:
            return False
        nonce, mac = match[1].encode(), match[2].encode()
        return any(compare_digest(mac, signer.sign(nonce, user)) for signer in self._signers)

    @staticmethod
    def is_one(text: str) -> bool:
        """Tell whether ``text`` looks like an id."""
        return _CONNECTION_ID.fullmatch(text) is not None

    @staticmethod
    def born(text: str) -> float:
        """Return when an id was made (Unix seconds)."""
        return _ORIGIN + int.from_bytes(urlsafe_b64decode(text[2:18])[:5], "big") / 1000


class _Signer:
    """HMAC-SHA-256 (RFC 2104) with its key taken in once: ``hmac`` does that each time, which is
    most of what a short text costs."""

    def __init__(self, secret: bytes) -> None:
        key = hashlib.sha256(secret).digest() if len(secret) > _BLOCK else secret
        key = key.ljust(_BLOCK, b"\0")
        # "connection" keeps these apart from whatever else the secret signs.
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + b"connection ")
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key))

    def sign(self, nonce: bytes, user: str | None) -> bytes:
        """Return 128 bits in 22 characters."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(nonce + (b"-" if user is None else b"=" + user.encode()))
        outer.update(inner.digest())
        return urlsafe_b64encode(outer.digest()[:16])[:22]
