"""Many tabs, few connections: the tabs of one browser share a line, and each gets what it wants."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from playwright.sync_api import Error

from ..server import Server, until
from .tab import TRANSPORTS, Tab

pytestmark = pytest.mark.browser

OpenTabs = Callable[..., list[Tab]]
MakeServer = Callable[..., Server]

NAME = "client"
LADDER = list(TRANSPORTS)
NO_LOCKS = "Object.defineProperty(Navigator.prototype, 'locks', {value: undefined});"
#: What a browser says before it freezes a page, and after.
FREEZE = "document.dispatchEvent(new Event('freeze'))"
THAW = "document.dispatchEvent(new Event('resume'))"
#: A page that is stopped without a word, for longer than the others are patient.
HANG = "setTimeout(() => { const end = Date.now() + 8000; while (Date.now() < end) {} })"

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


def listen(tabs: list[Tab], channel: str, **options: object) -> None:
    """Start a client in each tab: on ``channel`` and on one of the tab's own."""
    for i, tab in enumerate(tabs):
        tab.listen(NAME, [channel, f"{channel}.{i}"], **{"transports": LADDER, **options})
    for tab in tabs:
        tab.wait_open(NAME)


def role(tab: Tab) -> str:
    found: str = tab.do(NAME, "return push.inspect().role")
    return found


def leader_of(tabs: list[Tab]) -> Tab:
    """Return the tab that has the line."""
    found: list[Tab] = until(lambda: [t for t in tabs if role(t) == "leader"], "there is a leader")
    (leader,) = found
    return leader


def test_eight_tabs_make_one_connection(server: Server, open_tabs: OpenTabs, channel: str) -> None:
    """Each tab has channels of its own, and all of them together have one WebSocket."""
    tabs = open_tabs(server, 8)
    sockets: list[str] = []
    for tab in tabs:
        tab.page.on("websocket", lambda socket: sockets.append(socket.url))
    listen(tabs, channel)
    for n in range(5):
        server.publish(channel, n)
        for i in range(len(tabs)):
            server.publish(f"{channel}.{i}", [i, n])
    server.publish(channel, "end")
    for i, tab in enumerate(tabs):
        expected = [m for n in range(5) for m in (n, [i, n])]
        assert tab.hear(NAME, "end") == [*expected, "end"]
        assert tab.said(NAME, "error") == []
    assert len(sockets) == 1
    assert sorted(role(tab) for tab in tabs) == ["follower"] * 7 + ["leader"]


@each_transport
def test_a_shared_line_takes_up_and_lets_go(
    server: Server, open_tabs: OpenTabs, channel: str, transport: str
) -> None:
    """On any transport, a tab that comes, subscribes, unsubscribes or goes is served."""
    tabs = open_tabs(server, 3)
    listen(tabs, channel, transports=[transport])
    leader = leader_of(tabs)
    first, second = (tab for tab in tabs if tab is not leader)
    first.do(NAME, "push.subscribe([argument])", f"{channel}.new")
    server.publish(f"{channel}.new", "new")
    assert first.hear(NAME, "new") == ["new"]
    first.do(NAME, "push.unsubscribe([argument])", channel)
    second.do(NAME, "push.close()")
    second.wait(NAME, "push.readyState === push.CLOSED")
    server.publish(channel, "for the leader")
    server.publish(f"{channel}.new", "end")
    assert first.hear(NAME, "end") == ["new", "end"]
    assert leader.hear(NAME, "for the leader") == ["for the leader"]
    assert second.do(NAME, "return client.heard") == []


@pytest.mark.parametrize("end", ["close", "crash", "freeze", "hang"])
def test_another_tab_takes_over(
    make_server: MakeServer, open_tabs: OpenTabs, channel: str, end: str
) -> None:
    """The leader closes, crashes, is frozen or hangs while messages flow: nobody misses one."""
    server = make_server(PUSH_HEARTBEAT=1, WEB_CONCURRENCY=1)
    tabs = open_tabs(server, 3)
    listen(tabs, channel)
    leader = leader_of(tabs)
    others = [tab for tab in tabs if tab is not leader]
    over = threading.Event()
    published = 0

    def publish() -> None:
        nonlocal published
        while not over.wait(0.02):
            server.publish(channel, published)
            published += 1

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        if end == "close":
            leader.page.close()
        elif end == "crash":
            with pytest.raises(Error, match="crash"):
                leader.page.goto("chrome://crash")
        else:
            leader.page.evaluate(FREEZE if end == "freeze" else HANG)
        successor = leader_of(others)
        for tab in others:
            tab.wait(NAME, "push.readyState === push.OPEN")
    finally:
        over.set()
        publisher.join()
    server.publish(channel, "end")
    for tab in others:
        assert tab.hear(NAME, "end") == [*range(published), "end"]
        assert tab.said(NAME, "lost") == []
    if end in ("freeze", "hang"):
        if end == "freeze":
            leader.page.evaluate(THAW)
        assert leader.hear(NAME, "end") == [*range(published), "end"]
        until(lambda: role(leader) == "follower", "it joins the one that took over")
        assert role(successor) == "leader"


