"""Whose signature on a token counts.

What belongs here: the keys, and signatures. What does not: what a token says (``tokens``).

An algorithm comes with the key, and never with the token: a secret is for HS256 alone, an RSA key
for RS256, a P-256 key for ES256, an Ed25519 key for EdDSA (RFC 8725 section 3.1). What a token's
header says only picks among them, so that neither ``none`` nor a public key taken for a secret
opens anything.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt

from .errors import NotAuthenticated, SettingsError
from .key_set import KINDS, NOT_INSTALLED, Key, KeySet, algorithm_of
from .settings import SECRET_LENGTH, Settings

_SIGNATURE_ALONE: Any = dict.fromkeys(
    [f"verify_{claim}" for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")], False
)


class Keyring:
    """Signs with the newest secret; believes all secrets, the public key and the JWK Set."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError: a key cannot be read, or is of no kind that counts here."""
        secrets = [one.encode() for one in (settings.secret, *settings.old_secrets)]
        # A host app's SECRET_KEY may be a short one: what can be guessed signs no token.
        self._own = [Key("HS256", None, one) for one in secrets if len(one) >= SECRET_LENGTH]
        for one in self._own:
            try:
                jwt.get_algorithm_by_name("HS256").prepare_key(one.key)
            except jwt.InvalidKeyError:  # a PEM or SSH key: whoever sets it means another setting
                expected = "random characters; a public key goes into PUSH_PUBLIC_KEY"
                raise SettingsError("PUSH_SECRET", "…", expected) from None
        self._public = [_public_key(settings.public_key)] if settings.public_key else []
        self._set = KeySet(settings.jwks) if settings.jwks else None

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a signed token.

        Raises:
            SettingsError: there is no secret that is long enough.
        """
        if not self._own:
            expected = f"{SECRET_LENGTH} or more characters, to sign tokens with"
            raise SettingsError("PUSH_SECRET", None, expected)
        return jwt.encode(dict(claims), self._own[0].key, self._own[0].algorithm)

    def refresh(self) -> None:
        """Read the JWK Set again when it is time: whom a key signed may be known by now."""
        if self._set is not None:
            self._set.refresh()

    @property
    def is_old(self) -> bool:
        """Whether ``refresh`` would read it now."""
        return self._set is not None and self._set.is_old

    @property
    def changes(self) -> bool:
        """Whether a key may be taken out while we serve."""
        return self._set is not None

    @property
    def taken_out(self) -> int:
        """How often a key was."""
        return 0 if self._set is None else self._set.taken_out

    def believes(self, mark: bytes) -> bool:
        """Tell whether the key with this ``mark`` still counts, as far as is known here."""
        return self._set is None or mark not in self._set.gone

    def note(self, mark: bytes) -> None:
        """Know of a key that another worker has believed: it may have a newer set."""
        if self._set is not None and mark:
            self._set.known.add(mark)

    def verify(self, text: str) -> tuple[dict[str, Any], Key]:
        """Return the claims of a token that was signed with one of the keys, and that key.

        Raises:
            NotAuthenticated: it was not.
            Unavailable: its key may be in the JWK Set, which cannot be fetched now.
        """
        signed, _, signature = text.rpartition(".")
        head, _, _ = signed.partition(".")
        try:  # without its payload, which takes long and says nothing before it is signed
            header = jwt.get_unverified_header(f"{head}..{signature}")
        except jwt.InvalidTokenError:
            raise NotAuthenticated("the token is not a JWT") from None
        if "crit" in header:  # RFC 7515 section 4.1.11: no extension is understood here
            raise NotAuthenticated("the token is not a JWT that is understood here")
        came = base64.urlsafe_b64decode(signature + "==")
        if base64.urlsafe_b64encode(came).rstrip(b"=").decode() != signature:
            # RFC 7515 section 2; a token that was revoked must not count in another spelling
            raise NotAuthenticated("the token is not a JWT")
        for key in self._candidates(header.get("alg"), header.get("kid")):
            algorithm = jwt.get_algorithm_by_name(key.algorithm)
            if not algorithm.verify(signed.encode(), key.key, came):
                continue
            try:
                claims = jwt.decode(text, key.key, [key.algorithm], options=_SIGNATURE_ALONE)
            except jwt.InvalidTokenError:
                raise NotAuthenticated("the token is not a JWT that is understood here") from None
            return claims, key
        raise NotAuthenticated("the token is not signed with a key of this server")

    def _candidates(self, algorithm: object, key_id: object) -> list[Key]:
        found = [key for key in (*self._own, *self._public) if key.algorithm == algorithm]
        if self._set is not None and algorithm in ("RS256", "ES256", "EdDSA"):
            found += self._set.find(algorithm, key_id)
        return found


def _public_key(setting: str) -> Key:
    name = "PUSH_PUBLIC_KEY"
    if not jwt.algorithms.has_crypto:
        raise SettingsError(name, "…", NOT_INSTALLED)
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    text = setting.replace("\\n", "\n")  # how an environment file writes several lines
    if not text.startswith("-----BEGIN"):
        try:
            text = Path(setting).read_text("utf-8")
        except (OSError, ValueError):
            raise SettingsError(name, setting, "a public key as PEM, or the path of one") from None
    try:
        key = load_pem_public_key(text.encode())
    except ValueError:
        raise SettingsError(name, "…", "PEM: -----BEGIN PUBLIC KEY----- …") from None
    algorithm = algorithm_of(key)
    if algorithm is None:
        raise SettingsError(name, type(key).__name__, KINDS)
    return Key(algorithm, None, key)
