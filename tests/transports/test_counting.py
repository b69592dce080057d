"""What an operator sees of clients: the numbers of /metrics, and a line where a stream ends.

What belongs here: that they are true, on every transport. What does not: several workers, one of
which dies, and the text (``test_metrics``).
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from ..clients import Client, Refused, WebSocket
from ..jwts import token
from ..scrape import Scrape, scrape, scrape_all
from ..server import API_KEY, Server, until
from ..websocket_client import CLOSE
from .conftest import Connect, Open

STREAMS = pytest.mark.parametrize("transport", ["sse", "websocket"])
LINE = r"ended connection={} user=(\S+) transport={} reason=(\w+) seconds=\d+\.\d messages=(\d+)$"


def end_of(server: Server, client: Client) -> tuple[str, str, int] | None:
    """Return user, reason and messages in the line of this client's end."""
    line = LINE.format(re.escape(client.connection or ""), client.transport)
    found = re.search(line, server.log, re.MULTILINE)
    return (found[1], found[2], int(found[3])) if found else None


def wait_for_end(server: Server, client: Client) -> tuple[str, str, int]:
    """Wait for that line."""
    found: tuple[str, str, int] = until(lambda: end_of(server, client), "there is a line")
    return found


@pytest.fixture
def counted(server: Server) -> Callable[..., float]:
    """Tell how much has been counted since the test began."""
    before = scrape_all(server)

    def grown(name: str, now: Scrape | None = None, **labels: str) -> float:
        now = now or scrape_all(server)
        return now.total(name, **labels) - before.total(name, **labels)

    return grown


def test_a_message_counts_once_for_each_client(
    subscribe: Connect,
    server: Server,
    channel: str,
    transport: str,
    counted: Callable[..., float],
) -> None:
    """Three messages for two clients are six deliveries, and none more."""
    clients = [subscribe([channel]) for _ in range(2)]
    for n in range(3):
        server.publish(channel, n)
    for client in clients:
        assert client.data(3) == [0, 1, 2]

    now = scrape_all(server)
    assert counted("deliveries_total", now, transport=transport) == 6
    assert counted("deliveries_total", now) == 6
    assert counted("published_total", now) == 3
    appended = counted("log_seconds_count", now, operation="append")
    assert appended >= 3  # the console's figures are appended, too, while somebody has it open
    if transport in ("sse", "websocket"):  # several may be handed out together
        assert 1 <= counted("delivery_seconds_count", now) <= 6
        assert 0 < counted("delivery_seconds_sum", now) < 6
    else:
        assert counted("answers_total", now, transport=transport, way="app") >= 2


def test_what_was_missed_counts_too(
    subscribe: Connect, server: Server, channel: str, counted: Callable[..., float], transport: str
) -> None:
    """A backlog is handed out as any message is."""
    start = subscribe([channel]).cursor
    server.publish(channel, "missed")
    client = subscribe([channel], start)
    assert client.data() == ["missed"]
    now = scrape_all(server)
    assert counted("deliveries_total", now, transport=transport) in (1, 2)  # the first may have it
    if transport in ("sse", "websocket"):
        recovered = {"transport": transport, "outcome": "recovered"}
        assert counted("recoveries_total", now, **recovered) == 1


def test_a_loss_counts_with_its_reason(
    subscribe: Connect, server: Server, channel: str, counted: Callable[..., float], transport: str
) -> None:
    """Who is told that something is missing has not recovered."""
    start = subscribe([channel]).cursor
    server.publish(channel, "gone")
    asked = {"Authorization": f"Bearer {API_KEY}"}
    server.ask("DELETE", f"/push/channels/{channel}/history", asked)
    assert subscribe([channel], start).recovered is False

    now = scrape_all(server)
    assert counted("recoveries_total", now, transport=transport, outcome="expired") >= 1
    assert counted("recoveries_total", now, transport=transport, outcome="recovered") == 0


def test_who_waits_is_counted_while_they_wait(
    subscribe: Connect, server: Server, channel: str, transport: str
) -> None:
    """A poller waits nowhere; everybody else does."""

    def waiting() -> float:
        return scrape_all(server).total("connections")

    until(lambda: waiting() == 0, "nobody is left of other tests")
    client = subscribe([channel], timeout=50)
    if transport == "longpoll":  # its first answer came at once
        client.wire.send(f"GET {client._question()} HTTP/1.1\r\nHost: x\r\n\r\n".encode())  # type: ignore[attr-defined]
    if transport == "poll":
        assert waiting() == 0
        return
    until(lambda: waiting() == 1, "it is counted")
    assert scrape(server).total("connections", transport=transport) == 1
    client.close()
    until(lambda: waiting() == 0, "it has gone")


