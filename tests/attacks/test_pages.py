"""What a foreign page can make a visitor's browser do, and what a log or a Referer would tell.

What belongs here: the standalone server, as browsers ask it. What does not: an app's own session
(``transports/test_logins``, ``test_session``).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable

import pytest

from ..clients import Client, Refused
from ..jwts import token
from ..server import API_KEY, ORIGIN, Server, until
from ..wire import Wire, request

Connect = Callable[..., Client]

EVIL = "https://evil.example"
#: What browsers send with requests of a foreign page; the first two have no Sec-Fetch-Site.
FOREIGN: list[dict[str, str]] = [
    {"Origin": EVIL},
    {"Origin": "null"},
    {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://push.test.evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://sub.push.test", "Sec-Fetch-Site": "same-site"},
    {"Origin": EVIL, "X-Forwarded-Host": "evil.example, push.test"},
    {"Origin": "http://push.test", "X-Forwarded-Proto": "https"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=lambda h: " ".join(h.values()))
@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_foreign_page_opens_no_stream(
    server: Server, connect: Connect, channel: str, transport: str, headers: dict[str, str]
) -> None:
    """Cross-site WebSocket hijacking: 403 in the handshake's place, whatever cookies come along."""
    with pytest.raises(Refused) as refusal:
        connect(transport, server, [channel], headers={"Cookie": "session=theirs", **headers})
    assert refusal.value.status == 403 and refusal.value.reply is not None


@pytest.mark.parametrize("headers", FOREIGN, ids=lambda h: " ".join(h.values()))
def test_a_foreign_page_reads_no_answer(
    server: Server, channel: str, headers: dict[str, str]
) -> None:
    """No CORS header lets it; nor does a preflight of its own let it ask."""
    for method, path in (("GET", "poll"), ("GET", "longpoll"), ("OPTIONS", "poll")):
        asks = {"Access-Control-Request-Method": "POST"} if method == "OPTIONS" else {}
        target = f"/push/{path}?channels={channel}"
        reply = server.ask(method, target, {**headers, **asks})
        assert reply.header("Access-Control-Allow-Origin") is None
        assert reply.header("Access-Control-Allow-Credentials") is None
        assert reply.header("Cross-Origin-Resource-Policy") == "same-origin"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None]
)
def test_a_foreign_pages_form_publishes_nothing(
    server: Server, channel: str, kind: str | None
) -> None:
    """A form, or a fetch without CORS, sends no key, and a key in its place counts for nothing."""
    mine = token(publish=["*"])
    body = json.dumps({"channel": channel, "data": "forged", "token": mine}).encode()
    headers = {"Origin": EVIL, "Cookie": f"key={API_KEY}"}
    if kind:
        headers["Content-Type"] = kind
    for query in ("", f"?token={mine}", f"?key={API_KEY}", f"?api_key={API_KEY}"):
        assert server.ask("POST", f"/push/publish{query}", headers, body).status in (400, 401)
    assert server.look(f"/push/channels/{channel}")["kept"] == 0


def test_an_allowed_page_is_no_key_to_another(server: Server, channel: str) -> None:
    """Origins are compared whole."""
    for origin in (f"{ORIGIN}.evil.example", f"{ORIGIN}:8443", ORIGIN.replace("https", "http")):
        reply = server.ask("GET", f"/push/poll?channels={channel}", {"Origin": origin})
        assert reply.header("Access-Control-Allow-Origin") is None


# Hosts


@pytest.mark.parametrize(
    "head",
    [
        pytest.param("Host: evil.example\r\nOrigin: https://push.test\r\n", id="another host"),
        pytest.param("Host: push.test@evil.example\r\n", id="a user"),
        pytest.param("Host: push.test:80:443\r\n", id="two ports"),
        pytest.param("Host: push.test/evil\r\n", id="a path"),
        pytest.param("Host: \r\n", id="none"),
    ],
)
def test_a_host_that_is_not_the_pages_own_opens_no_stream(server: Server, head: str) -> None:
    """Same origin is told by Host; what is none is nobody's."""
    head += "" if "Origin" in head else "Origin: https://push.test\r\n"
    wire = Wire(server.port)
    wire.send(f"GET /push/sse?channels=public:a HTTP/1.1\r\n{head}\r\n".encode())
    assert wire.reply().status in (400, 403)
    wire.close()


