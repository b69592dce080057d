"""What push.js promises to a page, in a real browser and against a real server.

All four transports keep the same promises; what only one of them has stands at the end.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from itertools import pairwise

import pytest
from playwright.sync_api import Route, WebSocketRoute

from ..server import Server, until
from .tab import TRANSPORTS, Tab

pytestmark = pytest.mark.browser

JQUERYS = ("1.12.4", "2.2.4", "3.7.1", "4.0.0")
LADDER = list(TRANSPORTS)
OpenTab = Callable[..., Tab]
MakeServer = Callable[..., Server]

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


@pytest.mark.parametrize("jquery", JQUERYS)
@each_transport
def test_every_jquery_gets_every_message_once_and_in_order(
    server: Server, open_tab: OpenTab, channel: str, jquery: str, transport: str
) -> None:
    """A page with an old or a new jQuery hears all, under the publisher's event names too."""
    tab = open_tab(server, jquery)
    assert tab.page.evaluate("$.fn.jquery") == jquery
    tab.listen(transport, [channel])
    tab.do(transport, "push.on('event:bell.rung', m => { client.rung = m.id; })")
    tab.wait_open(transport)
    server.publish(channel, 0)
    server.publish_all([{"channel": channel, "data": n} for n in range(1, 20)])
    rung = server.publish(channel, "end", event="bell.rung")
    assert tab.hear(transport, "end") == [*range(20), "end"]
    assert tab.do(transport, "return client.rung") == rung
    assert tab.do(transport, "return push.transport") == transport
    tab.do(transport, "push.close()")
    tab.wait(transport, "push.readyState === push.CLOSED")
    assert tab.said(transport, "state") == [1, 2, 3]
    assert len(tab.said(transport, "close")) == 1
    assert tab.said(transport, "error") == []


@each_transport
def test_goes_on_from_a_cursor(
    server: Server, open_tab: OpenTab, channel: str, transport: str
) -> None:
    """A page that was printed with a cursor gets what came after it, and is told so."""
    server.publish(channel, "before")
    cursor = server.ask("GET", f"/push/poll?channels={channel}").json["cursor"]
    server.publish(channel, "after")
    tab = open_tab(server)
    tab.listen(transport, [channel], cursor=cursor)
    assert tab.hear(transport, "after") == ["after"]
    tab.wait(transport, "client.said.some(([event]) => event === 'recovered')")
    assert len(tab.said(transport, "recovered")) == 1


@each_transport
def test_tells_what_is_lost(
    server: Server, open_tab: OpenTab, channel: str, transport: str
) -> None:
    """A cursor of another life of the log: what is kept comes, and the page is told the truth."""
    server.publish(channel, "kept")
    tab = open_tab(server)
    tab.listen(transport, [channel], cursor="0.1")
    assert tab.hear(transport, "kept") == ["kept"]
    tab.wait(transport, "client.said.some(([event]) => event === 'lost')")
    ((loss,),) = tab.said(transport, "lost")
    assert (loss["channel"], loss["reason"]) == (channel, "epoch")
    assert tab.said(transport, "recovered") == []


@each_transport
def test_history_comes_apart_from_messages(
    server: Server, open_tab: OpenTab, channel: str, transport: str
) -> None:
    """What was before is no message: it comes as history, and only what is new comes as one."""
    server.publish_all([{"channel": channel, "data": n} for n in range(3)])
    tab = open_tab(server)
    tab.listen(transport, [channel], history=2)
    tab.wait_open(transport)
    server.publish(channel, "new")
    assert tab.hear(transport, "new") == ["new"]
    (past,) = tab.said(transport, "history")
    assert past["channel"] == channel
    assert [message["data"] for message in past["messages"]] == [1, 2]


