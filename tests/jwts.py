"""Tokens as somebody else makes them: by hand, right or deliberately wrong.

What belongs here: headers, claims and signatures of any kind. What does not: what is right (the
tests say it).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pushapp.tokens import LEEWAY

from .server import SECRET

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
PRIVATE: dict[str, Any] = {"RS256": RSA, "ES256": EC, "EdDSA": ED}


def claims(user: str = "42", lasts: float = 60, **more: Any) -> dict[str, Any]:
    """Return claims that hold for ``lasts`` seconds, the leeway included."""
    return {"sub": user, "exp": time.time() + lasts - LEEWAY, **more}


def token(*channels: str, user: str = "42", lasts: float = 60, **more: Any) -> str:
    """Return a token by which ``user`` may read ``channels``, signed with the tests' secret."""
    return jwt.encode(claims(user, lasts, channels=channels, **more), SECRET, "HS256")


def pem(private: Any) -> str:
    """Return the public half."""
    public = private.public_key()
    return str(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def jwk(private: Any, **more: Any) -> dict[str, Any]:
    """Return the public half as a JWK."""
    (name,) = (n for n, key in PRIVATE.items() if type(key) is type(private))
    algorithm = jwt.get_algorithm_by_name(name)
    return {**algorithm.to_jwk(private.public_key(), as_dict=True), **more}


def by_hand(header: Any, payload: Any, secret: bytes | None = None) -> str:
    """Return any header and payload, signed with HMAC-SHA256; without a secret, not at all."""
    text = ".".join(_part(json.dumps(one).encode()) for one in (header, payload))
    signature = b"" if secret is None else hmac.digest(secret, text.encode(), hashlib.sha256)
    return f"{text}.{_part(signature)}"


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
