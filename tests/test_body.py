"""Reading a body that has come already.

What belongs here: what no server is needed for. What does not: slow bodies
(``transports/test_leaving``), floods (``attacks/test_floods``).
"""

from __future__ import annotations

from io import BytesIO

import pytest
from flask import Request

from pushapp import background, body


def test_one_in_large_chunks_does_not_wait_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a mebibyte on a busy worker might be told that it came too late."""
    turns: list[None] = []
    for module in (background, body):
        monkeypatch.setattr(module, "let_others", lambda: turns.append(None), raising=False)
    whole = bytes(1 << 20)
    environ = {
        "REQUEST_METHOD": "POST",
        "wsgi.input": BytesIO(whole),
        "wsgi.input_terminated": True,
    }
    assert body.read_body(Request(environ), len(whole)) == whole
    environ["wsgi.input"] = BytesIO(whole)
    body.linger(environ["wsgi.input"].read, len(whole))
    assert len(turns) < 100, "of 512 pieces"
