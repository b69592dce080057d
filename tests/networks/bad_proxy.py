"""A proxy that does to HTTP what bad networks do; a program of its own.

    python -m tests.networks.bad_proxy PORT PORT_OF_THE_SERVER '{"cuts_after": 15}'

What belongs here: faults that nginx and haproxy cannot be told to have. What does not: faults of
the line below HTTP (``bad_line``).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any

from .http_side import Head, Side

#: What a router says where an app takes too long: not JSON, and no word of when to come back.
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html\r\nContent-Length: 26\r\n"
    b"Connection: close\r\n\r\n<h1>Application error</h1>"
)
_LOGIN = (
    b"HTTP/1.1 %d Login\r\nContent-Type: text/html\r\nContent-Length: 18\r\n"
    b"Connection: close\r\n\r\n<h1>Log in.</h1>\r\n"
)
_ADDED = [
    ("X-Forwarded-For", "203.0.113.7"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Port", "80"),
    ("Via", "1.1 router"),
    ("Connect-Time", "1"),
    ("Total-Route-Time", "0"),
]


@dataclass(frozen=True)
class Faults:
    """What it does; nothing, as it comes. Times are in seconds, 0 is never."""

    strips_upgrade: bool = False  # hands a request to upgrade on as an ordinary one
    swallows_frames: bool = False  # hands 101 on, then nothing, either way
    holds_answers: bool = False  # hands an answer on when it has ended
    hangs_posts: bool = False  # never answers a POST
    speaks_http_1_0: bool = False  # to both sides
    adds_headers: bool = False  # those of a router in front of many apps
    answers: int = 0  # all by itself, with this status and a page of its own
    cuts_after: float = 0  # ends each request, and with it the connection, after so long
    first_byte: float = 0  # answers 503 itself where the server's answer begins later
    idle: float = 0  # ends a connection on which an answer has begun and then paused for so long


class Exchange:
    """Requests and their answers, one after the other, between a browser and the server."""

    def __init__(self, faults: Faults, browser: Side, server: Side) -> None:
        self._faults, self._browser, self._server = faults, browser, server

    async def run(self) -> bool:
        """Hand one request on, and its answer back; return whether another one may follow.

        Raises:
            EOFError, ConnectionError: a side has left.
            TimeoutError: it has taken too long for this proxy.
        """
        request = await self._browser.head()
        # one limit for the whole of it, one that each byte of the answer moves on
        async with asyncio.timeout(self._faults.cuts_after or None), asyncio.timeout(None) as idle:
            self._idle = idle
            body = await self._browser.exactly(int(request.get("content-length") or 0))
            if self._faults.answers:
                await self._browser.write(_LOGIN % self._faults.answers)
                return False
            if self._faults.hangs_posts and request.words[0] == "POST":
                await self._while_browser_stays(asyncio.Event().wait())
            self._edit_request(request)
            await self._server.write(request.encode() + body)
            try:
                answer = await self._while_browser_stays(self._head())
            except TimeoutError:
                await self._browser.write(_BUSY)
                return False
            self._passes()
            if answer.words[1] == "101":
                await self._tunnel(answer)
                return False
            await self._while_browser_stays(self._hand_on(answer))
            return "close" not in answer.get("connection")

    async def _while_browser_stays(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Await ``work``, unless the browser leaves: then nobody waits for its end."""
        working = asyncio.ensure_future(work)
        watching = asyncio.ensure_future(self._browser.more())  # a next request may come early
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                watching.result()
            return await working
        finally:
            working.cancel()
            watching.cancel()
            await asyncio.gather(working, watching, return_exceptions=True)

    async def _head(self) -> Head:
        async with asyncio.timeout(self._faults.first_byte or None):
            return await self._server.head()

    def _passes(self) -> None:
        """Note that a byte has passed, which is what an idle limit waits for."""
        if self._faults.idle:
            self._idle.reschedule(asyncio.get_running_loop().time() + self._faults.idle)

    def _edit_request(self, request: Head) -> None:
        if self._faults.strips_upgrade or self._faults.speaks_http_1_0:
            request.drop("upgrade", "connection")
        if self._faults.speaks_http_1_0:
            request.words[2] = "HTTP/1.0"
        if self._faults.adds_headers:
            now = str(int(time.time() * 1000))
            request.headers += [("X-Request-ID", str(uuid.uuid4())), ("X-Request-Start", now)]
            request.headers += _ADDED

    async def _tunnel(self, answer: Head) -> None:
        """Carry a WebSocket's bytes until a side leaves."""
        await self._browser.write(answer.encode())
        pumps = [
            asyncio.ensure_future(self._pump(self._browser, self._server)),
            asyncio.ensure_future(self._pump(self._server, self._browser)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, source: Side, target: Side) -> None:
        while data := await source.piece():
            self._passes()
            if not self._faults.swallows_frames:
                await target.write(data)

    async def _hand_on(self, answer: Head) -> None:
        """Hand an answer on in this proxy's own framing."""
        pieces = self._server.body(answer)
        answer.drop("transfer-encoding")
        if self._faults.holds_answers:
            whole = b"".join([piece async for piece in pieces])
            pieces = _once(whole)
            answer.drop("content-length")
            answer.headers.append(("Content-Length", str(len(whole))))
        if self._faults.adds_headers:
            answer.headers.append(("Via", "1.1 router"))
        if self._faults.speaks_http_1_0:
            answer.words[0] = "HTTP/1.0"
            answer.drop("connection")
            answer.headers.append(("Connection", "close"))
        chunked = not (self._faults.speaks_http_1_0 or answer.get("content-length"))
        chunked = chunked and answer.words[1] not in ("204", "304")
        if chunked:
            answer.headers.append(("Transfer-Encoding", "chunked"))
        await self._browser.write(answer.encode())
        async for piece in pieces:
            self._passes()
            await self._browser.write(_chunk(piece) if chunked else piece)
        if chunked:
            await self._browser.write(_chunk(b""))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data


async def _serve(faults: Faults, upstream: int, browser: Side) -> None:
    """Serve one connection of a browser's."""
    try:
        server = Side(*await asyncio.open_connection("127.0.0.1", upstream))
    except ConnectionError:
        return browser.reset()  # the server is down
    try:
        exchange = Exchange(faults, browser, server)
        while await exchange.run():
            pass
        browser.close()
    except (EOFError, ConnectionError, TimeoutError):
        browser.reset()
    finally:
        server.reset()


async def main(port: int, upstream: int, faults: Faults) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _serve(faults, upstream, Side(reader, writer))

    listener = await asyncio.start_server(accept, "127.0.0.1", port)
    await listener.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), Faults(**json.loads(sys.argv[3]))))
