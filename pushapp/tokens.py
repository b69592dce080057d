"""Tokens: JWTs that say who subscribes to what.

What belongs here: what a token says, whether that holds now, and making one. What does not:
signatures (``keyring``), where a token travels (``credentials``), what else opens a channel
(``auth``).
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from sys import intern
from typing import Any, TypeGuard

from .errors import InvalidInput, NotAuthenticated, TokenExpired
from .keyring import Keyring
from .message import CHANNEL_PATTERN, EVERYONE, dump
from .settings import Settings
from .shared import Shared

LEEWAY = 5.0  # seconds that two clocks may differ
LONGEST = 8000  # characters; gunicorn takes header fields of 8,190 bytes
_FEW = 1000  # withdrawn tokens that are kept, ended or not
DIGEST = 15  # bytes: nobody finds a second text for one that was verified. 16 take 16 more
_KNOWN = 10_000  # tokens remembered; whichever was used longest ago is verified again
#: Such a number is in another unit: milliseconds since 2001. The end of the year 9999, which .NET
#: and others give to what never ends, is 253402300799 in seconds.
_MILLISECONDS = 1e12

USER = "1 to 123 of A-Z a-z 0-9 _ . : @ | + ~ = -, and not . or .."
_PATTERN = re.compile(r"[A-Za-z0-9_.:@|+~=-]{1,128}|[A-Za-z0-9_.:@|+~=-]{0,127}\*")


def is_pattern(text: object) -> bool:
    """Tell whether ``text`` is a channel name, or the start of one and ``*``."""
    return isinstance(text, str) and _PATTERN.fullmatch(text) is not None


def is_user(user: object) -> TypeGuard[str]:
    """Tell whether ``user`` is a user's id: what may stand in a channel name after ``user:``. In a
    path ``.`` and ``..`` would be anything but a name, however written: nobody could look them up,
    or end their connections."""
    if not isinstance(user, str) or user in ("", ".", ".."):
        return False
    return CHANNEL_PATTERN.fullmatch(f"user:{user}") is not None


def matches(pattern: str, channel: str) -> bool:
    """Tell whether ``pattern`` names ``channel``."""
    if pattern.endswith("*"):
        return channel.startswith(pattern[:-1])
    return channel == pattern


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says. All who come with the same one share this object."""

    user: str
    expires: float  # Unix seconds
    channels: tuple[str, ...] = ()  # patterns to read
    publish: tuple[str, ...] = ()  # patterns to write
    member: Any = None  # what others may know of this user; any JSON
    issued: float = 0.0  # Unix seconds; 0: it does not say
    digest: bytes = field(default=b"", repr=False)  # by which it alone is revoked
    key: bytes = field(default=b"", repr=False)  # the mark of the key that signed it

    def may_read(self, channel: str) -> bool:
        """Tell whether it opens ``channel``. No pattern ever opens a ``user:`` channel; everyone's
        is open to each."""
        if channel.startswith("user:"):
            return channel == f"user:{self.user}"
        if channel == EVERYONE:
            return True
        return any(matches(pattern, channel) for pattern in self.channels)

    def may_publish(self, channel: str) -> bool:
        """Tell whether its user may publish to ``channel``; to users' own, and to everyone's,
        nobody's may."""
        if channel.startswith("user:") or channel == EVERYONE:
            return False
        return any(matches(pattern, channel) for pattern in self.publish)

    def member_text(self) -> str | None:
        """Return ``member`` as JSON; all who say the same share one text."""
        return None if self.member is None else intern(dump(self.member))

    def left(self, now: float) -> float:
        """Return how many seconds it still holds.

        Raises:
            TokenExpired: none.
        """
        left = self.expires + LEEWAY - now
        if left <= 0:
            raise TokenExpired
        return left