@each_transport
def test_channels_come_and_go(
    server: Server, open_tab: OpenTab, channel: str, transport: str
) -> None:
    """subscribe and unsubscribe work while the client runs; nothing is missed, nothing twice."""
    tab, other = open_tab(server), f"{channel}.other"
    tab.listen(transport, [channel])
    tab.wait_open(transport)
    tab.do(transport, "push.subscribe([argument])", other)
    server.publish(channel, 1)
    server.publish(other, 2)
    assert tab.hear(transport, 2) == [1, 2]
    tab.do(transport, "push.unsubscribe([argument])", channel)
    server.publish(channel, "not wanted")
    server.publish(other, 3)
    assert tab.hear(transport, 3) == [1, 2, 3]
    assert tab.do(transport, "return push.channels") == [other]


@each_transport
def test_waits_for_its_first_channel(
    server: Server, open_tab: OpenTab, channel: str, transport: str
) -> None:
    """A client may start with no channel at all."""
    tab = open_tab(server)
    tab.listen(transport, [])
    tab.do(transport, "push.subscribe(argument)", channel)
    tab.wait_open(transport)
    tab.wait(transport, "push.stats.requests > 0")
    server.publish(channel, "first")
    assert tab.hear(transport, "first") == ["first"]


@pytest.mark.parametrize("end", ["restart", "kill"])
def test_a_restart_loses_nothing(
    make_server: MakeServer, open_tab: OpenTab, channel: str, end: str
) -> None:
    """The server restarts or is killed while messages flow: each comes once and in order."""
    server = make_server(PUSH_HISTORY_SIZE=50_000)
    tab = open_tab(server)
    for transport in TRANSPORTS:
        tab.listen(transport, [channel])
    tab.wait_open(*TRANSPORTS)

    published = 0

    def publish() -> None:
        nonlocal published
        until(lambda: _acknowledged(server, channel, published), "the log has it", 60)
        published += 1

    while published < 20:
        publish()
    over = threading.Event()

    def publish_on() -> None:
        while not over.is_set():
            publish()

    publishing = threading.Thread(target=publish_on)
    publishing.start()
    try:
        server.kill() if end == "kill" else server.stop()
        for transport in TRANSPORTS:  # one that polls learns of it with its next poll alone
            tab.wait(transport, "push.readyState === push.CONNECTING")
        server.start()
    finally:
        over.set()
        publishing.join()
    for _ in range(20):
        publish()
    for transport in TRANSPORTS:
        assert tab.hear(transport, published - 1) == list(range(published)), transport
        assert tab.stats(transport)["reconnects"] >= 1, transport
        assert tab.said(transport, "lost") == [], transport
        assert tab.said(transport, "recovered"), transport


def _acknowledged(server: Server, channel: str, n: int) -> bool:
    body = {"channel": channel, "data": n, "idempotency_key": f"{channel} {n}"}
    try:
        return server.post(body).status in (200, 201)
    except OSError:  # it is down: the same key makes the repetition safe
        return False


@pytest.mark.parametrize("transport", [t for t in TRANSPORTS if t != "sse"])
def test_a_missing_right_ends_it(server: Server, open_tab: OpenTab, transport: str) -> None:
    """Asking again would change nothing: the page gets the reason, and the client is closed."""
    tab = open_tab(server)
    tab.listen(transport, ["private:x"])
    tab.wait(transport, "push.readyState === push.CLOSED")
    (error,) = tab.said(transport, "error")
    assert error["status"] == 401
    assert "private:x" in error["detail"]


@pytest.mark.parametrize("transport", ["websocket", "poll"])
def test_publish_tells_what_the_server_says(
    server: Server, open_tab: OpenTab, channel: str, transport: str
) -> None:
    """A refused publish is a rejected promise with the reason, on a socket and over HTTP."""
    tab = open_tab(server)
    tab.listen(transport, [channel])
    tab.wait_open(transport)
    script = "return new Promise(r => push.publish(argument, 1).then(r, e => r(e.status)))"
    assert tab.do(transport, script, channel) == 401


