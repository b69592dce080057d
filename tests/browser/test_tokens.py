"""Tokens in a page: push.js asks for them, takes them where they belong, replaces them in time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page

from .. import jwts
from ..server import Server
from .tab import TRANSPORTS, Tab

pytestmark = pytest.mark.browser

OpenTab = Callable[..., Tab]
OpenTabs = Callable[..., list[Tab]]

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)

#: Has the page read that its first token ends 3 s after it was issued.
ENDS_SOON = """() => {
    const decode = window.atob;
    window.atob = text => {
        window.atob = decode;
        const its = JSON.parse(decode(text));
        return JSON.stringify({...its, exp: its.iat + 3});
    };
}"""


@pytest.fixture
def room(channel: str) -> str:
    """A channel that nobody reads without a token."""
    return channel.replace("public:", "room:")


def token(lasts: float = 3600, user: str = "42") -> str:
    return jwts.token("room:*", user=user, lasts=lasts, iat=time.time())


class Source:
    """What a page gets its tokens from: one after the other, the last one for ever."""

    def __init__(self, page: Page, *tokens: str, script: str = "async () => give()") -> None:
        self._tokens: Iterator[str] = iter(tokens)
        self.given: list[str] = []
        page.expose_function("give", self._give)
        page.evaluate(f"() => {{ window.source = {script}; }}")

    def _give(self) -> str:
        self.given.append(next(self._tokens, self.given[-1] if self.given else ""))
        return self.given[-1]


def fails_once(which: int) -> str:
    """Return the script of a source that fails once: the first time (1) or a later one."""
    refuse = f"if ((n += 1) === {which}) {{ throw {{status: 503}}; }}"
    return f"(n => async () => {{ {refuse} return give(); }})(0)"


def listen(tab: Tab, transport: str, room: str, **options: object) -> None:
    """Start a client that asks the page's source."""
    given = {"channels": [room], "transport": transport, "interval": 200, **options}
    tab.page.evaluate(
        "([name, options]) => { options.token = window.source; listen(name, options); }",
        [transport, given],
    )


@pytest.mark.parametrize(
    ("transport", "script"),
    [
        *[(transport, "async () => give()") for transport in TRANSPORTS],
        ("longpoll", "done => { give().then(done); }"),
        ("websocket", "() => window.ready"),
    ],
    ids=[*TRANSPORTS, "callback", "at once"],
)
def test_a_function_gets_the_token(
    server: Server, open_tab: OpenTab, room: str, transport: str, script: str
) -> None:
    """A promise, a callback or a value: a closed channel is heard, and no URL holds the token."""
    tab = open_tab(server)
    urls: list[str] = []
    tab.page.on("request", lambda request: urls.append(request.url))
    tab.page.on("websocket", lambda socket: urls.append(socket.url))
    tab.page.evaluate(f"window.ready = '{token()}'")
    Source(tab.page, token(), script=script)
    listen(tab, transport, room)
    tab.wait_open(transport)
    server.publish(room, "secret")
    assert tab.hear(transport, "secret") == ["secret"]
    assert tab.said(transport, "error") == []
    assert urls and not [url for url in urls if "eyJ" in url]


@each_transport
def test_an_expired_token_is_replaced(
    server: Server, open_tab: OpenTab, room: str, transport: str
) -> None:
    """The page is asked for the next token in time, and nothing is missed on the way."""
    tab = open_tab(server)
    source = Source(tab.page, token(3), token())
    listen(tab, transport, room)
    tab.wait_open(transport)
    for n in range(40):
        server.publish(room, n)
        tab.page.wait_for_timeout(80)  # the messages are spread over the life of the first token
    assert tab.hear(transport, 39) == list(range(40))
    assert len(source.given) == 2
    assert tab.said(transport, "lost") == []
    assert tab.do(transport, "return push.readyState") == 1


def test_a_socket_outlives_its_token(server: Server, open_tab: OpenTab, room: str) -> None:
    """A WebSocket is told the next token in place: it is the same one afterwards."""
    tab = open_tab(server)
    sockets: list[str] = []
    tab.page.on("websocket", lambda socket: sockets.append(socket.url))
    source = Source(tab.page, token(6), token())
    listen(tab, "websocket", room)
    tab.wait_open("websocket")
    tab.wait(
        "websocket", "push.inspect().log.filter(l => /op websocket refresh/.test(l)).length > 1"
    )
    tab.page.wait_for_timeout(2000)  # until the first one has expired
    server.publish(room, "after")
    assert tab.hear("websocket", "after") == ["after"]
    assert (len(source.given), len(sockets)) == (2, 1)
    assert tab.said("websocket", "state") == [1]


@pytest.mark.parametrize("transport", ["websocket", "longpoll", "poll"])
def test_a_refused_token_is_asked_for_again(
    server: Server, open_tab: OpenTab, room: str, transport: str
) -> None:
    """One that does not count is replaced once; where the next does not either, that is the end."""
    tab = open_tab(server)
    source = Source(tab.page, "not-a-token", token())
    listen(tab, transport, room)
    tab.wait_open(transport)
    assert len(source.given) == 2
    tab.load()
    tab.page.evaluate("() => { window.source = () => 'not-a-token'; }")
    listen(tab, transport, room)
    tab.wait(transport, "push.readyState === push.CLOSED")
    assert tab.said(transport, "error")[-1]["status"] == 401


