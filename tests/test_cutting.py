"""What of a head may differ: the values of a few names, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushapp.cutting import Cut, cut, is_plain, values

HEAD = (
    b"GET /push/poll?channels=public:a&cursor=abc.12&_=1700 HTTP/1.1\r\nHost: x\r\n"
    b'X-Request-ID: r-1\r\nIf-None-Match: "abc.12"\r\ntraceparent: 00-ab-cd-01\r\n'
    b"CF-Ray: 230b-SJC\r\nX-Amzn-Trace-Id: Root=1-67-ab\r\n\r\n"
)


def test_the_values_are_cut_out_and_told() -> None:
    """What is around them is the key."""
    found = cut(HEAD)
    assert found is not None
    assert (found.cursor, found.stamp, found.match) == ("abc.12", "1700", '"abc.12"')
    assert b"".join(found.parts) == (
        b"GET /push/poll?channels=public:a&cursor=&_= HTTP/1.1\r\nHost: x\r\n"
        b"X-Request-ID:\r\nIf-None-Match:\r\ntraceparent:\r\n"
        b"CF-Ray:\r\nX-Amzn-Trace-Id:\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"abc.12&", b"zz9.3&"),
        (b"_=1700", b"_=1800000000000"),
        (b"r-1", b"6f0c2a1e-0001"),
        (b'"abc.12"', b'W/"zz9.3-gzip"'),
        (b"230b-SJC", b"230b030023ae2822-FRA"),
        (b"Root=1-67-ab", b"Self=1-67891234-12456789;Root=1-67891233-abcdef01;Sampled=1"),
        (b"00-ab-cd-01", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ],
)
def test_other_values_make_an_equal_head(old: bytes, new: bytes) -> None:
    one, other = cut(HEAD), cut(HEAD.replace(old, new, 1))
    assert one is not None and other is not None and one.parts == other.parts
    assert one.kinds == other.kinds and is_the_short_way_right(one, HEAD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"GET", b"get"),
        (b"GET", b"POST"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"GET /push", b"GET http://x/push"),
        (b"cursor=abc.12", b"cursor=abc.12%20"),
        (b"cursor=abc.12", b"cursor="),
        (b"cursor=abc.12", b"cursor=abc.12&cursor=abc.13"),
        (b"_=1700", b"_=1700&_=1"),
        (b"_=1700", b"_=x"),
        (b"&cursor", b"&xcursor"),
        (b"r-1", b"r 1"),
        (b"r-1", b"r\x00"),
        (b"r-1", b""),
        (b"X-Request-ID: r-1", b"X-Request-ID:\tr-1"),
        (b"r-1", b"r-1\r\n folded"),
        (b'"abc.12"', b'"abc.12\xff"'),
        (b"\r\n\r\n", b"\r\n\r\nGET /push/poll HTTP/1.1\r\n\r\n"),
        (b"\r\n\r\n", b"\r\n"),
        (b"\r\n\r\n", b"\r\n\r\nx"),
        (b"Host: x", b"Host: x" + b"x" * 4096),
    ],
)
def test_what_is_not_plain_is_no_equal_head(old: bytes, new: bytes) -> None:
    """It has another key, or none."""
    one, other = cut(HEAD), cut(HEAD.replace(old, new, 1))
    assert one is not None and (other is None or other.parts != one.parts)
    assert not is_the_short_way_right(one, HEAD.replace(old, new, 1))


def is_the_short_way_right(known: Cut, head: bytes) -> bool:
    """Tell whether ``values`` takes ``head`` for ``known``'s; then ``cut`` must find the same."""
    found = values(head, known.parts, known.kinds)
    if found is None:
        return False
    other = cut(head)
    assert other is not None and (other.parts, other.kinds) == (known.parts, known.kinds)
    around = [*found, b""]
    assert b"".join(p + v for p, v in zip(known.parts, around, strict=True)) == head
    texts = [text for text in (other.cursor, other.stamp) if text is not None]
    assert [value.decode() for value in found[: len(texts)]] == texts
    return True


def longer(value: bytes) -> st.SearchStrategy[bytes]:
    """Make values out of what heads are made of, in the place of ``value``."""
    bits = st.sampled_from((b"cursor=", b"_=", b"&", b" HTTP/1.1", b"\r\n", b":", b" ", b"a", b"7"))
    return st.lists(bits | st.just(value), max_size=4).map(b"".join)


VALUES = (b"abc.12", b"1700", b"r-1", b'"abc.12"', b"00-ab-cd-01")


@given(st.tuples(*map(longer, VALUES)))
def test_the_short_way_finds_what_the_long_one_does(put: tuple[bytes, ...]) -> None:
    """Whatever stands where values do."""
    known = cut(HEAD)
    assert known is not None
    head, rest = b"", HEAD
    for old, new in zip(VALUES, put, strict=True):
        before, _, rest = rest.partition(old)
        head += before + new
    is_the_short_way_right(known, head + rest)


@given(st.integers(0, len(HEAD) - 1), st.binary(max_size=3))
def test_heads_with_one_key_differ_in_their_values_alone(at: int, put: bytes) -> None:
    """Put back, the values of one make the other."""
    changed = HEAD[:at] + put + HEAD[at + 1 :]
    one, other = cut(HEAD), cut(changed)
    assert one is not None
    is_the_short_way_right(one, changed)
    if other is None or other.parts != one.parts:
        return
    rest = changed
    for part in one.parts:
        assert part in rest
        value, _, rest = rest.partition(part)
        assert not set(value) & set(b"\r\n\x00")
        if b"HTTP/1.1" in rest:  # it is one of the query's
            assert not set(value) & set(b"&%# ")
    assert rest == b""


@pytest.mark.parametrize(
    "field",
    [
        b"Content-Length: 0",
        b"content-length: 5",
        b"Transfer-Encoding: chunked",
        b"Expect: 100-continue",
        b"Upgrade: websocket",
        b"Connection: close",
        b"Connection: Upgrade",
        b"SCRIPT_NAME: /x",
    ],
)
def test_a_head_that_asks_for_more_than_an_answer_is_not_remembered(field: bytes) -> None:
    assert is_plain(HEAD)
    assert is_plain(HEAD.replace(b"Host: x", b"Host: x\r\nConnection: keep-alive"))
    assert not is_plain(HEAD.replace(b"Host: x", b"Host: x\r\n" + field))
