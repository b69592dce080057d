"""Publishes in the express lane: what comes again is published without the app, and just as the app
would.

What belongs here: that it answers the same bytes, publishes once, and lets nobody publish who may
not any more. What does not: which heads are equal (``test_republish``, ``test_posting_fuzz``),
processes that are killed (``e2e/test_kill``).
"""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import jwt
import pytest

from pushapp.posting import LARGEST

from ..jwts import claims, token
from ..server import API_KEY, ORIGIN, READ_KEY, SECRET, Server, until
from ..wire import Ended, Wire, request
from .conftest import Connect
from .lane import connected, plain, raw_reply

KEY = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
_SERIES = re.compile(r'^pushapp_publishes_total\{way="lane",.*\} (\S+)$', re.M)
_NEW = re.compile(rb'"(?:s[A-Za-z0-9]{10,}|[a-z0-9]+\.[0-9]+)"|"at":[0-9.]+')


def published_there(server: Server) -> int:
    """Return how many publishes a server with one worker has answered in the lane."""
    told = server.ask("GET", "/metrics").body.decode()
    return sum(int(float(count)) for count in _SERIES.findall(told))


def post(body: object, headers: Mapping[str, str] = KEY) -> bytes:
    """Return a publish; ``body``: JSON, or bytes as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request("POST", "/push/publish", headers, data)


def warm(wire: Wire, channel: str, headers: Mapping[str, str] = KEY) -> None:
    """Publish until the next publish is the lane's: the first is gunicorn's, the second the
    app's."""
    own = {name: value for name, value in headers.items() if name != "Idempotency-Key"}
    for n in range(2):
        more = {"Idempotency-Key": f"warm-{channel}-{n}"} if len(own) < len(headers) else {}
        wire.send(post({"channel": channel, "data": "warm"}, own | more))
        assert wire.reply().status == 200


def fresh(reply: bytes) -> bytes:
    """Return a reply without what is new in each: the date, ids, and when it is due."""
    head, _, body = plain(reply).partition(b"\r\n\r\n")
    return re.sub(rb"Content-Length: \d+", b"", head) + _NEW.sub(b"new", body)


def data_in(server: Server, channel: str) -> list[object]:
    """Return what is kept of a channel, without what warmed up."""
    found = server.look(f"/push/channels/{channel}/history?limit=1000")["messages"]
    return [m["data"] for m in found if m["data"] != "warm"]


# -- the same bytes ------------------------------------------------------------------------------

#: A body without its channel; whether the lane says so itself.
BODIES: dict[str, tuple[Callable[[str], object], bool]] = {
    "one": (lambda c: {"channel": c, "data": {"n": [1, 2.5, "ä€"]}}, True),
    "an event": (lambda c: {"channel": c, "data": 1, "event": "e", "ttl": 5, "retain": True}, True),
    "some": (lambda c: {"channels": [c, c + "2"], "data": None}, True),
    "a user": (lambda c: {"user": "42", "data": 0}, True),
    "users": (lambda c: {"users": ["42", "43"], "data": ""}, True),
    "a batch": (lambda c: {"messages": [{"channel": c, "data": n} for n in range(20)]}, True),
    "later": (lambda c: {"channel": c, "data": 1, "delay": 3000}, True),
    "white space": (lambda c: b'\n {"channel" :"%b","data":1 }\t' % c.encode(), True),
    "no JSON": (lambda c: b'{"channel":', False),
    "nothing": (lambda c: b"", False),
    "no UTF-8": (lambda c: b'{"channel":"\xff"}', False),
    "a lone surrogate": (lambda c: b'{"channel":"%b","data":"\\ud800"}' % c.encode(), False),
    "too deep": (lambda c: b"[" * 200, False),
    "another field": (lambda c: {"channel": c, "data": 1, "x": 1}, False),
    "no channel": (lambda c: {"data": 1}, False),
    "a wrong name": (lambda c: {"channel": c + "/", "data": 1}, False),
    "a large one": (lambda c: {"channel": c, "data": "x" * 65000}, True),
    "too large": (lambda c: {"channel": c, "data": "x" * 70_000}, False),
}
HEADERS: dict[str, dict[str, str]] = {
    "none": {},
    "a browser's": {
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)",
        "Accept-Encoding": "gzip, deflate",
        "Cookie": "a=b; session=x",
        "Connection": "keep-alive",
    },
    "an allowed origin": {"Origin": ORIGIN},
    "a foreign origin": {"Origin": "https://evil.example"},
    "a charset": {"Content-Type": "application/json; charset=utf-8"},
    "a token": {"Authorization": f"Bearer {token(user='42', lasts=3600, publish=['*', 'user:*'])}"},
    "tracing": {"X-Request-ID": "0f3c-1", "X-Request-Start": "1700000000000"},
}