def test_the_end_of_a_stream_is_told_once_and_that_of_a_poll_is_none(
    subscribe: Connect, server: Server, channel: str, transport: str, counted: Callable[..., float]
) -> None:
    """A client that is gone has said nothing; what it was handed stands in the line."""
    client = subscribe([channel])
    server.publish_all([{"channel": channel, "data": n} for n in range(2)])
    client.receive(2)
    client.close()
    if transport in ("poll", "longpoll"):
        assert counted("ended_total") == 0
        assert f"connection={client.connection}" not in server.log
        return
    assert wait_for_end(server, client) == ("-", "gone", 2)
    assert server.log.count(f"connection={client.connection}") == 1
    now = scrape_all(server)
    assert counted("ended_total", now, transport=transport, reason="gone") == 1
    assert counted("ended_total", now) == counted("opened_total", now) == 1
    assert counted("deliveries_total", now, transport=transport) == 2  # not once more


def test_a_websocket_that_is_closed_has_asked_for_it(
    open_ws: Open, server: Server, channel: str
) -> None:
    """The close frame of a page that goes is no failure of the line."""
    client = open_ws([channel])
    client.send_frame(CLOSE, b"\x03\xe8")
    client.closing()
    assert wait_for_end(server, client) == ("-", "asked", 0)


@STREAMS
def test_who_was_ended_by_somebody_is_told_apart_and_named(
    connect: Connect, server: Server, transport: str, counted: Callable[..., float]
) -> None:
    """The line has the user of the token, and nothing of the token itself."""
    text = token(user="42.kicked")
    client = connect(
        transport, server, ["user:42.kicked"], headers={"Authorization": f"Bearer {text}"}
    )
    asked = {"Authorization": f"Bearer {API_KEY}"}
    assert server.ask("DELETE", f"/push/connections/{client.connection}", asked).status == 200
    assert wait_for_end(server, client) == ("42.kicked", "kicked", 0)
    assert counted("ended_total", transport=transport, reason="kicked") == 1
    assert text not in server.log


@STREAMS
def test_nothing_that_a_client_sends_begins_a_line(
    connect: Connect, server: Server, transport: str, channel: str
) -> None:
    """An id that is not ours is replaced, whatever it holds."""
    forged = "c1x\nended connection=forged user=admin"
    client = connect(transport, server, [channel], connection=forged)
    client.close()
    wait_for_end(server, client)
    assert "forged" not in server.log


@STREAMS
def test_one_that_is_not_parked_ends_once_too(
    make_server: Callable[..., Server], connect: Connect, transport: str
) -> None:
    """Its own greenlet ends after it; the first reason counts. A heartbeat finds who is gone."""
    server = make_server(WEB_CONCURRENCY=1, PUSH_PARK=0, PUSH_HEARTBEAT=0.5)
    client = connect(transport, server, ["public:a"])
    server.publish("public:a", "one")
    client.receive()
    if isinstance(client, WebSocket):
        client.send_frame(CLOSE, b"\x03\xe8")
        client.closing()
    client.close()
    reason = "asked" if transport == "websocket" else "gone"
    assert wait_for_end(server, client) == ("-", reason, 1)
    until(lambda: scrape(server).total("connections") == 0, "its greenlet has ended, too")
    assert scrape(server).total("ended_total") == 1
    assert scrape(server).total("deliveries_total", transport=transport) == 1


def test_who_breaks_the_rules_is_told_apart(open_ws: Open, server: Server, channel: str) -> None:
    """A frame without a mask ends the connection, and the line says whose fault it was."""
    client = open_ws([channel])
    client.send_frame(1, b"{}", mask=False)
    client.closing()
    assert wait_for_end(server, client) == ("-", "protocol", 0)


def test_a_refusal_counts_with_its_reason(
    subscribe: Connect, transport: str, counted: Callable[..., float]
) -> None:
    """A wrong parameter and a missing right are two reasons."""
    with pytest.raises(Refused):
        subscribe(["public:a b"])
    with pytest.raises(Refused):
        subscribe(["private:a"], first={"op": "ping"})  # a WebSocket may bring its token yet
    now = scrape_all(subscribe.args[1])  # type: ignore[attr-defined]
    assert counted("refusals_total", now, reason="invalid") == 1
    assert counted("refusals_total", now, reason="not_authenticated") == (transport != "websocket")


def test_an_op_that_is_refused_counts(open_ws: Open, counted: Callable[..., float]) -> None:
    """The connection goes on, and the operator sees that something is wrong with a client."""
    client: WebSocket = open_ws(["public:a"])
    assert client.ask("dance")["ok"] is False
    assert counted("refusals_total", reason="invalid") == 1
