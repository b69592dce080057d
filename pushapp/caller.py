"""One JSON request to a push server, tried until it is answered or the time is up.

What belongs here: connections, retries and what a refusal looks like, on the standard library
alone. What does not: what is asked (``client``).
"""

from __future__ import annotations

import os
import random
import time
from collections import deque
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from itertools import count
from json import loads
from logging import getLogger
from typing import Any
from urllib.parse import urlencode, urlsplit

from .errors import RequestFailed

_LOG = getLogger(__name__)
_FIRST_WAIT = 0.1  # seconds before the second try; doubles with each
_LONGEST_WAIT = 5.0  # seconds between tries at most
_KEPT_OPEN = 10.0  # seconds a connection is used again; servers and proxies close after 15 or more


class Caller:
    """Makes requests to one server; may be shared by threads."""

    def __init__(self, url: str, api_key: str | None, timeout: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url: got {url!r}, expected http://HOST[:PORT] or https://…")
        self._url, self._timeout = url, timeout
        self._connection = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/") or "/push"
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._idle: deque[tuple[float, HTTPConnection]] = deque()
        self._pid = os.getpid()

    def close(self) -> None:
        """Close the connections that are kept open; it may be used again."""
        while idle := self._pop_idle():
            idle[1].close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        form: Mapping[str, str] | None = None,
        hold: float = 0.0,  # seconds that the server may take before it answers
        deadline: float | None = None,  # monotonic; None: the client's timeout from now
    ) -> dict[str, Any]:
        """Return the JSON object of the answer; try again until ``deadline`` where that may help.

        Raises:
            RequestFailed: the last failure.
        """
        headers = {**self._headers, "Content-Type": "application/json"}
        if form is not None:
            body = urlencode(form).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        until = time.monotonic() + self._timeout if deadline is None else deadline
        for tries in count():
            # Half of what is left, so that one silent worker does not eat up the time of all tries.
            left = min(max((until - time.monotonic()) / 2, 0.5), self._timeout) + hold
            failure, wait = None, 0.0
            try:
                status, reason, reply, answer = self._exchange(method, path, body, headers, left)
            except (OSError, HTTPException) as error:
                failure = RequestFailed(None, f"no answer from {self._url}", _reason(error))
            else:
                if status < 300 and isinstance(answer, dict):
                    return answer
                failure, wait = _refusal(status, reason, reply, answer), _retry_after(reply)
            wait += random.uniform(0.5, 1) * min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(tries, 10))
            if not failure.may_pass or time.monotonic() + wait > until:
                raise failure
            if deadline is not None and not tries:
                _LOG.warning("%s; trying again until it answers", failure)
            time.sleep(wait)
        raise AssertionError("unreachable")

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout: float
    ) -> tuple[int, str, HTTPResponse, object]:
        connection = self._take(timeout)
        try:
            try:
                connection.request(method, self._prefix + path, body, dict(headers))
            except (BrokenPipeError, ConnectionResetError):
                if connection.sock is None:
                    raise
                # It may have refused a body without reading it all: its answer says why.
            reply = connection.getresponse()
            text = reply.read()
        except BaseException:  # a half-read connection must not serve the next request
            connection.close()
            raise
        if connection.sock is not None:  # None: the server wants it closed
            self._idle.append((time.monotonic(), connection))
        try:
            answer = loads(text)
        except ValueError:
            answer = None
        return reply.status, reply.reason, reply, answer

    def _take(self, timeout: float) -> HTTPConnection:
        """Return a connection that was used just now, else a new one."""
        if self._pid != os.getpid():  # forked: the parent still uses those sockets
            self._pid, self._idle = os.getpid(), deque()
        while idle := self._pop_idle():
            used, connection = idle
            if time.monotonic() - used < _KEPT_OPEN and connection.sock is not None:
                connection.sock.settimeout(timeout)
                return connection
            connection.close()
        return self._connection(self._host, self._port, timeout=timeout)

    def _pop_idle(self) -> tuple[float, HTTPConnection] | None:
        try:
            return self._idle.pop()
        except IndexError:  # asking first would race with another thread
            return None


def _refusal(status: int, reason: str, reply: HTTPResponse, answer: object) -> RequestFailed:
    if isinstance(answer, dict) and "title" in answer:  # RFC 9457
        return RequestFailed(status, str(answer["title"]), str(answer.get("detail", "")))
    if location := reply.getheader("Location"):
        return RequestFailed(status, reason, f"it redirects to {location}: use that address")
    return RequestFailed(status, reason, "this does not look like a push server's answer")


def _retry_after(reply: HTTPResponse) -> float:
    text = reply.getheader("Retry-After", "")
    return float(text) if text.isdecimal() else 0.0  # a date: our own backoff will do


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    text = error.strerror if isinstance(error, OSError) else str(error)
    return text or str(error) or type(error).__name__