def test_a_source_that_fails_is_asked_again(server: Server, open_tab: OpenTab, room: str) -> None:
    """The page's own server may be down for a while."""
    tab = open_tab(server)
    Source(tab.page, token(), script="() => Promise.reject(new Error('no way'))")
    listen(tab, "longpoll", room)
    tab.wait("longpoll", "client.said.some(([event]) => event === 'error')")
    assert "no way" in tab.said("longpoll", "error")[0]["detail"]
    tab.do("longpoll", "push.options.token = async () => give()")
    tab.wait_open("longpoll")


def test_tabs_share_by_user(server: Server, open_tabs: OpenTabs, room: str) -> None:
    """The tabs of one person share a line, those of another have their own."""
    tabs = open_tabs(server, 3)
    for tab, user in zip(tabs, ("alice", "alice", "bob"), strict=True):
        tab.listen("client", [room], transports=list(TRANSPORTS), token=token(user=user))
        tab.wait_open("client")
    roles = [tab.do("client", "return push.inspect().role") for tab in tabs]
    assert roles == ["leader", "follower", "leader"]
    server.publish(room, "to all")
    for tab in tabs:
        assert tab.hear("client", "to all") == ["to all"]


@pytest.mark.parametrize("asked", ["at the start", "later"])
def test_a_source_that_never_answers_is_asked_again(
    server: Server, open_tab: OpenTab, room: str, asked: str
) -> None:
    """A request for a token that hangs in the page's own code stops nothing for good."""
    tab = open_tab(server)
    tokens = [token()] if asked == "at the start" else [token(3), token()]
    silent = len(tokens)
    Source(
        tab.page,
        *tokens,
        script=f"(n => done => {{ if ((n += 1) !== {silent}) {{ give().then(done); }} }})(0)",
    )
    listen(tab, "poll", room)
    # a token of 3 s may have ended before it came, on a busy machine: the server says so, too
    tab.wait(
        "poll",
        "client.said.some(([event, it]) => event === 'error' && it.detail.includes('no answer'))",
    )
    tab.wait_open("poll")
    server.publish(room, "heard")
    assert tab.hear("poll", "heard") == ["heard"]


def test_a_follower_may_be_refused_now_and_then(
    server: Server, open_tabs: OpenTabs, room: str
) -> None:
    """Each 401 that a fresh token mends is forgotten: they do not add up to an end."""
    tabs = open_tabs(server, 2)
    for tab in tabs:
        Source(tab.page, token())
        listen(tab, "websocket", room)
        tab.wait_open("websocket")
    follower = tabs[1]
    assert follower.do("websocket", "return push.inspect().role") == "follower"
    refusal = json.dumps({"title": "Unauthorized", "status": 401, "detail": "expired"})
    for n in range(4):
        follower.page.route(
            "**/push/poll?*", lambda route: route.fulfill(status=401, body=refusal), times=1
        )
        follower.do("websocket", "push.subscribe(argument)", f"{room}.{n}")
        follower.wait(
            "websocket",
            "push.inspect().log.filter(line => /read failed/.test(line)).length > argument"
            " || push.readyState > 1",
            n,
        )
        follower.page.wait_for_timeout(300)  # the answer to the next read
    server.publish(room, "heard")
    assert follower.hear("websocket", "heard") == ["heard"]
    assert follower.said("websocket", "close") == []


def test_a_clock_that_is_ahead_asks_for_no_more_tokens(
    server: Server, open_tab: OpenTab, room: str
) -> None:
    """How long a token was made to last counts, not what the page's clock makes of its end."""
    tab = open_tab(server)
    tab.page.evaluate("() => { const now = Date.now; Date.now = () => now() + 3600e3; }")
    source = Source(tab.page, jwts.token("room:*", lasts=600, iat=time.time()))
    listen(tab, "poll", room)
    tab.wait_open("poll")
    tab.wait("poll", "push.stats.requests > 20")  # one each 200 ms
    assert len(source.given) == 1


def test_a_socket_is_kept_while_no_new_token_is_to_be_had(
    server: Server, open_tab: OpenTab, room: str
) -> None:
    """A refresh that fails is tried again: the token that the socket has is still good."""
    tab = open_tab(server)
    tab.page.evaluate(ENDS_SOON)
    source = Source(
        tab.page,
        token(),
        token(),
        script=fails_once(2),
    )
    listen(tab, "websocket", room)
    tab.wait_open("websocket")
    tab.wait("websocket", "push.inspect().log.filter(l => /token asked for/.test(l)).length === 3")
    tab.page.wait_for_timeout(300)  # a failure would be told by now
    assert len(source.given) == 2
    assert (tab.said("websocket", "state"), tab.said("websocket", "error")) == ([1], [])


def test_tabs_share_after_a_source_that_was_down(
    server: Server, open_tabs: OpenTabs, room: str
) -> None:
    """No token at the start is an error with a next try, not a connection for each tab for ever."""
    tabs = open_tabs(server, 2)
    for tab in tabs:
        script = (
            "(n => async () => { if ((n += 1) < 2) { throw {status: 503}; } return give(); })(0)"
        )
        Source(tab.page, token(), script=script)
        listen(tab, "websocket", room)
    for tab in tabs:
        tab.wait_open("websocket")
        (error,) = tab.said("websocket", "error")
        assert error["detail"] == "no token: 503" and error["wait"] > 0
    roles = [tab.do("websocket", "return push.inspect().role") for tab in tabs]
    assert sorted(roles) == ["follower", "leader"]