@each_transport
def test_a_handler_that_fails_stops_nothing(
    server: Server, open_tab: OpenTab, channel: str, transport: str, page_errors: list[str]
) -> None:
    """The page's own mistake is seen as one, and every message still gets to the others."""
    tab = open_tab(server)
    tab.listen(transport, [channel])
    tab.do(transport, "push.on('message', () => { throw new Error('of the page'); })")
    tab.do(transport, "push.on('message', m => { (client.later ||= []).push(m.data); })")
    tab.wait_open(transport)
    server.publish_all([{"channel": channel, "data": n} for n in range(3)])
    tab.wait(transport, "(client.later || []).length === 3")
    until(lambda: tab.do(transport, "return 1") and len(page_errors) == 3, "the page's errors")
    page_errors.clear()


@each_transport
def test_leaving_the_page_is_no_error(
    server: Server,
    open_tab: OpenTab,
    channel: str,
    transport: str,
    page_errors: list[str],
) -> None:
    """What a browser cuts when it leaves a page is not reported as a failure; and back is back."""
    tab = open_tab(server)
    shown: list[str] = []
    tab.page.on("console", lambda message: shown.append(f"{message.type}: {message.text}"))
    tab.listen(transport, [channel])
    tab.wait_open(transport)
    tab.page.goto("about:blank")
    tab.load()
    tab.listen(transport, [channel])
    tab.wait_open(transport)
    assert (shown, page_errors) == ([], [])


# -- When the network is in the way


def test_works_at_once_where_streams_are_swallowed(
    server: Server, open_tab: OpenTab, channel: str
) -> None:
    """A socket that says nothing, a stream that is held back: a long poll serves meanwhile."""
    tab = open_tab(server)
    swallow_streams(tab)
    tab.listen("ladder", [channel], transports=LADDER)
    tab.do("ladder", "push.on('open', () => { client.then = push.inspect().ladder; })")
    tab.wait_open("ladder")
    assert tab.do("ladder", "return push.transport") == "longpoll"
    failed = tab.do("ladder", "return client.then.map(step => step.failed)")
    assert failed == [None] * len(LADDER)  # it did not wait for those above to fail
    server.publish(channel, "through")
    assert tab.hear("ladder", "through") == ["through"]
    tab.wait("ladder", "push.inspect().ladder.filter(s => s.failed === 'silent').length === 2")
    assert tab.said("ladder", "error") == []  # nothing that the page could see has failed
    assert tab.said("ladder", "state") == [1]


def test_remembers_what_does_not_work_here(server: Server, open_tab: OpenTab, channel: str) -> None:
    """The next page does not try again at once what was swallowed on this one."""
    tab = open_tab(server)
    asked = swallow_streams(tab)
    tab.listen("ladder", [channel], transports=LADDER)
    tab.wait("ladder", "push.inspect().ladder.filter(s => s.rests > 0).length === 2")
    assert asked == ["ws", "sse"]
    tab.load()
    tab.listen("ladder", [channel], transports=LADDER)
    tab.wait_open("ladder")
    assert tab.do("ladder", "return push.inspect().ladder[0].rests") > 0
    assert asked == ["ws", "sse"]


def test_a_rest_from_before_the_clock_was_set_back_is_over(
    server: Server, open_tab: OpenTab, channel: str
) -> None:
    """What a browser remembers of a wrong year would keep it from WebSocket until that year."""
    tab = open_tab(server)
    kept = "{websocket: {rest: Date.now() + 365 * 86400e3, count: 1}}"
    tab.page.evaluate(f"() => localStorage.setItem('push.js ladder /push', JSON.stringify({kept}))")
    tab.listen("ladder", [channel], transports=LADDER)
    tab.wait("ladder", "push.transport === 'websocket'")


