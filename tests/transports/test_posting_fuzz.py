"""Nothing but an equal head publishes in the express lane: whatever else comes, the app answers.

What belongs here: publishes that are nearly equal, at a real server. What does not: what an equal
one is answered (``test_posting``), polls (``test_lane_fuzz``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..server import API_KEY, Server
from .lane import all_replies, connected, plain, raw_reply
from .test_posting import published_there

BODY = b'{"channel":"public:fuzz","data":1}'
HEAD = (
    b"POST /push/publish HTTP/1.1\r\nHost: push.test\r\nX-Request-ID: r-1\r\n"
    b"Authorization: Bearer %b\r\nContent-Type: application/json\r\nIdempotency-Key: k\r\n"
    b"Content-Length: %d\r\n\r\n"
) % (API_KEY.encode(), len(BODY))
KNOWN = HEAD + BODY
POLL = b"GET /push/poll?channels=public:none HTTP/1.1\r\nHost: push.test\r\n\r\n"
_NEW = re.compile(rb'"id":"[a-z0-9]+\.[0-9]+"|Content-Length: \d+')


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one worker, which knows the head."""
    directory = tmp_path_factory.mktemp("fuzzed")
    server = Server(directory, WEB_CONCURRENCY=1, PUSH_LIMITS='{"requests":0}').start()
    with connected(server) as wire:
        for _ in range(3):
            wire.send(KNOWN)
            raw_reply(wire)
    assert published_there(server) == 1
    yield server
    server.stop()


def is_as_the_app_has_it(server: Server, *pieces: bytes) -> None:
    """Send ``pieces`` on a connection in the lane and on a new one: the replies are the same. They
    publish under one key, so whatever is published is so once."""
    with connected(server) as there, connected(server) as app:
        for _ in range(2):
            there.send(KNOWN)
            raw_reply(there)
        mine = _NEW.sub(b"new", plain(all_replies(there, *pieces), ids=True))
        theirs = _NEW.sub(b"new", plain(all_replies(app, b"".join(pieces)), ids=True))
        if mine != theirs:  # whoever ends within a request need not be told so
            assert theirs.startswith(mine + b"HTTP/1.1 400 ")


slow = settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@slow
@given(data=st.data())
def test_any_byte_may_be_another_one(fuzzed: Server, data: st.DataObject) -> None:
    """Changed, left out, twice, or with others before it."""
    at = data.draw(st.integers(0, len(KNOWN) - 1))
    put = data.draw(st.one_of(st.binary(max_size=2), st.sampled_from([b"\r\n", b"\r\n ", b"0"])))
    gone = data.draw(st.integers(0, 2))
    is_as_the_app_has_it(fuzzed, KNOWN[:at] + put + KNOWN[at + gone :])


@slow
@given(data=st.data())
def test_it_may_come_in_pieces(fuzzed: Server, data: st.DataObject) -> None:
    """Cut anywhere, alone or with another one or a poll behind it."""
    sent = b"".join(data.draw(st.lists(st.sampled_from([KNOWN, POLL]), min_size=1, max_size=3)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=4)))
    pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    is_as_the_app_has_it(fuzzed, *pieces)


FIELDS = [
    b"Content-Length: 0",
    b"Content-Length: 33",
    b"Transfer-Encoding: chunked",
    b"Content-Encoding: gzip",
    b"Expect: 100-continue",
    b"Upgrade: h2c",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Idempotency-Key: other",
    b"Idempotency-Key: a b",
    b"X-Request-ID: other",
    b"Host: other",
    b"Authorization: Bearer nothing",
    b"Content-Type: text/plain",
    b"Origin: https://app.example",
    b"Cookie: a=b",
    b" folded",
    b"no colon",
    b"Content_Length: 5",
]


@slow
@given(data=st.data())
def test_lines_may_be_others(fuzzed: Server, data: st.DataObject) -> None:
    """In another order, twice, in capitals, or with fields that change the meaning."""
    line, *fields = HEAD[:-4].split(b"\r\n")
    more = data.draw(st.lists(st.sampled_from(FIELDS), max_size=2))
    fields = data.draw(st.permutations(fields + more))
    how = data.draw(st.sampled_from([bytes, bytes.upper, bytes.lower]))
    sent = b"\r\n".join([line, *map(how, fields)]) + b"\r\n\r\n" + BODY
    for _ in range(2):  # it may be remembered now
        is_as_the_app_has_it(fuzzed, sent)


@pytest.mark.parametrize(
    "length", [b"0", b"1", b"%d" % (len(BODY) - 1), b"%d" % (len(BODY) + 1), b"-1", b"99999999"]
)
def test_another_length_is_another_body(fuzzed: Server, length: bytes) -> None:
    """What is too much is the next request, what is missing is waited for: as the app has it."""
    other = KNOWN.replace(b"Length: %d" % len(BODY), b"Length: %b" % length)
    is_as_the_app_has_it(fuzzed, other)
    is_as_the_app_has_it(fuzzed, other + KNOWN)


@pytest.mark.parametrize("inner", [KNOWN, POLL])
def test_a_request_in_the_guise_of_a_body_is_a_body(fuzzed: Server, inner: bytes) -> None:
    """And is never answered."""
    other = HEAD.replace(b"Length: %d" % len(BODY), b"Length: %d" % len(inner)) + inner
    is_as_the_app_has_it(fuzzed, other)
    is_as_the_app_has_it(fuzzed, other + KNOWN)
