"""The HTTP interface as an OpenAPI 3.1 document, at ``/push/openapi.json``.

What belongs here: putting the document together for this server's prefix. What does not: what the
paths are (``paths``), what passes over them (``schemas``). It is written by hand; a test holds it
to the app's own routes, and schemathesis holds the server to it.
"""

from __future__ import annotations

from typing import Any

from ..transports.stream import VERSION
from .paths import AT_ROOT, UNDER_PREFIX
from .schemas import SCHEMAS

_ABOUT = (
    "One log, four transports, one cursor. What a client may rely on is in docs/protocol.md; a"
    " WebSocket, and what an event stream carries, are described there."
)
_SECURITY = {
    "apiKey": {"type": "http", "scheme": "bearer", "description": "a key of PUSH_API_KEYS"},
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "a token that opens channels",
    },
    "ticket": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "what POST /ticket gives for a token; good once",
    },
}


def document(prefix: str, *, standalone: bool) -> dict[str, Any]:
    """Return the document of a server whose routes are under ``prefix``; ``standalone``: it has
    those at the root, too."""
    paths = {prefix + path: operations for path, operations in UNDER_PREFIX.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "pushapp", "version": str(VERSION), "description": _ABOUT},
        "paths": paths | (AT_ROOT if standalone else {}),
        "components": {"schemas": SCHEMAS, "securitySchemes": _SECURITY},
    }
