"""Api keys: who publishes and looks.

What belongs here: the keys, and finding one in a request. What does not: what else may open a
channel (``auth``).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any

import flask

from .errors import NoCredentials, NotAuthenticated, OutOfScope
from .settings import ApiKey

_FOUND = "pushapp.api_key"  # the environ's key for whose keys were looked at, and what was found


def bearer(authorization: str | None) -> str | None:
    """Return the credential in an Authorization header; None: there is none of this scheme."""
    scheme, _, credential = (authorization or "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else None


class ApiKeys:
    """The keys that publish and look."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = [(_digest(k.key), k) for k in keys]

    def find(self, authorization: str | None) -> ApiKey | None:
        """Return the key that an Authorization header holds, None where it holds none of ours."""
        credential = bearer(authorization)
        if credential is None:
            return None
        digest, found = _digest(credential), None
        for known, key in self._keys:  # always all of them: the time tells nothing
            if hmac.compare_digest(digest, known):
                found = key
        return found

    def current(self) -> ApiKey | None:
        """Return the current request's key, None where it has none of ours."""
        return self.of(flask.request.environ)

    def of(self, environ: dict[str, Any]) -> ApiKey | None:
        """Return a request's key, None where it has none of ours. A publish asks seven times; it is
        looked for once."""
        found: tuple[ApiKeys, ApiKey | None] | None = environ.get(_FOUND)
        if found is None or found[0] is not self:
            found = environ[_FOUND] = self, self.find(environ.get("HTTP_AUTHORIZATION"))
        return found[1]

    def require_publish(self) -> ApiKey:
        """Return the current request's key.

        Raises:
            NotAuthenticated: there is none, or it is wrong.
            NotAllowed: it may only look.
        """
        key = self._require()
        if not key.may_publish:
            raise OutOfScope("this api key may look, and not publish")
        return key

    def require_look(self) -> ApiKey:
        """Return the current request's key.

        Raises:
            NotAuthenticated: there is none, or it is wrong.
            NotAllowed: it may only publish.
        """
        key = self._require()
        if not key.may_look:
            raise OutOfScope("this api key may publish, and not look")
        return key

    def _require(self) -> ApiKey:
        key = self.current()
        if key is None:
            needed = "an api key is needed (Authorization: Bearer KEY)"
            if bearer(flask.request.headers.get("Authorization")) is None:
                raise NoCredentials(f"{needed}; there is none")
            raise NotAuthenticated(f"{needed}; this is not one")
        return key


def scope(key: ApiKey) -> str:
    """Return the name under which a key's idempotency keys are kept; it does not tell the key."""
    return _digest(f"scope {key.key}").hex()[:32]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
