"""ETag and If-None-Match on poll and longpoll: what ``$.ajax({ifModified: true})`` lives on.

What belongs here: when an answer is 304, and that none hides a message. What does not: the answer
itself (``test_polling``).
"""

from __future__ import annotations

import pytest

from ..server import Server
from ..wire import Wire
from .waiting import BOTH, ask, first_cursor


@BOTH
def test_the_etag_is_the_cursor(wire: Wire, path: str, channel: str) -> None:
    """What jQuery's ifModified repeats is enough to go on from."""
    reply = ask(wire, path, channel)
    assert reply.header("ETag") == f'"{reply.json["cursor"]}"'


@BOTH
@pytest.mark.parametrize("form", ['"{}"', 'W/"{}"', '"{}-gzip"', 'W/"{}-gzip"', '"x", "{}"'])
def test_if_none_match_is_the_cursor_where_there_is_none(
    wire: Wire, server: Server, path: str, channel: str, form: str
) -> None:
    """304 when there is nothing new, 200 with what there is; however a proxy marked it."""
    cursor = first_cursor(wire, channel)
    asked = {"If-None-Match": form.format(cursor)}
    nothing = ask(wire, path, channel, asked, timeout=1)
    assert nothing.status == 304 and nothing.body == b""
    assert nothing.header("ETag") is not None
    assert "no-store" in nothing.listed("Cache-Control")
    published = server.publish(channel, "news")
    news = ask(wire, path, channel, asked, timeout=1)
    assert news.status == 200
    assert [m["id"] for m in news.json["messages"]] == [published]


@BOTH
def test_the_oldest_of_several_etags_counts(
    wire: Wire, server: Server, path: str, channel: str
) -> None:
    """A list loses nothing."""
    start = first_cursor(wire, channel)
    ids = [server.publish(channel, n) for n in range(3)]
    asked = {"If-None-Match": f'"{ids[1]}", W/"{start}", "{ids[2]}"'}
    assert [m["id"] for m in ask(wire, path, channel, asked).json["messages"]] == ids


@BOTH
def test_a_cursor_beats_if_none_match(wire: Wire, server: Server, path: str, channel: str) -> None:
    """A newer ETag in the browser's cache hides no message."""
    start = first_cursor(wire, channel)
    published = server.publish(channel, "news")
    reply = ask(wire, path, channel, {"If-None-Match": f'"{published}0"'}, cursor=start)
    assert reply.status == 200
    assert [m["id"] for m in reply.json["messages"]] == [published]


@BOTH
def test_with_a_cursor_if_none_match_is_compared_with_this_answers_etag(
    wire: Wire, path: str, channel: str
) -> None:
    """Equal and nothing new: 304. Something else: 200 with a body."""
    cursor = first_cursor(wire, channel)
    reply = ask(wire, path, channel, cursor=cursor, timeout=1)
    tag, now = reply.header("ETag"), reply.json["cursor"]
    for value in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        reply = ask(wire, path, channel, {"If-None-Match": str(value)}, cursor=now, timeout=1)
        if reply.status == 200:  # another test's message moved the log's head on meanwhile
            assert reply.header("ETag") != tag and value != "*"
    assert ask(wire, path, channel, {"If-None-Match": '"x"'}, cursor=now, timeout=1).status == 200


@BOTH
def test_a_star_hides_no_message(wire: Wire, server: Server, path: str, channel: str) -> None:
    """``If-None-Match: *`` says nothing about what the client has."""
    start = first_cursor(wire, channel)
    published = server.publish(channel, "news")
    reply = ask(wire, path, channel, {"If-None-Match": "*"}, cursor=start)
    assert reply.status == 200
    assert [m["id"] for m in reply.json["messages"]] == [published]
