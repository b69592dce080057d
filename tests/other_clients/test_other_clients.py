"""Clients that others wrote get what push.js gets: nothing in the contract is ours alone."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable

import pytest

from ..server import Server, until
from .conftest import COMMANDS, HEARTBEAT
from .line import Line
from .program import Program

Start = Callable[..., Program]
N = 20  # messages of each stretch
PACE = 0.02  # seconds between messages while the server restarts


def publish(server: Server, channel: str, first: int) -> None:
    server.publish_all([{"channel": channel, "data": n} for n in range(first, first + N)])


@pytest.mark.parametrize("name", COMMANDS)
def test_hears_each_message_once_and_in_order_though_cut(
    server: Server, line: Line, start: Start, channel: str, name: str
) -> None:
    """Cut off, it comes back with its cursor and gets what it has missed, and only that."""
    program = start(name, line.port, channel)
    program.wait("live")
    publish(server, channel, 0)
    program.wait(N - 1)
    line.cut()
    publish(server, channel, N)
    line.mend()
    program.wait(2 * N - 1)
    publish(server, channel, 2 * N)
    program.wait(3 * N - 1)
    program.close()
    assert program.heard == list(range(3 * N))
    assert "lost" not in program.said


@pytest.mark.parametrize("end", ["restart", "kill"])
def test_a_restart_loses_nothing(
    make_server: Callable[..., Server], start: Start, channel: str, end: str
) -> None:
    """While messages flow the server is restarted, or killed: each of them gets all of them."""
    server = make_server(PUSH_HEARTBEAT=HEARTBEAT)
    programs = {name: start(name, server.port, channel) for name in COMMANDS}
    for program in programs.values():
        program.wait("live")
    publish(server, channel, 0)
    restarting = threading.Thread(target=server.restart if end == "restart" else killed(server))
    restarting.start()
    published = N
    while restarting.is_alive() or published < 2 * N:
        until(lambda: acknowledged(server, channel, published), "the log has it", 60)  # noqa: B023
        published += 1
        restarting.join(PACE)
    for name, program in programs.items():
        program.wait(published - 1)
        assert program.heard == list(range(published)), name
        assert "lost" not in program.said, name


def killed(server: Server) -> Callable[[], None]:
    def kill_and_start() -> None:
        server.kill()
        server.start()

    return kill_and_start


def acknowledged(server: Server, channel: str, n: int) -> bool:
    body = {"channel": channel, "data": n, "idempotency_key": f"{channel} {n}"}
    try:
        return server.post(body).status in (200, 201)
    except OSError:  # it is down: the same key makes the repetition safe
        return False


@pytest.mark.parametrize("name", ["Node's WebSocket", "npm's ws"])
def test_goes_uncompressed_with_who_offers_to_compress(
    server: Server, line: Line, start: Start, channel: str, name: str
) -> None:
    """permessage-deflate is offered and not taken up: the client speaks on without it."""
    program = start(name, line.port, channel)
    program.wait("live")
    assert re.search(rb"(?i)sec-websocket-extensions: *permessage-deflate", line.sent)
    assert 'extensions ""' in program.said


def test_goes_compressed_where_that_is_on(
    make_server: Callable[..., Server], start: Start, channel: str
) -> None:
    """npm's ws, whose inflater keeps a window from message to message unless it is told not to."""
    server = make_server(WEB_CONCURRENCY=1, PUSH_DEFLATE=1)
    program = start("npm's ws", server.port, channel)
    program.wait("in fragments")
    texts = [f"{n} again and again, " * 50 for n in range(N)]
    for text in texts:
        server.publish(channel, text)
    for text in texts:
        program.wait(json.dumps(text))
    assert any(line.startswith('extensions "permessage-deflate') for line in program.said)


@pytest.mark.parametrize("name", ["npm's ws", "websocket-client", "Java's WebSocket"])
def test_answers_pings_and_takes_a_text_in_fragments(
    server: Server, line: Line, start: Start, channel: str, name: str
) -> None:
    """A ping comes back with what it held, and an op in several frames is one op."""
    program = start(name, line.port, channel)
    program.wait("pong are you there")
    program.wait("in fragments")
    program.wait("live") if "live" not in program.said else None
    publish(server, channel, 0)
    program.wait(N - 1)
    assert program.heard == list(range(N))
