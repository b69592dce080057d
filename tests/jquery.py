"""The jQuerys of four ages: full builds, from npm, once.

What belongs here: getting them. What does not: what they are tried with.
"""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from .needs import missing, needs

_NPM_TIMEOUT = 60  # seconds


def jquery_file(cache: pytest.Cache, version: str) -> Path:
    """Return the full build of this version, ``jquery-VERSION.js``."""
    path = cache.mkdir("jquery") / f"jquery-{version}.js"
    if not path.exists():
        command = [needs("npm"), "pack", "--silent", f"jquery@{version}"]
        packed = subprocess.run(
            command, cwd=path.parent, capture_output=True, text=True, timeout=_NPM_TIMEOUT
        )
        if packed.returncode:
            missing(f"npm has no jQuery {version} for this machine: {packed.stderr[-200:]}")
        with tarfile.open(path.parent / packed.stdout.strip()) as archive:
            file = archive.extractfile("package/dist/jquery.js")
            assert file is not None
            path.write_bytes(file.read())
    return path
