"""WebSocket conformance by the Autobahn cases: those that take a few seconds.

All of them, with the rest of the large and the compressed ones: ``make conformance``.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from ..server import ROOT

SECONDS = 180  # for a machine that is busy; it takes 10


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        pytest.param([], 264, id="parked"),
        pytest.param(["--no-park", "--groups", "1,2,3,4,5,6,7,10"], 247, id="in a greenlet"),
    ],
)
def test_every_case_is_ok(arguments: list[str], count: int) -> None:
    """None is even "non-strict"; three look at what RFC 6455 leaves open.

    In a process of its own, because the runner changes modules of the standard library.
    """
    command = [sys.executable, "-m", "tests.conformance", "--short", *arguments]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    assert f"| all | {count} | {count - 3} | 3 | 0 |" in ran.stdout, ran.stdout + ran.stderr
    assert ran.returncode == 0
