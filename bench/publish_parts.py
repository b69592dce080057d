"""What a publish is made of: each part alone, in one process, beside SQLite's bare transaction.

What belongs here: CPU microseconds of the parts of pushapp's express lane for publishes. What does
not: whole requests (cases.py), logs side by side (logs.py).
Usage: python bench/publish_parts.py
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import socket  # noqa: E402
import sqlite3  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402
from records import table  # noqa: E402

from pushapp import create_app  # noqa: E402
from pushapp.broker.interface import Append, Log  # noqa: E402
from pushapp.broker.sqlite.file import WAL  # noqa: E402
from pushapp.broker.sqlite.schema import Place, adopt  # noqa: E402, I001
from pushapp.republish import cut  # noqa: E402
from pushapp.strict_json import load_json  # noqa: E402

KEPT = 100  # messages of the channel: each one more takes the oldest out
TURNS, REPEATS = 160, 25  # the least of so many repeats of so many: others disturb, none helps
BODY = json.dumps({"channel": "public:bench", "data": "x" * 126}).encode()
HEAD = (
    b"POST /push/publish HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nContent-Length: %d\r\n"
    b"Authorization: Bearer bench\r\nContent-Type: application/json\r\n\r\n" % len(BODY)
)


def least(call: Callable[[], object]) -> float:
    """Return the CPU microseconds of a call."""
    found = []
    for _ in range(REPEATS):
        began = time.thread_time()
        for _ in range(TURNS):
            call()
        found.append((time.thread_time() - began) / TURNS * 1e6)
    return min(found)


def bare(path: Path) -> Callable[[], None]:
    """Return what a publish has SQLite do, and nothing else."""
    db = sqlite3.connect(path, isolation_level=None)
    cursor = db.cursor()
    cursor.execute("PRAGMA page_size = 2048")
    cursor.execute("PRAGMA journal_mode = WAL").fetchone()
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA wal_autocheckpoint = 0").fetchone()
    cursor.execute(f"PRAGMA journal_size_limit = {WAL}").fetchone()
    adopt(cursor, Place(str(path), "", 0, ()))
    cursor.execute("INSERT INTO channel VALUES (1, 'public:bench', 0, 0, 0, 0, 0)")
    n, kept, data, run = 0, 0, json.dumps("x" * 126), cursor.execute

    def publish() -> None:
        nonlocal n, kept
        n, kept = n + 1, kept + 1
        run("BEGIN IMMEDIATE")
        run("SELECT epoch, head, trimmed, floor, due FROM meta").fetchone()
        run("SELECT id, base, last, last_time, kept FROM channel WHERE name = 'public:bench'")
        cursor.fetchone()
        run("INSERT INTO message VALUES (?, 1, ?, 'message', 0.5, NULL, ?)", (n, n - 1, data))
        if kept > KEPT:
            oldest = "SELECT n FROM message WHERE channel = 1 ORDER BY n LIMIT ?"
            run(oldest, (kept - KEPT,)).fetchall()
            run("DELETE FROM message WHERE channel = 1 AND n <= ?", (n - KEPT,))
            kept = KEPT
        run("UPDATE channel SET last = ?, last_time = 0.5, kept = ? WHERE id = 1", (n, kept))
        run("UPDATE meta SET head = ?, trimmed = ?, floor = 0, due = NULL", (n, n))
        run("COMMIT")

    return publish


def appended(log: Log, asked: list[Append]) -> None:
    """Append as the lane does."""
    if log.append_now(asked) is None:  # every so many-th takes the way that may wait
        for one in asked:
            log.append(*one)


def exchange() -> float:
    """Return what the server's half of an exchange over the loopback takes in the kernel."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    took = []
    for _ in range(TURNS * REPEATS // 4):
        client.sendall(HEAD + BODY)
        began = time.thread_time()
        server.recv(4096)
        server.send(bytes(300))
        took.append(time.thread_time() - began)
        client.recv(4096)
    client.close()
    server.close()
    return sorted(took)[len(took) // 2] * 1e6


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        app = create_app(
            PUSH_API_KEYS="bench",
            PUSH_SECRET="x" * 32,
            PUSH_HISTORY_SIZE=str(KEPT),
            PUSH_BROKER_URL=f"sqlite:///{folder}/push.db",
        )
        push = app.extensions["push"]
        running = push.start()
        log = running.broker.log
        drafts = push.parse(load_json(BODY)).drafts
        one, four = [Append(drafts)], [Append(drafts)] * 4
        gevent.sleep(0.1)

        def told() -> None:
            appended(log, one)
            gevent.sleep(0)

        rows = [
            ("reading and answering it, in the kernel", exchange()),
            ("what of its head is equal", least(lambda: cut(HEAD))),
            ("what its body asks for", least(lambda: push.parse(load_json(BODY)))),
            ("**SQLite's transaction alone**", least(bare(Path(folder, "bare.db")))),
            ("the append, with that", least(lambda: appended(log, one))),
            ("... of four together, each", least(lambda: appended(log, four)) / 4),
            ("the append and the listener, with nobody there", least(told)),
        ]
        push.close()
    print(table(["part", "CPU µs"], [[name, f"{took:.1f}"] for name, took in rows]))


if __name__ == "__main__":
    main()
