"""Tickets: what stands in a URL in a token's place, for an EventSource, which can send no header.

What belongs here: making and redeeming them. What does not: where they travel (``credentials``).

URLs end up in logs. So a ticket does not hold the token, but what the token says, signed; it is
good once, on whichever worker or machine comes first, and for 30 seconds.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from sys import intern
from typing import NamedTuple

from itsdangerous import BadData, URLSafeSerializer

from .broker.interface import Leases
from .errors import NotAuthenticated, SettingsError
from .settings import SECRET_LENGTH
from .tokens import DIGEST, LEEWAY, Token

HOLDS = 30.0  # seconds
_CLAIM = 2 * (HOLDS + LEEWAY)  # seconds that a used one is remembered; longer than any holds


class Ticket(NamedTuple):
    """A ticket, and for how many seconds it holds."""

    text: str
    seconds: float


class Tickets:
    """Makes tickets, and redeems each once."""

    def __init__(self, *keys: str, clock: Callable[[], float] = time.time) -> None:
        """``keys``: the first signs, and all are believed, but for those that can be guessed."""
        self._clock = clock
        # As for tokens: whoever makes a ticket says what it opens.
        self._keys = [key for key in reversed(keys) if len(key.encode()) >= SECRET_LENGTH]
        self._serializer = URLSafeSerializer(
            self._keys,
            salt="pushapp ticket",  # apart from whatever else the secret signs
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )

    def make(self, token: Token) -> Ticket:
        """Return a new ticket for one who has ``token``.

        Raises:
            TokenExpired: it has ended.
            SettingsError: there is no secret that is long enough.
        """
        if not self._keys:
            expected = f"{SECRET_LENGTH} or more characters, to sign tickets with"
            raise SettingsError("PUSH_SECRET", None, expected)
        now = self._clock()
        seconds = min(HOLDS, token.left(now))
        content = (
            secrets.token_urlsafe(12),
            now + seconds,
            (
                *(token.user, token.expires, token.channels, token.publish),
                *(token.member, token.issued),
            ),
            (token.digest + token.key).hex(),
        )
        text = self._serializer.dumps(content)
        return Ticket(text if isinstance(text, str) else text.decode(), seconds)

    def redeem(self, text: str, leases: Leases) -> Token:
        """Return the token that the ticket stands for; nobody redeems it again.

        Raises:
            NotAuthenticated: it is none, has been used, or is over.
            LogUnavailable: whether it has been used cannot be told now.
        """
        try:
            nonce, ends, (user, expires, channels, publish, member, issued), marks = (
                self._serializer.loads(text)
            )
        except (BadData, UnicodeError):
            raise NotAuthenticated("the ticket is none of this server's") from None
        if ends + LEEWAY <= self._clock():
            raise NotAuthenticated(f"the ticket is over: it holds for {HOLDS:g} s")
        if not leases.claim(f"ticket:{nonce}", _CLAIM):
            raise NotAuthenticated("the ticket has been used: each is good once")
        reads, writes = tuple(map(intern, channels)), tuple(map(intern, publish))
        both = bytes.fromhex(marks)  # in one: whoever knows of no key takes it for the digest
        digest, key = both[:DIGEST], both[DIGEST:]
        return Token(user, expires, reads, writes, member, issued, digest, key)