@pytest.mark.parametrize(
    ("which", "headers"),
    [(which, "none") for which in BODIES]
    + [(which, headers) for which in ("one", "another field") for headers in HEADERS if headers],
)
def test_the_lane_gives_byte_for_byte_what_the_app_gives(
    single: Server, channel: str, which: str, headers: str
) -> None:
    """Apart from the date and what is new: status, every header in its place, and the body."""
    make, is_there = BODIES[which]
    asked = post(make(channel), KEY | HEADERS[headers])
    with connected(single) as wire, connected(single) as other:
        warm(wire, channel, KEY | HEADERS[headers])
        before = published_there(single)
        wire.send(asked)
        there = raw_reply(wire)
        assert published_there(single) == before + is_there
        other.send(asked)
        app = raw_reply(other)
        assert fresh(there) == fresh(app)
        assert there.startswith(b"HTTP/1.1 200") == is_there
        assert published_there(single) == before + is_there


def test_a_key_makes_it_happen_once_whichever_way_it_comes(single: Server, channel: str) -> None:
    """In a header or in the body; the same bytes for the same request, 409 for another one."""
    in_head = KEY | {"Idempotency-Key": f"one-{channel}"}
    with connected(single) as wire, connected(single) as other:
        warm(wire, channel, in_head)
        before = published_there(single)
        replies = []
        for one in (wire, other, wire):
            one.send(post({"channel": channel, "data": 1}, in_head))
            replies.append(plain(raw_reply(one)))
        assert replies[0] == replies[1] == replies[2]
        refusals = []
        for one in (wire, other):
            one.send(post({"channel": channel, "data": 2}, in_head))
            refusals.append(plain(raw_reply(one)))
        assert refusals[0] == refusals[1] and refusals[0].startswith(b"HTTP/1.1 409")
        assert published_there(single) == before + 2
        for one in (wire, other):
            one.send(post({"channel": channel, "data": 1, "idempotency_key": f"one-{channel}"}))
            assert plain(raw_reply(one)) == replies[0]
        for one in (wire, other):
            one.send(post({"channel": channel, "data": 3, "idempotency_key": "x"}, in_head))
            refusals.append(plain(raw_reply(one)))
        assert refusals[2] == refusals[3] and refusals[2].startswith(b"HTTP/1.1 400")
    assert data_in(single, channel) == [1]


# -- once, whole, in order -----------------------------------------------------------------------


def test_it_may_come_in_two_pieces_cut_anywhere(single: Server, channel: str) -> None:
    """Within a second in the lane, else by the app: each is published once."""
    with connected(single) as wire:
        warm(wire, channel)
        size = len(post({"channel": channel, "data": 100}))
        before, sent = published_there(single), []
        for cut in range(1, size):
            asked = post({"channel": channel, "data": 100 + cut})
            wire.send(asked[:cut])
            wire.send(asked[cut:])
            assert wire.reply().status == 200, cut
            sent.append(100 + cut)
        assert published_there(single) - before > size // 2
    assert data_in(single, channel) == sent


def test_one_that_stops_in_the_middle_is_the_apps(single: Server, channel: str) -> None:
    """It may take its time; a large one is answered, too."""
    asked = post({"channel": channel, "data": "x" * (LARGEST - 200)}, KEY)
    with connected(single) as wire:
        for cut in (3, asked.find(b"\r\n\r\n") + 10, 40_000):
            warm(wire, channel)
            before = published_there(single)
            wire.send(asked[:cut])
            assert published_there(single) == before  # and it has read what there is
            time.sleep(1.5)  # longer than the lane's patience: that it passes is the case
            wire.send(asked[cut:])
            assert wire.reply().status == 200
            assert published_there(single) == before


def test_several_at_once_are_published_in_their_order(single: Server, channel: str) -> None:
    """Whoever does not wait for answers gets them in order; other requests may lie between."""
    poll = request("GET", f"/push/poll?channels={channel}")
    with connected(single) as wire:
        warm(wire, channel)
        batches = []
        for n in range(0, 30, 3):
            batch = [post({"channel": channel, "data": n + k}) for k in range(3)]
            wire.send(b"".join([batch[0], poll, *batch[1:]]))
            replies = [wire.reply() for _ in range(4)]
            assert [r.status for r in replies] == [200] * 4
            batches += [replies[k].json["id"] for k in (0, 2, 3)]
        found = single.look(f"/push/channels/{channel}/history?limit=100")["messages"]
        assert [m["id"] for m in found if m["data"] != "warm"] == batches
    assert data_in(single, channel) == list(range(30))


