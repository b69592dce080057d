"""A line between readers or publishers and a server, which breaks when it is told to; a program.

    python -m tests.chaos.line PORT PORT_OF_THE_SERVER SEED

What belongs here: bytes, and when they stop. What does not: what the bytes mean, and when a line
breaks (``faults``). It takes one order a line on its stdin, and says "ready" when it listens:

* ``reset``: both sides of all connections get RST.
* ``silence``: on the connections of now nothing passes any more, either way, and nobody is told.
  When the client has given up, the server still hears nothing, for a while.
* ``cut SECONDS``: for so long, the server's side of each connection ends after some bytes, in
  the midst of a reply or an event.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import sys

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close() sends RST
_DEAD = 15.0  # seconds that a server holds a client that has silently gone
_FEW = 400  # bytes at most that still pass: the end is within a head, a body, or an event
_HIGH = 1 << 20  # bytes that wait here for a side that does not read


class End(asyncio.Protocol):
    """One end of a connection: what comes here goes out at the other."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.other: End | None = None
        self.transport: asyncio.Transport
        self._early = b""  # came before there was another end
        self.silent = False
        self.passes: int | None = None  # bytes that still go out here; None: all

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(_HIGH)
        self._line.ends.add(self)

    def join(self, other: End) -> None:
        self.other = other
        early, self._early = self._early, b""
        if early:
            other.send(early)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early += data
        elif not self.silent:
            self.other.send(data)

    def send(self, data: bytes) -> None:
        """Let bytes go out here."""
        if self.passes is None:
            self.transport.write(data)
            return
        self.transport.write(data[: self.passes])
        self.passes -= len(data)
        if self.passes <= 0:
            self.transport.close()

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.transport.resume_reading()

    def reset(self) -> None:
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._line.ends.discard(self)
        other, self.other = self.other, None
        if other is None or other.transport.is_closing():
            return
        if self.silent:
            asyncio.get_running_loop().call_later(_DEAD, other.transport.abort)
        else:
            other.transport.close()


class Line:
    """Carries connections from its own port to the server's."""

    def __init__(self, upstream: int, chance: random.Random) -> None:
        self._upstream, self._chance = upstream, chance
        self.ends: set[End] = set()
        self._cuts_until = 0.0  # by the loop's clock
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self) -> End:
        """Return the end of a connection that a client makes."""
        end = End(self)
        task = asyncio.get_running_loop().create_task(self._reach(end))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return end

    async def _reach(self, client: End) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, server = await loop.create_connection(lambda: End(self), "127.0.0.1", self._upstream)
        except OSError:
            client.reset()
            return
        server.join(client)
        client.join(server)
        if client.transport.is_closing():
            server.transport.abort()
        elif loop.time() < self._cuts_until:
            self._cut(client)

    def _cut(self, end: End) -> None:
        end.passes = self._chance.randrange(_FEW)

    def obey(self, order: str, *seconds: str) -> None:
        """Do what the faults say."""
        ends = list(self.ends)
        if order == "reset":
            for end in ends:
                end.reset()
        elif order == "silence":
            for end in ends:
                end.silent = True
        else:
            self._cuts_until = asyncio.get_running_loop().time() + float(seconds[0])
            for end in ends:
                self._cut(end)


async def main(port: int, upstream: int, seed: int) -> None:
    loop = asyncio.get_running_loop()
    line = Line(upstream, random.Random(seed))
    await loop.create_server(line.accept, "127.0.0.1", port, backlog=1024)
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    print("ready", flush=True)
    while order := await orders.readline():
        line.obey(*order.decode().split())


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
