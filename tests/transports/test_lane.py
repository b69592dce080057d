"""The express lane: what comes again is answered without the app, and just as the app would.

What belongs here: that it gives the same bytes, nothing older, and nothing that is not allowed any
more. What does not: which heads are equal (``test_cutting``, ``test_lane_fuzz``).
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlencode

import jwt
import pytest

from pushapp import create_app
from pushapp.extension import Push

from ..jwts import claims, token
from ..server import API_KEY, LONG, ORIGIN, READ_KEY, SECRET, Server, until
from ..wire import Wire, request
from .lane import answered_there, connected, plain, raw_reply, warm
from .waiting import BOTH, now, wait_for_subscribers


@pytest.fixture
def elsewhere(single: Server) -> Iterator[Push]:
    """Another process on that server's log, which revokes."""
    names = ("PUSH_BROKER_URL", "PUSH_KEY_PREFIX")
    log = {name: value for name, value in single.environ.items() if name in names}
    push = create_app(PUSH_API_KEYS=API_KEY, PUSH_SECRET=SECRET, **log).extensions["push"]
    push.start()
    yield push
    push.close()


def head(path: str, channel: str, /, *headers: tuple[str, str], **params: object) -> bytes:
    query = urlencode({"channels": channel, **params})
    return request("GET", f"{path}?{query}", dict(headers))


def new_id(server: Server, channel: str, *headers: tuple[str, str]) -> str:
    """Return a connection's id as a poller gets it."""
    mine = {name: value for name, value in headers if name == "Authorization"}
    reply = server.ask("GET", f"/push/poll?channels={channel}", mine)
    found: str = reply.json["connection"]
    return found


KEY = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}


# -- the same bytes ------------------------------------------------------------------------------

HEADERS: dict[str, tuple[tuple[str, str], ...]] = {
    "none": (),
    "a browser's": (
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"),
        ("Accept-Encoding", "gzip, deflate"),
        ("Cookie", "a=b; session=x"),
        ("Connection", "keep-alive"),
    ),
    "an allowed origin": (("Origin", ORIGIN),),
    "a foreign origin": (("Origin", "https://evil.example"),),
    "an api key": (("Authorization", f"Bearer {READ_KEY}"),),
    "a token": (("Authorization", f"Bearer {token(user='42', lasts=3600)}"),),
    "tracing": (("X-Request-ID", "0f3c-1"), ("CF-Ray", "230b030023ae2822-SJC")),
    "an ETag": (("If-None-Match", "{}"),),
    "a proxy's ETag": (("if-none-match", 'W/"x", {}'),),
    "any ETag": (("If-None-Match", "*"),),
}


#: Path, whether there is news, and headers. A long poll without news takes a second each time.
ASKED = [
    (path, news, which)
    for path in ("/push/poll", "/push/longpoll")
    for news in (False, True)
    for which in HEADERS
    if path == "/push/poll" or news or which in ("an ETag", "an allowed origin")
]


@pytest.mark.parametrize(("path", "news", "which"), ASKED)
def test_the_lane_gives_byte_for_byte_what_the_app_gives(
    single: Server, channel: str, path: str, news: bool, which: str
) -> None:
    """Apart from the date: status, every header in its place, and the body."""
    cursor = now(single, channel)
    headers = [(name, value.format(f'"{cursor}"')) for name, value in HEADERS[which]]
    params = {"connection": new_id(single, channel, *headers), "timeout": 1}
    if "ETag" not in which:
        params["cursor"] = cursor
    if news:
        for n in range(3):
            single.publish(channel, n)
    asked = head(path, channel, *headers, **params)
    with connected(single) as wire, connected(single) as other:
        warm(wire, asked, 3 if path == "/push/poll" or news else 2)
        before = answered_there(single)
        wire.send(asked)
        there = raw_reply(wire)
        assert answered_there(single) == before + 1
        other.send(asked)
        assert plain(there) == plain(raw_reply(other))
        assert answered_there(single) == before + 1
    assert (b"HTTP/1.1 304" in there) == (which == "any ETag" or ("ETag" in which and not news))


@BOTH
def test_one_without_a_cursor_is_told_where_now_is(single: Server, channel: str, path: str) -> None:
    """And gets an id of its own, each time another."""
    asked = head(path, channel)
    with connected(single) as wire:
        warm(wire, asked)
        before = answered_there(single)
        replies = []
        for n in range(3):
            published = single.publish(channel, n)
            wire.send(asked)
            replies.append(json.loads(raw_reply(wire).partition(b"\r\n\r\n")[2]))
            assert replies[-1]["cursor"] == published and replies[-1]["messages"] == []
        assert answered_there(single) == before + 3
    assert len({reply["connection"] for reply in replies}) == 3