def test_eight_tabs_outlive_a_leader_that_hangs(
    make_server: MakeServer, open_tabs: OpenTabs, channel: str
) -> None:
    """It comes to itself and answers those who had asked it meanwhile: nobody follows it."""
    server = make_server(PUSH_HEARTBEAT=1, WEB_CONCURRENCY=1)
    tabs = open_tabs(server, 8)
    listen(tabs, channel)
    leader = leader_of(tabs)
    leader.page.evaluate(HANG)
    leader_of([tab for tab in tabs if tab is not leader])
    until(lambda: role(leader) == "follower", "it joins the one that took over")
    until(lambda: len([t for t in tabs if role(t) == "leader"]) == 1, "there is one leader")
    for tab in tabs:
        tab.wait(NAME, "push.readyState === push.OPEN")

    server.publish(channel, "after")
    for tab in tabs:
        assert tab.hear(NAME, "after") == ["after"]


def test_one_tab_without_a_right_is_its_own_affair(
    server: Server, open_tabs: OpenTabs, channel: str
) -> None:
    """A tab that may not listen is told so, and the others go on."""
    tabs = open_tabs(server, 3)
    listen(tabs[:2], channel)
    tabs[2].listen(NAME, ["private:x"], transports=LADDER)
    tabs[2].wait(NAME, "push.readyState === push.CLOSED")
    (error,) = tabs[2].said(NAME, "error")
    assert error["status"] == 401
    server.publish(channel, "on")
    for tab in tabs[:2]:
        assert tab.hear(NAME, "on") == ["on"]
        assert (tab.said(NAME, "state"), tab.said(NAME, "error")) == ([1], [])
    assert sorted(role(tab) for tab in tabs[:2]) == ["follower", "leader"]


def test_without_locks_the_third_tab_polls(
    server: Server, open_tabs: OpenTabs, channel: str
) -> None:
    """On plain HTTP tabs cannot share: two may hold a connection, the next ones poll slowly."""
    tabs = open_tabs(server, 4, NO_LOCKS)
    for tab in tabs:
        listen([tab], channel, transports=["sse", "longpoll", "poll"])
    found = [tab.do(NAME, "return push.transport") for tab in tabs]
    assert found == ["sse", "sse", "poll", "poll"]
    server.publish(channel, "slowly")
    assert tabs[0].hear(NAME, "slowly") == ["slowly"]
    tabs[3].do(NAME, "document.dispatchEvent(new Event('visibilitychange'))")  # looks at once
    assert tabs[3].hear(NAME, "slowly") == ["slowly"]


def test_a_refusal_after_close_begins_nothing(
    server: Server, open_tabs: OpenTabs, channel: str
) -> None:
    """Locks that are refused late find a client that was closed meanwhile: it stays closed."""
    (tab,) = open_tabs(
        server,
        1,
        """window.refuse = [];
        if (navigator.locks) { // an empty page has none
          navigator.locks.request = () => new Promise((_, reject) => { refuse.push(reject); });
        }""",
    )
    tab.listen(NAME, [channel], transports=list(TRANSPORTS))
    tab.wait(NAME, "refuse.length === 2")
    tab.do(NAME, "push.close(); refuse.forEach(no => no(new DOMException('no', 'SecurityError')))")
    assert tab.do(NAME, "return push.inspect().role") is None
    assert tab.stats(NAME)["requests"] == 0


def test_shares_nothing_where_the_page_wants_that(
    server: Server, open_tabs: OpenTabs, channel: str
) -> None:
    """share: false is a line of its own; another name of a share is another line."""
    tabs = open_tabs(server, 3)
    for tab, share in zip(tabs, (False, "alice", "bob"), strict=True):
        listen([tab], channel, share=share)
    assert [role(tab) for tab in tabs] == ["alone", "leader", "leader"]


def test_tabs_with_too_many_channels_for_one_line_have_several(
    server: Server, open_tabs: OpenTabs, channel: str
) -> None:
    """A connection has at most 100 channels: whoever does not fit in gets one of their own."""
    tabs = open_tabs(server, 3)
    for i, tab in enumerate(tabs):
        names = [f"{channel}.{i}.{n}" for n in range(60 if i < 2 else 40)]
        tab.listen(NAME, names, transports=LADDER)
        tab.wait_open(NAME)
        server.publish(names[-1], i)
        assert tab.hear(NAME, i) == [i]
    assert [role(tab) for tab in tabs] == ["leader", "alone", "follower"]
