"""Every route: methods that it does not have, and errors in one shape.

What belongs here: what holds for all routes alike. What does not: what a route does.
"""

from __future__ import annotations

import pytest

from ..server import ORIGIN, READ_KEY, Server
from ..wire import Wire, request

GET_ROUTES = (
    "/healthz",
    "/readyz",
    "/push/poll?channels=public:a",
    "/push/longpoll?channels=public:a",
    "/push/sse?channels=public:a",
    "/push/channels",
    "/push/channels/public:a",
    "/push/channels/public:a/history",
)
OTHER_ROUTES = ("/push/ws?channels=public:a", "/push/publish", "/push/scheduled/s1")  # ws: 426

MISTAKES = [
    ("GET", "/nothing", 404),
    ("GET", "/push/nothing", 404),
    ("GET", "/push/poll", 400),
    ("GET", "/push/poll?channels=a%20b", 400),
    ("GET", "/push/longpoll?channels=public:a&timeout=abc", 400),
    ("GET", "/push/sse?channels=public:a&cursor=garbage", 400),
    ("GET", "/push/poll?channels=private:a", 401),
    ("GET", "/push/ws?channels=public:a", 426),
    ("GET", "/push/publish", 405),
    ("PUT", "/push/poll", 405),
    ("DELETE", "/push/sse", 405),
    ("POST", "/push/publish", 401),
    ("GET", "/push/channels", 401),
    ("GET", "/push/channels/public:a/history", 401),
    ("DELETE", "/push/channels/public:a/history", 401),
    ("DELETE", "/push/scheduled/s1", 401),
    ("BREW", "/push/poll", 405),
    ("GET", "/push/%ff%00", 404),
]


@pytest.mark.parametrize(("method", "target", "status"), MISTAKES)
def test_every_error_is_a_problem_in_json(
    server: Server, method: str, target: str, status: int
) -> None:
    """type, title, status and detail (RFC 9457), no traceback, and the headers of any answer."""
    reply = server.ask(method, target)
    assert reply.status == status
    assert (reply.header("Content-Type") or "").startswith("application/problem+json")
    problem = reply.json
    assert {"type", "title", "status", "detail"} <= set(problem)
    assert problem["status"] == status and problem["title"] and problem["detail"]
    assert b"Traceback" not in reply.body
    assert reply.header("X-Content-Type-Options") == "nosniff"
    assert reply.header("Cross-Origin-Resource-Policy")
    if status == 405:
        assert reply.header("Allow")
    if status == 401:
        assert (reply.header("WWW-Authenticate") or "").lower().startswith("bearer")


@pytest.mark.parametrize("target", [*GET_ROUTES, *OTHER_ROUTES])
def test_head_is_answered_with_a_head_and_nobody_waits(server: Server, target: str) -> None:
    """As GET would be, without a body; no stream and no long poll stays behind."""
    wire = Wire(server.port)
    asked = {"Authorization": f"Bearer {READ_KEY}"}
    if target == GET_ROUTES[3]:  # one that would wait
        cursor = server.ask("GET", "/push/poll?channels=public:a").json["cursor"]
        target += f"&cursor={cursor}&timeout=55"
    wire.send(request("HEAD", target, asked))
    reply = wire.reply("HEAD")
    expected = {200} if target.startswith(GET_ROUTES) else {400, 404, 405, 426}
    assert reply.status in expected
    # the connection is either ended, or good for another request: nothing lies in between
    if reply.closes:
        assert wire.is_closed()
    else:
        assert wire.ask("GET", "/healthz").status == 200
    wire.close()
    assert server.look("/push/channels/public:a")["subscribers"] == 0


@pytest.mark.parametrize("target", [*GET_ROUTES, *OTHER_ROUTES[1:]])
def test_options_says_what_is_allowed(server: Server, target: str) -> None:
    """Without credentials, and without doing anything."""
    reply = server.ask("OPTIONS", target, {"Origin": ORIGIN})
    assert reply.status in (200, 204)
    assert "options" in reply.listed("Allow")


def test_health_is_open_and_short(server: Server) -> None:
    """The process lives; it can serve."""
    assert server.ask("GET", "/healthz").status == 200
    assert server.ask("GET", "/readyz").status == 200
