"""A handshake's head says here what it says to gunicorn, or is not read here at all.

What belongs here: the same bytes read by both, side by side. What does not: what is answered
(``transports/test_porter``).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from flask import Flask
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser
from gunicorn.http.wsgi import create
from hypothesis import event, given, settings
from hypothesis import strategies as st

from pushapp import create_app
from pushapp.knock import Knock

from .server import API_KEY, SECRET

#: What is in gunicorn's environ alone: nobody looks at it on this way.
ELSEWHERE = {
    "SERVER_SOFTWARE",
    "gunicorn.socket",
    "wsgi.early_hints",
    "wsgi.errors",
    "wsgi.file_wrapper",
    "wsgi.input",
    "wsgi.input_terminated",
    "wsgi.multiprocess",
    "wsgi.multithread",
    "wsgi.run_once",
    "wsgi.version",
}
FIELDS = [
    b"Host: push.test",
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]
BROWSER = [
    b"Origin: https://push.test",
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    b"Cookie: a=b; session=eyJ.x-y_z",
    b"Authorization: Bearer a.b.c",
]
NGINX = [b"X-Forwarded-For: 192.0.2.1, 10.0.0.1", b"X-Forwarded-Proto: https"]
HEROKU = [
    *NGINX,
    b"X-Request-Start: 1767222000000",
    b"X-Forwarded-Port: 443",
    b"Via: 1.1 vegur",
]
#: What is read like the rest, and may come once.
MORE = [
    b"X-Forwarded-Proto: http",
    b"X-Forwarded-Proto: HTTPS",
    b"X-Forwarded-Ssl: on",
    b"X-Forwarded-Ssl: off",
    b"X-Forwarded-Protocol: ssl",
    b"Forwarded: for=192.0.2.1;proto=https",
    b"HTTP2-Settings: AAMAAABkAAQAAP__",
    b"Script-Name: /push",
    b"Proxy: http://evil.example",
    b"A:b:c",
    b"Empty:",
    b"Spaces:   a  b   ",
]
#: What is not: one twice, a body, what two parsers might read differently.
UNREAD = [
    b"connection: keep-alive, UPGRADE",
    b"Upgrade: WebSocket",
    b"host: other.test:8000",
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Content-Type: text/plain",
    b"Transfer-Encoding: chunked",
    b"Expect: 100-continue",
    b"Expect: more",
    b"SCRIPT_NAME: /push",
    b"X_Forwarded_Proto: https",
    b"Tab:\ta\t",
    b"Folded: a\r\n b",
    b"Bare: a\nEvil: b",
    b"Return: a\rb",
    b"Latin: \xe9",
    b"Nul: \x00",
    b"Space : a",
    b" Led: a",
    b"No colon",
    b"",
]
#: In the place of what is expected there.
HOSTS = [b"Host: ", b"Host: [::1]:80", b"Host: a..b", b"Host: %b:80000" % (b"a" * 60), b"Host: a/b"]
UPGRADES = [b"Upgrade: h2c", b"Upgrade: websocket, h2c", b"Upgrade: WebSocket"]
CONNECTIONS = [b"Connection: keep-alive", b"Connection: keep-alive, Upgrade", b"Connection: close"]
LINES = [
    b"GET /push/ws HTTP/1.1",
    b"GET /push/ws? HTTP/1.1",
    b"GET /push/ws?channels=public:a,b%2Cc&cursor=a.1&token=x HTTP/1.1",
    b"GET /push/ws?a=b#c HTTP/1.1",
    b"GET /push/ws?a=b?c HTTP/1.1",
    b"GET /push/ws?a=\xe9 HTTP/1.1",
    b"GET /push/ws?a=[b] HTTP/1.1",
    b"GET /push/ws?a=b\tc HTTP/1.1",
    b"GET /push/w%73 HTTP/1.1",
    b"GET /push/ws/ HTTP/1.1",
    b"GET //push/ws HTTP/1.1",
    b"GET /push/../push/ws HTTP/1.1",
    b"GET /push/ws;a HTTP/1.1",
    b"GET http://push.test/push/ws HTTP/1.1",
    b"GET /push/ws HTTP/1.0",
    b"GET /push/ws HTTP/1.2",
    b"GET /push/ws  HTTP/1.1",
    b"GET /push/ws HTTP/1.1 ",
    b"get /push/ws HTTP/1.1",
    b"POST /push/ws HTTP/1.1",
    b"GET /push/ws",
    b"\r\nGET /push/ws HTTP/1.1",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /push/ws HTTP/1.1",
    b"PRI * HTTP/2.0",
]
LOCAL, REMOTE, UNIX = ("127.0.0.1", 40000), ("192.0.2.9", 40000), ""
SERVERS = [("0.0.0.0", 8000), ("::1", 8000, 0, 0), "/run/push.sock"]


class Way(NamedTuple):
    """How a request comes."""

    peer: Any = REMOTE
    server: Any = SERVERS[0]
    allowed: str = "127.0.0.1,::1"  # gunicorn's default: whose forwarded headers count
    limits: tuple[int, int, int] = (8190, 100, 8190)  # of the line, of fields, of a field


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    log = f"sqlite:///{tmp_path_factory.mktemp('knock')}/push.db"
    return create_app(PUSH_SECRET=SECRET, PUSH_API_KEYS=API_KEY, PUSH_BROKER_URL=log)


def config(way: Way) -> Config:
    cfg = Config()
    cfg.set("forwarded_allow_ips", way.allowed)
    names = ("limit_request_line", "limit_request_fields", "limit_request_field_size")
    for name, value in zip(names, way.limits, strict=True):
        cfg.set(name, value)
    return cfg


def ours(data: bytes, way: Way) -> dict[str, Any] | None:
    return Knock("/push/ws", config(way)).environ(data, way.peer, way.server)


def theirs(data: bytes, way: Way) -> dict[str, Any]:
    """Return what gunicorn makes of ``data``, where that is one request and nothing else."""
    cfg = config(way)
    parser = RequestParser(cfg, [data], way.peer)
    request = next(parser)
    assert parser.unreader.take_buffered() == b"" and request.body.read() == b""
    _, environ = create(request, None, way.peer, way.server, cfg)
    found: dict[str, Any] = environ
    return found


def is_read_as_by_gunicorn(app: Flask, data: bytes, way: Way) -> bool:
    """Tell whether ``data`` is read here; where it is, gunicorn and Flask have to agree."""
    mine = ours(data, way)
    if mine is None:
        return False
    other = theirs(data, way)
    assert mine == {key: other[key] for key in other.keys() - ELSEWHERE}
    context = app.request_context(other)
    with context:
        assert context.request.routing_exception is None
        assert context.request.endpoint == "push.websocket_view"
    return True


def head(line: bytes = LINES[0], fields: list[bytes] = FIELDS) -> bytes:
    return b"\r\n".join((line, *fields, b"", b""))


WAYS = [
    Way(),
    Way(LOCAL),
    Way(REMOTE, allowed="*"),
    Way(REMOTE, allowed="192.0.2.0/24"),
    Way(UNIX, SERVERS[2]),
    Way(REMOTE, SERVERS[1]),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("line", LINES[:3])
def test_what_browsers_and_proxies_send_is_read(app: Flask, line: bytes, way: Way) -> None:
    """One alone, behind nginx, behind Heroku's router."""
    nginx = [b"Host: push.test", *NGINX, *FIELDS[1:], *BROWSER]
    for fields in (FIELDS, [*FIELDS, *BROWSER], nginx, [*FIELDS, *BROWSER, *HEROKU]):
        assert is_read_as_by_gunicorn(app, head(line, fields), way)


