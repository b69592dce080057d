"""A line that is slow and breaks; a program of its own.

    python -m tests.networks.bad_line PORT PORT_OF_THE_SERVER '{"latency": 0.3, "resets": 0.05}'

On SIGUSR1 all connections that there are go silent; a line says when they are.

What belongs here: faults of TCP, for which bytes mean nothing. What does not: faults of a proxy
that reads HTTP (``bad_proxy``).
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import signal
import socket
import struct
import sys
from dataclasses import dataclass

_PIECE = 65536
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close() sends RST


@dataclass(frozen=True)
class Weather:
    """How bad it is. Times are in seconds."""

    latency: float = 0  # added to each round trip
    silent_after: float = 0  # that long after its begin, no more passes on a connection; 0: never
    resets: float = 0  # each connection's chance to be reset when it begins, and each second again


class Line:
    """Carries connections."""

    def __init__(self, weather: Weather, upstream: int) -> None:
        self._weather, self._upstream = weather, upstream
        self._chance = random.Random(1)
        self._hushed = -math.inf  # when those that there were went silent, in the loop's seconds

    def hush(self) -> None:
        """Let no more pass on the connections that there are."""
        self._hushed = asyncio.get_running_loop().time()
        print("silent", flush=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        await asyncio.sleep(self._weather.latency)  # what connecting takes
        try:
            server_reader, server_writer = await asyncio.open_connection(
                "127.0.0.1", self._upstream
            )
        except ConnectionError:
            return writer.transport.abort()
        tasks = [
            asyncio.ensure_future(self._carry(reader, server_writer)),
            asyncio.ensure_future(self._carry(server_reader, writer)),
            asyncio.ensure_future(self._breaks(writer)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            writer.close()
            server_writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes one way: late, but as fast as they come."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        silence = begun + (self._weather.silent_after or math.inf)
        late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def read() -> None:
            data = b"."
            while data:
                try:
                    data = await reader.read(_PIECE)
                except ConnectionError:
                    data = b""
                late.put_nowait((loop.time() + self._weather.latency / 2, data))

        reading = asyncio.ensure_future(read())
        try:
            while True:
                due, data = await late.get()
                await asyncio.sleep(due - loop.time())
                if not data:
                    return
                if due < silence and begun > self._hushed:
                    writer.write(data)
                    await writer.drain()
        except ConnectionError:
            return  # the other side has left
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _breaks(self, writer: asyncio.StreamWriter) -> None:
        """Return when this connection breaks."""
        while self._chance.random() >= self._weather.resets:
            await asyncio.sleep(1)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()


async def main(port: int, upstream: int, weather: Weather) -> None:
    line = Line(weather, upstream)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, line.hush)
    listener = await asyncio.start_server(line.serve, "127.0.0.1", port)
    await listener.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), Weather(**json.loads(sys.argv[3]))))
