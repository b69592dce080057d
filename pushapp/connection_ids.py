"""The ids of connections, across the requests of a poller too.

What belongs here: giving them out, and knowing our own again. What does not: any right; an id
proves nothing by itself.
"""

from __future__ import annotations

import hashlib
import re
import time
from base64 import urlsafe_b64decode
from binascii import b2a_base64
from collections.abc import Callable
from hmac import compare_digest
from random import getrandbits

_CONNECTION_ID = re.compile(r"c1([A-Za-z0-9_-]{16})[A-Za-z0-9_-]{22}")
_ORIGIN = 1_577_836_800.0  # Unix seconds of 2020-01-01: 40 bits of milliseconds last until 2054
_MAC = 16  # bytes
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class ConnectionIds:
    """Gives out ids of connections, and knows its own again. An id proves nothing by itself."""

    def __init__(self, *secrets: str, clock: Callable[[], float] = time.time) -> None:
        # Keyed BLAKE2 (RFC 7693) with the key taken in once: half of what HMAC-SHA-256 costs.
        # "person" keeps these apart from whatever else the secret signs.
        self._signers = [
            hashlib.blake2s(
                key=hashlib.sha256(secret.encode()).digest(), digest_size=_MAC, person=b"connecti"
            )
            for secret in secrets  # the first signs
        ]
        self._clock = clock

    def new(self, user: str | None) -> str:
        """Return a new id, bound to ``user``."""
        # 40 bits of time and 56 that differ, in each process of its own: 16 characters. Nobody has
        # to be unable to guess these, and the system's own random bytes take longer than all else.
        born = int((self._clock() - _ORIGIN) * 1000)
        nonce = (born << 56 | getrandbits(56)).to_bytes(12, "big")
        return _text(self._signers[0], nonce, user).decode()

    def check(self, text: str, user: str | None) -> bool:
        """Tell whether ``text`` is an id that was made for ``user``."""
        match = _CONNECTION_ID.fullmatch(text)
        if match is None:
            return False
        nonce, given = urlsafe_b64decode(match[1]), text.encode()
        return any(compare_digest(given, _text(signer, nonce, user)) for signer in self._signers)

    @staticmethod
    def is_one(text: str) -> bool:
        """Tell whether ``text`` looks like an id."""
        return _CONNECTION_ID.fullmatch(text) is not None

    @staticmethod
    def born(text: str) -> float:
        """Return when an id was made (Unix seconds)."""
        return _ORIGIN + int.from_bytes(urlsafe_b64decode(text[2:18])[:5], "big") / 1000


def _text(signer: hashlib.blake2s, nonce: bytes, user: str | None) -> bytes:
    """Return the id: its nonce in 16 characters, and 128 bits that sign it for ``user`` in 22."""
    mac = signer.copy()
    mac.update(nonce + (b"-" if user is None else b"=" + user.encode()))
    return b"c1" + b2a_base64(nonce + mac.digest(), newline=False).translate(_URL_SAFE)[:38]
