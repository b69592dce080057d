"""``feed``: every line once and in order, whatever happens to the file or the server."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from pushapp import feed
from pushapp.client import Client
from pushapp.errors import PublishFailed, RequestFailed

from .server import API_KEY, Server
from .wire import TIMEOUT


class Log:
    """Keeps what is published as the real log does: a key that it has seen appends nothing.

    ``answers`` says for each try in turn whether its answer gets through; afterwards all do.
    """

    def __init__(self, *answers: bool) -> None:
        self.lines: list[Any] = []
        self.batches: list[int] = []
        self._answers, self._keys = list(answers), set[str]()

    def __call__(self, messages: list[dict[str, Any]], idempotency_key: str) -> None:
        if idempotency_key not in self._keys:
            self._keys.add(idempotency_key)
            self.lines += [m["data"] for m in messages]
            self.batches.append(len(messages))
        if self._answers and not self._answers.pop(0):
            raise PublishFailed(RequestFailed(None, "no answer", "cut"), idempotency_key)


@pytest.fixture
def following() -> Iterator[Callable[[Path], Queue[Any]]]:
    """Follow files in threads; what is written comes out of a queue, None where a file ends."""
    ended, threads = threading.Event(), []

    def follow(path: Path) -> Queue[Any]:
        queue: Queue[Any] = Queue()
        chunks = feed.written_to(str(path), lambda: not ended.is_set())

        def read() -> None:
            for chunk in chunks:
                queue.put(chunk)

        threads.append(threading.Thread(target=read))
        threads[-1].start()
        return queue

    yield follow
    ended.set()
    for thread in threads:
        thread.join(TIMEOUT)
        assert not thread.is_alive()


def lines_of(*chunks: bytes | None) -> list[Any]:
    log = Log()
    feed.follow(log, chunks, "public:a")
    return log.lines


def test_a_line_may_come_in_parts() -> None:
    """A line is one message however it was written; the last needs no end."""
    assert lines_of(b"one\ntw", b"o\r\n\nthr", b"ee") == [
        {"line": "one"},
        {"line": "two"},
        {"line": ""},
        {"line": "three"},
    ]


def test_a_character_may_come_in_parts() -> None:
    """What is no UTF-8 is replaced; what is cut between two reads is not."""
    assert lines_of(b"\xc3", b"\xa9 \xff\n") == [{"line": "\u00e9 \ufffd"}]


def test_a_long_line_is_cut_and_says_so() -> None:
    """It ends at the limit and tells how many bytes are left out; the next one is whole."""
    at_limit, over = b"x" * feed.LINE_BYTES, b"y" * feed.LINE_BYTES
    first, second, third = lines_of(at_limit + b"\n", over, b"yyy", b"yy\nz\n")
    assert first == {"line": at_limit.decode()}
    assert second == {"line": over.decode(), "cut": 5}
    assert third == {"line": "z"}


def test_the_end_of_a_file_ends_its_line() -> None:
    """What a rotated file ended with is not the beginning of the next file's first line."""
    assert lines_of(b"old", None, b"new\n") == [{"line": "old"}, {"line": "new"}]


def test_lines_that_come_together_are_one_batch() -> None:
    """Not a request a line; and never more in one than a publish may hold."""
    log = Log()
    feed.follow(log, [b"a\n" * 700, b"b\n" * 3], "public:a")
    assert log.batches == [500, 200, 3]
    assert len(log.lines) == 703


def test_an_answer_that_is_lost_neither_loses_nor_doubles() -> None:
    """The batch is repeated under its key until its answer gets through."""
    log = Log(False, False, True, False)
    feed.follow(log, [b"a\nb\n", b"c\n"], "public:a")
    assert log.lines == [{"line": "a"}, {"line": "b"}, {"line": "c"}]


def test_a_refusal_ends_it() -> None:
    """What no repeating can change is raised, and not tried for ever."""

    def refuse(messages: object, idempotency_key: str) -> None:
        raise PublishFailed(RequestFailed(401, "Unauthorized", "no key"), idempotency_key)

    with pytest.raises(PublishFailed, match="401"):
        feed.follow(refuse, [b"a\n"], "public:a")


def test_only_what_is_written_from_now_on(
    tmp_path: Path, following: Callable[[Path], Queue[Any]]
) -> None:
    """What the file held before is not news."""
    path = tmp_path / "log"
    path.write_bytes(b"old\n")
    written = following(path)
    with path.open("ab") as file:
        file.write(b"new\n")
    assert written.get(timeout=TIMEOUT) == b"new\n"


