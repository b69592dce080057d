"""What is poll's and longpoll's own: one answer, its headers and forms.

What belongs here: how one answer looks. What does not: ETags (``test_etags``), what both share with
the streams (``test_contract``), waiting on a parked socket (``test_parking``).
"""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from ..server import ORIGIN, Server
from ..wire import Wire
from .waiting import BOTH, ask, first_cursor

# The answer


@BOTH
def test_an_answer_without_news_has_these_fields(wire: Wire, path: str, channel: str) -> None:
    """connection, cursor, recovered, messages and advice; 200 and never an empty body."""
    reply = ask(wire, path, channel)
    assert reply.status == 200
    assert set(reply.json) == {"connection", "cursor", "recovered", "messages", "advice"}
    assert reply.json["messages"] == [] and reply.json["recovered"] is True
    assert reply.json["connection"].startswith("c")
    assert reply.json["advice"]["interval"] > 0


def test_a_long_poll_without_a_cursor_answers_at_once(wire: Wire, channel: str) -> None:
    """So that no first message falls between: the hold of 55 s is not waited for."""
    assert ask(wire, "/push/longpoll", channel, timeout=55).json["cursor"]


def test_a_long_poll_that_nobody_wrote_to_is_answered_with_its_cursor(
    wire: Wire, channel: str
) -> None:
    """After ``timeout`` seconds, with the same headers as any answer."""
    cursor = first_cursor(wire, channel)
    reply = ask(wire, "/push/longpoll", channel, cursor=cursor, timeout=1)
    assert reply.status == 200
    assert reply.json["messages"] == [] and reply.json["recovered"] is True
    assert reply.header("ETag") == f'"{reply.json["cursor"]}"'
    assert ask(wire, "/push/poll", channel, cursor=reply.json["cursor"]).json["recovered"]