def test_many_at_once_are_each_published_once(single: Server, channel: str) -> None:
    """Of one turn, together; each gets its own id."""
    wires = [Wire(single.port) for _ in range(8)]
    for wire in wires:
        warm(wire, channel)
    before, given = published_there(single), []
    for n in range(20):
        for k, wire in enumerate(wires):
            wire.send(post({"channel": channel, "data": 100 * n + k}))
        given.append([wire.reply().json["id"] for wire in wires])
    assert published_there(single) == before + 160
    for wire in wires:
        wire.close()
    found = single.look(f"/push/channels/{channel}/history?limit=1000")["messages"]
    by_id = {m["id"]: m["data"] for m in found}
    assert [[by_id[i] for i in ids] for ids in given] == [
        [100 * n + k for k in range(8)] for n in range(20)
    ]


def test_what_is_published_there_reaches_who_waits(
    single: Server, channel: str, connect: Connect
) -> None:
    """In order, with what others publish in between."""
    client = connect("websocket", single, [channel])
    with connected(single) as wire:
        warm(wire, channel)
        ids = []
        for n in range(50):
            wire.send(post({"channel": channel, "data": n}))
            ids.append(wire.reply().json["id"])
            if n % 5 == 0:
                ids.append(single.publish(channel, n))
    assert [m["id"] for m in client.receive(62) if m["data"] != "warm"] == ids


# -- nobody who may not any more -----------------------------------------------------------------


def test_a_token_that_expires_publishes_nothing_more(single: Server, channel: str) -> None:
    """The same head gets 401 from then on, and nothing is published."""
    text = jwt.encode(claims("42", 3.0, publish=["*"]), SECRET, "HS256")
    headers = KEY | {"Authorization": f"Bearer {text}"}
    with connected(single) as wire:
        warm(wire, channel, headers)
        count = 0

        def refused() -> bool:
            nonlocal count
            wire.send(post({"channel": channel, "data": count}, headers))
            reply = wire.reply()
            count += reply.status == 200
            return reply.status == 401

        until(refused, "the token publishes nothing")
    assert data_in(single, channel) == list(range(count))


def test_a_token_publishes_nowhere_else(single: Server, channel: str) -> None:
    """The head says who, and the body where: each time it is asked."""
    headers = KEY | {"Authorization": f"Bearer {token(user='42', publish=[channel])}"}
    with connected(single) as wire, connected(single) as other:
        for body in (
            {"channel": channel + "x", "data": 1},
            {"channels": [channel, "everyone"], "data": 1},
            {"messages": [{"channel": channel, "data": 1}, {"user": "42", "data": 1}]},
        ):
            warm(wire, channel, headers)
            replies = []
            for one in (wire, other):
                one.send(post(body, headers))
                replies.append(plain(raw_reply(one)))
            assert replies[0] == replies[1] and replies[0].startswith(b"HTTP/1.1 403")
    assert data_in(single, channel) == []


def test_a_key_that_only_looks_is_not_remembered(single: Server, channel: str) -> None:
    """Nor is anybody else's head that of one who may."""
    with connected(single) as wire:
        warm(wire, channel)
        before = published_there(single)
        for text in (READ_KEY, "nothing", token(user="42")):
            for _ in range(3):
                wire.send(
                    post({"channel": channel, "data": 1}, KEY | {"Authorization": f"Bearer {text}"})
                )
                assert wire.reply().status in (401, 403)
        assert published_there(single) == before
    assert data_in(single, channel) == []


def test_a_limit_counts_messages_of_either_way_once(
    make_server: Callable[..., Server], channel: str
) -> None:
    """A user has 30 at once here; whichever way they come, so many pass, and a repeated key does
    not use up more than the app would take for it."""
    limits = '{"publishes":3,"key_publishes":0}'
    server = make_server(WEB_CONCURRENCY=1, PUSH_LIMITS=limits)
    passed = {}
    for way in ("lane", "app"):
        text = token(user=way, publish=["*"])
        headers = KEY | {"Authorization": f"Bearer {text}", "Idempotency-Key": "again"}
        wire, count = Wire(server.port), 0
        began = time.monotonic()
        while True:
            if way == "app":
                wire.close()
                wire = Wire(server.port)
            wire.send(post({"channel": channel, "data": count % 2}, headers))
            reply = wire.reply()
            if reply.status == 429:
                assert reply.header("Retry-After")
                break
            assert reply.status == (409 if count % 2 else 200)
            count += 1
        passed[way] = count - 3 * (time.monotonic() - began)  # those that it got back meanwhile
        wire.close()
    assert all(26 < count < 34 for count in passed.values()), passed


# -- a log in trouble ----------------------------------------------------------------------------


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Keep the file locked."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        until(lambda: _locks(db), "it is locked")
        yield
        db.execute("ROLLBACK")


def _locks(db: sqlite3.Connection) -> bool:
    try:
        db.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    return True