@pytest.mark.parametrize(
    ("way", "scheme"),
    [(Way(), "http"), (Way(LOCAL), "https"), (Way(UNIX, SERVERS[2]), "https")],
)
def test_a_proxy_says_that_it_was_asked_by_https_and_nobody_else(way: Way, scheme: str) -> None:
    """Whom gunicorn believes."""
    mine = ours(head(fields=[*FIELDS, b"X-Forwarded-Proto: https"]), way)
    assert mine is not None and mine["wsgi.url_scheme"] == scheme


@pytest.mark.parametrize("line", LINES[7:])
def test_another_line_is_not_read(line: bytes) -> None:
    assert ours(head(line), Way()) is None


@pytest.mark.parametrize("field", MORE)
def test_unusual_fields_may_be_read_too(app: Flask, field: bytes) -> None:
    assert is_read_as_by_gunicorn(app, head(fields=[*FIELDS, field]), Way(LOCAL))


@pytest.mark.parametrize(
    "fields",
    [
        *([*FIELDS, field] for field in UNREAD),
        *([field for field in FIELDS if field is not gone] for gone in FIELDS[:3]),
        *([host, *FIELDS[1:]] for host in HOSTS),
        [FIELDS[0], CONNECTIONS[0], *FIELDS[2:]],
        [FIELDS[0], CONNECTIONS[2], *FIELDS[2:]],
        [*FIELDS[:2], UPGRADES[0], *FIELDS[3:]],
        [*FIELDS[:2], UPGRADES[1], *FIELDS[3:]],
        [*FIELDS, NGINX[1], b"X-Forwarded-Ssl: off"],
    ],
)
def test_what_is_not_plain_is_not_read(fields: list[bytes]) -> None:
    assert ours(head(fields=fields), Way(LOCAL)) is None