def test_one_that_repeats_no_id_gets_a_new_one_each_time(single: Server, channel: str) -> None:
    """In an answer that is the same but for that, where there is nothing new."""
    asked = head("/push/poll", channel, cursor=now(single, channel))
    with connected(single) as wire, connected(single) as other:
        warm(wire, asked)
        before = answered_there(single)
        replies = []
        for _ in range(4):
            wire.send(asked)
            replies.append(raw_reply(wire))
        assert answered_there(single) == before + 4
        other.send(asked)
        assert {plain(reply, ids=True) for reply in replies} == {plain(raw_reply(other), ids=True)}
    ids = {json.loads(reply.partition(b"\r\n\r\n")[2])["connection"] for reply in replies}
    assert len(ids) == 4
    for own in ids:  # each is one that counts
        reply = single.ask("GET", f"/push/poll?channels={channel}&connection={own}")
        assert reply.json["connection"] == own


def test_all_who_wait_are_told_what_the_app_tells(single: Server, channel: str) -> None:
    """With and without ids of their own; the app's own words, asked for when it has come."""
    cursor = now(single, channel)
    own = [{"connection": new_id(single, channel)} for _ in range(3)] + [{}, {}]
    first = single.publish(channel, "first")
    with ExitStack() as stack:
        wires = [stack.enter_context(connected(single)) for _ in own]
        for wire, params in zip(wires, own, strict=True):
            warm(wire, head("/push/longpoll", channel, cursor=cursor, timeout=55, **params), 2)
        asked = [
            head("/push/longpoll", channel, cursor=first, timeout=55, **params) for params in own
        ]
        before = answered_there(single)
        for wire, request in zip(wires, asked, strict=True):
            wire.send(request)
        wait_for_subscribers(single, channel, len(own))
        single.publish(channel, {"second": "é"})
        told = [raw_reply(wire) for wire in wires]
        assert answered_there(single) == before + len(own)
        for reply, request in zip(told, asked, strict=True):
            app = stack.enter_context(connected(single))
            app.send(request)
            assert plain(reply, ids=True) == plain(raw_reply(app), ids=True)
    assert len(set(told)) == len(own)
    for reply, params in zip(told, own, strict=True):
        assert params.get("connection", "").encode() in reply


def test_a_connection_serves_many_long_polls_in_the_lane(single: Server, channel: str) -> None:
    """Each with a newer cursor; every message once, and no request by the app."""
    cursor = now(single, channel)
    with connected(single) as wire:
        before = answered_there(single)
        for n in range(50):
            wire.send(head("/push/longpoll", channel, cursor=cursor, timeout=55))
            published = single.publish(channel, n)
            reply = wire.reply()
            assert [m["data"] for m in reply.json["messages"]] == [n]
            assert not reply.closes
            cursor = published
        assert answered_there(single) >= before + 47  # the first are the app's


def test_who_waits_again_has_missed_nothing(single: Server, channel: str) -> None:
    """Of what came between an answer and the next request, which asks for something else in turns:
    another channel, another person's, or no waiting."""
    name = channel.removeprefix("public:")
    mine = ("Authorization", f"Bearer {token(user=name)}")
    asked: list[tuple[str, str, tuple[tuple[str, str], ...]]] = [
        ("/push/longpoll", channel, ()),
        ("/push/longpoll", f"{channel}-2", ()),
        ("/push/longpoll", f"user:{name}", (mine,)),
        ("/push/poll", channel, ()),
    ]
    cursors = [now(single, channel)] * len(asked)
    data = [0] * len(asked)
    with connected(single) as wire, connected(single) as publisher:

        def ask(which: int) -> None:
            path, listened, headers = asked[which]
            query = {"cursor": cursors[which], "timeout": 55}
            wire.send(head(path, listened, *headers, **query))

        def publish(which: int) -> None:
            data[which] += 1
            body = json.dumps({"channel": asked[which][1], "data": data[which]}).encode()
            assert publisher.ask("POST", "/push/publish", KEY, body).status == 200

        def take(which: int, *expected: int) -> None:
            reply = wire.reply().json
            assert [message["data"] for message in reply["messages"]] == list(expected)
            cursors[which] = reply["cursor"]

        for which in (0, 0, 1, 1, 0, 2, 2, 0, 3, 3, 0, 0) * 4:
            waits = asked[which][0] == "/push/longpoll"
            before = data[which]
            if not waits:
                data[which], cursors[which] = data[0], cursors[0]
                before = data[0]
            ask(which)
            if waits:
                wait_for_subscribers(single, asked[which][1], 1)
                publish(which)
                take(which, before + 1)
                publish(which)  # while nobody waits
                ask(which)
                take(which, before + 2)
            else:
                take(which)