def test_moves_up_when_the_network_gets_better(
    server: Server, open_tab: OpenTab, channel: str
) -> None:
    """The better transport takes over beside the one that works: nothing is missed or repeated."""
    tab = open_tab(server)
    swallow_streams(tab)
    tab.listen("ladder", [channel], transports=LADDER)
    tab.wait("ladder", "push.inspect().ladder.filter(s => s.rests > 0).length === 2")
    tab.page.unroute("**/push/sse?*")
    for n in range(20):
        server.publish(channel, n)
        if n == 5:  # what the browser says of a network that has come back
            tab.do("ladder", "window.dispatchEvent(new Event('online'))")
    tab.wait("ladder", "push.transport === 'sse'")
    server.publish(channel, "end")
    assert tab.hear("ladder", "end") == [*range(20), "end"]
    assert tab.said("ladder", "state") == [1]
    assert tab.said("ladder", "error") == []


def swallow_streams(tab: Tab) -> list[str]:
    """Let WebSockets open and say nothing, and event streams never be answered.

    Returns a list that grows with each try.
    """
    asked: list[str] = []
    tab.page.route_web_socket("**/push/ws?*", lambda socket: asked.append("ws"))
    tab.page.route("**/push/sse?*", lambda route: asked.append("sse"))
    return asked


def test_notices_a_stream_that_died(
    make_server: MakeServer, open_tab: OpenTab, channel: str
) -> None:
    """No heartbeat in 1.5 of its intervals: it comes back, and gets what it missed."""
    server = make_server(PUSH_HEARTBEAT=1)
    tab = open_tab(server)
    dead = threading.Event()

    def relay(socket: WebSocketRoute) -> None:
        upstream, first = socket.connect_to_server(), not dead.is_set()
        upstream.on_message(lambda text: None if first and dead.is_set() else socket.send(text))

    tab.page.route_web_socket("**/push/ws?*", relay)
    tab.listen("websocket", [channel])
    tab.wait_open("websocket")
    dead.set()
    server.publish(channel, "unheard")
    assert tab.hear("websocket", "unheard") == ["unheard"]
    # on a busy machine a line that lives may be silent for so long, too
    assert {error["detail"] for error in tab.said("websocket", "error")} == {"silent"}
    assert tab.stats("websocket")["reconnects"] >= 1


@pytest.mark.parametrize("transport", ["longpoll", "poll"])
def test_obeys_retry_after(server: Server, open_tab: OpenTab, channel: str, transport: str) -> None:
    """A server that is full says when to come back, and the client does not come sooner."""
    tab = open_tab(server)
    full = {"status": 503, "headers": {"Retry-After": "1"}, "body": "{}"}
    tab.page.route(f"**/push/{transport}?*", lambda r: r.fulfill(**full), times=1)  # type: ignore[arg-type]
    tab.listen(transport, [channel])
    tab.wait_open(transport)
    (error,) = tab.said(transport, "error")
    assert (error["status"], error["after"]) == (503, 1000)
    assert error["wait"] >= 1000


@pytest.mark.parametrize(
    ("said", "after"),
    [("2592000", 3_600_000), ("-5", 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)],
    ids=["a month", "past", "a date"],
)
def test_a_portal_is_asked_again_in_reasonable_time(
    server: Server, open_tab: OpenTab, channel: str, said: str, after: int
) -> None:
    """Its page is no answer, and what it says of coming back is neither beyond a timer nor now."""
    tab = open_tab(server)
    page = {
        "headers": {"Retry-After": said, "Content-Type": "text/html"},
        "body": "<h1>Welcome</h1>",
    }
    tab.page.route("**/push/poll?*", lambda r: r.fulfill(**page), times=1)  # type: ignore[arg-type]
    tab.listen("poll", [channel])
    tab.wait("poll", "client.said.length")
    (error, *_) = tab.said("poll", "error")
    assert (error["status"], error["detail"], error["after"]) == (200, "not JSON", after)
    assert after <= error["wait"] <= after + 30_000


