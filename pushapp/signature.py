"""How a webhook is signed, and how its receiver finds out, on the standard library alone.

What belongs here: the signature of both sides. What does not: sending (``webhooks``).

    X-Push-Timestamp: 1795386494
    X-Push-Signature: v1=<hex HMAC-SHA256(secret, timestamp "." body)>[,v1=<by the secret before>]
"""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from .errors import WebhookRefused

TIMESTAMP, SIGNATURE = "X-Push-Timestamp", "X-Push-Signature"
TOLERANCE = 300.0  # seconds that a webhook may be old, or two clocks may differ
_VERSION = "v1="


def sign(secrets: Iterable[str], timestamp: str, body: bytes) -> str:
    """Return the signature header: one signature for each secret, while it changes."""
    return ",".join(_VERSION + _signature(secret, timestamp, body) for secret in secrets)


def verify_webhook(
    body: bytes,
    headers: Mapping[str, str],
    secret: str,
    *,
    tolerance: float = TOLERANCE,
    now: float | None = None,
) -> dict[str, Any]:
    """Return what a webhook says, where it was signed with ``secret`` within ``tolerance`` seconds.

    ``body``: the request's bytes as they came. ``headers``: the request's, as ``request.headers``
    of Flask or Django. ``now``: Unix seconds, for tests.

        batch = verify_webhook(request.get_data(), request.headers, SECRET)
        for event in batch["events"]:
            …

    Raises:
        WebhookRefused: it was not, or it is no webhook.
    """
    found = {name.lower(): value for name, value in headers.items()}
    timestamp, given = found.get(TIMESTAMP.lower(), ""), found.get(SIGNATURE.lower(), "")
    if not timestamp.isascii() or not timestamp.isdecimal() or len(timestamp) > 15 or not given:
        raise WebhookRefused(f"it has no {TIMESTAMP} or no {SIGNATURE}")
    right = (_VERSION + _signature(secret, timestamp, body)).encode()
    candidates = [one.strip().encode() for one in given.split(",")]
    if not any(hmac.compare_digest(one, right) for one in candidates):
        raise WebhookRefused("it is not signed with this secret")
    if abs((time.time() if now is None else now) - int(timestamp)) > tolerance:
        raise WebhookRefused(f"it was signed more than {tolerance:g} s ago, or ahead")
    try:
        batch = json.loads(body)
    except ValueError:
        batch = None
    if not isinstance(batch, dict) or "events" not in batch:
        raise WebhookRefused("it is signed, and holds no events")
    return batch


def _signature(secret: str, timestamp: str, body: bytes) -> str:
    return hmac.digest(secret.encode(), timestamp.encode() + b"." + body, "sha256").hex()
