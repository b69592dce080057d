"""Presence against a ledger: what is told of who is there, and what is true.

What belongs here: a crowd on mixed transports over several workers, two of which are killed. What
does not: the rules one by one (``transports/test_presence``).
"""

from __future__ import annotations

import random
import signal
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from os import kill
from socket import SHUT_RDWR

import pytest

from pushapp.broker.roster import pseudonym

from ..clients import Client, Poll, open_client
from ..jwts import token
from ..server import API_KEY, Server, until
from ..subscriber import name_of
from ..valkey import Valkey
from ..wire import TIMEOUT, Ended

CROWD = 300  # clients
GRACE = 3.0  # seconds
PAUSE = 2.5  # seconds between two polls: the crowd must not keep a slow machine from all else
HOLD = 5.0  # seconds that a long poll waits
TRANSPORTS = ("websocket", "sse", "longpoll", "poll")
LOOK = {"Authorization": f"Bearer {API_KEY}"}


@pytest.fixture(params=["sqlite", "redis"])
def log_settings(request: pytest.FixtureRequest) -> dict[str, object]:
    """Each kind of log in turn."""
    if request.param == "sqlite":
        return {}
    valkey: Valkey = request.getfixturevalue("valkey")
    return {"PUSH_BROKER_URL": valkey.url, "PUSH_KEY_PREFIX": f"test-{uuid.uuid4().hex}"}


class Guest:
    """One client of the crowd, of a user or of nobody; it comes and goes."""

    def __init__(self, server: Server, channel: str, number: int) -> None:
        self._server, self._channel = server, channel
        self.transport = TRANSPORTS[number % len(TRANSPORTS)]
        self.user = f"user-{number % 90}" if number % 3 else None  # some have several connections
        self.is_here = False
        self.connection: str | None = None
        self._client: Client | None = None
        self._over = threading.Event()
        self._polls: threading.Thread | None = None

    @property
    def name(self) -> str:
        assert self.connection is not None  # it has been here
        return self.user or pseudonym(self.connection)

    def come(self) -> None:
        """Come, or come back as the same one."""
        mine = token(user=self.user, lasts=3600) if self.user else None
        headers = {"Authorization": f"Bearer {mine}"} if mine else {}
        known: dict[str, object] = {"connection": self.connection} if self.connection else {}
        if self.transport == "longpoll":
            known["timeout"] = HOLD
        self._client = open_client(
            self.transport, self._server.port, [self._channel], headers=headers, **known
        )
        self.connection = self._client.connection
        self.is_here = True
        if isinstance(self._client, Poll):
            self._over.clear()
            self._polls = threading.Thread(target=self._poll, args=(self._client,), daemon=True)
            self._polls.start()

    def _poll(self, client: Poll) -> None:
        while not self._over.is_set():
            try:
                client._ask()
            except (OSError, Ended):  # its worker was killed, or it goes
                client.wire.close()
                if not self._over.is_set():
                    client.wire = client._dial()
            self._over.wait(client.pause and PAUSE)

    def go(self) -> None:
        """Leave without a word."""
        self.is_here = False
        self._over.set()
        if self._polls is not None and self._client is not None:
            with suppress(OSError):  # it may be between two connections
                self._client.wire.socket.shutdown(SHUT_RDWR)
            self._polls.join(TIMEOUT)
            assert not self._polls.is_alive()
            self._polls = None
        if self._client is not None:
            self._client.close()
            self._client = None

    def was_cut(self, ports: set[int]) -> bool:
        """Tell whether its stream ended with the worker that had these peers."""
        streams = self._client is not None and self._polls is None
        return self.is_here and streams and bool(ports & set(self._client.local_ports[-1:]))


class Observer(threading.Thread):
    """Follows all changes with an api key, and checks that they are true to themselves."""

    def __init__(self, client: Client, channel: str) -> None:
        super().__init__(daemon=True)
        self._client, self._channel = client, channel
        self.there: set[str] = set()
        self.joins: Counter[str] = Counter()
        self.leaves: Counter[str] = Counter()
        self.wrong: list[object] = []

    def run(self) -> None:
        seen = 0
        while True:
            for event in self._client.events[seen:]:
                if event.get("type") == "presence" and "members" not in event:
                    self._take(event)
            seen = len(self._client.events)
            try:
                self._client._read()
            except OSError:  # it was closed, or nothing has happened for long
                return

    def _take(self, event: dict[str, object]) -> None:
        for change in event["changes"]:  # type: ignore[attr-defined]
            name = name_of(change)
            if change["event"] == "join":
                self.joins[name] += 1
                fits = name not in self.there
                self.there.add(name)
            elif change["event"] == "leave":
                self.leaves[name] += 1
                fits = name in self.there
                self.there.discard(name)
            else:
                fits = not self.there
            if not fits:
                self.wrong.append(change)
        if event["count"] != len(self.there):
            self.wrong.append((event, len(self.there)))


