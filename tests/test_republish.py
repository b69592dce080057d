"""Which heads of publishes are equal: what is cut out of them, and what never is."""

from __future__ import annotations

import pytest

from pushapp.posting import head_in
from pushapp.republish import cut, is_plain

HEAD = (
    b"POST /push/publish HTTP/1.1\r\nHost: push.test\r\nX-Request-ID: r-1\r\n"
    b"Authorization: Bearer k\r\nIdempotency-Key: one\r\nContent-Length: 12\r\n\r\n"
)


def test_the_values_that_differ_each_time_are_cut_out() -> None:
    found = cut(HEAD)
    assert found is not None and (found.length, found.key) == (12, "one")
    other = cut(HEAD.replace(b"12", b"3456").replace(b"one", b"two;!~").replace(b"r-1", b"x"))
    assert other is not None and other.parts == found.parts
    assert (other.length, other.key) == (3456, "two;!~")


@pytest.mark.parametrize(
    ("was", "is_"),
    [
        (b"Bearer k", b"Bearer l"),
        (b"push.test", b"push.tesu"),
        (b"/push/publish", b"/push/publish?"),
        (b"Idempotency-Key: one\r\n", b""),
        (b"X-Request-ID", b"x-request-id"),
        (b"Content-Length: 12\r\n", b"Content-Length: 12\r\nContent-Length: 12\r\n"),
        (b"Host", b"Origin: https://x\r\nHost"),
    ],
)
def test_everything_else_makes_another_head(was: bytes, is_: bytes) -> None:
    one, other = cut(HEAD), cut(HEAD.replace(was, is_))
    assert one is not None and other is not None and one.parts != other.parts


@pytest.mark.parametrize(
    ("was", "is_"),
    [
        (b"POST /", b"PUT /"),
        (b"POST /", b"POST http://push.test/"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"Content-Length: 12\r\n", b""),
        (b" 12", b" +12"),
        (b" 12", b" 012"),
        (b" 12", b"12"),
        (b" 12", b"  12"),
        (b" 12", b" 12 "),
        (b" 12", b" 0x12"),
        (b" 12", b" 1_2"),
        (b" 12", b" 12, 12"),
        (b" 12", b" 123456789"),
        (b" one", b" "),
        (b" one", b" o ne"),
        (b" one", b" o\tne"),
        (b" one", b" \xe4"),
        (b" one", b" " + b"x" * 129),
        (b" r-1", b" r\x00"),
        (b"\r\n\r\n", b"\r\n\r\nPOST /"),
        (b"\r\n\r\n", b"\r\n"),
    ],
)
def test_what_is_not_plain_is_no_such_head(was: bytes, is_: bytes) -> None:
    assert cut(HEAD.replace(was, is_, 1)) is None


@pytest.mark.parametrize(
    "field",
    [
        b"Transfer-Encoding: chunked",
        b"Content-Encoding: gzip",
        b"Expect: 100-continue",
        b"Upgrade: h2c",
        b"TE: trailers",
        b"Trailer: x",
        b"Connection: close",
        b"connection: Keep-Alive, TE",
        b"Content-Length: 12",
        b"Idempotency-Key: two",
        b"Content_Length: 5",
    ],
)
def test_what_asks_for_more_is_never_remembered(field: bytes) -> None:
    assert is_plain(HEAD) and is_plain(HEAD.replace(b"Host", b"Connection: keep-alive\r\nHost"))
    assert not is_plain(HEAD.replace(b"Host:", field + b"\r\nHost:"))


def test_the_head_of_what_was_read_is_known_where_it_is_one_request() -> None:
    """Of a publish whatever follows it; of a GET only alone."""
    get = b"GET / HTTP/1.1\r\n\r\n"
    assert head_in(HEAD + b"x" * 12 + HEAD) == HEAD
    assert head_in(HEAD[:-1]) == b""
    assert head_in(get) == get and head_in(get + b"x") == b""
