"""Looks at a server from outside and says what a proxy in front of it breaks.

What belongs here: one short visit on each transport. What does not: this machine (``doctor``).
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from .finding import Finding, State

_PATIENCE = 3.0  # seconds for a first event, which a server that nothing buffers sends at once
_HOLD = 5  # seconds that a long poll is held here
_SLOW = 15.0  # seconds for an answer

_BUFFERED = "nginx: proxy_buffering off; for this location (see docs/nginx.conf)"
_UPGRADE = (
    "nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;"
    " proxy_set_header Connection $connection_upgrade; (see docs/nginx.conf)"
)
_HOST = "nginx: proxy_set_header Host $http_host;"
_TIMEOUT = "nginx: proxy_read_timeout 75s; others: let a request be silent for 60 s at least"
_KEY = "give --api-key or PUSH_API_KEYS one of the server's keys"


def look(url: str, api_key: str | None) -> Iterator[Finding]:
    """Return the findings about the server at ``url``, as they are made.

    Raises:
        ValueError: it is no URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"url: got {url!r}, expected http://HOST[:PORT] or https://…")
    return _Visit(url, api_key).findings()


class _Visit:
    def __init__(self, url: str, api_key: str | None) -> None:
        self._parts = urlsplit(url)
        self._prefix = self._parts.path.rstrip("/") or "/push"
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._channel = f"demo:doctor-{secrets.token_hex(4)}"  # that nobody publishes to

    def findings(self) -> Iterator[Finding]:
        try:
            reply, body = self._ask(self._path("poll"))
        except (OSError, HTTPException) as error:
            found = f"no answer from {self._parts.geturl()}: {error}"
            change = "is it started, does it listen there, does the proxy know it?"
            yield Finding(State.BAD, "reachable", found, change)
            return
        cursor = _member(body, "cursor")
        if reply.status != 200 or cursor is None:
            yield _refused(reply, body)
            return
        yield Finding(State.OK, "reachable", f"{self._parts.geturl()} answers")
        if self._headers:
            yield Finding(State.OK, "api key", "the server knows it")
        yield self._ready()
        yield _version(reply)
        yield _headers(reply)
        checks: list[tuple[str, Callable[[], Finding]]] = [
            ("long polling", lambda: self._long_poll(cursor)),
            ("SSE", self._sse),
            ("WebSocket", self._websocket),
        ]
        for name, check in checks:
            try:
                yield check()
            except (OSError, HTTPException) as error:
                yield Finding(State.BAD, name, f"it broke off: {error!r}", _TIMEOUT)

    # -- one check each ------------------------------------------------------------------------

    def _ready(self) -> Finding:
        reply, body = self._ask("/readyz")
        if reply.status == 200:
            checks = _member(body, "checks") or {}
            return Finding(State.OK, "ready", str(checks.get("log", "yes")))
        if reply.status == 503:
            found = str(_member(body, "title") or "it says no")
            return Finding(State.BAD, "ready", found, "pushapp doctor on its machine says more")
        return Finding(State.OK, "ready", f"/readyz: {reply.status}, so it is inside another app")

    def _long_poll(self, cursor: str) -> Finding:
        began = time.monotonic()
        reply, _ = self._ask(self._path("longpoll", cursor=cursor, timeout=_HOLD))
        took = time.monotonic() - began
        if reply.status != 200:
            found = f"{reply.status} after {took:.1f} s instead of an answer after {_HOLD} s"
            return Finding(State.BAD, "long polling", found, _TIMEOUT)
        if took < _HOLD - 1:
            found = f"the answer came after {took:.1f} s instead of {_HOLD}"
            return Finding(State.WARN, "long polling", found, "is the server about to end?")
        return Finding(State.OK, "long polling", f"held {took:.1f} s, as asked for")

    def _sse(self) -> Finding:
        connection = self._connect(_PATIENCE)
        try:
            headers = {**self._headers, "Accept": "text/event-stream", "Accept-Encoding": "gzip"}
            connection.request("GET", self._path("sse"), headers=headers)
            try:
                reply = connection.getresponse()
                coding = reply.getheader("Content-Encoding")
                line = reply.readline() if reply.status == 200 and not coding else b""
            except TimeoutError:
                found = f"nothing came within {_PATIENCE:.0f} s: something buffers the stream"
                return Finding(State.BAD, "SSE", found, _BUFFERED)
            if reply.status != 200:
                return Finding(State.BAD, "SSE", f"status {reply.status}", _BUFFERED)
            if coding:
                change = "leave text/event-stream out of gzip_types and its like"
                return Finding(State.BAD, "SSE", f"a proxy compresses it ({coding})", change)
            if not line:
                return Finding(State.BAD, "SSE", "the stream ended at once", _BUFFERED)
            return Finding(State.OK, "SSE", "the first event came at once")
        finally:
            connection.close()

    def _websocket(self) -> Finding:
        name = "WebSocket"
        origin = f"{self._parts.scheme}://{self._parts.netloc}"
        status, first = self._shake_hands({"Origin": origin})
        if status == 403 and self._shake_hands({})[0] == 101:
            found = "a page's own origin is foreign to the server: the Host header does not pass"
            return Finding(State.BAD, name, found, _HOST)
        if status != 101:
            return Finding(State.BAD, name, f"{status} instead of 101", _UPGRADE)
        if b"welcome" not in first:
            found = "upgraded, and then nothing came"
            return Finding(State.BAD, name, found, _UPGRADE)
        return Finding(State.OK, name, "upgraded, and the first frame came at once")

    def _shake_hands(self, headers: dict[str, str]) -> tuple[int, bytes]:
        """Return the status, and the beginning of what follows."""
        connection = self._connect(_PATIENCE)
        try:
            headers = headers | self._headers
            headers |= {"Connection": "Upgrade", "Upgrade": "websocket"}
            headers |= {"Sec-WebSocket-Version": "13"}
            headers |= {"Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode()}
            connection.request("GET", self._path("ws"), headers=headers)
            socket = connection.sock
            data = b""
            try:
                while b"welcome" not in data and (chunk := socket.recv(4096)):
                    data += chunk
                    if b"\r\n\r\n" in data and b" 101 " not in data.split(b"\r\n")[0]:
                        break
            except TimeoutError:
                pass  # what came until now says enough
            words = data.split(None, 2)
            status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
            return status, data.partition(b"\r\n\r\n")[2]
        finally:
            connection.close()

    # -- asking --------------------------------------------------------------------------------

    def _path(self, transport: str, **params: object) -> str:
        query = urlencode({"channels": self._channel, **params}, safe=":")
        return f"{self._prefix}/{transport}?{query}"

    def _connect(self, timeout: float) -> HTTPConnection:
        kind = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        connection = kind(str(self._parts.hostname), self._parts.port, timeout=timeout)
        connection.connect()
        return connection

    def _ask(self, path: str) -> tuple[HTTPResponse, bytes]:
        connection = self._connect(_SLOW)
        try:
            connection.request("GET", path, headers={**self._headers, "Connection": "close"})
            reply = connection.getresponse()
            return reply, reply.read()
        finally:
            connection.close()


def _member(body: bytes, name: str) -> Any:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    return answer.get(name) if isinstance(answer, dict) else None


def _refused(reply: HTTPResponse, body: bytes) -> Finding:
    title = _member(body, "title")
    if title is None:
        where = reply.getheader("Location")
        found = f"{reply.status} {reply.reason}, and not from a push server"
        found += f": it redirects to {where}" if where else ""
        return Finding(State.BAD, "reachable", found, "is it the right address, and prefix?")
    if reply.status in (401, 403):
        return Finding(State.BAD, "api key", f"{reply.status} {title}", _KEY)
    change = "pushapp doctor on its machine says more"
    return Finding(State.BAD, "reachable", f"{reply.status} {title}", change)


def _version(reply: HTTPResponse) -> Finding:
    if reply.version >= 11:
        return Finding(State.OK, "HTTP", "1.1")
    found = "1.0: every question takes a connection of its own, and WebSocket cannot pass"
    return Finding(State.WARN, "HTTP", found, "nginx: proxy_http_version 1.1;")


def _headers(reply: HTTPResponse) -> Finding:
    names = ("Server", "Via", "X-Cache", "CF-Ray", "X-Served-By")
    seen = [f"{name}: {value}" for name in names if (value := reply.getheader(name))]
    way = "; ".join(seen) or "no proxy names itself"
    if "no-store" not in reply.getheader("Cache-Control", ""):
        change = "let the proxy leave Cache-Control: no-store as it is"
        return Finding(State.BAD, "headers", f"answers may be cached on the way ({way})", change)
    return Finding(State.OK, "headers", way)
