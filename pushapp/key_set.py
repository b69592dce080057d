"""A JWK Set (RFC 7517) in a file or at a URL: reading it, and reading it again.

What belongs here: which of its keys count, and which do no longer. What does not: what else signs,
and signatures (``keyring``).
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
import time
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import jwt

from .environ import is_http_url
from .errors import SettingsError, Unavailable

JWKS_AGE = 3600.0  # seconds after which a set at a URL is read again; JWKS_PAUSE for a file
JWKS_PAUSE = 60.0  # seconds between looks, for a key that is not in the set or after a failure
_RETRY = 5  # ... where no key at all is known, so that nobody's token counts
KINDS = "a public RSA key of 2,048 bits or more, a P-256 or an Ed25519 key"
NOT_INSTALLED = "none, or the package cryptography beside it: pip install cryptography"
_JWKS_BYTES = 1 << 20
_MARK = 8  # bytes: nobody needs to tell keys apart that no issuer has
_FETCH = 5.0  # seconds without a byte, and for all of them
_RSA_BITS = 2048  # RFC 7518 section 3.3
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
#: The members of a JWK that make the public key; whatever else stands there is left alone.
_PUBLIC = ("kty", "n", "e", "crv", "x", "y")

log = logging.getLogger(__name__)


class Key(NamedTuple):
    """A key that a token may be signed with."""

    algorithm: str
    id: str | None  # None: it is tried for any id
    key: Any
    mark: bytes = b""  # that tells it from others of a JWK Set; b"": it is of none


class KeySet:
    """The keys of a set: read again now and then, and for a new key.

    One looks at a time, and nobody waits for it: who can tell without goes on, who cannot comes
    again.
    """

    def __init__(self, source: str) -> None:
        self._source, self._age = source, JWKS_AGE if _is_url(source) else JWKS_PAUSE
        self._lock = threading.Lock()
        self._keys: list[Key] = []
        self.known: set[bytes] = set()  # marks of keys that have counted ...
        self.gone: set[bytes] = set()  # ... and of those that do no longer
        self.taken_out = 0  # how often some have gone
        self._looked = self._read = -JWKS_AGE  # monotonic seconds; the latter: with success
        name, shown = "PUSH_JWKS", re.sub("//[^/]*@", "//…@", source)
        if not jwt.algorithms.has_crypto:
            raise SettingsError(name, shown, NOT_INSTALLED)
        if _is_url(source) and not (is_http_url(source) and _is_safe(source)):
            expected = "https://host/path without a password, or a file"
            raise SettingsError(name, shown, expected)
        if not _is_url(source):  # while a URL may not answer yet when we start
            self._look()
            if not self._keys:
                raise SettingsError(name, source, f"a JWK Set with {KINDS}")

    def find(self, algorithm: object, key_id: object) -> list[Key]:
        """Return the keys that may have signed; without an id, all of the algorithm."""
        found = self._matching(algorithm, key_id)
        if not found:
            self._look_if_due()
            found = self._matching(algorithm, key_id)
        if not found and (not self._keys or self._lock.locked()):
            raise Unavailable("the keys of tokens cannot be fetched now", retry_after=_RETRY)
        return found

    def refresh(self) -> None:
        """Read what is too old again."""
        if self.is_old:
            self._look_if_due()

    @property
    def is_old(self) -> bool:
        """Whether it is too old, and nobody has just looked."""
        is_old = bool(self._keys) and time.monotonic() - self._read > self._age
        return is_old and self._is_due

    @property
    def _is_due(self) -> bool:
        return time.monotonic() - self._looked > (JWKS_PAUSE if self._keys else _RETRY)

    def _look_if_due(self) -> None:
        if self._is_due and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._lock.release()

    def _matching(self, algorithm: object, key_id: object) -> list[Key]:
        own = [key for key in self._keys if key.algorithm == algorithm]
        return own if key_id is None else [key for key in own if key.id in (None, key_id)]

    def _look(self) -> None:
        """Read the set; where that fails, what was read before still counts."""
        self._looked = time.monotonic()
        try:
            keys = _keys_of(json.loads(_read(self._source)))
        except (OSError, ValueError, RecursionError, HTTPException) as error:
            log.error("PUSH_JWKS %s cannot be read: %s", self._source, error)
            return
        self._read, self._keys = time.monotonic(), keys
        here = {key.mark for key in keys}
        self.known |= here
        before, self.gone = self.gone, self.known - here
        if not self.gone <= before:
            self.taken_out += 1
            log.warning("PUSH_JWKS has fewer keys: what those signed counts no longer")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Who may send us elsewhere could send us to other keys."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _is_url(source: str) -> bool:
    return source.lower().startswith(("http:", "https:"))


def _is_safe(url: str) -> bool:
    """Tell whether nobody can change the answer on its way: they would sign tokens."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in _LOOPBACK


def _read(source: str) -> str:
    if not _is_url(source):
        return Path(source).read_text("utf-8")
    opener, until, body = urllib.request.build_opener(_NoRedirect), time.monotonic() + _FETCH, b""
    with opener.open(source, timeout=_FETCH) as answer:
        while piece := answer.read1(_JWKS_BYTES):
            body += piece
            if len(body) > _JWKS_BYTES:
                raise ValueError(f"it is larger than {_JWKS_BYTES} bytes")
            if time.monotonic() > until:
                raise TimeoutError(f"it took longer than {_FETCH:g} s")
    return body.decode()


def _keys_of(document: Any) -> list[Key]:
    """Return the keys of a JWK Set that count here; there may be others in it.

    Raises:
        ValueError: it is no JWK Set. An issuer's page that says so must not take all keys out.
    """
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list):
        raise ValueError('it has no list of "keys" (RFC 7517 section 5)')
    found = []
    for member in members:
        if not isinstance(member, dict) or member.get("use", "sig") != "sig":
            continue
        ops = member.get("key_ops")
        if isinstance(ops, list) and "verify" not in ops:
            continue
        try:
            key = jwt.PyJWK({n: v for n, v in member.items() if n in _PUBLIC}).key
        except (jwt.PyJWTError, LookupError, TypeError, ValueError):
            continue
        algorithm = algorithm_of(key)
        if algorithm is not None and member.get("alg", algorithm) == algorithm:
            found.append(Key(algorithm, member.get("kid"), key, _mark(key)))
    return found


def _mark(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).digest()[:_MARK]


def algorithm_of(key: object) -> str | None:
    """Return what such a key is for; None: nothing here."""
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    if isinstance(key, RSAPublicKey) and key.key_size >= _RSA_BITS:
        return "RS256"
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return "ES256"
    return "EdDSA" if isinstance(key, Ed25519PublicKey) else None