def listed(server: Server, channel: str) -> set[str]:
    """Return the names on all pages of the list; none where it changed between two pages."""
    found: list[str] = []
    after = ""
    while True:
        page = server.look(f"/push/channels/{channel}/presence?after={after}&limit=100")
        found += map(name_of, page["members"])
        if not page.get("more"):
            return set(found) if len(found) == page["count"] else set()
        after = page["next"]


def a_list_has_a_page(server: Server, transport: str, channel: str, truth: set[str]) -> None:
    """A connection begins with a hundred members, the number of all, and where the next page is."""
    late = open_client(transport, server.port, [channel], headers=LOOK, presence=1)
    (first,) = [e for e in late.events if e.get("type") == "presence" and "members" in e][:1]
    late.close()
    rest = server.look(f"/push/channels/{channel}/presence?after={first['next']}&limit=1000")
    assert (first["count"], first["more"], len(first["members"])) == (len(truth), True, 100)
    assert {name_of(member) for member in first["members"] + rest["members"]} == truth


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    return make_server(WEB_CONCURRENCY=3, PUSH_PRESENCE_GRACE=GRACE)


@pytest.fixture
def crowd(server: Server, channel: str) -> Iterator[list[Guest]]:
    """Guests that have not come yet, and in the end have gone."""
    guests = [Guest(server, channel, number) for number in range(CROWD)]
    yield guests
    with ThreadPoolExecutor(16) as many:
        list(many.map(Guest.go, guests))


@pytest.mark.e2e
def test_the_list_is_the_truth(server: Server, crowd: list[Guest], channel: str) -> None:
    """Within the grace time, whoever comes, goes, comes back or is killed; each join has its leave,
    and who comes back within the time has not left."""
    choose = random.Random(5)
    observer = open_client("websocket", server.port, [channel], headers=LOOK, presence=1)
    doomed = [pid for pid in server.workers() if pid != server.worker_of(observer.wire)]
    while sum("members" in event for event in observer.events) < 2:
        observer._read()  # the second list: from here on all is told
    watcher = Observer(observer, channel)
    watcher.start()

    def truth() -> set[str]:
        return {guest.name for guest in crowd if guest.is_here}

    trouble: list[set[str]] = []  # shown where it fails

    def is_true() -> bool:
        wrong = listed(server, channel) ^ truth(), watcher.there ^ truth()
        trouble[:] = wrong
        return not any(wrong)

    with ThreadPoolExecutor(16) as many:
        list(many.map(Guest.come, crowd))
        until(is_true, "all are listed", 3 * TIMEOUT)
        for transport in TRANSPORTS:
            a_list_has_a_page(server, transport, channel, truth())

        for worker in doomed:
            away = choose.sample([guest for guest in crowd if guest.is_here], 60)
            list(many.map(Guest.go, away))
            list(many.map(Guest.come, away[:30]))  # at once: nobody sees it

            ports = {port for port, pid in server.connections().items() if pid == worker}
            kill(worker, signal.SIGKILL)
            cut = [guest for guest in crowd if guest.was_cut(ports)]
            assert cut, "nobody was at the worker that was killed"
            list(many.map(Guest.go, cut))
            list(many.map(Guest.come, cut[::2]))
            until(is_true, "the list is true again", 3 * TIMEOUT)

        here = [guest for guest in crowd if guest.is_here]
        never_away = {g.name for g in here} - set(watcher.leaves)
        assert all(watcher.joins[name] == 1 for name in never_away)
        list(many.map(Guest.go, here))
        until(is_true, "all have left", 3 * TIMEOUT)
    observer.close()
    watcher.join(2 * TIMEOUT)
    assert watcher.joins == watcher.leaves
    assert watcher.wrong == []
    until(lambda: not server.look("/push/connections")["connections"], "nobody is left")
