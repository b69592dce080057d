"""Thousands of clients in one process of its own, each on one stream; they come back when cut off.

What belongs here: being many, and writing down what came. What does not: a whole client, which
hops and asks for everything (``crowd``). Run as ``python -m tests.chaos.flock``; it takes its plan
as one line of JSON, says once a second how many are live, how many ever were and how much has come,
and what each has met when its stdin closes.

Half of them are event streams, half WebSockets. One that is told to ``reconnect`` does so when it
was told to; one that is refused or cut off tries again after a second, and twice as long after
each failure, as docs/client.md has it, at the next server.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import struct
import sys
import time
from dataclasses import dataclass, field

from ..wire import request

_EVENT = re.compile(rb"^(?:event: (\w+)\n)?(?:(?:id|retry): \S*\n)*data: (\{.*\})\n", re.M)
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close() sends RST
_LONGEST = 8.0  # seconds between two attempts
_HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",  # the one of RFC 6455 section 1.3
}


@dataclass(frozen=True)
class Plan:
    """What a flock is to do."""

    ports: list[int]
    channel: str
    clients: int
    seed: int
    opening: float = 500.0  # clients a second
    kill_every: float = 0.0  # seconds that a connection lasts before its client kills it; 0: never
    offline: float = 0.0  # seconds that it is away then


@dataclass(slots=True)
class Found:
    """What the clients of a flock have met. Times are in seconds."""

    received: list[int] = field(default_factory=list)  # messages of each client
    lost: int = 0  # numbers that a client lacks, between its first and its last
    twice: int = 0
    unordered: int = 0
    told: int = 0  # times that a client was told of a loss
    lives: int = 0
    cuts: int = 0  # connections that the server, or nobody, ended
    away: list[int] = field(default_factory=list)  # clients that have no connection at the end
    dark: list[float] = field(default_factory=list)  # from the end of a connection to live again
    replay: list[float] = field(default_factory=list)  # from connecting again to live again


class Bird(asyncio.Protocol):
    """One client, on one connection after the other."""

    def __init__(self, flock: Flock, number: int) -> None:
        self._flock, self._number = flock, number
        self._is_websocket = number % 2 == 1
        self.cursor = ""
        self.first: int | None = None
        self.last = -1
        self.received = 0
        self.is_live = False
        self._failures = 0
        self._after: float | None = None  # seconds, as it was told
        self._ended: float | None = None  # when its last connection did
        self._began = 0.0
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._killing: asyncio.TimerHandle | None = None

    async def connect(self) -> None:
        loop, ports = asyncio.get_running_loop(), self._flock.plan.ports
        port = ports[(self._number // 2 + self._failures) % len(ports)]
        self._began = time.monotonic()
        try:
            await asyncio.wait_for(loop.create_connection(lambda: self, "127.0.0.1", port), 10)
        except (OSError, TimeoutError):
            self._again()

    def _again(self, after: float | None = None) -> None:
        """Come back in a while."""
        if after is None:
            after = self._flock.chance.uniform(0.5, 1.0) * min(2.0**self._failures, _LONGEST)
            self._failures += 1
        asyncio.get_running_loop().call_later(after, self._flock.start, self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._buffer = transport, b""
        path = "ws" if self._is_websocket else "sse"
        target = f"/push/{path}?channels={self._flock.plan.channel}&cursor={self.cursor}"
        transport.write(request("GET", target, _HANDSHAKE if self._is_websocket else None))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._is_websocket:
            self._read_frames()
        else:
            self._read_events()

    def _read_events(self) -> None:
        whole, mark, rest = self._buffer.rpartition(b"\n\n")
        if mark:
            self._buffer = rest
            for kind, body in _EVENT.findall(whole + mark):
                event = json.loads(body)
                self._take({**event, "type": kind.decode()} if kind else event)

    def _read_frames(self) -> None:
        if self._buffer.startswith(b"HTTP"):
            head, mark, rest = self._buffer.partition(b"\r\n\r\n")
            if not mark:
                return
            self._buffer = rest
        while len(self._buffer) >= 4:
            length, at = self._buffer[1], 2
            if length == 126:
                length, at = int.from_bytes(self._buffer[2:4]), 4
            elif length == 127:
                length, at = int.from_bytes(self._buffer[2:10]), 10
            if len(self._buffer) < at + length:
                return
            opcode, body = self._buffer[0] & 15, self._buffer[at : at + length]
            self._buffer = self._buffer[at + length :]
            if opcode == 1:
                self._take(json.loads(body))

    def _take(self, event: dict[str, object]) -> None:
        kind = event.get("type")
        if kind is None:
            self.cursor = str(event["id"])
            self._count(int(event["data"]))  # type: ignore[call-overload]
        elif kind in ("live", "heartbeat"):
            self.cursor = str(event["cursor"])
            if kind == "live":
                self._go_live(event)
        elif kind == "reconnect":
            self._after = float(event["after"]) / 1000  # type: ignore[arg-type]

    def _count(self, number: int) -> None:
        found = self._flock.found
        if self.first is None:
            self.first = self.last = number
        elif number == self.last + 1:
            self.last = number
        elif number <= self.last:
            found.twice += 1
            return
        else:
            found.unordered += 1
            self.last = number
        self.received += 1

    def _go_live(self, event: dict[str, object]) -> None:
        found, plan, now = self._flock.found, self._flock.plan, time.monotonic()
        if not event["recovered"]:
            found.told += 1
        if self.is_live:
            return
        self.is_live, self._failures = True, 0
        found.lives += 1
        if self._ended is not None:
            found.dark.append(now - self._ended)
            found.replay.append(now - self._began)
        if plan.kill_every:
            after = plan.kill_every
            if self._ended is None:  # they do not all go at once
                after *= self._flock.chance.random()
            self._killing = asyncio.get_running_loop().call_later(after, self._kill)

    def _kill(self) -> None:
        transport, self._transport = self._transport, None
        if transport is None or self._flock.is_over:
            return
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
        self._ended, self.is_live = time.monotonic(), False
        self._again(self._flock.plan.offline)

    def connection_lost(self, error: Exception | None) -> None:
        if self._transport is None:
            return  # it was killed
        self._transport = None
        if self._killing is not None:
            self._killing.cancel()
        if self.is_live:
            self._ended, self.is_live = time.monotonic(), False
            self._flock.found.cuts += 1
        after, self._after = self._after, None
        self._again(after)


class Flock:
    """All clients of this process."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.found = plan, Found()
        self.chance = random.Random(plan.seed)
        self.birds = [Bird(self, number) for number in range(plan.clients)]
        self.is_over = False
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, bird: Bird) -> None:
        if self.is_over:
            return
        task = asyncio.get_running_loop().create_task(bird.connect())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def open(self) -> None:
        """Have all of them come, one after the other."""
        for bird in self.birds:
            self.start(bird)
            await asyncio.sleep(1 / self.plan.opening)

    def say(self) -> None:
        live = sum(bird.is_live for bird in self.birds)
        came = sum(bool(bird.cursor) for bird in self.birds)
        print(json.dumps([live, came, sum(bird.received for bird in self.birds)]), flush=True)

    def end(self) -> Found:
        """Say what they have met; whoever has no connection now has not come back."""
        self.is_over = True
        found = self.found
        for bird in self.birds:
            found.received.append(bird.received)
            if bird.first is not None:
                found.lost += bird.last - bird.first + 1 - bird.received
            if not bird.is_live:
                found.away.append(bird._number)
        return found


async def main() -> None:
    loop = asyncio.get_running_loop()
    flock = Flock(Plan(**json.loads(sys.stdin.readline())))
    ending = loop.run_in_executor(None, sys.stdin.read)  # until it is closed
    opening = asyncio.ensure_future(flock.open())
    while not ending.done():
        await asyncio.wait([ending], timeout=1.0)
        flock.say()
    opening.cancel()
    found = flock.end()
    print(json.dumps({name: getattr(found, name) for name in Found.__slots__}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
