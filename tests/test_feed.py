"""``feed``: this machine's figures, and every line once, over rotation and restarts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pushapp import feed
from pushapp.client import Client
from pushapp.errors import PublishFailed, RequestFailed

from .server import API_KEY, ROOT, Server, until
from .wire import TIMEOUT

PUSHAPP = [sys.executable, "-m", "pushapp.cli"]
AWAY = RequestFailed(503, "the log cannot be written", "")
REFUSED = RequestFailed(401, "who are you", "")


class Log:
    """Takes batches as a server does, and fails first as it is told to.

    A step is an error, or (error, True) where the batch was taken and only the answer got lost.
    """

    def __init__(self, *steps: Any) -> None:
        self.steps = list(steps)
        self.calls: list[tuple[list[dict[str, Any]], str]] = []
        self.data: list[Any] = []
        self._keys: set[str] = set()

    def __call__(self, messages: list[dict[str, Any]], idempotency_key: str) -> None:
        self.calls.append((messages, idempotency_key))
        failure, taken = None, True
        if self.steps:
            step = self.steps.pop(0)
            failure, taken = step if isinstance(step, tuple) else (step, False)
        if taken and idempotency_key not in self._keys:
            self._keys.add(idempotency_key)
            self.data += [message["data"] for message in messages]
        if failure is not None:
            raise PublishFailed(failure, idempotency_key)

    @property
    def lines(self) -> list[str]:
        return [data["line"] for data in self.data]


# -- lines -----------------------------------------------------------------------------------------


def lines_of(*chunks: bytes | None) -> list[dict[str, Any]]:
    log = Log()
    feed.follow(log, chunks, "demo:log")
    return log.data


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"a\nb\n"], ["a", "b"]),
        ([b"a", b"b\nc", b"\n"], ["ab", "c"]),
        ([b"a\r\n", b"\n"], ["a", ""]),
        ([b"no end"], ["no end"]),
        ([b"of the old file", None, b"of the new\n"], ["of the old file", "of the new"]),
        ([b"\xc3", b"\xa4\n"], ["ä"]),
        ([b"\xff\xfe bytes\n"], ["\ufffd\ufffd bytes"]),
        ([], []),
    ],
)
def test_chunks_are_cut_into_lines(chunks: list[bytes | None], lines: list[str]) -> None:
    """However the bytes come: split within a line or a character, or not UTF-8 at all."""
    assert [data["line"] for data in lines_of(*chunks)] == lines


def test_a_long_line_is_cut_with_a_mark() -> None:
    """Its start comes, with the number of bytes that were left out; the next line is whole."""
    over = feed.LINE_BYTES + 1000
    long, short = lines_of(b"x" * 5000, b"x" * (over - 5000) + b"\nnext\n")
    assert long == {"line": "x" * feed.LINE_BYTES, "cut": 1000}
    assert short == {"line": "next"}


def test_lines_that_come_together_are_one_publish() -> None:
    """A burst costs one request and not one a line."""
    log = Log()
    feed.follow(log, [b"".join(b"%d\n" % n for n in range(100))], "demo:log")
    assert [len(messages) for messages, _ in log.calls] == [100]
    assert {message["channel"] for message in log.calls[0][0]} == {"demo:log"}


def test_a_batch_stays_below_the_server_limit() -> None:
    """The worst that can be read at once, each byte six as JSON, is below 1 MiB and 1,000."""
    log = Log()
    chunk = (b"\x01" * 8191 + b"\n") * (feed._CHUNK // 8192)
    feed.follow(log, [b"\x01" * 8000, chunk, b"\n" * feed._CHUNK], "d" * 128)
    for messages, _ in log.calls:
        assert len(messages) <= 1000
        assert len(json.dumps({"messages": messages})) < 1 << 20


def test_a_batch_is_repeated_under_its_key_until_it_is_acknowledged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is lost when the server is away, nothing doubled when an answer got lost."""
    monkeypatch.setattr(feed, "_TRY_AGAIN", 0.0)
    log = Log(AWAY, (AWAY, True))
    feed.follow(log, [b"a\n", b"b\n"], "demo:log")
    assert log.lines == ["a", "b"]
    keys = [key for _, key in log.calls]
    assert keys[0] == keys[1] == keys[2] != keys[3]


