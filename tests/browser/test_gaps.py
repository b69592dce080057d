"""What something on the way took out, and what comes back after a silence: read again, or told."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest
from playwright.sync_api import Route, WebSocketRoute

from ..server import ROOT, SHORT, Server, free_port, until
from ..wire import TIMEOUT
from .tab import Tab

pytestmark = pytest.mark.browser

OpenTab = Callable[..., Tab]
MakeServer = Callable[..., Server]


def take_out(tab: Tab, data: int) -> None:
    """Let one message not get through the WebSocket."""

    def relay(socket: WebSocketRoute) -> None:
        upstream = socket.connect_to_server()
        upstream.on_message(
            lambda text: None if json.loads(text).get("data") == data else socket.send(text)
        )

    tab.page.route_web_socket("**/push/ws?*", relay)


def test_a_gap_is_read_again(server: Server, open_patient: OpenTab, channel: str) -> None:
    """A message that was taken out on the way comes all the same, in its order."""
    tab = open_patient(server)
    take_out(tab, 3)
    tab.listen("websocket", [channel])
    tab.wait_open("websocket")
    for n in range(6):
        server.publish(channel, n)
    assert tab.hear("websocket", 5) == list(range(6))
    assert tab.said("websocket", "lost") == []
    assert tab.said("websocket", "state") == [1]


def test_a_gap_that_stays_is_told(server: Server, open_patient: OpenTab, channel: str) -> None:
    """Where the message is missing everywhere, the page is told so once, and it goes on."""
    tab = open_patient(server)
    take_out(tab, 3)

    def without_it(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        body["messages"] = [m for m in body["messages"] if m["data"] != 3]
        route.fulfill(response=answer, json=body)

    tab.page.route("**/push/poll?*", without_it)
    tab.listen("websocket", [channel])
    tab.wait_open("websocket")
    ids = [server.publish(channel, n) for n in range(6)]
    assert tab.hear("websocket", 5) == [0, 1, 2, 4, 5]
    ((loss,),) = tab.said("websocket", "lost")
    assert (loss["channel"], loss["before"], loss["reason"]) == (channel, ids[4], "gap")


def test_waits_while_offline_and_is_back_at_once(
    make_server: MakeServer, open_tab: OpenTab, channel: str
) -> None:
    """Without a network nothing is tried; as soon as the browser has one, the client is back."""
    server = make_server(WEB_CONCURRENCY=1)
    tab = open_tab(server)
    tab.listen("sse", [channel])
    tab.wait_open("sse")
    tab.page.context.set_offline(True)
    server.restart()
    tab.wait("sse", "push.readyState === push.CONNECTING && client.said.at(-1)[0] === 'error'")
    assert tab.said("sse", "error")[-1]["wait"] >= 50_000
    server.publish(channel, "meanwhile")
    tab.page.context.set_offline(False)
    assert tab.hear("sse", "meanwhile") == ["meanwhile"]


def test_looks_at_once_when_the_page_is_seen_again(
    server: Server, open_tab: OpenTab, channel: str
) -> None:
    """A poll that is due in a minute is made now."""
    tab = open_tab(server)
    tab.page.route("**/push/poll?*", slowly)
    tab.listen("poll", [channel], interval=None)
    tab.wait_open("poll")
    server.publish(channel, "now")
    tab.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert tab.hear("poll", "now") == ["now"]


def slowly(route: Route) -> None:
    """Advise a minute between polls."""
    answer = route.fetch()
    route.fulfill(response=answer, json={**answer.json(), "advice": {"interval": 60_000}})


def test_a_long_poll_that_is_cut_waits_less(
    server: Server, open_tab: OpenTab, channel: str
) -> None:
    """Something ends every silent request after 4 s: then the client has it answered before."""
    tab = open_tab(server)
    holds: list[int] = []

    def cut(route: Route) -> None:
        hold = int(route.request.url.partition("timeout=")[2].partition("&")[0])
        holds.append(hold)
        if hold <= 4:
            route.continue_()
        else:
            tab.page.wait_for_timeout(4000)
            route.abort()

    tab.page.route("**/push/longpoll?*", cut)
    tab.listen("longpoll", [channel])
    tab.wait("longpoll", "push.stats.requests > 3")
    assert holds[:2] == [1, 25] and max(holds[2:]) <= 4
    server.publish(channel, "through")
    assert tab.hear("longpoll", "through") == ["through"]


def test_a_long_poll_outlives_a_machine_that_slept(
    server: Server, open_tab: OpenTab, channel: str
) -> None:
    """It believes that it has waited for hours, and asks for no more than a server allows."""
    tab = open_tab(server)
    asked: list[Route] = []

    def leave_waiting(route: Route) -> None:
        if "timeout=25" in route.request.url and not asked:
            asked.append(route)
        else:
            route.continue_()

    tab.page.route("**/push/longpoll?*", leave_waiting)
    tab.listen("longpoll", [channel])
    tab.wait("longpoll", "push.stats.requests === 2")
    tab.page.evaluate("() => { const now = Date.now; Date.now = () => now() + 3600e3; }")
    server.publish(channel, "meanwhile")
    asked[0].abort()
    assert tab.hear("longpoll", "meanwhile") == ["meanwhile"]
    assert [error["status"] for error in tab.said("longpoll", "error")] == [0]


def test_names_that_mean_something_to_javascript(
    server: Server, open_tab: OpenTab, channel: str
) -> None:
    """A channel or an event called __proto__ or constructor is a name like any other."""
    tab = open_tab(server)
    odd = [f"{channel}:__proto__", f"{channel}:constructor"]
    tab.listen("websocket", odd)
    tab.do("websocket", "push.on('event:__proto__', m => { client.odd = m.data; })")
    tab.wait_open("websocket")
    server.publish(odd[0], 1, event="constructor")
    server.publish(odd[1], 2, event="__proto__")
    assert tab.hear("websocket", 2) == [1, 2]
    assert tab.do("websocket", "return client.odd") == 2
    assert tab.page.evaluate("Object.keys(Object.prototype).length") == 0


@pytest.mark.parametrize("transport", ["sse", "longpoll"])
def test_looks_at_once_where_the_connection_went_silent(
    server: Server, open_tab: OpenTab, channel: str, transport: str
) -> None:
    """On `online` the client does not wait for a connection that may be dead without an end."""
    port = free_port()
    command = [sys.executable, "-m", "tests.networks.bad_line", str(port), str(server.port)]
    line = subprocess.Popen([*command, "{}"], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        until(lambda: listens(port), "the line carries")
        tab = open_tab(server)
        tab.url = f"http://127.0.0.1:{port}/healthz"
        tab.load()
        tab.listen(transport, [channel])
        tab.wait_open(transport)
        line.send_signal(signal.SIGUSR1)
        assert line.stdout is not None and line.stdout.readline() == b"silent\n"
        server.publish(channel, "now")
        assert tab.do(transport, "return client.heard") == []
        tab.page.evaluate("dispatchEvent(new Event('online'))")
        assert tab.hear(transport, "now") == ["now"]
    finally:
        line.terminate()
        line.communicate(timeout=TIMEOUT)


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def test_closed_by_a_handler_is_closed(
    make_server: MakeServer, open_tab: OpenTab, channel: str
) -> None:
    """A page that gives up while the server restarts makes no request more."""
    server = make_server(WEB_CONCURRENCY=1)
    tab = open_tab(server)
    tab.listen("sse", [channel])
    tab.wait_open("sse")
    tab.do("sse", "push.on('state', state => { if (state === 0) { push.close(); } })")
    server.restart()
    tab.wait("sse", "push.readyState === push.CLOSED")
    made = tab.stats("sse")["requests"]
    tab.page.wait_for_timeout(1000)
    assert tab.stats("sse")["requests"] == made
    assert tab.said("sse", "error") == []


def test_each_tab_hears_the_truth_about_its_own_channels(
    make_server: MakeServer, open_tabs: Callable[..., list[Tab]], channel: str
) -> None:
    """One tab's channel has lost something, the other's has not: `lost` there, `recovered` here."""
    server = make_server(WEB_CONCURRENCY=1)
    short = channel.replace("public:", "short:")
    first, second = open_tabs(server, 2)
    for tab, name in ((first, short), (second, channel)):
        tab.listen("client", [name], transports=["websocket"])
        tab.wait_open("client")
    server.publish(short, "x")
    first.hear("client", "x")
    first.page.evaluate("Object.defineProperty(navigator, 'onLine', {get: () => false})")
    server.stop()
    for tab in (first, second):
        tab.wait("client", "push.readyState === 0")
    server.start()
    for n in range(SHORT + 2):
        server.publish(short, n)
    server.publish(channel, "kept")
    first.page.evaluate("dispatchEvent(new Event('online'))")
    second.hear("client", "kept")
    second.wait("client", "client.said.some(([event]) => event === 'recovered')")
    first.wait("client", "client.said.some(([event]) => event === 'lost')")
    assert (second.said("client", "lost"), first.said("client", "recovered")) == ([], [])
