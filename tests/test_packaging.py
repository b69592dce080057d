"""The wheel: what ``pip install`` brings is enough to serve."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from .server import ROOT, free_port, until
from .wire import TIMEOUT, Wire

PARTS = ("pyproject.toml", "README.md", "LICENSE", "pushapp", "static", "templates")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, which leaves nothing in the tree, and install it."""
    folder = tmp_path_factory.mktemp("packaging")
    source, target = folder / "source", folder / "target"
    source.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, source / part, ignore=ignored)
        else:
            shutil.copy(ROOT / part, source / part)
    pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(source))
    (wheel,) = folder.glob("pushapp-*.whl")
    pip("install", "--no-deps", "--target", str(target), str(wheel))
    return target


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30 * TIMEOUT)
    assert done.returncode == 0, done.stdout + done.stderr


def environ(installed: Path, **settings: str) -> dict[str, str]:
    names = ("PUSH_", "REDIS_", "GUNICORN_", "WEB_", "DYNO")
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(names)}
    return {**inherited, "PYTHONPATH": str(installed), **settings}


def test_the_files_of_the_pages_are_inside(installed: Path) -> None:
    """push.js and the lab are in the package, where ``Push(app)`` serves them from."""
    for name in ("static", "templates"):
        there = {str(p.relative_to(ROOT / name)) for p in (ROOT / name).rglob("*") if p.is_file()}
        inside = installed / "pushapp" / name
        assert {str(p.relative_to(inside)) for p in inside.rglob("*") if p.is_file()} == there


def test_nothing_is_at_the_top_but_the_package(installed: Path) -> None:
    """No other module gets into a stranger's namespace: no ``app``, ``wsgi`` or ``tests``."""
    assert {p.name for p in installed.iterdir() if p.suffix != ".dist-info"} == {"bin", "pushapp"}


def run(installed: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=installed.parent, env=environ(installed),
        capture_output=True, text=True, timeout=3 * TIMEOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_is_there(installed: Path) -> None:
    """``pushapp --help`` and ``flask push --help`` name the commands."""
    script, flask = str(installed / "bin" / "pushapp"), ["-m", "flask", "push"]
    for command in ([script], flask):
        said = run(installed, *command, "--help")
        assert all(f"\n  {name}" in said for name in ("doctor", "feed", "publish", "run", "tail"))


def test_the_installed_package_serves(installed: Path, tmp_path: Path) -> None:
    """``pushapp run`` in an empty folder serves the page, push.js, and what its curl publishes."""
    port = free_port()
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, str(installed / "bin" / "pushapp"), "run"], cwd=tmp_path,
            env=environ(installed, PORT=str(port), WEB_CONCURRENCY="1"), stdout=out, stderr=out,
        )  # fmt: skip
    try:
        until(lambda: process.poll() is not None or answers(port), "it answers", 3 * TIMEOUT)
        assert process.poll() is None, log.read_text()
        for path, part in (("/", b"push.js"), ("/push/push.js", b"jQuery")):
            wire = Wire(port)
            reply = wire.ask("GET", path)
            wire.close()
            assert reply.status == 200
            assert part in reply.body
        (curl,) = [line for line in log.read_text().splitlines() if line.startswith("  curl ")]
        assert publish_as(shlex.split(curl), port) == 200
        assert {p.name: oct(p.stat().st_mode)[-3:] for p in (tmp_path / "var").glob("[as]*")} == {
            "api-key": "600",
            "secret": "600",
        }
    finally:
        process.terminate()
        process.wait(3 * TIMEOUT)
    assert "Traceback" not in log.read_text()


def answers(port: int) -> bool:
    try:
        wire = Wire(port)
    except ConnectionRefusedError:
        return False
    try:
        return wire.ask("GET", "/readyz").status == 200
    finally:
        wire.close()


def publish_as(curl: Sequence[str], port: int) -> int:
    """Do what a printed curl line does; return the status."""
    assert curl[1] == f"http://127.0.0.1:{port}/push/publish"
    headers = dict(curl[i + 1].split(": ", 1) for i, word in enumerate(curl) if word == "-H")
    body = curl[curl.index("-d") + 1].encode()
    wire = Wire(port)
    try:
        return wire.ask("POST", "/push/publish", headers, body).status
    finally:
        wire.close()
