"""Over page loads: what came on one page does not come again on the next, and nothing is missed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from ..server import Server
from .tab import TRANSPORTS, Tab

pytestmark = pytest.mark.browser

OpenTab = Callable[..., Tab]
OpenTabs = Callable[..., list[Tab]]

NAME = "client"
LOADS = 10
PAUSE = 0.02  # seconds between two messages
#: Begin, and keep what is heard where the next page finds it, each tab for itself.
BEGIN = """([name, options]) => {
  listen(name, options);
  clients[name].push.on('message', message => {
    sessionStorage.heard = (sessionStorage.heard || '') + message.data + ' ';
  });
}"""
HEARD = "return (sessionStorage.heard || '').trim().split(' ').map(Number)"


@contextmanager
def publishing(server: Server, channel: str) -> Iterator[Callable[[], int]]:
    """Publish 0, 1, 2, … in the background; call what this returns to end and learn how many."""
    over, count = threading.Event(), [0]

    def run() -> None:
        while not over.wait(PAUSE):
            server.publish(channel, count[0])
            count[0] += 1

    publisher = threading.Thread(target=run)

    def end() -> int:
        over.set()
        publisher.join()
        return count[0]

    publisher.start()
    try:
        yield end
    finally:
        end()


def listen(tab: Tab, channel: str, **options: object) -> None:
    tab.listen(NAME, [channel], **{"transports": list(TRANSPORTS), **options})


def load(tab: Tab, channel: str) -> None:
    """Go to the next page, where a new client begins."""
    tab.load()
    tab.page.evaluate(BEGIN, [NAME, {"channels": [channel]}])


@pytest.mark.parametrize("count", [1, 2], ids=["one tab", "two tabs"])
def test_ten_page_loads_miss_nothing_and_repeat_nothing(
    server: Server, open_tabs: OpenTabs, channel: str, count: int
) -> None:
    """A visitor goes from page to page while messages flow; in two tabs, each leads in turn."""
    tabs = open_tabs(server, count)
    for tab in tabs:
        load(tab, channel)
        tab.wait_open(NAME)
    with publishing(server, channel) as end:
        for n in range(LOADS):
            tab = tabs[n % count]
            tab.wait(NAME, "client.heard.length > 1")
            load(tab, channel)
        published = end()
    for tab in tabs:
        tab.wait(NAME, f"sessionStorage.heard.endsWith(' ' + {published - 1} + ' ')")
        assert tab.do(NAME, HEARD) == list(range(published))
        assert tab.said(NAME, "lost") == []


def test_a_cursor_that_went_back_repeats_nothing(
    server: Server, open_tab: OpenTab, channel: str
) -> None:
    """The last cursor handed out may be an older one, as while channels are added: ids tell."""
    tab = open_tab(server)
    one = {"transports": ["websocket"]}  # a second one that is tried beside it repeats more
    listen(tab, channel, **one)
    tab.wait_open(NAME)
    before = tab.do(NAME, "return push.cursor")
    server.publish(channel, 1)
    tab.hear(NAME, 1)
    tab.load()
    tab.page.evaluate(
        """before => {
          for (const [key, text] of Object.entries(sessionStorage)) {
            sessionStorage.setItem(key, JSON.stringify({...JSON.parse(text), cursor: before}));
          }
        }""",
        before,
    )
    listen(tab, channel, **one)
    server.publish(channel, 2)
    assert tab.hear(NAME, 2) == [2]
    assert tab.stats(NAME)["duplicates"] == 1


def test_leaving_in_a_hurry_and_coming_back(
    server: Server, open_tab: OpenTab, channel: str
) -> None:
    """A page that the browser kept and shows again goes on where it was, with the same client."""
    tab = open_tab(server)
    listen(tab, channel)
    tab.wait_open(NAME)
    tab.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    server.publish(channel, "meanwhile")
    assert tab.do(NAME, "return client.heard") == []
    tab.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    assert tab.hear(NAME, "meanwhile") == ["meanwhile"]
    tab.wait(NAME, "client.said.some(([event]) => event === 'recovered')")
    assert len(tab.said(NAME, "recovered")) == 1


def test_a_client_that_was_closed_begins_anew(
    server: Server, open_tab: OpenTab, channel: str
) -> None:
    """close() is for good: the next page gets what is published from then on."""
    tab = open_tab(server)
    listen(tab, channel)
    tab.wait_open(NAME)
    tab.do(NAME, "push.close()")
    tab.wait(NAME, "push.readyState === push.CLOSED")
    server.publish(channel, "between")
    load(tab, channel)
    tab.wait_open(NAME)
    server.publish(channel, "new")
    assert tab.hear(NAME, "new") == ["new"]


def test_a_page_that_shows_history_begins_with_it(
    server: Server, open_tab: OpenTab, channel: str
) -> None:
    """What a page builds itself from comes on each load; so does what follows a printed cursor."""
    server.publish(channel, "past")
    cursor = server.ask("GET", f"/push/poll?channels={channel}").json["cursor"]
    tab = open_tab(server)
    for _ in range(2):
        listen(tab, channel, history=5)
        tab.wait(NAME, "client.said.some(([event]) => event === 'history')")
        (past,) = tab.said(NAME, "history")
        assert [message["data"] for message in past["messages"]] == ["past"]
        tab.load()
    server.publish(channel, "after")
    for _ in range(2):
        listen(tab, channel, cursor=cursor)
        assert tab.hear(NAME, "after") == ["after"]
        tab.load()


def test_two_clients_of_a_page_do_not_take_each_other_s_place(
    server: Server, open_tab: OpenTab, channel: str
) -> None:
    """Each goes on from its own cursor, even where both listen to the same."""
    tab = open_tab(server)
    for name, transport in (("slow", "poll"), ("quick", "websocket")):
        tab.listen(name, [channel], transport=transport, interval=60_000)
        tab.wait_open(name)
    server.publish(channel, "missed by the slow one")
    assert tab.hear("quick", "missed by the slow one")
    assert tab.do("slow", "return client.heard") == []
    tab.load()
    for name, transport in (("slow", "poll"), ("quick", "websocket")):
        tab.listen(name, [channel], transport=transport)
    assert tab.hear("slow", "missed by the slow one") == ["missed by the slow one"]
    tab.wait_open("quick")
    assert tab.do("quick", "return client.heard") == []


def test_a_client_takes_the_place_of_one_that_was_closed(
    server: Server, open_tab: OpenTab, channel: str
) -> None:
    """A page may close its client and begin another: the next page goes on from the second."""
    tab = open_tab(server)
    listen(tab, channel)
    tab.wait_open(NAME)
    tab.do(NAME, "push.close()")  # and does not wait
    tab.listen("second", [channel], transports=list(TRANSPORTS))
    tab.wait_open("second")
    server.publish(channel, "before")
    assert tab.hear("second", "before") == ["before"]
    tab.page.goto("about:blank")
    server.publish(channel, "between")
    load(tab, channel)
    assert tab.hear(NAME, "between") == ["between"]


NO_CHANNELS = "delete window.BroadcastChannel;"
REFUSED_CHANNELS = """window.BroadcastChannel = function () {
  throw new DOMException('The operation is insecure.', 'SecurityError');
};"""


@pytest.mark.parametrize("channels", [NO_CHANNELS, REFUSED_CHANNELS], ids=["without", "refused"])
def test_without_any_storage_it_works_within_the_page(
    server: Server, open_tabs: OpenTabs, channel: str, channels: str
) -> None:
    """A browser that refuses storage and channels between tabs gets every message all the same."""
    (tab,) = open_tabs(
        server,
        1,
        """for (const name of ['localStorage', 'sessionStorage']) {
          Object.defineProperty(window, name, {get() { throw new Error('refused'); }});
        }"""
        + channels,
    )
    listen(tab, channel)
    tab.wait_open(NAME)
    server.publish(channel, 1)
    assert tab.hear(NAME, 1) == [1]
