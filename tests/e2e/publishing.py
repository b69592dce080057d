"""Publishing much and fast: batches on one connection.

What belongs here: a publisher that breaks as its connection does. What does not: publishing one
message (``server``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from ..server import API_KEY, Server
from ..wire import Wire


@contextmanager
def open_publisher(server: Server) -> Iterator[Callable[..., list[str]]]:
    """Publish batches on one connection: ``publish([draft, …], key=…)`` returns the ids.

    Raises:
        OSError: the connection broke; nothing is known of the batch.
    """
    wire = Wire(server.port)

    def publish(drafts: Sequence[Mapping[str, object]], key: str | None = None) -> list[str]:
        body: dict[str, object] = {"messages": list(drafts)}
        if key is not None:
            body["idempotency_key"] = key
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {API_KEY}"}
        reply = wire.ask("POST", "/push/publish", headers, json.dumps(body).encode())
        assert reply.status in (200, 201), reply
        ids: list[str] = reply.json["ids"]
        return ids

    try:
        yield publish
    finally:
        wire.close()