def test_an_absolute_target_does_not_stand_for_the_host(server: Server) -> None:
    """``GET https://evil.example/push/…``: a page of evil.example is not ours by that."""
    wire = Wire(server.port)
    target = "https://evil.example/push/sse?channels=public:a"
    wire.send(request("GET", target, {"Origin": EVIL}))
    assert wire.reply().status in (400, 403, 404)
    wire.close()


# Logs


def printed_since(server: Server, printed: int) -> str:
    """Return what has been printed since then: a line may come after its answer."""
    marker = f"/push/{uuid.uuid4().hex}"
    server.ask("GET", marker)
    until(lambda: marker in server.log[printed:], "its own line is there")
    return server.log[printed:]


def test_nobody_writes_lines_into_the_log(server: Server) -> None:
    """In the path, the query, a header, a name, or a head that breaks HTTP."""
    printed = len(server.log)
    for target, headers in (
        ("/push/a%0AFAKE%0D%0AFAKE", {}),
        ("/push/poll?channels=a%0AFAKE&x=%0D%0AFAKE", {}),
        ("/push/channels/a%0AFAKE/history", {"Authorization": f"Bearer {API_KEY}"}),
        ("/healthz", {"User-Agent": 'x" FAKE \x85FAKE \x9b31m', "Referer": 'http://a/" FAKE'}),
        ("/healthz", {"X-Forwarded-For": "FAKE\x85FAKE"}),
    ):
        server.ask("GET", target, headers)
    for raw in (
        b"GET / HTTP/1.1\r\nHost: x\r\nA\nFAKE: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\nFAKE\r\n\r\n",
        b"GET /\nFAKE HTTP/1.1\r\nHost: x\r\n\r\n",
        b"FAKE\x1b[31m\nFAKE / HTTP/1.1\r\n\r\n",
    ):
        wire = Wire(server.port)
        wire.send(raw)
        wire.take_rest()
        wire.close()
    lines = printed_since(server, printed)
    assert not [line for line in lines.splitlines() if line.startswith("FAKE")]
    assert "\x1b" not in lines and "\x9b" not in lines


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "Script_Name", "Script-Name", "PATH_INFO"])
def test_no_header_moves_a_path(server: Server, name: str) -> None:
    """What a proxy in front keeps from the world by its path stays there: gunicorn believes
    SCRIPT_NAME of whoever connects from this machine, and takes it off the path."""
    assert server.ask("GET", "/x/metrics", {name: "/x"}).status == 404
    assert server.ask("GET", "/healthz", {name: "/metrics"}).json == {"ok": True}


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /push/sse?token=SECRET\xff HTTP/1.1\r\nHost: x", id="no ASCII"),
        pytest.param(b"GET /push/sse?token=a SECRET HTTP/1.1\r\nHost: x", id="a space"),
        pytest.param(b"GET /it's?token=SECRET", id="no version"),
        pytest.param(b"GET http://[x/?token=SECRET HTTP/1.1\r\nHost: x", id="no host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization Bearer SECRET", id="no colon"),
    ],
)
def test_a_head_that_breaks_http_is_logged_without_what_it_held(
    server: Server, wire: Wire, head: bytes
) -> None:
    """A client that forgets to encode its URL is no reason to print the token in it."""
    printed = len(server.log)
    wire.send(head + b"\r\n\r\n")
    assert wire.reply().status == 400
    lines = printed_since(server, printed)
    assert "Invalid request from ip=127.0.0.1: Invalid HTTP" in lines
    assert "SECRET" not in lines


def test_the_log_names_the_client_and_not_what_it_made_up(server: Server) -> None:
    """Behind a proxy that is trusted: the one that it saw."""
    printed = len(server.log)
    server.ask("GET", "/healthz?there", {"X-Forwarded-For": "6.6.6.6, 198.51.100.77"})
    lines = printed_since(server, printed)
    assert "\n198.51.100.77 - " in "\n" + lines
    assert "6.6.6.6" not in lines


def test_a_token_in_a_url_is_in_no_log(server: Server, connect: Connect) -> None:
    """Even where the setting takes it there: of those that hold, and of those that do not."""
    printed = len(server.log)
    good, bad = token("room:*"), token("room:*", lasts=-60)
    connect("sse", server, ["room:a"], token=good)
    for secret in (good, bad):
        referer = {"Referer": f"https://push.test/page?token={secret}"}
        server.ask("GET", f"/push/poll?channels=room:a&token={secret}", referer)
        server.ask("GET", f"/push/nothing?token={secret}", referer)
    lines = printed_since(server, printed)
    assert "/push/nothing" in lines
    assert good not in lines and bad not in lines
