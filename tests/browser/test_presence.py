"""Who is there, as a page sees it: the same list on every transport, and through all changes."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from ..jwts import token
from ..server import Server
from .tab import TRANSPORTS, Tab

pytestmark = pytest.mark.browser

OpenTab = Callable[..., Tab]
NAMES = "(push.members[argument] || []).map(m => m.user).sort().join()"


def there(tab: Tab, client: str, channel: str, *names: str) -> None:
    """Wait until a client's list has these users, and no others."""
    wanted = f"{NAMES} === {','.join(sorted(names))!r}"
    tab.wait(client, wanted, channel)


def test_the_list_is_true_on_every_transport(server: Server, open_tab: OpenTab) -> None:
    """Each client sees all others come, with what their tokens say; an event tells of it."""
    room = "room:browser-1"
    tab = open_tab(server)
    for user in TRANSPORTS:
        mine = token(room, user=user, member={"is": user})
        tab.listen(user, [room], presence=True, token=mine, share=False)
    for user in TRANSPORTS:
        there(tab, user, room, *TRANSPORTS)
    for user in TRANSPORTS:
        seen = tab.do(user, "return push.members[argument]", room)
        assert all(member["member"] == {"is": member["user"]} for member in seen)
        told = tab.do(user, "return client.there.slice(-1)[0]")
        assert told["count"] == len(told["members"]) == 4 and told["channel"] == room


@pytest.mark.parametrize("transport", ["websocket", "poll"])
def test_what_a_member_says_of_itself_changes_no_prototype(
    server: Server, open_tab: OpenTab, transport: str
) -> None:
    """Neither a user called __proto__, nor a member that has one of its own."""
    room = f"room:browser-odd-{transport}"
    tab = open_tab(server)
    odd = {"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 2}}}
    for user in ("__proto__", "constructor"):
        mine = token(room, user=user, member=odd)
        how = transport if user == "__proto__" else "sse"
        tab.listen(user, [room], presence=True, token=mine, share=False, transport=how)
    for user in ("__proto__", "constructor"):
        there(tab, user, room, "__proto__", "constructor")
        seen = tab.do(user, "return JSON.stringify(push.members[argument])", room)
        assert [member["member"] for member in json.loads(seen)] == [odd, odd]
        assert tab.do(user, "return [{}.polluted, [].polluted, (() => 1).polluted]") == [None] * 3


def test_who_connects_again_is_the_same_one(
    server: Server, open_tab: OpenTab, channel: str
) -> None:
    """A page without a user is known by its connection: others see it neither leave nor come."""
    tab = open_tab(server)
    tab.listen("websocket", [channel], presence=True, share=False)
    tab.wait("websocket", "push.members[argument]", channel)
    tab.listen("sse", [channel], presence=True, share=False)
    for name in ("websocket", "sse"):
        tab.wait(name, "(push.members[argument] || []).length === 2", channel)
    before = tab.do("sse", "return push.members[argument].map(m => m.anonymous).sort()", channel)

    asked = tab.stats("sse")["requests"]
    tab.page.evaluate("() => window.dispatchEvent(new Event('online'))")  # another network
    tab.wait("sse", "push.stats.requests > argument", asked)
    tab.listen("poll", [channel], presence=True, share=False)  # a marker: it comes after all that

    for name in ("websocket", "sse"):
        tab.wait(name, "push.members[argument].length === 3", channel)
        after = tab.do(name, "return push.members[argument].map(m => m.anonymous)", channel)
        assert set(before) < set(after)
    told = tab.do("websocket", "return client.there.flatMap(told => told.changes)")
    assert [change["event"] for change in told].count("leave") == 0


def test_all_tabs_that_share_a_line_have_the_list(
    server: Server, open_tabs: Callable[..., list[Tab]]
) -> None:
    """A tab that joins later has it, too, and the user counts once."""
    room = "room:browser-3"
    first, second = open_tabs(server, 2)
    mine = token(room, user="ann")
    for tab in (first, second):
        tab.listen("tab", [room], presence=True, token=mine, transport="websocket")
        there(tab, "tab", room, "ann")
    guest = token(room, user="bob")
    first.listen("guest", [room], transport="sse", token=guest, share=False)
    for tab in (first, second):
        there(tab, "tab", room, "ann", "bob")
        assert tab.do("tab", "return client.there.slice(-1)[0].count") == 2