def test_a_locked_file_is_waited_for(single: Server, channel: str, log_kind: str) -> None:
    """And where that takes too long, it says so, once, and has published nothing."""
    if log_kind != "sqlite":
        pytest.skip("no file is locked")
    wires = [Wire(single.port) for _ in range(3)]
    for wire in wires:
        warm(wire, channel)
    with locked(single.database):
        for n, wire in enumerate(wires):
            wire.send(post({"channel": channel, "data": n}))
        threading.Event().wait(0.2)
    assert [wire.reply().status for wire in wires] == [200] * 3
    assert sorted(map(str, data_in(single, channel))) == ["0", "1", "2"]
    with locked(single.database):
        for wire in wires[:2]:
            wire.send(post({"channel": channel, "data": "never"}))
        replies = [raw_reply(wire) for wire in wires[:2]]
        wires[2].close()
        wires[2] = Wire(single.port)
        wires[2].send(post({"channel": channel, "data": "never"}))
        replies.append(raw_reply(wires[2]))
    assert replies[0].startswith(b"HTTP/1.1 503") and b"Retry-After" in replies[0]
    assert len({plain(reply) for reply in replies}) == 1
    assert "never" not in data_in(single, channel)
    for wire in wires:
        wire.close()


# -- ending --------------------------------------------------------------------------------------


def test_a_drain_loses_nothing_that_was_acknowledged(single: Server, channel: str) -> None:
    """Workers end while publishers publish on kept connections; who is cut off comes again with the
    same key. All is there, once."""
    enough = threading.Event()
    given: dict[str, str] = {}
    trouble: list[object] = []

    def publish(number: int) -> None:
        wire, count = Wire(single.port), 0
        while not enough.is_set():
            data = f"{number}/{count}"
            wire.send(post({"channel": channel, "data": data, "idempotency_key": channel + data}))
            try:
                reply = wire.reply()
            except OSError:
                wire.close()
                wire = Wire(single.port)
                continue
            if reply.status != 200:
                trouble.append(reply)
                return
            if reply.closes:
                wire.close()
                wire = Wire(single.port)
            given[data] = reply.json["id"]
            count += 1
        wire.close()

    threads = [threading.Thread(target=publish, args=(n,), daemon=True) for n in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        before = len(given)
        until(lambda before=before: len(given) > before + 100, "they publish", 60.0)
        (worker,) = single.workers()
        single.signal(signal.SIGHUP)
        until(lambda worker=worker: worker not in single.workers(), "the worker ends", 60.0)
        single.wait_for_workers()
    enough.set()
    for thread in threads:
        thread.join(60.0)
    assert not trouble
    kept = single.look(f"/push/channels/{channel}/history?limit=1000")["messages"]
    by_data = {m["data"]: m["id"] for m in kept if m["data"] != "warm"}
    assert len({m["data"] for m in kept}) == len(kept)
    first = number(kept[0]["id"])
    assert by_data == {data: i for data, i in given.items() if number(i) >= first}


def number(id: str) -> int:
    """Return an id's number in the log."""
    return int(id.rpartition(".")[2])


def test_a_publish_that_waits_for_the_log_outlasts_the_drain(
    single: Server, channel: str, log_kind: str
) -> None:
    """It was taken in the lane: the worker ends when it is answered, though nobody else is left. On
    a machine that is so slow that the log's patience ends first, by 503."""
    if log_kind != "sqlite":
        pytest.skip("no file is locked")
    with connected(single) as idle, connected(single) as wire:
        for one in (idle, wire):
            warm(one, channel)
        (worker,) = single.workers()
        with locked(single.database):
            wire.send(post({"channel": channel, "data": "under way"}))
            single.ask("GET", "/healthz")  # answered after that has been taken
            single.signal(signal.SIGHUP)
            assert idle.is_closed()  # so the drain has begun
            threading.Event().wait(2.5)  # gunicorn looks once a second whether it may end
        reply = wire.reply()
        assert reply.status in (200, 503)
        until(lambda: worker not in single.workers(), "the worker ends", 60.0)
    single.wait_for_workers()
    assert data_in(single, channel) == (["under way"] if reply.status == 200 else [])


def test_a_drain_ends_an_idle_publisher_and_takes_one_that_has_begun(
    single: Server, channel: str
) -> None:
    """Its head is here: the app takes the rest of it, and says that the connection ends."""
    with connected(single) as idle, connected(single) as begun:
        asked = post({"channel": channel, "data": "begun"})
        for wire in (idle, begun):
            warm(wire, channel)
        (worker,) = single.workers()
        begun.send(asked[:-5])
        single.ask("GET", "/healthz")  # answered after those bytes have been there
        single.signal(signal.SIGHUP)
        assert idle.is_closed()
        begun.send(asked[-5:])
        reply = begun.reply()
        assert reply.status == 200 and reply.closes
        with pytest.raises(Ended):
            begun.fill()
        until(lambda: worker not in single.workers(), "the worker ends", 60.0)
    single.wait_for_workers()
    assert data_in(single, channel) == ["begun"]
