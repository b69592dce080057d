"""Nothing but an equal head takes the express lane: whatever else comes, the app answers.

What belongs here: heads that are nearly equal, and requests in the guise of others, at a real
server. What does not: what an equal head is answered (``test_lane``).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..server import API_KEY, Server
from .lane import all_replies, answered_there, connected, plain, raw_reply

CURSOR = b"CURSOR"  # stands for one
HEAD = (
    b"GET /push/poll?channels=public:fuzz&cursor=CURSOR&_=17 HTTP/1.1\r\n"
    b"Host: push.test\r\nX-Request-ID: r-1\r\n\r\n"
)
PUBLISH = (
    b"POST /push/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Authorization: Bearer %s\r\nContent-Length: 39\r\n\r\n" % API_KEY.encode()
) + b'{"channel":"public:fuzz","data":"never"}'[:39]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one worker, on a channel that nobody publishes to."""
    directory = tmp_path_factory.mktemp("fuzzed")
    server = Server(directory, WEB_CONCURRENCY=1, PUSH_LIMITS='{"requests":0}').start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def known(fuzzed: Server) -> bytes:
    """The head that the lane knows."""
    cursor: str = fuzzed.ask("GET", "/push/poll?channels=public:fuzz").json["cursor"]
    head = HEAD.replace(CURSOR, cursor.encode())
    with connected(fuzzed) as wire:
        before = answered_there(fuzzed)
        for _ in range(4):
            wire.send(head)
            raw_reply(wire)
        assert answered_there(fuzzed) == before + 2
    return head


def is_as_the_app_has_it(server: Server, known: bytes, *pieces: bytes) -> None:
    """Send ``pieces`` on a connection in the lane and on a new one: the replies are the same."""
    with connected(server) as there, connected(server) as app:
        there.send(known)
        raw_reply(there)
        mine = all_replies(there, *pieces)
        assert plain(mine, ids=True) == plain(all_replies(app, b"".join(pieces)), ids=True)


slow = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@slow
@given(data=st.data())
def test_any_byte_may_be_another_one(fuzzed: Server, known: bytes, data: st.DataObject) -> None:
    """Changed, left out, twice, or with others before it."""
    at = data.draw(st.integers(0, len(known) - 1))
    put = data.draw(st.one_of(st.binary(max_size=2), st.sampled_from([b"\r\n", b"\r\n ", b"%63"])))
    gone = data.draw(st.integers(0, 2))
    is_as_the_app_has_it(fuzzed, known, known[:at] + put + known[at + gone :])


@slow
@given(data=st.data())
def test_a_head_may_come_in_pieces(fuzzed: Server, known: bytes, data: st.DataObject) -> None:
    """Cut anywhere, alone or with another behind it."""
    sent = known * data.draw(st.integers(1, 3))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=4)))
    pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    is_as_the_app_has_it(fuzzed, known, *pieces)


@slow
@given(data=st.data())
def test_lines_may_be_others(fuzzed: Server, known: bytes, data: st.DataObject) -> None:
    """In another order, twice, in capitals, with spaces, or with fields that change the meaning."""
    line, *fields = known[:-4].split(b"\r\n")
    more = data.draw(
        st.lists(
            st.sampled_from(
                [
                    b"Content-Length: 0",
                    b"Content-Length: 5",
                    b"Transfer-Encoding: chunked",
                    b"Expect: 100-continue",
                    b"Upgrade: h2c",
                    b"Connection: close",
                    b"Connection: keep-alive",
                    b'If-None-Match: "x"',
                    b"If-None-Match: *",
                    b"X-Request-ID: other",
                    b"x-request-id: r\x00",
                    b"traceparent: a b",
                    b"Host: other",
                    b"Authorization: Bearer nothing",
                    b"Origin: https://app.example",
                    b"Cookie: a=b",
                    b" folded",
                    b"no colon",
                ]
            ),
            max_size=2,
        )
    )
    fields = data.draw(st.permutations(fields + more))
    how = data.draw(st.sampled_from([bytes, bytes.upper, bytes.lower]))
    head = b"\r\n".join([line, *map(how, fields)]) + b"\r\n\r\n"
    for _ in range(2):  # it may be remembered now
        is_as_the_app_has_it(fuzzed, known, head)


QUERIES = [
    b"channels=public:fuzz&cursor=CURSOR&cursor=CURSOR&_=17",
    b"channels=public:fuzz&%63ursor=CURSOR&_=17",
    b"channels=public:fuzz&%63ursor=zz.1&cursor=CURSOR&_=17",
    b"channels=public:fuzz&cursor=zz.1&_=17",
    b"channels=public:fuzz&cursor=CURSOR%00&_=17",
    b"channels=public:fuzz&cursor=&_=17",
    b"channels=public:fuzz&cursor=CURSOR&_=",
    b"channels=room:fuzz&cursor=CURSOR&_=17",
    b"channels=public:fuzz&channels=room:x&cursor=CURSOR&_=17",
    b"channels=public:fuzz&cursor=CURSOR&_=17&ticket=x",
    b"channels=public:fuzz;cursor=CURSOR&_=17",
    b"channels=public:fuzz&cursor=CURSOR&_=17#x",
    b"channels=public:fuzz&cursor=CURSOR&_=17&presence=1",
    b"channels=public:fuzz&cursor=CURSOR&_=17&history=5",
    b"_=17&cursor=CURSOR&channels=public:fuzz",
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_may_be_another_one(fuzzed: Server, known: bytes, query: bytes) -> None:
    """Repeated, encoded, empty, or with parameters that ask for more."""
    cursor = known.partition(b"cursor=")[2].partition(b"&")[0]
    target = b"/push/poll?" + query.replace(CURSOR, cursor)
    for _ in range(2):  # remembered, it is answered the same way
        head = b"GET %b HTTP/1.1\r\nHost: push.test\r\nX-Request-ID: r-1\r\n\r\n" % target
        is_as_the_app_has_it(fuzzed, known, head, head)


SMUGGLED = [
    lambda head: head.replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n") % len(PUBLISH),
    lambda head: head.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    lambda head: head.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n"),
    lambda head: head.replace(b"GET /", b"GET http://push.test/"),
    lambda head: head.replace(b"GET", b"POST"),
    lambda head: head.replace(b"\r\n", b"\n"),
    lambda head: b"\r\n" + head,
    lambda head: head.replace(b"r-1", b"r-1\r\nContent-Length: 39"),
]


@pytest.mark.parametrize("disguise", range(len(SMUGGLED)))
def test_a_request_in_the_guise_of_a_body_is_what_it_is_to_the_app(
    fuzzed: Server, known: bytes, disguise: int
) -> None:
    """What gunicorn takes for a body is never a request, and the other way round."""
    is_as_the_app_has_it(fuzzed, known, SMUGGLED[disguise](known) + b"x" * 39 + known)
