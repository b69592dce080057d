"""What a test needs of the machine: without it the test is skipped, and fails where CI=true."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def needs(program: str, *, also: str = "") -> str:
    """Return where ``program`` is; ``also`` names folders to look into beside PATH."""
    path = shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", ""), also)))
    return path or missing(f"there is no {program}: scripts/test-tools installs it")


def missing(what: str) -> NoReturn:
    """Skip for want of ``what``; with CI=true nothing that should run is skipped."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