def test_who_does_not_ask_again_is_not_counted_for_long(single: Server, channel: str) -> None:
    """Though their connection stays."""
    cursor = now(single, channel)
    with connected(single) as wire:
        for n in range(4):
            wire.send(head("/push/longpoll", channel, cursor=cursor, timeout=55))
            wait_for_subscribers(single, channel, 1)
            cursor = single.publish(channel, n)
            wire.reply()
        wait_for_subscribers(single, channel, 0)
        wire.send(head("/push/longpoll", channel, cursor=cursor, timeout=55))
        wait_for_subscribers(single, channel, 1)
        single.publish(channel, "again")
        assert [m["data"] for m in wire.reply().json["messages"]] == ["again"]


def test_other_requests_go_between(single: Server, channel: str) -> None:
    """A connection in the lane is an ordinary one for whatever is not in it."""
    asked = head("/push/poll", channel, cursor=now(single, channel))
    key = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
    with connected(single) as wire:
        for n in range(5):
            warm(wire, asked)
            wire.send(asked + request("GET", "/healthz") + asked)
            assert [wire.reply().status for _ in range(3)] == [200, 200, 200]
            body = json.dumps({"channel": channel, "data": n}).encode()
            assert wire.ask("POST", "/push/publish", key, body).json["id"]
            assert wire.ask("GET", "/nothing").status == 404


# -- nothing older -------------------------------------------------------------------------------


def test_who_has_seen_a_publish_acknowledged_and_asks_gets_it(server: Server, channel: str) -> None:
    """Of whichever worker, on the lane or not; 200 times, with several pollers at each."""
    cursor = now(server, channel)
    pollers = [Wire(server.port) for _ in range(6)]
    publisher = Wire(server.port)
    key = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
    for poller in pollers:
        warm(poller, head("/push/poll", channel, cursor=cursor))
    for n in range(200):
        body = json.dumps({"channel": channel, "data": n}).encode()
        published = publisher.ask("POST", "/push/publish", key, body).json["id"]
        poller = pollers[n % len(pollers)]
        poller.send(head("/push/poll", channel, cursor=cursor))
        reply = poller.reply().json
        assert reply["messages"] and reply["messages"][-1]["id"] == published, n
        cursor = published
    for wire in (*pollers, publisher):
        wire.close()


