"""What the routes that publish, look and end things answer with: JSON that nothing may keep."""

from __future__ import annotations

from flask import Response

from .message import dump


def json_reply(value: object) -> Response:
    """Return ``value`` as a response."""
    return raw_reply(dump(value).encode())


def raw_reply(body: bytes) -> Response:
    """Return ``body``, which is JSON, as a response."""
    # What is true now, and for this key alone: nothing on the way may keep it.
    return Response(body, mimetype="application/json", headers={"Cache-Control": "no-store"})
