"""``scripts/once-more``: what fails twice fails, and what fails once is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

SUITE = """
import pathlib
import pytest

def first_time(name):
    flag = pathlib.Path(__file__).with_name(name)
    if flag.exists():
        return False
    flag.touch()
    return True

def test_once():
    assert not first_time("once")

@pytest.fixture
def late():
    yield
    assert not first_time("late")

def test_its_end(late):
    pass

def test_always():
    assert False

@pytest.mark.parametrize("n", range(4))
def test_many(n):
    assert not first_time(f"many-{n}")

def test_fine():
    pass
"""


@pytest.mark.parametrize(
    ("tests", "status", "passed_alone"),
    [
        (["fine"], 0, []),
        (["fine", "once", "its_end"], 0, ["test_once", "test_its_end"]),
        (["fine", "always"], 1, []),
        (["once", "always"], 1, []),
        (["many"], 1, []),
        (["none"], 5, []),
    ],
)
def test_it(tmp_path: Path, tests: list[str], status: int, passed_alone: list[str]) -> None:
    (tmp_path / "test_it.py").write_text(SUITE)
    of_before = tmp_path / "cache/v/cache/lastfailed"
    of_before.parent.mkdir(parents=True)
    of_before.write_text(json.dumps({f"test_it.py::test_old[{n}]": True for n in range(9)}))
    command = [ROOT / "scripts/once-more", tmp_path / "cache"]
    command += [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-k"]
    done = subprocess.run(
        [*command, " or ".join(tests), "-c", "/dev/null", "--rootdir", tmp_path, tmp_path],
        cwd=tmp_path,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # they take a second each time
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stdout + done.stderr
    named = [line for line in done.stdout.splitlines() if "PASSED ALONE" in line]
    assert len(named) == bool(passed_alone)
    assert all(f"::{name}" in named[0] for name in passed_alone)
