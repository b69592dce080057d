"""What it takes to lift a connection off gunicorn, and to set it down again.

What belongs here: what has to be known of gunicorn's responses and sockets, as small pieces. What
does not: when it is done (``yard``).
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

from gunicorn.glogging import Logger

from .handover import Head, Mark

_MARKS: dict[str, Mark] = {"content-length": "Content-Length", "etag": "ETag"}

log = logging.getLogger(__name__)


class Begun:
    """A generator's result, whose first step decides whether the client is parked."""

    def __init__(self, result: Any, finish: Callable[[], None]) -> None:
        self._result, self._finish = result, finish

    def __iter__(self) -> Iterator[bytes]:
        # gunicorn calls iter() outside of any "for" step, so a StopIteration from here gets
        # through to where it closes the connection.
        first = list(_one(self._result))
        self._finish()
        return _chain(first, self._result)

    def close(self) -> None:
        self._result.close()


def _one(iterator: Any) -> Iterator[bytes]:
    for item in iterator:
        yield item
        return


def _chain(first: list[bytes], rest: Any) -> Iterator[bytes]:
    yield from first
    yield from rest


class Named:
    """A listener's name, which gunicorn asks for as each connection begins: also for one that was
    accepted just before the listener was closed, and has its turn after that."""

    def __init__(self, listener: Any) -> None:
        self._name = listener.getsockname()

    def getsockname(self) -> Any:
        return self._name


class Idle:
    """Stands in for the socket in gunicorn's reader: when the next request is to be read, the
    connection is lifted off instead, and gunicorn finds that it has ended."""

    def __init__(self, client: Any, lift: Callable[[int], None]) -> None:
        self._client, self._lift = client, lift

    def recv(self, size: int) -> bytes:
        self._lift(self._client.detach())
        return b""


_Fields = tuple[bytes, tuple[bytes, ...], tuple[Mark, ...], bool, bool]

_heads: dict[_Fields, Head] = {}
_HEADS = 256  # distinct heads remembered; most waiting clients share one, and so their answers


def head_of(response: Any, *, etag: bool = True) -> Head:
    """Return the head of gunicorn's ``response``, as the app and its middlewares made it.

    ``etag``: an answer with a body has one, also where this one has none."""
    parts, marks = [""], list[Mark]()
    for name, value in response.headers:
        mark = _MARKS.get(name.lower())
        if mark is not None and mark not in marks:
            marks.append(mark)
            parts.append("")
        elif name.lower() not in ("connection", "transfer-encoding", *_MARKS):
            parts[-1] += f"{name}: {value}\r\n"
    for mark in _MARKS.values():
        if mark == "ETag" and not etag:
            continue
        if mark not in marks and response.status_code != 304:  # which has no length
            marks.append(mark)
            parts.append("")
    http11 = response.req.version > (1, 0)
    first = f"HTTP/1.{int(http11)} {response.status}\r\nServer: {response.version}\r\n"
    # HTTP/1.0 with keep-alive: its clients rely on the end of the connection often enough
    keep = http11 and not response.should_close()
    fields = tuple(part.encode("latin-1") for part in parts)
    made = first.encode("latin-1"), fields, tuple(marks), http11, keep
    if len(_heads) >= _HEADS:
        _heads.clear()
    head = _heads.get(made)
    if head is None:
        head = _heads[made] = Head(*made[:3], http11=http11, keep=keep)
    return head


def is_unseen(worker: Any) -> bool:
    """Tell whether gunicorn has nothing to do about a single request: it writes no access log,
    counts nothing, reads nothing in front of requests, and calls no hook but ours. Else it must see
    them all."""
    cfg = worker.cfg
    hooks = {hook.__module__.partition(".")[0] for hook in (cfg.pre_request, cfg.post_request)}
    logs = cfg.accesslog or cfg.logconfig or cfg.logconfig_dict or cfg.logconfig_json or cfg.syslog
    counts = type(worker.log).access is not Logger.access  # statsd's, or somebody's own
    reads = cfg.is_ssl or cfg.proxy_protocol != "off"
    return not (logs or counts or reads or not cfg.keepalive or hooks - {"gunicorn", __package__})


UNREAD = 32768  # bytes of a body that nobody has read, which gunicorn may read to keep a connection


def is_unread(body: Any) -> bool:
    """Tell whether more of gunicorn's ``body`` may come than that."""
    left = getattr(body.reader, "length", None)
    if left is not None:
        return bool(left > UNREAD)
    return getattr(body.reader, "parser", None) is not None  # in chunks: nobody knows how many


def is_read(body: Any) -> bool:
    """Tell whether nothing more of gunicorn's ``body`` is to come."""
    return getattr(body.reader, "length", None) == 0


def end_reading(client: Any) -> None:
    """Make gunicorn find no further request on a connection."""
    try:
        # on the socket beneath: gevent's own would raise in the greenlet that is reading
        client._sock.shutdown(socket.SHUT_RD)
    except OSError as error:
        log.debug("it has ended already: %s", error)