def test_a_client_that_is_closed_while_it_ends_says_so_once(
    server: Server, open_tab: OpenTab
) -> None:
    """A page may call close() when it hears of the error that ends the client."""
    tab = open_tab(server)
    tab.listen("poll", ["private:x"])
    tab.do("poll", "push.on('error', () => { push.close(); })")
    tab.wait("poll", "push.readyState === push.CLOSED")
    assert len(tab.said("poll", "close")) == 1


def test_the_slim_jquery_publishes(server: Server, open_tab: OpenTab, channel: str) -> None:
    """4.0 slim has no Deferred: the promise is the browser's own."""
    tab = open_tab(server, "4.0.0-slim")
    tab.listen("poll", [channel])
    assert tab.do("poll", "return push.publish('private:x', 1).then(null, e => e.status)") == 401


def test_what_comes_twice_is_shown_once(server: Server, open_tab: OpenTab, channel: str) -> None:
    """An answer that is handed out twice, as after a reply that was lost, adds nothing."""
    tab = open_tab(server)
    tab.listen("poll", [channel])
    tab.wait_open("poll")
    before = tab.do("poll", "return push.cursor")
    server.publish(channel, 1)
    assert tab.hear("poll", 1) == [1]

    def from_before(route: Route) -> None:
        route.continue_(url=f"{server.url}/push/poll?channels={channel}&cursor={before}")

    tab.page.route("**/push/poll?*", from_before, times=1)
    tab.wait("poll", "push.stats.duplicates === 1")
    server.publish(channel, 2)
    assert tab.hear("poll", 2) == [1, 2]


@pytest.mark.parametrize("transport", ["longpoll", "poll"])
def test_many_channels_are_posted(server: Server, open_tab: OpenTab, transport: str) -> None:
    """A list of channels that is too long for a URL works all the same."""
    channels = [f"public:{uuid.uuid4().hex}{'x' * 80}" for _ in range(100)]
    tab = open_tab(server)
    tab.listen(transport, channels)
    tab.wait_open(transport)
    server.publish(channels[-1], "last")
    assert tab.hear(transport, "last") == ["last"]


def test_polls_as_the_server_advises_or_sooner_where_the_page_wants_it(
    server: Server, open_tab: OpenTab, channel: str
) -> None:
    """The server's advice decides, up to the longest wait that the page allows."""
    tab = open_tab(server)
    asked: list[float] = []

    def note(route: Route) -> None:
        asked.append(time.monotonic())
        route.continue_()

    tab.page.route("**/push/poll?*", note)
    tab.listen("as advised", [channel], transport="poll", interval=None)
    tab.wait("as advised", "push.stats.empty === 2")
    assert asked[1] - asked[0] >= 2.5  # what is advised for an unknown channel is 3 s
    tab.do("as advised", "push.close()")
    asked.clear()
    tab.listen("sooner", [channel], transport="poll", interval=200)
    tab.wait("sooner", "push.stats.empty === 6")
    pauses = [later - sooner for sooner, later in pairwise(asked[:6])]
    assert 0.15 <= min(pauses) < 2.5


def test_what_a_later_server_may_say_is_ignored(
    server: Server, open_patient: OpenTab, channel: str
) -> None:
    """A kind of frame that it does not know, and a field in one that it does: docs/upgrades.md."""
    tab = open_patient(server)

    def later(route: WebSocketRoute) -> None:
        upstream = route.connect_to_server()

        def pass_on(frame: str | bytes) -> None:
            route.send('{"type":"weather","sky":"blue"}')
            assert isinstance(frame, str)
            route.send(frame[:-1] + ',"sky":"blue"}')

        upstream.on_message(pass_on)

    tab.page.route_web_socket("**/push/ws*", later)
    tab.listen("websocket", [channel])
    tab.wait_open("websocket")
    server.publish_all([{"channel": channel, "data": n} for n in range(3)])
    assert tab.hear("websocket", 2) == [0, 1, 2]
    assert tab.said("websocket", "error") == []
