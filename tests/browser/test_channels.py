"""Channels that come and go: none at all, the last one, and one that is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import WebSocketRoute

from ..server import Server, until
from .tab import Tab
from .test_tabs import LADDER, NAME, leader_of

pytestmark = pytest.mark.browser

OpenTab = Callable[..., Tab]
OpenTabs = Callable[..., list[Tab]]


def test_a_leader_without_channels_keeps_the_place_of_the_others(
    server: Server, open_tabs: OpenTabs, channel: str
) -> None:
    """The leader lets go of its last channel: what the others wait for goes on where it was."""
    tabs = open_tabs(server, 2)
    for i, tab in enumerate(tabs):
        tab.listen(NAME, [f"{channel}.{i}"], transports=["poll"], interval=3000)
        tab.wait_open(NAME)
    leader = leader_of(tabs)
    (other,) = [tab for tab in tabs if tab is not leader]
    wanted = f"{channel}.{tabs.index(other)}"
    server.publish(wanted, 0)
    other.hear(NAME, 0)
    server.publish(wanted, 1)  # comes with the poll that is due in 3 s, or with the change
    leader.do(NAME, "push.unsubscribe(push.channels)")
    other.hear(NAME, 1)
    server.publish(wanted, 2)
    assert other.hear(NAME, 2) == [0, 1, 2]


@pytest.mark.parametrize("before", ["never had one", "let go of it"])
def test_a_tab_without_channels_keeps_nobody_waiting(
    server: Server, open_tabs: OpenTabs, channel: str, before: str
) -> None:
    """The first tab has no channel: the next one is served, and so is the first once it wants."""
    first, second = open_tabs(server, 2)
    first.listen(NAME, [channel] if before == "let go of it" else [], transports=LADDER)
    first.wait(NAME, "push.inspect().role === 'leader'")
    if before == "let go of it":
        first.wait_open(NAME)
        first.do(NAME, "push.unsubscribe(argument)", channel)
    second.listen(NAME, [channel], transports=LADDER)
    second.wait_open(NAME)
    server.publish(channel, 1)
    assert second.hear(NAME, 1) == [1]
    assert first.do(NAME, "return push.readyState") == 0
    first.do(NAME, "push.subscribe(argument)", channel)
    first.wait_open(NAME)
    server.publish(channel, 2)
    assert first.hear(NAME, 2) == [2]


@pytest.mark.parametrize("before", ["never had one", "let go of it"])
def test_a_follower_without_channels_waits_for_one(
    server: Server, open_tabs: OpenTabs, channel: str, before: str
) -> None:
    """No channel is no mistake: the tab stays, and hears what it subscribes to later."""
    first, second = open_tabs(server, 2)
    first.listen(NAME, [channel], transports=LADDER)
    first.wait_open(NAME)
    second.listen(NAME, [channel] if before == "let go of it" else [], transports=LADDER)
    if before == "let go of it":
        second.wait_open(NAME)
        second.do(NAME, "push.unsubscribe(argument)", channel)
    second.wait(NAME, "push.inspect().log.some(line => / follower/.test(line))")
    second.page.wait_for_timeout(300)  # a request that nobody should make would be answered
    assert second.do(NAME, "return push.readyState") == 0
    second.do(NAME, "push.subscribe(argument)", channel)
    second.wait_open(NAME)
    server.publish(channel, 1)
    assert second.hear(NAME, 1) == [1]
    assert (second.said(NAME, "error"), second.said(NAME, "close")) == ([], [])


@pytest.mark.parametrize(
    "transports", [["websocket"], ["sse", "longpoll"], ["longpoll"], ["poll"]], ids=str
)
def test_a_refused_channel_leaves_the_others(
    server: Server, open_tab: OpenTab, channel: str, transports: list[str]
) -> None:
    """One room too many is told, and taken out; what worked before goes on."""
    tab = open_tab(server)
    tab.listen(NAME, [channel], transports=transports)
    tab.wait_open(NAME)
    tab.do(NAME, "push.subscribe('private:x')")
    tab.wait(NAME, "push.channels.length === 1 && push.readyState === 1")
    server.publish(channel, 1)
    assert tab.hear(NAME, 1) == [1]
    assert [e["status"] for e in tab.said(NAME, "error") if "status" in e] == [401]
    assert tab.said(NAME, "close") == []


def test_a_follower_that_is_refused_a_channel_keeps_the_others(
    server: Server, open_tabs: OpenTabs, channel: str
) -> None:
    """In a tab that shares, too; and the leader does not notice."""
    first, second = open_tabs(server, 2)
    for tab in (first, second):
        tab.listen(NAME, [channel], transports=LADDER)
        tab.wait_open(NAME)
    second.do(NAME, "push.subscribe('private:x')")
    second.wait(NAME, "push.channels.length === 1 && push.readyState === 1")
    server.publish(channel, 1)
    for tab in (first, second):
        assert tab.hear(NAME, 1) == [1]
    assert [error["status"] for error in second.said(NAME, "error")] == [401]
    assert (first.said(NAME, "state"), first.said(NAME, "error")) == ([1], [])


def test_a_refusal_that_comes_late_is_not_told_to_another_tab(
    server: Server, open_tabs: OpenTabs, channel: str
) -> None:
    """The follower has asked by itself, and let go, before the leader hears what it has asked."""
    leader, follower = open_tabs(server, 2)
    held: list[str | bytes] = []
    upstream: list[WebSocketRoute] = []

    def hold(text: str | bytes) -> None:
        if held or "private:x" in str(text):
            held.append(text)
        else:
            upstream[0].send(text)

    def relay(socket: WebSocketRoute) -> None:
        upstream.append(socket.connect_to_server())
        socket.on_message(hold)

    leader.page.route_web_socket("**/push/ws?*", relay)
    for tab in (leader, follower):
        tab.listen(NAME, [channel], transports=["websocket"])
        tab.wait_open(NAME)
    follower.do(NAME, "push.subscribe('private:x')")
    follower.wait(NAME, "push.channels.length === 1 && push.readyState === 1")
    leader.wait(NAME, "push.inspect().log.some(line => /op websocket subscribe/.test(line))")
    until(lambda: leader.do(NAME, "return 1") and held, "the leader has asked, too")
    for text in [*held]:
        upstream[0].send(text)
    leader.wait(NAME, "push.inspect().log.some(line => /frame websocket reply/.test(line))")
    assert leader.said(NAME, "error") == []
    assert [error["status"] for error in follower.said(NAME, "error")] == [401]


def test_names_with_commas_are_several(server: Server, open_tab: OpenTab, channel: str) -> None:
    """The server's own way to write a list of channels is understood."""
    tab = open_tab(server)
    tab.page.evaluate(
        "options => listen('client', options)",
        {"channels": f"{channel},{channel}.b", "transport": "websocket"},
    )
    tab.do(NAME, "push.subscribe(argument)", f"{channel}.c,{channel}.d")
    tab.wait_open(NAME)
    for n, name in enumerate(["", ".b", ".c", ".d"]):
        server.publish(channel + name, n)
    assert tab.hear(NAME, 3) == [0, 1, 2, 3]


def test_a_page_without_channels_goes_on_from_no_other(
    server: Server, open_tab: OpenTab, channel: str
) -> None:
    """A page that does not say yet what it wants begins with its first channel, now."""
    tab = open_tab(server)
    for name in (channel, f"{channel}.other"):
        tab.listen(NAME, [], transports=LADDER)
        tab.do(NAME, "push.subscribe(argument)", name)
        tab.wait_open(NAME)
        server.publish(name, name)
        assert tab.hear(NAME, name) == [name]
        assert tab.said(NAME, "recovered") == []
        server.publish(f"{channel}.other", "before anybody asked")
        tab.load()
