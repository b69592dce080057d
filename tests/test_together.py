"""Answers that are held back until their turn of the loop ends."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import gevent
import pytest

from pushapp.hub import Hub
from pushapp.outlet import Lot
from pushapp.parking import ParkedSocket
from pushapp.together import Together

from .fake_log import FakeBroker
from .server import LONG, ROOT, until


class Heir:
    """Who gets a socket when the answer is out; it fails, or answers again, where it is told to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails, self.gone = fails, False
        self.taken: list[ParkedSocket] = []
        self.then: Callable[[], None] = list

    def take(self, parked: ParkedSocket) -> None:
        if self.fails:
            raise RuntimeError("it fails as the test says")
        self.taken.append(parked)
        self.then()

    def on_input(self) -> None:
        raise AssertionError("nobody has said anything")

    def on_gone(self) -> None:
        self.gone = True

    def on_overflow(self) -> None:
        raise AssertionError("nothing is too much")


class Client(NamedTuple):
    parked: ParkedSocket
    heir: Heir
    sock: socket.socket

    def read(self) -> bytes:
        """Return what has come, and end: b"" where nothing has."""
        try:
            return self.sock.recv(65536)
        except BlockingIOError:
            return b""


@pytest.fixture
def lot() -> Iterator[Lot]:
    hub = Hub(FakeBroker())
    yield Lot(hub.wheel, 1 << 26, 1 << 28, 25.0)
    hub.close()


@pytest.fixture
def client(lot: Lot) -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(*, fails: bool = False) -> Client:
        mine, theirs = socket.socketpair()
        theirs.setblocking(False)
        heir = Heir(fails=fails)
        made.append(Client(ParkedSocket(mine.detach(), lot, heir), heir, theirs))
        return made[-1]

    yield make
    for one in made:
        one.parked.close()
        one.sock.close()


def end_of_turn(together: Together) -> None:
    until(lambda: gevent.sleep(0.001) or not together, "the turn ends")


def test_they_leave_at_the_end_of_the_turn(client: Callable[..., Client]) -> None:
    """Nothing is written while others are made; then each has its own, and its heir goes on."""
    together, clients = Together(), [client() for _ in range(5)]
    for n, one in enumerate(clients):
        together.hand_over(one.parked, b"answer %d" % n, one.heir)
    assert len(together) == 5
    assert [one.read() for one in clients] == [b""] * 5
    assert not any(one.heir.taken for one in clients)
    end_of_turn(together)
    assert not together
    assert [one.read() for one in clients] == [b"answer %d" % n for n in range(5)]
    assert all(one.heir.taken == [one.parked] for one in clients)
    together.hand_over(clients[0].parked, b"next", clients[0].heir)
    end_of_turn(together)
    assert clients[0].read() == b"next", "a later turn has an end of its own"


def test_there_is_a_bound(client: Callable[..., Client]) -> None:
    """So many are held, and no large one: it would be memory that no bound counts."""
    together, clients = Together(), [client() for _ in range(70)]
    for one in clients:
        together.hand_over(one.parked, b"answer", one.heir)
    assert len(together) == 6
    assert [one.read() for one in clients] == [b"answer"] * 64 + [b""] * 6
    large = client()
    together.hand_over(large.parked, b"x" * 20_000, large.heir)
    assert large.read() == b"x" * 20_000
    end_of_turn(together)
    assert [one.read() for one in clients[64:]] == [b"answer"] * 6


def test_an_answer_that_comes_of_an_answer_is_not_left(client: Callable[..., Client]) -> None:
    """Nobody feeds the loop within the loop's own call."""
    together, first, second = Together(), client(), client()
    first.heir.then = lambda: together.hand_over(second.parked, b"second", second.heir)
    together.hand_over(first.parked, b"first", first.heir)
    end_of_turn(together)
    assert (first.read(), second.read()) == (b"first", b"second")


@pytest.mark.parametrize("loop", ["libev-cffi", "libuv"])
def test_another_loop_of_gevents_holds_nothing_back(loop: str) -> None:
    """Neither tells when its turn ends."""
    held = "from pushapp.together import Together as T; t = T(); p = type('', (), {})();"
    held += "p.hand_over = lambda data, heir: print(data); t.hand_over(p, 'answer', None)"
    environ = os.environ | {"GEVENT_LOOP": loop}
    done = subprocess.run(
        [sys.executable, "-c", held],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    assert done.stdout == "answer\n", done.stderr


def test_one_that_has_gone_or_fails_holds_up_nobody(
    client: Callable[..., Client], caplog: pytest.LogCaptureFixture
) -> None:
    """Of three answers the first has no client any more and the second cannot go on."""
    together = Together()
    closed, failing, last = client(), client(fails=True), client()
    with caplog.at_level(logging.ERROR):
        for one in (closed, failing, last):
            together.hand_over(one.parked, b"answer", one.heir)
        closed.parked.close()
        end_of_turn(together)
    assert closed.read() == b""
    assert not closed.heir.taken
    assert [record.getMessage() for record in caplog.records] == [
        "handing an answer over failed; its connection ends"
    ]
    assert failing.parked.closed and failing.heir.gone
    assert last.read() == b"answer"
    assert last.heir.taken == [last.parked]
