"""One side of a proxied HTTP connection: heads and bodies, read as they come.

What belongs here: HTTP/1.1's framing. What does not: what a proxy does to it (``bad_proxy``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

_PIECE = 65536


@dataclass
class Head:
    """A request's or an answer's first line and headers; both may be changed."""

    words: list[str]  # of the first line
    headers: list[tuple[str, str]] = field(default_factory=list)

    def get(self, name: str) -> str:
        """Return a header's values in lower case, "" without it."""
        return ", ".join(v for n, v in self.headers if n.lower() == name).lower()

    def drop(self, *names: str) -> None:
        self.headers = [(n, v) for n, v in self.headers if n.lower() not in names]

    def encode(self) -> bytes:
        lines = [" ".join(self.words), *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Side:
    """One end of a connection: a browser, or the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._read = b""  # and not yet taken

    async def more(self) -> None:
        """Wait for more bytes.

        Raises:
            EOFError: there will be none.
        """
        data = await self._reader.read(_PIECE)
        if not data:
            raise EOFError
        self._read += data

    async def piece(self) -> bytes:
        """Return what has come, at least one byte; b"" at the end."""
        if not self._read:
            try:
                await self.more()
            except EOFError:
                return b""
        data, self._read = self._read, b""
        return data

    async def _until(self, mark: bytes) -> bytes:
        while mark not in self._read:
            await self.more()
        data, _, self._read = self._read.partition(mark)
        return data

    async def exactly(self, count: int) -> bytes:
        while len(self._read) < count:
            await self.more()
        data, self._read = self._read[:count], self._read[count:]
        return data

    async def head(self) -> Head:
        first, *lines = (await self._until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = [line.partition(":") for line in lines]
        return Head(first.split(" ", 2), [(name, value.strip()) for name, _, value in pairs])

    async def body(self, head: Head) -> AsyncIterator[bytes]:
        """Give out the body of the answer whose head this is, piece by piece, without framing."""
        if head.words[1] in ("204", "304"):
            return
        if "chunked" in head.get("transfer-encoding"):
            while size := int(await self._until(b"\r\n"), 16):
                yield await self.exactly(size)
                await self.exactly(2)
            await self.exactly(2)
        elif length := head.get("content-length"):
            if data := await self.exactly(int(length)):
                yield data
        else:
            while data := await self.piece():
                yield data

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        """Send what was written, then end it."""
        self._writer.close()

    def reset(self) -> None:
        """End it at once, whatever was on its way."""
        self._writer.transport.abort()
