"""Publish what really happens on this machine: its own figures, and lines as they are written.

What belongs here: reading them, and repeating what was not acknowledged. What does not: how a
publish travels (``client``), and options of a command (``cli``).

``system`` publishes to ``demo:system``, every second, as the retained value with a ttl of 10 s:

    {"cpu": 12.5, "cores": [10.0, 15.0],                           percent
     "memory": {"percent": 41.0, "used": 4294967296, "total": …},  bytes
     "disk": {"percent": 63.1, "read": 0, "write": 8192},          percent full; bytes a second
     "net": {"sent": 1024, "received": 2048},                      bytes a second
     "load": [0.31, 0.28, 0.22]}                                   over 1, 5 and 15 minutes

(null where a machine does not tell). ``follow`` publishes ``{"line": "text"}`` for each line, and
``{"line": "its start", "cut": 1234}`` where that many bytes of a long one were left out.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import psutil

from .errors import PublishFailed

LINE_BYTES = 8192  # as JSON it is at most six times that, below PUSH_MAX_MESSAGE's default
_BATCH = 500  # lines in one publish
_CHUNK = 65536  # bytes read at once
_LOOK_AGAIN = 0.2  # seconds between looks at a file that does not grow
_TRY_AGAIN = 1.0  # seconds between tries, beside the client's own
_TTL = 10  # seconds after which a figure is no news

_log = logging.getLogger(__name__)


class Publish(Protocol):
    """``Client.publish``."""

    def __call__(self, channel: str, data: object, *, ttl: float, retain: bool) -> object: ...


class PublishBatch(Protocol):
    """``Client.publish_batch``."""

    def __call__(self, messages: list[dict[str, Any]], idempotency_key: str) -> object: ...


def system(
    publish: Publish,
    interval: float = 1.0,
    channel: str = "demo:system",
    goes_on: Callable[[], bool] = lambda: True,
) -> None:
    """Publish this machine's figures every ``interval`` seconds while ``goes_on``.

    Figures that could not be published are dropped: newer ones follow.

    Raises:
        PublishFailed: the server refuses them.
    """
    machine = _Machine()
    due = time.monotonic()
    away = False
    while True:
        due = max(due + interval, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))  # it may have come due since the line above
        if not goes_on():
            return
        try:
            publish(channel, machine.figures(), ttl=_TTL, retain=True)
            away = False
        except PublishFailed as error:
            away = _note(error, away)


def follow(
    publish_batch: PublishBatch,
    chunks: Iterable[bytes | None],
    channel: str,
    goes_on: Callable[[], bool] = lambda: True,
) -> None:
    """Publish each line of ``chunks`` to ``channel``, those that come together in one batch.

    A batch is repeated under one key until it is acknowledged, so that over a restart of the
    server no line is lost and none is doubled (the log knows a key for 5 minutes).

    Raises:
        PublishFailed: the server refuses them.
    """
    lines = _Lines()
    for chunk in chunks:
        _publish_lines(publish_batch, lines.split(chunk), channel, goes_on)
    _publish_lines(publish_batch, lines.split(None), channel, goes_on)


def written_to(path: str, goes_on: Callable[[], bool] = lambda: True) -> Iterator[bytes | None]:
    """Return an iterator over what is written to the file from now on, while ``goes_on``.

    Follows the name: a file that was rotated away is read to its end, then the new one from its
    start. None stands where one file, or one life of a truncated file, ends.

    Raises:
        OSError: it cannot be read.
    """
    stream = open(path, "rb", buffering=0)
    stream.seek(0, os.SEEK_END)
    return _written(path, stream, goes_on)


def read_from(descriptor: int) -> Iterator[bytes]:
    """Return what comes on a pipe or terminal, as it comes, to its end."""
    while chunk := os.read(descriptor, _CHUNK):
        yield chunk


def while_parent(pid: int | None) -> Callable[[], bool]:
    """Return what tells whether the process ``pid`` is still this one's parent. None: always."""
    return lambda: pid is None or os.getppid() == pid


