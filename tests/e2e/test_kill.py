"""kill -9 at any moment: what was acknowledged is in the log, whole and once.

What belongs here: processes that end without a word. What does not: an ordered end
(``transports/test_draining``), a log that is damaged (``brokers``).
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import pytest

from ..clients import Client, Refused, open_client
from ..server import Server, until
from ..wire import TIMEOUT
from .publishing import open_publisher

PUBLISHERS = 4
CHANNELS = [f"public:kill.{n}" for n in range(2)]


class Publisher(threading.Thread):
    """Publishes one message after the other, each until it is acknowledged, with a key."""

    def __init__(self, server: Server, number: int) -> None:
        super().__init__(daemon=True)
        self._server, self._number = server, number
        self._enough = threading.Event()
        self._connections = ExitStack()
        self._open: Callable[..., list[str]] | None = None
        self.acknowledged: list[tuple[str, str, str]] = []  # id, channel, data
        self.repeats = 0  # tries that got no answer

    def run(self) -> None:
        count = 0
        while not self._enough.is_set():
            channel, data = CHANNELS[count % 2], f"{self._number}/{count}"
            self.acknowledged.append((self._publish(channel, data), channel, data))
            count += 1

    def _publish(self, channel: str, data: str) -> str:
        while True:
            try:
                if self._open is None:  # kept: so most publishes pass in the express lane
                    self._open = self._connections.enter_context(open_publisher(self._server))
                return self._open([{"channel": channel, "data": data}], key=f"key {data}")[0]
            except OSError:  # refused, reset, or ended in the middle
                self._open = None
                self._connections.close()
                self.repeats += 1

    def finish(self) -> None:
        """Stop after the message that is under way."""
        self._enough.set()
        self.join(6 * TIMEOUT)
        self._connections.close()
        assert not self.is_alive()


class Reader(threading.Thread):
    """Follows both channels and comes back with its cursor whenever it is cut off."""

    def __init__(self, server: Server, transport: str) -> None:
        super().__init__(daemon=True)
        self._server, self._transport = server, transport
        self._client: Client = open_client(transport, server.port, CHANNELS)
        self.got: list[str] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while not (self.got and self.got[-1] == "the end"):
                try:
                    self._client.receive()
                except (Refused, OSError):
                    self._come_back()
                else:
                    self._take()
        except BaseException as error:
            self.error = error

    def _take(self) -> None:
        new = [event for event in self._client.events if "type" not in event]
        self._client.events.clear()
        self.got += [message["data"] for message in new]

    def _come_back(self) -> None:
        self._take()
        cursor = self._client.cursor
        self._client.close()

        def is_back() -> bool:
            try:
                self._client = open_client(self._transport, self._server.port, CHANNELS, cursor)
            except OSError:
                return False
            return True

        until(is_back, "the server is there again", 3 * TIMEOUT)
        assert self._client.recovered is True, self._client.lost

    def finish(self) -> list[str]:
        """Wait for the end; return the data that came."""
        self.join(6 * TIMEOUT)
        self._client.close()
        if self.error is not None:
            raise self.error
        assert not self.is_alive(), f"it got {len(self.got)}, the last is {self.got[-1:]}"
        return self.got


def kept(server: Server, channel: str) -> list[dict[str, object]]:
    """Return everything that the log has of a channel, oldest first, page by page."""
    messages: list[dict[str, object]] = []
    before = ""
    while page := server.look(f"/push/channels/{channel}/history?limit=500{before}")["messages"]:
        messages[:0] = page
        before = f"&before={page[0]['id']}"
    return messages


def check(server: Server, publishers: list[Publisher], readers: list[Reader]) -> None:
    """Every acknowledged message is there, once, in the order of its ids, linked without a gap."""
    published = [item for publisher in publishers for item in publisher.acknowledged]
    log = {channel: kept(server, channel) for channel in CHANNELS}
    for channel, messages in log.items():
        ids = [m["id"] for m in messages]
        assert [m["prev"] for m in messages] == [None, *ids[:-1]]
        numbers = [int(str(i).rpartition(".")[2]) for i in ids]
        assert numbers == sorted(set(numbers))
        acknowledged = {(i, data) for i, at, data in published if at == channel}
        assert {(m["id"], m["data"]) for m in messages} == acknowledged
        for publisher in publishers:
            own = [data for _, at, data in publisher.acknowledged if at == channel]
            assert [m["data"] for m in messages if m["data"] in set(own)] == own
    server.publish(CHANNELS[0], "the end")
    total = sorted((int(i.rpartition(".")[2]), data) for i, _, data in published)
    for reader in readers:
        assert reader.finish() == [data for _, data in total] + ["the end"]


def _have(publishers: list[Publisher], count: int) -> bool:
    return all(len(publisher.acknowledged) >= count for publisher in publishers)


@pytest.mark.e2e
@pytest.mark.parametrize("victims", ["a worker", "all of them"])
def test_what_was_acknowledged_before_a_kill_is_there_afterwards(
    make_server: Callable[..., Server], victims: str
) -> None:
    """Publishing goes on while processes are killed; subscribers come back and miss nothing."""
    server = make_server(PUSH_HISTORY_SIZE=100_000)
    publishers = [Publisher(server, n) for n in range(PUBLISHERS)]
    readers = [Reader(server, transport) for transport in ("sse", "websocket", "longpoll")]
    for thread in [*publishers, *readers]:
        thread.start()

    for round_ in range(1, 21):
        until(partial(_have, publishers, round_ * 100), "they publish on", 6 * TIMEOUT)
        if round_ > 3 and any(publisher.repeats for publisher in publishers):
            break
        if victims == "a worker":
            os.kill(random.choice(server.workers()), signal.SIGKILL)
        else:
            server.kill()
            server.start()
    for publisher in publishers:
        publisher.finish()
    assert any(publisher.repeats for publisher in publishers), "no kill hit a publish"
    server.wait_for_workers()

    check(server, publishers, readers)
