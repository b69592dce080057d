"""What docs/client.md says to type into a shell does what it says.

What belongs here: its blocks for a shell. What does not: the others (``browser``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..docs_client import blocks
from ..needs import needs
from ..server import API_KEY, Server, until
from .line import Line
from .program import Program

LOOK, PUBLISH, LONGPOLL, POLL = blocks("By hand: curl", "sh")

Shell = Callable[[str, int, str], Program]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Type something in: for this port, this channel, and with no more than short waits."""
    programs: list[Program] = []
    needs("curl")
    needs("jq")
    errors = (tmp_path / "errors").open("ab+")

    def run(code: str, port: int, channel: str) -> Program:
        for written, meant in (
            ("http://127.0.0.1:8000", f"http://127.0.0.1:{port}"),
            ("demo:chat", channel),
            ("sleep 3", "sleep 0.1"),
            ("jq -c '.messages[]'", "jq -c '.messages[].data'"),
        ):
            code = code.replace(written, meant)
        command = ["sh", "-c", f"cd {tmp_path}\n{code}"]
        program = Program("curl", command, {"KEY": API_KEY}, errors)
        programs.append(program)
        return program

    yield run
    for program in programs:
        program.close()
    errors.seek(0)
    print(errors.read().decode())
    errors.close()


def wait_for_subscriber(server: Server, channel: str) -> None:
    until(lambda: server.look(f"/push/channels/{channel}")["subscribers"], "a subscriber")


def test_look_and_publish(server: Server, shell: Shell, channel: str) -> None:
    """One line shows a channel, the other publishes to it."""
    looking = shell(LOOK, server.port, channel)
    wait_for_subscriber(server, channel)
    published = shell(PUBLISH, server.port, channel)
    published.wait_for(lambda line: "id" in line)
    looking.wait_for(lambda line: line.startswith("data:") and "hello" in line)
    said = next(line for line in looking.said if "hello" in line)
    message = json.loads(said.removeprefix("data: "))
    assert (message["channel"], message["data"]) == (channel, {"text": "hello"})
    assert json.loads(published.said[-1])["id"] == message["id"]


@pytest.mark.parametrize("code", [LONGPOLL, POLL], ids=["long polls", "polls"])
def test_a_loop_misses_nothing(
    server: Server, line: Line, shell: Shell, channel: str, tmp_path: Path, code: str
) -> None:
    """All messages, once and in order, over a cut."""
    program = shell(code, line.port, channel)
    if code is POLL:
        until((tmp_path / "have").exists, "its cursor")
    else:
        wait_for_subscriber(server, channel)

    def publish(first: int, last: int) -> None:
        server.publish_all([{"channel": channel, "data": n} for n in range(first, last + 1)])

    publish(0, 9)
    program.wait(9)
    line.cut()
    publish(10, 19)
    line.mend()
    program.wait(19)
    program.close()
    assert program.heard == list(range(20))
