"""A better transport on trial beside one that works: it takes over, and the page cannot tell."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Route, WebSocketRoute

from ..clients import Client
from ..jwts import token
from ..server import Server, until
from ..transports.lane import answered_there
from .tab import Tab

pytestmark = pytest.mark.browser

OpenTab = Callable[..., Tab]

LADDER = ["websocket", "longpoll"]


def first_socket_waits(tab: Tab) -> list[WebSocketRoute]:
    """Let the first WebSocket's handshake take until the test connects it; return all of them."""
    sockets: list[WebSocketRoute] = []

    def relay(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        if len(sockets) > 1:
            socket.connect_to_server()

    tab.page.route_web_socket("**/push/ws?*", relay)
    return sockets


def test_a_message_before_the_trial_took_over_is_not_missed(
    server: Server, open_patient: OpenTab, channel: str
) -> None:
    """A WebSocket that began without a cursor does not go on from its own "now"."""
    tab = open_patient(server)
    sockets, polls, held = first_socket_waits(tab), [], []

    def hold_the_second(route: Route) -> None:
        polls.append(route)
        if len(polls) == 1:
            route.continue_()
        else:
            held.append(route)

    def second_is_held() -> bool:
        tab.page.wait_for_timeout(20)
        return bool(held)

    tab.page.route("**/push/longpoll?*", hold_the_second)
    tab.listen("client", [channel], transports=LADDER)
    tab.wait_open("client")
    until(second_is_held, "a second long poll is on its way")
    server.publish(channel, "between")
    sockets[0].connect_to_server()
    tab.wait("client", "push.transport === 'websocket'")
    server.publish(channel, "end")
    assert tab.hear("client", "end") == ["between", "end"]


@pytest.mark.parametrize(
    ("event", "options"), [("history", {"history": 5}), ("lost", {"cursor": "0.1"})]
)
def test_what_the_line_has_told_the_trial_does_not_tell_again(
    server: Server, open_patient: OpenTab, channel: str, event: str, options: dict[str, object]
) -> None:
    """History and losses are told once, although two links began from the same place."""
    server.publish(channel, "old")
    tab = open_patient(server)
    sockets = first_socket_waits(tab)
    tab.listen("client", [channel], transports=LADDER, **options)
    tab.wait_open("client")
    sockets[0].connect_to_server()
    tab.wait("client", "push.transport === 'websocket'")
    server.publish(channel, "end")
    tab.hear("client", "end")
    assert len(tab.said("client", event)) == 1


def test_a_change_of_channels_does_not_end_the_climb(
    server: Server, open_patient: OpenTab, channel: str
) -> None:
    """Who subscribes while the WebSocket is on trial gets a WebSocket all the same."""
    tab = open_patient(server)
    first_socket_waits(tab)
    tab.listen("client", [channel], transports=LADDER)
    tab.wait_open("client")
    tab.do("client", "push.subscribe(argument)", f"{channel}.more")
    tab.wait("client", "push.transport === 'websocket'")
    server.publish(f"{channel}.more", "end")
    assert tab.hear("client", "end") == ["end"]


def test_an_outage_ends_for_polls_before_streams_have_run_out_of_patience(
    server: Server, open_patient: OpenTab, channel: str
) -> None:
    """Streams are swallowed, and polls failed at first: they are tried again beside the trial."""
    tab = open_patient(server)
    failed: list[Route] = []
    tab.page.route_web_socket("**/push/ws?*", lambda socket: None)

    def fail_twice(route: Route) -> None:
        if len(failed) < 2:
            failed.append(route)
            route.abort()
        else:
            route.continue_()

    tab.page.route("**/push/longpoll?*", fail_twice)
    tab.listen("client", [channel], transports=LADDER)
    tab.wait_open("client")
    asked = tab.do(
        "client", "return push.inspect().log.filter(line => /request websocket/.test(line))"
    )
    assert len(asked) == 1


def test_who_is_told_to_wait_does_not_try_another_way(
    make_server: Callable[..., Server], connect: Callable[..., Client], open_tab: OpenTab
) -> None:
    """429 says nothing of the network: the page hears for how long; then the same step works."""
    limits = '{"user_connections":1}'
    server = make_server(WEB_CONCURRENCY=1, PUSH_LIMITS=limits, PUSH_PRESENCE_GRACE=1)
    mine = token("room:1", user="ann")
    before = connect("sse", server, ["room:1"], headers={"Authorization": f"Bearer {mine}"})
    tab = open_tab(server)
    tab.listen("client", ["room:1"], transports=["websocket", "sse"], token=mine, share=False)
    tab.wait("client", "client.said.some(([event]) => event === 'error')")
    error = tab.said("client", "error")[0]
    assert (error["status"], error["transport"]) == (429, "websocket")
    assert error["wait"] >= 10_000
    asked = "push.inspect().log.filter(line => / request /.test(line))"
    assert len(tab.do("client", f"return {asked}")) == 1
    before.close()
    until(lambda: not server.look("/push/users/ann")["online"], "the other one has left")
    tab.page.evaluate("() => window.dispatchEvent(new Event('online'))")  # else after 10 s
    tab.wait_open("client")
    assert tab.do("client", "return push.transport") == "websocket"


def test_the_clients_polls_pass_neither_gunicorn_nor_flask(
    make_server: Callable[..., Server], open_tab: OpenTab
) -> None:
    """They are known again by the server's express lane."""
    server = make_server(WEB_CONCURRENCY=1)
    tab = open_tab(server)
    tab.listen("poll", ["public:a"])
    until(lambda: answered_there(server) > 5, "polls are answered there")