def test_a_long_poll_waits_for_the_message(wire: Wire, server: Server, channel: str) -> None:
    """The answer comes with it, long before the timeout."""
    cursor = first_cursor(wire, channel)
    target = urlencode({"channels": channel, "cursor": cursor, "timeout": 55})
    wire.send(f"GET /push/longpoll?{target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    published = server.publish(channel, "news")
    reply = wire.reply()
    assert [m["id"] for m in reply.json["messages"]] == [published]
    assert reply.json["cursor"] == published


@pytest.mark.parametrize("timeout", ["abc", "0", "0.5", "56", "9999", "-1", "NaN", "1e1"])
def test_a_wrong_timeout_is_refused(wire: Wire, channel: str, timeout: str) -> None:
    """The detail names the field, what came, and the bounds."""
    reply = ask(wire, "/push/longpoll", channel, timeout=timeout)
    assert reply.status == 400
    for word in ("timeout", timeout, "1", "55"):
        assert word in reply.json["detail"]


@BOTH
def test_more_than_an_answer_holds_is_asked_for_again_at_once(
    wire: Wire, server: Server, path: str, channel: str
) -> None:
    """At most 500 messages; ``more`` says that there are others; none is twice or missing."""
    start = first_cursor(wire, channel)
    ids = server.publish_all([{"channel": channel, "data": n} for n in range(700)])
    one = ask(wire, path, channel, cursor=start).json
    assert one["more"] is True and [m["id"] for m in one["messages"]] == ids[:500]
    assert one["cursor"] == ids[499]
    two = ask(wire, path, channel, cursor=one["cursor"]).json
    assert "more" not in two and [m["id"] for m in two["messages"]] == ids[500:]


@BOTH
def test_an_answer_is_at_most_a_mebibyte_but_at_least_one_message(
    wire: Wire, server: Server, path: str, channel: str
) -> None:
    """Forty messages of 60 KB come in several answers."""
    cursor = first_cursor(wire, channel)
    ids = []
    for batch in range(4):
        drafts = [{"channel": channel, "data": f"{batch}{n}" + "x" * 60_000} for n in range(10)]
        ids += server.publish_all(drafts)
    got: list[str] = []
    more = True
    while more:
        reply = ask(wire, path, channel, cursor=cursor)
        assert len(reply.body) < (1 << 20) + 4096
        assert reply.json["messages"]
        got += [m["id"] for m in reply.json["messages"]]
        cursor, more = reply.json["cursor"], reply.json.get("more", False)
    assert got == ids


def test_advice_grows_while_a_channel_is_quiet(wire: Wire, server: Server, channel: str) -> None:
    """A channel that has just had a message is to be polled sooner than one that is silent."""
    start = first_cursor(wire, channel)
    server.publish(channel, "news")
    busy = ask(wire, "/push/poll", channel, cursor=start).json["advice"]["interval"]
    quiet = ask(wire, "/push/poll", f"{channel}.never").json["advice"]["interval"]
    assert busy < quiet


# The connection id


@BOTH
def test_a_connection_id_that_is_repeated_is_kept(wire: Wire, path: str, channel: str) -> None:
    """Presence sees one client and not many."""
    first = ask(wire, path, channel).json["connection"]
    assert ask(wire, path, channel, connection=first).json["connection"] == first
    assert ask(wire, path, channel).json["connection"] != first


@BOTH
def test_a_forged_connection_id_is_ignored(wire: Wire, path: str, channel: str) -> None:
    """It is signed: a changed or an invented one gets a new one, and no error."""
    first = ask(wire, path, channel).json["connection"]
    swapped = first[:3] + ("A" if first[3] != "A" else "B") + first[4:]
    for forged in (swapped, first + "x", "c1", "c1.x.y", "é", "x" * 3000, '"}'):
        reply = ask(wire, path, channel, connection=forged)
        assert reply.status == 200
        assert reply.json["connection"] not in (forged, first)


# Headers


@BOTH
def test_no_cache_on_the_way_keeps_an_answer(wire: Wire, path: str, channel: str) -> None:
    """no-store and the legacy set; Vary names what the answer depends on."""
    cursor = first_cursor(wire, channel)
    for params in ({}, {"cursor": cursor, "timeout": 1}):
        reply = ask(wire, path, channel, **params)
        assert {"no-store", "no-cache"} <= reply.listed("Cache-Control")
        assert reply.header("Pragma") == "no-cache" and reply.header("Expires")
        assert {"authorization", "cookie", "origin"} <= reply.listed("Vary")
        assert (reply.header("Content-Type") or "").startswith("application/json")
        assert reply.header("X-Content-Type-Options") == "nosniff"
        assert reply.header("Cross-Origin-Resource-Policy")


@BOTH
def test_a_page_of_an_allowed_origin_may_read_the_answer(
    wire: Wire, path: str, channel: str
) -> None:
    """And its ETag; also where the answer was waited for. Another origin's page may not."""
    cursor = first_cursor(wire, channel)
    for params in ({}, {"cursor": cursor, "timeout": 1}):
        reply = ask(wire, path, channel, {"Origin": ORIGIN}, **params)
        assert reply.header("Access-Control-Allow-Origin") == ORIGIN
        assert {"etag", "retry-after"} <= reply.listed("Access-Control-Expose-Headers")
        other = ask(wire, path, channel, {"Origin": "https://evil.example"}, **params)
        assert other.header("Access-Control-Allow-Origin") is None


@BOTH
def test_a_preflight_of_an_allowed_origin_is_answered(wire: Wire, path: str) -> None:
    """With the methods and headers that this contract uses."""
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, if-none-match",
    }
    reply = wire.ask("OPTIONS", path, asked)
    assert reply.status in (200, 204)
    assert reply.header("Access-Control-Allow-Origin") == ORIGIN
    assert {"get", "post"} <= reply.listed("Access-Control-Allow-Methods")
    assert {"authorization", "if-none-match"} <= reply.listed("Access-Control-Allow-Headers")


# POST


@BOTH
def test_the_same_parameters_may_be_posted_as_a_form(
    wire: Wire, server: Server, path: str, channel: str
) -> None:
    """For lists that are too long for a request line; also where the answer is waited for."""
    channels = [f"{channel}.{n}" + "x" * 60 for n in range(100)]
    asked = {"Content-Type": "application/x-www-form-urlencoded"}
    form = {"channels": ",".join(channels)}
    cursor = wire.ask("POST", path, asked, urlencode(form).encode()).json["cursor"]
    form |= {"cursor": cursor, "timeout": "1"}
    nothing = wire.ask("POST", path, asked, urlencode(form).encode())
    assert (nothing.status, nothing.json["messages"]) == (200, [])
    published = server.publish(channels[99], "news")
    news = wire.ask("POST", path, asked, urlencode(form).encode())
    assert [m["id"] for m in news.json["messages"]] == [published]


@BOTH
def test_a_form_over_its_limit_is_refused(server: Server, path: str) -> None:
    """64 KB is enough for a hundred names."""
    asked = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = server.ask("POST", path, asked, b"channels=public:a&x=" + b"y" * 70_000)
    assert reply.status == 413
    assert reply.header("Content-Type") == "application/problem+json"


@BOTH
def test_a_body_that_is_no_form_is_refused(server: Server, path: str) -> None:
    """JSON in the body is not silently taken for no parameters at all."""
    asked = {"Content-Type": "application/json"}
    reply = server.ask("POST", path, asked, b'{"channels":["public:a"]}')
    assert reply.status in (400, 415)
    assert reply.header("Content-Type") == "application/problem+json"