def test_what_will_not_pass_ends_it() -> None:
    """A wrong key is told, not tried for ever."""
    with pytest.raises(PublishFailed, match="401"):
        feed.follow(Log(REFUSED), [b"a\n"], "demo:log")


# -- a growing file --------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    path.write_bytes(b"before\n")
    return path


@pytest.fixture
def written(path: Path) -> Iterator[Iterator[bytes | None]]:
    chunks = feed.written_to(str(path))
    yield chunks
    chunks.close()  # type: ignore[attr-defined]


def expect(written: Iterator[bytes | None], *chunks: bytes | None) -> None:
    """Check one by one, because after the last one there is nothing to wait for."""
    for chunk in chunks:
        assert next(written) == chunk


def write(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_only_what_is_new_is_read(written: Iterator[bytes | None], path: Path) -> None:
    """What was there before is not news."""
    write(path, b"new\n")
    assert next(written) == b"new\n"


def test_a_rotated_file_is_read_to_its_end(written: Iterator[bytes | None], path: Path) -> None:
    """The rest of the old one, a mark between, then the new one from its start."""
    write(path, b"1\n")
    assert next(written) == b"1\n"
    write(path, b"2")
    path.rename(path.with_suffix(".1"))
    path.write_bytes(b"3\n")
    expect(written, b"2", None, b"3\n")


def test_what_is_written_just_before_a_rotation_is_read(
    written: Iterator[bytes | None], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A last line between the read that found nothing and the look that finds a new file."""
    look = feed._is_replaced

    def late(name: str, stream: Any) -> bool:
        if path.read_bytes() == b"before\n":
            write(path, b"last\n")
            path.rename(path.with_suffix(".1"))
            path.write_bytes(b"new\n")
        return look(name, stream)

    monkeypatch.setattr(feed, "_is_replaced", late)
    expect(written, b"last\n", None, b"new\n")


def test_a_rotation_without_a_new_file_yet(written: Iterator[bytes | None], path: Path) -> None:
    """Between the two steps the writer may still hold the old file."""
    old = path.with_suffix(".1")
    path.rename(old)
    write(old, b"still\n")
    assert next(written) == b"still\n"
    path.write_bytes(b"new\n")
    expect(written, None, b"new\n")


def test_a_truncated_file_is_read_from_its_start(
    written: Iterator[bytes | None], path: Path
) -> None:
    """As ``copytruncate`` and ``> file`` do."""
    write(path, b"a long line before\n")
    assert next(written) == b"a long line before\n"
    path.write_bytes(b"x\n")
    expect(written, None, b"x\n")


def test_it_ends_when_told_to(path: Path) -> None:
    """Nobody is left behind: the loop looks whether it goes on."""
    assert list(feed.written_to(str(path), lambda: False)) == []


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Said at once, not at the first line."""
    with pytest.raises(FileNotFoundError):
        feed.written_to(str(tmp_path / "none"))


def test_a_parent_that_has_gone_is_noticed() -> None:
    """The server's own feed ends with the server."""
    assert feed.while_parent(None)()
    assert feed.while_parent(os.getppid())()
    assert not feed.while_parent(1 if os.getppid() != 1 else 2)()


# -- figures ---------------------------------------------------------------------------------------


def test_the_figures_are_this_machines() -> None:
    """Published as the retained value with a ttl of 10 s, with the names that the page reads."""
    calls: list[tuple[str, Any, dict[str, Any]]] = []

    def publish(channel: str, data: object, **options: Any) -> None:
        calls.append((channel, data, options))

    feed.system(publish, interval=0.01, goes_on=lambda: len(calls) < 3)
    assert len(calls) == 3
    channel, data, options = calls[-1]
    assert (channel, options) == ("demo:system", {"ttl": 10, "retain": True})
    json.dumps(data, allow_nan=False)
    assert set(data) == {"cpu", "cores", "memory", "disk", "net", "load"}
    assert 0 <= data["cpu"] <= 100
    assert len(data["cores"]) == os.cpu_count()
    assert 0 < data["memory"]["used"] < data["memory"]["total"]
    assert set(data["memory"]) == {"percent", "used", "total"}
    assert set(data["disk"]) == {"percent", "read", "write"}
    assert set(data["net"]) == {"sent", "received"}
    assert all(rate is None or rate >= 0 for rate in data["net"].values())
    assert len(data["load"]) == 3


def test_a_machine_that_lags_behind_does_not_end_the_feed() -> None:
    """What is due at once, or has been for a while, is published without a wait."""
    calls: list[str] = []
    feed.system(
        lambda channel, data, **_: calls.append(channel), interval=0, goes_on=lambda: len(calls) < 9
    )
    assert len(calls) == 9


def test_the_figures_go_on_after_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    """Old figures are dropped, an outage is one log line, and what will not pass ends it."""
    steps = [AWAY, AWAY, None, AWAY, REFUSED]

    def publish(channel: str, data: object, **options: Any) -> None:
        if step := steps.pop(0):
            raise PublishFailed(step, "key")

    with pytest.raises(PublishFailed, match="401"):
        feed.system(publish, interval=0.01)
    assert len(caplog.records) == 2


# -- the whole -------------------------------------------------------------------------------------


class Feed:
    """A running ``pushapp feed follow``."""

    def __init__(self, server: Server, file: str, channel: str, **options: Any) -> None:
        environ = os.environ | {
            "PYTHONPATH": str(ROOT),
            "PUSH_URL": server.url,
            "PUSH_API_KEYS": API_KEY,
        }
        command = [*PUSHAPP, "feed", "follow", file, "--channel", channel]
        self.process = subprocess.Popen(command, env=environ, **options)

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(TIMEOUT)


def kept(server: Server, channel: str) -> list[str]:
    client = Client(server.url, API_KEY)
    try:
        return [m["data"]["line"] for m in client.history(channel, 1000)]
    finally:
        client.close()


def test_stdin_is_published_line_by_line(server: Server, channel: str) -> None:
    """``… | pushapp feed follow -`` publishes all of it and ends with it."""
    running = Feed(server, "-", channel, stdin=subprocess.PIPE)
    running.process.communicate(b"one\ntwo\nno end", timeout=3 * TIMEOUT)
    assert running.process.returncode == 0
    assert kept(server, channel) == ["one", "two", "no end"]


def test_a_line_on_stdin_is_published_when_it_comes(server: Server, channel: str) -> None:
    """Not when the pipe ends or a buffer is full."""
    running = Feed(server, "-", channel, stdin=subprocess.PIPE)
    assert running.process.stdin is not None
    with running.process.stdin as pipe:
        pipe.write(b"one\n")
        pipe.flush()
        until(lambda: kept(server, channel) == ["one"], "the line is published")
    assert running.process.wait(TIMEOUT) == 0


def test_a_restart_of_the_server_loses_and_doubles_no_line(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    """A file that grows all the while: killed, and started again, the server has each line once."""
    server, channel, path = make_server(WEB_CONCURRENCY=1), "public:feed", tmp_path / "app.log"
    path.touch()
    running = Feed(server, str(path), channel)
    written, go_on = 0, threading.Event()

    def write_lines() -> None:
        nonlocal written
        while not go_on.wait(0.005):
            write(path, b"%d\n" % written)
            written += 1

    writer = threading.Thread(target=write_lines)
    writer.start()
    try:
        until(lambda: kept(server, channel), "the feed has begun")
        for end in (server.kill, server.stop):
            before = written
            until(lambda before=before: written > before + 20, "lines come")
            end()
            server.start()
    finally:
        go_on.set()
        writer.join(TIMEOUT)
    last = str(written - 1)
    lines = until(lambda: (k := kept(server, channel)) and k[-1] == last and k, "the last line", 30)
    assert running.end() == -15
    first = int(lines[0])
    assert lines == [str(n) for n in range(first, written)]
