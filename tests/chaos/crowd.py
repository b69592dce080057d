"""The readers, hundreds in one process of their own: each hops from transport to transport.

What belongs here: being a subscriber that keeps its cursor and writes down what comes. What does
not: what is right or wrong with it (``verdict``). Run it under gevent; it takes its plan as one
line of JSON, says how far it is once a second, and ends when all have everything. When its stdin
closes, those who still wait have as long as something comes.
"""

from __future__ import annotations

import json
import random
import select
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..clients import CLIENTS, TRANSPORTS, Client, Poll, Refused
from .books import Got, Reader, Told, Turn, save

_HOP = 8.0  # seconds on one connection, on average
_BACK = 0.5  # seconds at most before a reader that was cut off comes back, twice that after ...
_LONGEST = 8.0  # ... another one, up to this: what clients do for a server that is overrun
_POLL = 1.0  # seconds between two polls
_TABS = 0.2  # share of turns that begin in another tab while the last one stays open
_LAST = 120.0  # seconds without a message, when all has been published, until nobody waits longer
#: An end that says "come back": 503 and 429, and the close codes for leaving, restart, full, slow.
_COME_BACK = {429, 503, 1000, 1001, 1006, 1012, 1013, 4008}


@dataclass(frozen=True)
class Plan:
    """What a crowd is to do."""

    ports: list[int]
    channels: list[list[str]]  # of each reader
    last: dict[str, int]  # channel → the number of its last message
    seed: int
    book: str  # the file to write


class Person(threading.Thread):
    """One reader."""

    def __init__(self, number: int, plan: Plan) -> None:
        super().__init__(daemon=True)
        self._ports, self._chance = plan.ports, random.Random(f"{plan.seed}/{number}")
        self.book = Reader(f"reader {number}", plan.channels[number])
        self._waits_for = {plan.last[channel] for channel in self.book.channels}
        self._cursor: str | None = None
        self._back = _BACK
        self._leave = threading.Event()
        self._tab: Client | None = None  # of the turn before; nobody looks at it any more
        self.received = 0
        self.started = threading.Event()

    def run(self) -> None:
        try:
            while self._waits_for and not self._leave.is_set():
                self._turn()
        except Exception as error:
            self.book.trouble.append(repr(error))
        self._close_tab()
        self.started.set()

    def leave(self) -> None:
        """Stop after the turn that is under way."""
        self._leave.set()

    def _turn(self) -> None:
        # The first place is taken by a reader that gets nothing yet.
        transport = self._chance.choice(TRANSPORTS) if self._cursor else Poll.transport
        turn = Turn(transport, self._chance.choice(self._ports))
        until = time.monotonic() + self._chance.expovariate(1 / _HOP)
        try:
            client = self._client(turn)
        except OSError:  # that instance is away
            self._cut()
            return
        try:
            client.open()
            self._close_tab()
            self._take(client, turn)
            self._back = _BACK
            self.started.set()
            while self._waits_for and time.monotonic() < until and not self._leave.is_set():
                client.receive(max(1, len(client.waiting)))  # the rest of what came together
                self._take(client, turn)
        except Refused as refused:
            code = refused.code or refused.status
            if code is not None and code not in _COME_BACK:
                self.book.trouble.append(f"{transport}: {refused}")
            self._cut()
        except OSError:  # cut, or silent for too long
            self._cut()
        finally:
            self._take(client, turn)
            if turn.entries:
                self.book.turns.append(turn)
            self._close_tab()
            self._tab = client
            if self._chance.random() >= _TABS:  # a page load, or another page
                self._close_tab()

    def _close_tab(self) -> None:
        tab, self._tab = self._tab, None
        if tab is not None:
            tab.close()

    def _client(self, turn: Turn) -> Client:
        params = {"timeout": 5} if turn.transport == "longpoll" else {}
        client = CLIENTS[turn.transport](turn.port, self.book.channels, self._cursor, **params)
        if type(client) is Poll:
            client.pause = _POLL
        return client

    def _cut(self) -> None:
        self.book.cuts += 1
        self._leave.wait(self._chance.random() * self._back)
        self._back = min(2 * self._back, _LONGEST)

    def _take(self, client: Client, turn: Turn) -> None:
        """Write down what has come since the last time."""
        now = time.monotonic()
        if isinstance(client, Poll) and client.recovered is False:
            turn.entries += [Told(**loss) for loss in client.lost]
            client.recovered, client.lost = None, []
        for event in client.events:
            if event.get("type") == "live":
                turn.entries += [Told(**loss) for loss in event.get("lost", ())]
            elif "type" not in event:
                number = event["data"]["number"]
                turn.entries.append(Got(event["id"], event["prev"], event["channel"], number, now))
                self._waits_for.discard(number)
                self.received += 1
        client.events.clear()
        client.raw.clear()
        self._cursor = client.cursor


def say(people: Iterable[Person]) -> int:
    """Say how far they are; return how much they have received."""
    here = list(people)
    waiting, received = sum(map(Person.is_alive, here)), sum(person.received for person in here)
    print(json.dumps([received, waiting]), flush=True)
    return received


def main() -> None:
    plan = Plan(**json.loads(sys.stdin.readline()))
    people = [Person(number, plan) for number in range(len(plan.channels))]
    for person in people:
        person.start()
    for person in people:
        person.started.wait()
    print("ready", flush=True)
    listening, until, before = [sys.stdin], float("inf"), -1
    while time.monotonic() < until and (waiting := [p for p in people if p.is_alive()]):
        if listening:
            listening = [] if select.select(listening, [], [], 1.0)[0] else listening
        else:
            waiting[0].join(1.0)
        received = say(people)
        if not listening and received != before:
            until, before = time.monotonic() + _LAST, received
    for person in people:
        person.leave()
    for person in people:
        person.join()
    save((person.book for person in people), Path(plan.book))


if __name__ == "__main__":
    main()
