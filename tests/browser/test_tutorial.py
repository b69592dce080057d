"""docs/tutorial.md from its first line to its last, as somebody would type it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ..server import ROOT, free_port, until
from ..wire import TIMEOUT, Wire

pytestmark = pytest.mark.browser

PORT = free_port()
TEXT = (ROOT / "docs" / "tutorial.md").read_text().replace("8000", str(PORT))
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.M | re.S)
SHELL, PYTHON, HTML = (
    [code for found, code in BLOCKS if found == language] for language in ("sh", "python", "html")
)
INSTALL, RUN, PUBLISH, BY_CURL, COUNT, TO_ANN, STREAM, POLL = SHELL


class Terminal:
    """A shell in ``folder``."""

    def __init__(self, folder: Path) -> None:
        names = ("PUSH_", "REDIS_", "GUNICORN_", "WEB_", "DYNO", "SECRET_KEY")
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(names)}
        self._environ = {**inherited, "PORT": str(PORT), "WEB_CONCURRENCY": "1"}
        self._folder = folder
        self._server: subprocess.Popen[bytes] | None = None

    def type(self, code: str) -> str:
        done = subprocess.run(
            ["sh", "-ec", code], cwd=self._folder, env=self._environ, capture_output=True,
            text=True, timeout=110,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def serve(self) -> None:
        """Type what starts the server; Ctrl-C has ended the one before."""
        self.interrupt()
        command = [
            "sh",
            "-ec",
            RUN.replace("venv/bin/gunicorn", "exec venv/bin/python -m gunicorn"),
        ]
        self._server = subprocess.Popen(command, cwd=self._folder, env=self._environ)
        until(self._answers, "it answers", 6 * TIMEOUT)

    def _answers(self) -> bool:
        assert self._server is not None and self._server.poll() is None
        try:
            wire = Wire(PORT, timeout=TIMEOUT)
        except OSError:
            return False
        try:
            return wire.ask("GET", "/push/poll?channels=public:news").status == 200
        except OSError:
            return False
        finally:
            wire.close()

    def interrupt(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.send_signal(signal.SIGINT)
            server.wait(6 * TIMEOUT)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal in a folder where all is installed: how that goes, ``test_container`` tries."""
    assert "-m venv venv" in INSTALL and "venv/bin/pip install ./pushapp" in INSTALL
    (tmp_path / "venv").symlink_to(sys.prefix)
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.interrupt()


def test_the_tutorial(tmp_path: Path, terminal: Terminal, new_page: Callable[..., Page]) -> None:
    """All of it: each page shows what the text says that it shows."""

    def write(python: str, name: str, html: str) -> None:
        with (tmp_path / "app.py").open("a") as app:
            app.write(f"\n\n{python}")
        assert f"`{name}`" in TEXT
        (tmp_path / name).write_text(html)
        terminal.serve()

    def listens(page: Page, address: str) -> Page:
        assert f"<{address}>" in TEXT
        page.goto(address)
        page.wait_for_function("window.$ && $.push && document.readyState === 'complete'")
        return page

    home = f"http://127.0.0.1:{PORT}"
    write(PYTHON[0], "news.html", HTML[0])
    page = listens(new_page(), f"{home}/")
    terminal.type(PUBLISH)
    expect(page.locator("li")).to_have_text(["It works"])
    terminal.type(BY_CURL)
    expect(page.locator("li")).to_have_text(["From curl", "It works"])
    page.reload()
    expect(page.locator("li")).to_have_text(["From curl", "It works"])
    page.evaluate("window.isFirst = true")
    terminal.serve()
    terminal.type(PUBLISH)
    expect(page.locator("li")).to_have_text(["It works", "From curl", "It works"])
    assert page.evaluate("window.isFirst")

    write(PYTHON[1], "stock.html", HTML[1])
    page = listens(new_page(), f"{home}/stock")
    first, second = COUNT.splitlines()
    terminal.type(first)
    expect(page.locator("#lamp td")).to_have_text("7")
    terminal.type(second)
    expect(page.locator("#lamp td")).to_have_text("6")
    page.reload()
    expect(page.locator("#lamp td")).to_have_text("6")

    write(PYTHON[2], "mine.html", HTML[2])
    ann, bob = listens(new_page(), f"{home}/login/ann"), listens(new_page(), f"{home}/login/bob")
    for user in ("ann", "bob"):
        until(lambda user=user: waits(user), f"{user} is there", 6 * TIMEOUT)
    terminal.type(f"export PUSH_API_KEYS=try-it; {TO_ANN}")
    expect(ann.locator("li")).to_have_text(["Your parcel is here"])
    terminal.type(f"export PUSH_API_KEYS=try-it; {TO_ANN.replace('ann', 'bob')}")
    expect(bob.locator("li")).to_have_count(1)  # the one of now; Ann's came to nobody else

    assert '"cursor"' in terminal.type(POLL)
    stream = terminal.type(f"timeout 5 {STREAM.strip()} || true")
    assert "event: history" in stream and "From curl" in stream


def waits(user: str) -> bool:
    wire = Wire(PORT)
    bearer = {"Authorization": "Bearer try-it"}
    reply = wire.ask("GET", f"/push/channels/user:{user}", bearer)
    wire.close()
    return bool(reply.status == 200 and reply.json["subscribers"])