def test_a_crowd_that_asks_alike_gets_what_one_gets(single: Server, channel: str) -> None:
    """In one turn of the loop, too: from two cursors in turns, with a publish between."""
    cursors = [now(single, channel)] * 2
    with ExitStack() as stack:
        wires = [stack.enter_context(connected(single)) for _ in range(24)]
        for wire in wires:
            warm(wire, head("/push/poll", channel, cursor=cursors[1]))
        for n in range(20):
            cursors = [cursors[1], single.publish(channel, n)]
            asked = [head("/push/poll", channel, cursor=cursor) for cursor in cursors]
            before = answered_there(single)
            for _ in range(2):
                for k, wire in enumerate(wires):
                    wire.send(asked[k // 3 % 2])
                told = [raw_reply(wire) for wire in wires]
                for k, news in enumerate(([n], [])):
                    alike = {plain(r, ids=True) for i, r in enumerate(told) if i // 3 % 2 == k}
                    (reply,) = [json.loads(text.partition(b"\r\n\r\n")[2]) for text in alike]
                    assert reply["cursor"] == cursors[1]
                    assert [message["data"] for message in reply["messages"]] == news
                assert len(set(told)) == len(told)  # by their ids
            if n:  # the first time the log is read
                assert answered_there(single) == before + 2 * len(wires)


def test_a_ring_that_is_lost_hides_nothing(single: Server, channel: str, log_kind: str) -> None:
    """The worker hears of nothing, as where another user's process has published."""
    if log_kind != "sqlite":
        pytest.skip("there are no bells")
    asked = head("/push/poll", channel, cursor=now(single, channel))
    with connected(single) as wire:
        warm(wire, asked)
        for bell in single.database.parent.glob("push.db-wake/*.bell"):
            bell.unlink()
        for n in range(5):
            published = single.publish(channel, n)
            wire.send(asked)
            assert wire.reply().json["cursor"] == published
    single.restart()  # the others get a bell that rings


@pytest.mark.parametrize("size", [1, 5, 100])
def test_what_was_cleared_or_trimmed_is_told_as_lost(
    single: Server, channel: str, size: int
) -> None:
    """Also where the worker still has it at hand."""
    short = channel.replace("public:", "short:")  # keeps three
    start = now(single, short)
    asked = head("/push/poll", short, cursor=start)
    with connected(single) as wire, connected(single) as other:
        warm(wire, asked)
        for n in range(size):
            single.publish(short, n)
        if size == 1:
            cleared = {"Authorization": f"Bearer {API_KEY}"}
            assert single.ask("DELETE", f"/push/channels/{short}/history", cleared).status == 200
        for one in (wire, other):
            one.send(asked)
        reply, app = wire.reply().json, other.reply().json
        assert reply["recovered"] is False and reply["lost"] == app["lost"]
        assert reply["messages"] == app["messages"]


# -- nobody who may not any more -----------------------------------------------------------------


def test_a_token_that_expires_or_is_revoked_opens_nothing_more(
    single: Server, channel: str, elsewhere: Push
) -> None:
    """The same head gets 401 from then on."""
    room = channel.replace("public:", "room:")
    short = jwt.encode(claims("42", 4.0, channels=[room]), SECRET, "HS256")
    issued = claims("43", 60, channels=[room], iat=time.time())
    for text, end in (
        (short, lambda: None),
        (jwt.encode(issued, SECRET, "HS256"), lambda: elsewhere.revoke("43")),
    ):
        asked = head("/push/poll", room, ("Authorization", f"Bearer {text}"))
        with connected(single) as wire:
            before = answered_there(single)
            warm(wire, asked)
            wire.send(asked)
            assert wire.reply().status == 200
            assert answered_there(single) > before
            end()

            def refused(wire: Wire = wire, asked: bytes = asked) -> bool:
                wire.send(asked)
                return wire.reply().status == 401

            until(refused, "the token opens nothing")


def test_a_connection_that_was_ended_is_refused(single: Server, channel: str) -> None:
    """With the id that it repeats; another one may be begun."""
    asked = head("/push/poll", channel, connection=(own := new_id(single, channel)))
    with connected(single) as wire:
        warm(wire, asked)
        wire.send(asked)
        assert wire.reply().status == 200
        key = {"Authorization": f"Bearer {API_KEY}"}
        assert single.ask("DELETE", f"/push/connections/{own}", key).status == 200
        wire.send(asked)
        assert wire.reply().status == 403


def test_people_behind_one_connection_get_their_own(single: Server, channel: str) -> None:
    """A proxy's connection carries many: each is known by their own head alone."""
    people = [channel.removeprefix("public:") + str(n) for n in range(3)]
    starts = {user: now(single, "public:x") for user in people}
    tokens = {user: ("Authorization", f"Bearer {token(user=user)}") for user in people}
    heads = {
        user: head("/push/poll", f"user:{user}", tokens[user], cursor=starts[user])
        for user in people
    }
    for user in people:
        single.post({"user": user, "data": user})
    with connected(single) as wire:
        for n in range(4):
            before = answered_there(single)
            for user in people:
                wire.send(heads[user])
                assert [m["data"] for m in wire.reply().json["messages"]] == [user]
            assert answered_there(single) - before == (0, 2, 3, 3)[n]  # gunicorn read the first
        mine, other = people[:2]
        wire.send(head("/push/poll", f"user:{other}", tokens[mine], cursor=starts[other]))
        assert wire.reply().status == 403


# -- ending --------------------------------------------------------------------------------------


def test_a_drain_ends_who_is_in_the_lane(single: Server, channel: str) -> None:
    """Idle connections at once, a waiting one with an answer that says so."""
    cursor = now(single, channel)
    with connected(single) as idle, connected(single) as waiting:
        warm(idle, head("/push/poll", channel, cursor=cursor))
        asked = head("/push/longpoll", channel, cursor=cursor, timeout=1)
        warm(waiting, asked)
        before = answered_there(single)
        waiting.send(asked)
        until(lambda: answered_there(single) == before + 1 or _waits(single), "it waits")
        (worker,) = single.workers()
        single.signal(signal.SIGHUP)
        assert idle.is_closed()
        reply = waiting.reply()
        assert reply.status == 200
        until(lambda: worker not in single.workers(), "the worker ends", LONG)
    single.wait_for_workers()


def _waits(server: Server) -> bool:
    return b'pushapp_connections{transport="longpoll",worker="0"} 1.0' in (
        server.ask("GET", "/metrics").body
    )
