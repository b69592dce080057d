"""A log that cannot be written or read: a clear error, nothing lost, and well again afterwards.

What belongs here: what publishers and subscribers see of it. What does not: how the file is
handled (``brokers``).
"""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ..clients import TRANSPORTS, Client
from ..server import LONG, Server, until
from ..wire import Reply

pytestmark = pytest.mark.e2e


def assert_says_not_now(reply: Reply) -> None:
    """503 with Retry-After means "not acknowledged"."""
    assert reply.status == 503
    assert int(reply.header("Retry-After") or 0) >= 1
    assert reply.header("Content-Type") == "application/problem+json"
    assert reply.json["detail"] and b"Traceback" not in reply.body


def test_while_the_file_is_locked_a_publish_is_refused_and_reading_goes_on(
    make_server: Callable[..., Server], connect: Callable[..., Client], channel: str
) -> None:
    """Another process writes for long: no worker freezes; once it is done, all is as before."""
    server = make_server()
    clients = [connect(transport, server, [channel]) for transport in TRANSPORTS]
    start = server.publish(channel, "before")
    locker = sqlite3.connect(server.database, isolation_level=None)
    try:
        locker.execute("BEGIN IMMEDIATE")
        reply = server.post({"channel": channel, "data": "refused"})
        assert server.ask("GET", "/healthz").status == 200
        assert connect("poll", server, [channel], start).recovered is True
        locker.execute("ROLLBACK")
    finally:
        locker.close()
    assert_says_not_now(reply)
    server.publish(channel, "after")
    assert [client.data(2) for client in clients] == [["before", "after"]] * 4


def test_a_program_that_opens_and_closes_the_file_takes_nothing_with_it(
    make_server: Callable[..., Server], channel: str
) -> None:
    """SQLite takes the write-ahead log away with the last connection that holds its locks.

    So the workers must hold theirs: else what they acknowledge from then on is in a file that is
    deleted, and gone when they are killed.
    """
    server = make_server()
    for pid in server.workers():  # each has connections to read and to write with
        with server.only(pid):
            server.publish(channel, "before")
    visitor = sqlite3.connect(server.database)
    visitor.execute("SELECT count(*) FROM message").fetchone()
    visitor.close()
    for pid in server.workers():
        with server.only(pid):
            server.publish(channel, "after")

    server.kill()
    server.start()

    history = server.look(f"/push/channels/{channel}/history")["messages"]
    assert [m["data"] for m in history] == ["before", "before", "after", "after"]


def test_on_a_full_disk_a_publish_is_refused_and_reading_goes_on(
    make_server: Callable[..., Server], connect: Callable[..., Client], channel: str
) -> None:
    """What a limit of the file size does to a process, a full disk does to all."""
    server = make_server(WEB_CONCURRENCY=1)
    (pid,) = server.workers()
    client = connect("sse", server, [channel])
    start = server.publish(channel, "before")
    worker = psutil.Process(pid)
    unlimited = worker.rlimit(resource.RLIMIT_FSIZE)
    worker.rlimit(resource.RLIMIT_FSIZE, (4000, unlimited[1]))  # bytes; less than one page

    assert_says_not_now(server.post({"channel": channel, "data": "refused"}))
    assert server.ask("GET", "/healthz").status == 200
    assert server.ask("GET", "/readyz").status == 503
    assert connect("poll", server, [channel], start).recovered is True

    worker.rlimit(resource.RLIMIT_FSIZE, unlimited)
    server.publish(channel, "after")
    assert client.data(2) == ["before", "after"]
    assert server.ask("GET", "/readyz").status == 200


def test_a_file_that_goes_bad_is_told_and_a_new_one_is_taken(
    make_server: Callable[..., Server],
    connect: Callable[..., Client],
    channel: str,
    tmp_path: Path,
) -> None:
    """Every route says so in plain words; no worker dies, and none needs a restart."""
    server = make_server()
    workers = server.workers()
    server.publish(channel, "gone")
    client = connect("sse", server, [channel])
    bad = tmp_path / "bad"
    bad.write_bytes(b"this is no database " * 1000)
    server.remove_log()
    bad.replace(server.database)  # in one step: a worker may have begun a new one meanwhile

    assert_says_not_now(server.post({"channel": channel, "data": "refused"}))
    for transport in ("poll", "longpoll", "sse"):
        target = f"/push/{transport}?channels={channel}&cursor={client.cursor}"
        assert_says_not_now(server.ask("GET", target))
    assert server.ask("GET", "/readyz").status == 503
    assert server.ask("GET", "/healthz").status == 200

    server.remove_log()
    until(lambda: server.ask("GET", "/readyz").status == 200, "it begins anew")
    server.publish(channel, "new")
    live = client.wait_for("live")
    assert live["recovered"] is False and live["lost"][0]["reason"] == "epoch"
    assert client.data() == ["new"]
    assert server.workers() == workers


def test_a_server_whose_file_is_no_log_says_why_and_leaves_it_alone(tmp_path: Path) -> None:
    """It is not overwritten, nobody has to guess, and it is not ready."""
    notes = tmp_path / "push.db"
    notes.write_bytes(b"somebody's notes " * 1000)
    server = Server(tmp_path)
    server.begin()
    try:
        until(lambda: "it is not an SQLite database" in server.log, "it says why", LONG)
        reply = server.ask("GET", "/readyz")
        assert reply.status == 503 and "it is not an SQLite database" in reply.json["detail"]
    finally:
        server.stop()
    assert notes.read_bytes() == b"somebody's notes " * 1000