def _written(path: str, stream: Any, goes_on: Callable[[], bool]) -> Iterator[bytes | None]:
    try:
        while goes_on():
            if chunk := stream.read(_CHUNK):
                yield chunk
            elif _is_replaced(path, stream):
                while chunk := stream.read(_CHUNK):  # written between the look and the rename
                    yield chunk
                yield None
                stream.close()
                stream = open(path, "rb", buffering=0)
            elif os.fstat(stream.fileno()).st_size < stream.tell():  # truncated
                yield None
                stream.seek(0)
            else:
                time.sleep(_LOOK_AGAIN)
    finally:
        stream.close()


def _is_replaced(path: str, stream: Any) -> bool:
    """Tell whether another file has the name now, with something in it: until then the writer
    may still hold the old one."""
    try:
        now = os.stat(path)
    except FileNotFoundError:  # between the two steps of a rotation
        return False
    return now.st_size > 0 and not os.path.samestat(now, os.fstat(stream.fileno()))


class _Lines:
    """Cuts chunks into lines, and holds the beginning of the one that has not ended."""

    def __init__(self) -> None:
        self._begun = bytearray()
        self._cut = 0  # bytes of it left out

    def split(self, chunk: bytes | None) -> list[dict[str, object]]:
        """Return the lines that end in ``chunk``; None ends the last one."""
        if chunk is None:
            return [self._take()] if self._begun else []
        *ends, begin = chunk.split(b"\n")
        lines = []
        for end in ends:
            self._add(end)
            lines.append(self._take())
        self._add(begin)
        return lines

    def _add(self, piece: bytes) -> None:
        room = LINE_BYTES - len(self._begun)
        self._begun += piece[:room]
        self._cut += max(0, len(piece) - room)

    def _take(self) -> dict[str, object]:
        text = bytes(self._begun).removesuffix(b"\r").decode("utf-8", "replace")
        data: dict[str, object] = {"line": text}
        if self._cut:
            data["cut"] = self._cut
        self._begun.clear()
        self._cut = 0
        return data


def _publish_lines(
    publish_batch: PublishBatch,
    lines: list[dict[str, object]],
    channel: str,
    goes_on: Callable[[], bool],
) -> None:
    for start in range(0, len(lines), _BATCH):
        messages: list[dict[str, Any]]
        messages = [{"channel": channel, "data": d} for d in lines[start : start + _BATCH]]
        key, away = secrets.token_urlsafe(16), False
        while goes_on():
            try:
                publish_batch(messages, key)
                break
            except PublishFailed as error:
                away = _note(error, away)
                time.sleep(_TRY_AGAIN)


def _note(error: PublishFailed, away: bool) -> bool:
    """Log an outage once; raise what will not pass."""
    if not error.may_pass:
        raise error
    if not away:
        _log.warning("%s; going on when it answers again", error)
    return True


class _Machine:
    """Reads the figures; rates are those since the last reading."""

    def __init__(self) -> None:
        self._before = time.monotonic(), _counters()
        psutil.cpu_percent(percpu=True)  # the first reading says nothing: later ones compare to it

    def figures(self) -> dict[str, Any]:
        """Return the figures as they are now."""
        cores = psutil.cpu_percent(percpu=True)
        memory = psutil.virtual_memory()
        read, write, sent, received = self._rates()
        return {
            "cpu": round(sum(cores) / len(cores), 1),
            "cores": cores,
            "memory": {
                "percent": memory.percent,
                "used": memory.total - memory.available,
                "total": memory.total,
            },
            "disk": {"percent": psutil.disk_usage("/").percent, "read": read, "write": write},
            "net": {"sent": sent, "received": received},
            "load": [round(n, 2) for n in os.getloadavg()],
        }

    def _rates(self) -> list[int | None]:
        (then, before), self._before = self._before, (time.monotonic(), _counters())
        now, counters = self._before
        return [
            None if new is None or old is None else max(0, round((new - old) / (now - then)))
            for new, old in zip(counters, before, strict=True)
        ]


def _counters() -> list[int | None]:
    """Return bytes read, written, sent and received since the machine started."""
    disk, net = psutil.disk_io_counters(), psutil.net_io_counters()
    return [
        getattr(counters, name, None)  # there are no counters where there is no disk, or no network
        for counters, names in (
            (disk, ("read_bytes", "write_bytes")),
            (net, ("bytes_sent", "bytes_recv")),
        )
        for name in names
    ]