def test_a_rotated_file_is_read_to_its_end(
    tmp_path: Path, following: Callable[[Path], Queue[Any]]
) -> None:
    """The old one's last words come first, also when written after the rename; then all of the
    new one."""
    path = tmp_path / "log"
    path.touch()
    written = following(path)
    with path.open("ab", buffering=0) as old:
        path.rename(tmp_path / "log.1")
        path.touch()
        old.write(b"last\n")
        assert written.get(timeout=TIMEOUT) == b"last\n"
    path.write_bytes(b"first\n")
    assert written.get(timeout=TIMEOUT) is None
    assert written.get(timeout=TIMEOUT) == b"first\n"


def test_a_truncated_file_is_read_from_its_start(
    tmp_path: Path, following: Callable[[Path], Queue[Any]]
) -> None:
    """copytruncate does not leave it waiting behind the file's end."""
    path = tmp_path / "log"
    path.write_bytes(b"a long line before\n")
    written = following(path)
    os.truncate(path, 0)
    assert written.get(timeout=TIMEOUT) is None
    with path.open("ab") as file:
        file.write(b"new\n")
    assert written.get(timeout=TIMEOUT) == b"new\n"


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """At once, when asked for and not at the first line."""
    with pytest.raises(FileNotFoundError):
        feed.written_to(str(tmp_path / "none"))


def test_it_ends_with_its_parent() -> None:
    """A feed whose server was killed does not stay behind."""
    assert feed.while_parent(None)()
    assert feed.while_parent(os.getppid())()
    assert not feed.while_parent(os.getpid())()


def test_the_figures_are_those_the_page_expects() -> None:
    """Each is there, and is what this machine can have."""
    came: list[tuple[str, Any, dict[str, Any]]] = []
    go_on = iter([True, True, False])

    def publish(channel: str, data: Any, **options: Any) -> None:
        came.append((channel, data, options))

    feed.system(publish, 0.05, goes_on=lambda: next(go_on))
    assert len(came) == 2
    channel, data, options = came[-1]
    assert channel == "demo:system"
    assert options == {"ttl": 10, "retain": True}
    assert set(data) == {"cpu", "cores", "memory", "disk", "net", "load"}
    assert 0 <= data["cpu"] <= 100
    assert len(data["cores"]) == os.cpu_count()
    assert 0 < data["memory"]["used"] < data["memory"]["total"]
    assert 0 <= data["memory"]["percent"] <= 100
    assert 0 <= data["disk"]["percent"] <= 100
    rates = [data["disk"][k] for k in ("read", "write")]
    rates += [data["net"][k] for k in ("sent", "received")]
    assert all(rate is None or rate >= 0 for rate in rates)
    assert len(data["load"]) == 3


def test_figures_that_nobody_took_are_dropped() -> None:
    """An outage ends nothing and leaves no heap of old figures behind."""
    tries: list[Any] = []
    go_on = iter([True, True, True, False])

    def publish(channel: str, data: Any, **options: Any) -> None:
        tries.append(data)
        if len(tries) < 3:
            raise PublishFailed(RequestFailed(503, "Service Unavailable", "full"), "k")

    feed.system(publish, 0.01, goes_on=lambda: next(go_on))
    assert len(tries) == 3


@pytest.mark.e2e
def test_lines_over_a_restart_come_once_and_in_order(make_server: Callable[..., Server]) -> None:
    """With a real server that goes away while lines come, and comes back."""
    server = make_server()
    client = Client(server.url, API_KEY, timeout=2)
    came = client.tail("public:lines")
    chunks: Queue[bytes | None] = Queue()
    wanted = [f"line {n}" for n in range(60)]
    follower = threading.Thread(
        target=feed.follow, args=(client.publish_batch, iter(chunks.get, None), "public:lines")
    )
    follower.start()
    for n, line in enumerate(wanted):
        chunks.put(f"{line}\n".encode())
        if n == 20:
            server.stop()
        if n == 40:
            server.start()
    chunks.put(None)
    follower.join(3 * TIMEOUT)
    assert not follower.is_alive()
    assert [m["data"]["line"] for m in islice(came, 60)] == wanted
    assert len(client.history("public:lines", 1000)) == 60
    client.close()