class Tokens:
    """Knows tokens, and makes them."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        """Raises SettingsError: a key cannot be read."""
        self._audience, self._clock = settings.audience, clock
        # By their text's digest; what was used longest ago comes first. A plain dict, because an
        # OrderedDict takes 80 bytes more for each.
        self._known: dict[bytes, Token] = {}
        self._patterns: Shared[tuple[str, ...]] = Shared()
        self._times: Shared[float] = Shared()  # many are made in the same second
        self._revoked: dict[str | None, float] = {}  # user, None for all → issued before (Unix s)
        self._withdrawn: dict[bytes, float] = {}  # digest → its own end (Unix s)
        self._most_withdrawn = _FEW  # of these, until those are forgotten that have ended anyway
        self.keys = Keyring(settings)

    def verify(self, text: str) -> Token:
        """Return what a token says, if it holds.

        Raises:
            NotAuthenticated: it is none, is nobody's that counts here, or says what cannot be.
            TokenExpired: it held.
            Unavailable: that cannot be told now.
        """
        if not text.isascii() or len(text) > LONGEST:
            raise NotAuthenticated("the token is not a JWT")
        digest = _digest(text)  # of its exact bytes
        self.keys.refresh()  # first: the key of this one may have been taken out
        token = self._known.pop(digest, None)
        if token is None or not self.keys.believes(token.key):
            claims, key = self.keys.verify(text)
            # Whoever has a signature may make others of the same that count (ECDSA: r, n - s); but
            # for HMAC's, so that its token has one digest for both.
            own = digest if key.algorithm == "HS256" else _digest(text.rpartition(".")[0])
            token = self._read(claims, own, key.mark)
        self.left(token)
        self._known[digest] = token
        if len(self._known) > _KNOWN:
            del self._known[next(iter(self._known))]
        return token

    def share(self, token: Token) -> Token:
        """Return the one object for this token, which came by a ticket, if it holds. It does not
        get known by that: where it comes itself, its signature is looked at.

        Raises:
            As ``left``.
        """
        token = self._known.get(token.digest, token)
        self.keys.note(token.key)
        self.left(token)
        return token

    def left(self, token: Token) -> float:
        """Return how many seconds a token still holds.

        Raises:
            TokenExpired: it held.
            NotAuthenticated: it was revoked, or the key that signed it was.
        """
        issued_since = max(self.revoked(None), self.revoked(token.user))
        if token.issued < issued_since or token.digest in self._withdrawn:
            raise NotAuthenticated("the token has been revoked")
        if not self.keys.believes(token.key):
            raise NotAuthenticated("the key that signed the token has been revoked")
        return token.left(self._clock())

    def check(self, token: Token) -> None:
        """Return where ``verify`` would return this token for its text once more. Never waits.

        Raises:
            As ``left``; NotAuthenticated also where only ``verify`` tells: it is time to look
            whether the keys have changed.
        """
        self.left(token)
        if self.keys.is_old:
            raise NotAuthenticated("the keys have to be looked at")

    def revoked(self, user: str | None) -> float:
        """Return since when tokens of ``user`` (None: of all) have to be issued (Unix seconds)."""
        return self._revoked.get(user, 0.0)

    def revoke(self, user: str | None, before: float) -> bool:
        """Let tokens of ``user`` (None: of all) that were issued before then (Unix seconds) count
        no longer; False where that is so already."""
        if before <= self.revoked(user):
            return False
        self._revoked[user] = before
        return True

    def withdraw(self, digest: bytes, expires: float) -> bool:
        """Let the one token with this digest count no longer; False where that is so already.
        ``expires``: its own end (Unix seconds), until which that has to be known."""
        if digest in self._withdrawn:
            return False
        now = self._clock()
        if len(self._withdrawn) >= self._most_withdrawn:
            live = {one: end for one, end in self._withdrawn.items() if end + LEEWAY > now}
            self._withdrawn, self._most_withdrawn = live, max(_FEW, 2 * len(live))
        self._withdrawn[digest] = expires
        return True

    def make(
        self,
        user: str,
        channels: Sequence[str],
        publish: Sequence[str],
        expires: float,
        member: object,
    ) -> str:
        """Return a signed token for ``user`` that holds for ``expires`` seconds.

        Raises:
            InvalidInput: something does not fit.
            SettingsError: there is no secret to sign it with.
        """
        if not is_user(user):
            raise InvalidInput("user", user, USER)
        for name, patterns in (("channels", channels), ("publish", publish)):
            if isinstance(patterns, str) or not all(map(is_pattern, patterns)):
                raise InvalidInput(name, patterns, "a list of channel names, or starts and *")
        if not 0 < expires < math.inf:
            raise InvalidInput("expires", expires, "a number of seconds above 0")
        now = self._clock()
        claims = {"sub": user, "iat": round(now, 3), "exp": math.ceil(now + expires)}
        more = {
            "channels": list(channels),
            "publish": list(publish),
            "member": member,
            "aud": self._audience,
        }
        text = self.keys.sign(claims | {name: value for name, value in more.items() if value})
        if len(text) > LONGEST:
            raise InvalidInput("token", f"{len(text)} characters", f"at most {LONGEST}")
        return text

    def _read(self, claims: Mapping[str, Any], digest: bytes, key: bytes) -> Token:
        user, expires = claims.get("sub"), claims.get("exp")
        if not is_user(user):
            raise _wrong("sub", USER)
        if not _is_time(expires):
            raise _wrong("exp", "Unix seconds")
        begins = claims.get("nbf", 0)
        if not _is_time(begins):
            raise _wrong("nbf", "Unix seconds")
        if begins > self._clock() + LEEWAY:
            raise NotAuthenticated("the token does not hold yet (nbf)")
        audience = claims.get("aud", [])
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            if audience or self._audience:  # RFC 7519 section 4.1.3
                raise NotAuthenticated("the token is for another audience (aud; PUSH_AUDIENCE)")
        try:
            dump(claims.get("member")).encode()
        except ValueError:  # no browser could read Infinity, nor half of a surrogate pair
            raise _wrong("member", "JSON") from None
        issued = claims.get("iat", 0)
        if not _is_time(issued):
            raise _wrong("iat", "Unix seconds")
        if issued > self._clock() + LEEWAY:  # a revocation of those issued until now must meet it
            raise NotAuthenticated("the token was issued in the future (iat): do the clocks agree?")
        patterns = {}
        for name in ("channels", "publish"):
            given = claims.get(name, [])
            if not isinstance(given, list) or not all(map(is_pattern, given)):
                raise _wrong(name, "a list of channel names, or starts and *")
            patterns[name] = self._patterns.one(tuple(map(intern, given)))  # many have the same
        return Token(
            user,
            self._times.one(float(expires)),
            **patterns,
            member=claims.get("member"),
            issued=self._times.one(float(issued)),
            digest=digest,
            key=key,
        )


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()[:DIGEST]


def _is_time(value: object) -> TypeGuard[float]:
    return type(value) in (int, float) and 0 <= value < _MILLISECONDS  # type: ignore[operator]


def _wrong(claim: str, expected: str) -> NotAuthenticated:
    return NotAuthenticated(f"the token's claim {claim} does not fit: expected {expected}")
