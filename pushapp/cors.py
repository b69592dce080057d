"""CORS: which foreign pages a browser lets read an answer.

What belongs here: the headers of the Fetch standard. What does not: whether a page may ask
(``origins``).
"""

from __future__ import annotations

from flask import Response, request

from .origins import is_allowed_origin
from .settings import Settings

_AGE = 600  # seconds that a browser may remember a preflight; Chromium's own limit is 7,200
_HEADERS = "Authorization, Content-Type, If-None-Match, Last-Event-ID, Idempotency-Key"


def allow_pages(response: Response, settings: Settings) -> Response:
    """Let pages of allowed origins read the answer; never credentials with "*"."""
    origin = request.headers.get("Origin")
    if origin is None or not is_allowed_origin(origin, settings):
        return response
    headers = response.headers
    if origin.lower() in settings.allowed_origins:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Allow-Credentials"] = "true"
    else:
        headers["Access-Control-Allow-Origin"] = "*"
    headers["Access-Control-Expose-Headers"] = "ETag, Retry-After"
    headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    headers.add("Vary", "Origin")
    if request.method == "OPTIONS":
        headers["Access-Control-Allow-Methods"] = "GET, POST, DELETE"
        headers["Access-Control-Allow-Headers"] = _HEADERS
        headers["Access-Control-Max-Age"] = str(_AGE)
    return response
