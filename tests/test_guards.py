"""Each rule against loss is needed: a copy of the package without it fails the test meant for it.

What belongs here: which text of the package is a rule's guard, and which test notices that it is
gone. What does not: those tests. Where the package's text changes, a guard is named anew here; a
guard that is not found fails, so none can go out of sight.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from .server import ROOT

_MINUTE = 60  # seconds


@dataclass(frozen=True)
class Guard:
    """What stands in a file for a rule, and what would stand there without the rule."""

    test: str  # must fail without the guard
    changes: tuple[tuple[str, str, str], ...]  # file, text, what to put in its place


#: A transaction alone is a snapshot; without one every statement sees a moment of its own.
_NO_SNAPSHOT = (
    ("broker/sqlite/file.py", '            link.cursor.execute("BEGIN")\n', ""),
    ("broker/sqlite/file.py", '            link.cursor.execute("COMMIT")\n', ""),
)

GUARDS = {
    "register, then read (longpoll)": Guard(
        "test_interleavings.py::"
        "test_what_is_published_after_a_client_has_read_is_handed_out_to_it[longpoll]",
        (
            ("transports/longpoll.py", "            self.hub.join(self, listens)\n", ""),
            (
                "transports/longpoll.py",
                "                page = log.read(listens, self._asked.cursor)\n",
                "                page = log.read(listens, self._asked.cursor)\n"
                "                self.hub.join(self, listens)\n",
            ),
        ),
    ),
    "register, then read (streams)": Guard(
        "test_interleavings.py::"
        "test_what_is_published_after_a_client_has_read_is_handed_out_to_it[sse]",
        (
            (
                "transports/stream.py",
                "        self.context.hub.join(self, listens)\n",
                "",
            ),
            (
                "transports/stream.py",
                "        if not hub.go_live(self, cursor):\n",
                "        hub.join(self, self.listens)\n        if not hub.go_live(self, cursor):\n",
            ),
        ),
    ),
    "go live only where the hub is": Guard(
        "test_interleavings.py::test_what_was_handed_out_before_a_client_waits_is_read_by_it",
        (
            (
                "hub.py",
                "        if cursor.epoch != self._target.epoch or cursor.n < self._target.n:\n",
                "        if cursor.epoch != self._target.epoch:\n",
            ),
        ),
    ),
    "no cursor ahead of what was handed out": Guard(
        "test_interleavings.py::test_no_cursor_is_newer_than_what_its_client_was_handed",
        (
            (
                "hub.py",
                "        return Cursor(position.epoch, max(position.n, subscriber.n))\n",
                "        return Cursor(position.epoch, max(self._target.n, subscriber.n))\n",
            ),
        ),
    ),
    "read at one moment, the head first": Guard(
        "test_rules_of_the_log.py::test_a_reader_misses_nothing_that_is_appended_while_it_reads",
        (
            *_NO_SNAPSHOT,
            (
                "broker/sqlite/log.py",
                "            at = found[-1].n if more else bound\n",
                '            (now,) = db.execute("SELECT head FROM meta").fetchone()\n'
                "            at = found[-1].n if more else now\n",
            ),
        ),
    ),
    "drop what is above the head": Guard(
        "test_rules_of_the_log.py::test_a_reader_misses_nothing_that_is_appended_while_it_reads",
        (
            *_NO_SNAPSHOT,
            (
                "broker/sqlite/log.py",
                "takewhile(lambda row: row[0] <= bound, heapq.merge(*streams))",
                "takewhile(lambda row: True, heapq.merge(*streams))",
            ),
        ),
    ),
    "a restored file is another epoch": Guard(
        "test_rules_of_the_log.py::test_a_restored_file_gives_no_id_out_again",
        (
            (
                "broker/sqlite/schema.py",
                "        if inode != place.inode or any(went_back(seen, epoch, head)"
                " for seen in place.seen):\n",
                "        if False:\n",
            ),
        ),
    ),
    "a cursor of another epoch is told so": Guard(
        "test_rules_of_the_log.py::test_a_restored_file_gives_no_id_out_again",
        (
            (
                "broker/sqlite/rows.py",
                "    if cursor.epoch != meta.epoch or cursor.n > meta.head:\n",
                "    if cursor.n > meta.head:\n",
            ),
        ),
    ),
    "ids jump after a power cut": Guard(
        "test_rules_of_the_log.py::test_after_a_power_cut_no_id_is_given_out_again",
        (("broker/sqlite/schema.py", "            head += JUMP\n", ""),),
    ),
    "a cursor in the gap is told so": Guard(
        "test_rules_of_the_log.py::test_after_a_power_cut_no_id_is_given_out_again",
        (("broker/sqlite/rows.py", "    return gap.fetchone() is None\n", "    return True\n"),),
    ),
}


def _copy(folder: Path) -> None:
    """Copy what the tests need of the project."""
    leave_out = shutil.ignore_patterns("__pycache__")
    for name in ("pushapp", "tests", "static", "templates"):
        shutil.copytree(ROOT / name, folder / name, ignore=leave_out)
    shutil.copy(ROOT / "pyproject.toml", folder)


def _run(folder: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Run tests against the copy in ``folder``."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *(f"tests/{test}" for test in tests)],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},  # bytecode is told apart by seconds
        capture_output=True,
        text=True,
        timeout=2 * _MINUTE,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, whole again after each test."""
    folder = tmp_path_factory.mktemp("copy")
    _copy(folder)
    return folder


def test_the_tests_pass_on_a_copy_with_all_guards(copy: Path) -> None:
    """So that a failure without one says something."""
    done = _run(copy, *sorted({guard.test for guard in GUARDS.values()}))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", GUARDS)
def test_without_the_guard_its_test_fails(copy: Path, name: str) -> None:
    """Fails as a test does, not because the copy cannot be imported."""
    guard = GUARDS[name]
    whole = {file: (copy / "pushapp" / file).read_text() for file, _, _ in guard.changes}
    without = dict(whole)
    for file, text, instead in guard.changes:
        assert without[file].count(text) == 1, f"{file} has not this guard once any more: {text}"
        without[file] = without[file].replace(text, instead)
    try:
        for file, code in without.items():
            (copy / "pushapp" / file).write_text(code)
        done = _run(copy, guard.test)
    finally:
        for file, code in whole.items():
            (copy / "pushapp" / file).write_text(code)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "failed" in done.stdout and "error" not in done.stdout.splitlines()[-1], done.stdout