def test_who_has_an_abstract_name_is_not_read() -> None:
    """A client's end of a Unix socket may have bytes for one."""
    assert ours(head(), Way(UNIX, SERVERS[2])) is not None
    assert ours(head(), Way(b"\x00\xff", SERVERS[2])) is None


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 20, 100])
def test_a_part_is_not_read_nor_what_follows(cut: int) -> None:
    """Not even a first frame that came along."""
    assert ours(head()[:-cut], Way()) is None
    assert ours(head() + head()[:cut], Way()) is None


def test_the_limits_are_gunicorns(app: Flask) -> None:
    """At each of them it is read, and over it is not."""
    line = len(LINES[2])
    longest = max(map(len, FIELDS)) + 2
    for limits in ((line, 100, 0), (0, len(FIELDS), 0), (0, 0, longest)):
        assert is_read_as_by_gunicorn(app, head(LINES[2]), Way(limits=limits))
    for limits in ((line - 1, 100, 0), (8190, len(FIELDS) - 1, 0), (8190, 0, longest - 1)):
        assert ours(head(LINES[2]), Way(limits=limits)) is None


ways = st.builds(
    Way,
    st.sampled_from([LOCAL, REMOTE, ("::1", 1, 0, 0), UNIX]),
    st.sampled_from(SERVERS),
    st.sampled_from(["127.0.0.1,::1", "*", "192.0.2.0/24"]),
    st.tuples(*(st.sampled_from([8190] * 12 + [0, 300, 8]) for _ in range(3))),
)


@settings(max_examples=250, deadline=None)
@given(
    line=st.sampled_from(LINES[:3] * 9 + LINES),
    host=st.sampled_from(FIELDS[:1] * 30 + HOSTS),
    connection=st.sampled_from(FIELDS[1:2] * 9 + CONNECTIONS),
    upgrade=st.sampled_from(FIELDS[2:3] * 20 + UPGRADES),
    others=st.lists(
        st.sampled_from((BROWSER + HEROKU + MORE) * 9 + UNREAD), max_size=5, unique=True
    ),
    order=st.randoms(use_true_random=False),
    way=ways,
)
def test_any_mixture_says_what_it_says_to_gunicorn(
    app: Flask,
    line: bytes,
    host: bytes,
    connection: bytes,
    upgrade: bytes,
    others: list[bytes],
    order: Any,
    way: Way,
) -> None:
    """Or is left to it."""
    fields = [host, connection, upgrade, *FIELDS[3:], *others]
    order.shuffle(fields)
    event("read" if is_read_as_by_gunicorn(app, head(line, fields), way) else "left")


@settings(max_examples=300, deadline=None)
@given(
    at=st.integers(0, 700),
    put=st.one_of(
        st.binary(max_size=3),
        st.sampled_from([b"\r\n", b"\n", b"\r\n ", b":", b" ", b"\t", b"_", b"%73", b"\x00", b"#"]),
    ),
    gone=st.integers(0, 3),
    way=ways,
)
def test_any_byte_may_be_another_one(app: Flask, at: int, put: bytes, gone: int, way: Way) -> None:
    """Changed, left out, or with others before it."""
    known = head(LINES[2], [*FIELDS, *BROWSER, *HEROKU])
    at %= len(known)
    data = known[:at] + put + known[at + gone :]
    event(
        "read" if is_read_as_by_gunicorn(app, data, way._replace(limits=Way().limits)) else "left"
    )


@settings(max_examples=200, deadline=None)
@given(
    name=st.from_regex(rb"[!-~]{1,12}", fullmatch=True),
    value=st.one_of(
        st.from_regex(rb"[\x09\x20-\x7e]{0,20}", fullmatch=True), st.binary(max_size=8)
    ),
    path=st.one_of(st.just(b""), st.from_regex(rb"[?]?[!-~]{0,12}", fullmatch=True)),
    way=ways,
)
def test_any_field_and_any_path(
    app: Flask, name: bytes, value: bytes, path: bytes, way: Way
) -> None:
    data = head(b"GET /push/ws%b HTTP/1.1" % path, [*FIELDS, b"%b:%b" % (name, value)])
    event(
        "read" if is_read_as_by_gunicorn(app, data, way._replace(limits=Way().limits)) else "left"
    )
