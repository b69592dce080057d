"""docs/backup.md: its commands do what it says, and clients are told.

What belongs here: a backup and a restore, as an operator types them. What does not: all that may
become of a log (``brokers``).
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .clients import TRANSPORTS, Client
from .jwts import token
from .needs import needs
from .server import API_KEY, ROOT, Server, free_port, until
from .wire import TIMEOUT

SECTIONS = dict(
    re.findall(
        r"^## (.+?)\n(.+?)(?=^## |\Z)", (ROOT / "docs" / "backup.md").read_text(), re.M | re.S
    )
)


def commands(section: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", SECTIONS[section], re.M | re.S)


def shell(code: str, folder: Path) -> None:
    done = subprocess.run(
        ["sh", "-ec", code], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Log:
    """A log in ``folder``, by the names of the page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("var", "data", "backup"):
            (folder / name).mkdir()

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


class SqliteLog(Log):
    section = "SQLite"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/var/push.db"

    def back_up(self) -> None:
        needs("sqlite3")
        shell(commands(self.section)[0], self.folder)

    def restore(self) -> None:
        shell(commands(self.section)[1], self.folder)


class ValkeyLog(Log):
    """Debian's Redis in Valkey's place: it has the other's commands, and a program to ask with."""

    section = "Valkey and Redis"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        (folder / "valkey.conf").write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}/data\nappendonly yes\nsave ''\n"
        )

    def _type(self, code: str) -> None:
        code = code.replace("valkey-cli", f"{needs('redis-cli')} -p {self.port}")
        shell(code.replace("valkey-server", needs("redis-server")), self.folder)

    def start(self) -> None:
        self._type("valkey-server valkey.conf --daemonize yes")
        self._wait()

    def _wait(self) -> None:
        ping = [needs("redis-cli"), "-p", str(self.port), "ping"]

        def answers() -> bool:
            done = subprocess.run(ping, capture_output=True, timeout=TIMEOUT)
            return done.stdout == b"PONG\n"

        until(answers, "it answers", 3 * TIMEOUT)

    def stop(self) -> None:
        self._type("valkey-cli SHUTDOWN NOSAVE || true")

    def back_up(self) -> None:
        self._type(commands(self.section)[0])

    def restore(self) -> None:
        self.stop()
        _, put_back, go_on = commands(self.section)
        self._type(put_back)
        self._wait()
        self._type(go_on)


@pytest.fixture(params=[SqliteLog, ValkeyLog], ids=["sqlite", "valkey"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteLog | ValkeyLog]:
    log: SqliteLog | ValkeyLog = request.param(tmp_path)
    log.start()
    yield log
    log.stop()


def test_a_restored_log_is_a_new_epoch_and_everybody_is_told(
    log: SqliteLog | ValkeyLog,
    make_server: Callable[..., Server],
    connect: Callable[..., Client],
    channel: str,
) -> None:
    """Whose cursor is from before the backup, and whose is from after it, on each transport."""
    server = make_server(PUSH_BROKER_URL=log.url, WEB_CONCURRENCY=1)
    server.publish(channel, "kept")
    before = cursor_now(server, channel)
    log.back_up()
    bearer = {"Authorization": f"Bearer {token(iat=time.time() - 60)}"}
    revoke_all = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
    assert server.ask("POST", "/push/revoke", revoke_all, b'{"everybody":true}').status == 200
    until(lambda: may(server, bearer) == 401, "it is revoked")
    lost = server.publish(channel, "lost")
    after = cursor_now(server, channel)
    server.stop()
    log.restore()
    server.start()
    for transport in TRANSPORTS:
        for cursor in (before, after):
            client = connect(transport, server, [channel], cursor)
            assert client.data() == ["kept"]
            assert not client.recovered
            assert [loss["reason"] for loss in client.lost] == ["epoch"]
    assert server.publish(channel, "new").partition(".")[0] != lost.partition(".")[0]
    assert may(server, bearer) == 200, (
        "as the page says: what was revoked since is to be revoked again"
    )


def may(server: Server, bearer: dict[str, str]) -> int:
    return server.ask("GET", "/push/poll?channels=user:42", bearer).status


def cursor_now(server: Server, channel: str) -> str:
    cursor: str = server.ask("GET", f"/push/poll?channels={channel}").json["cursor"]
    return cursor
