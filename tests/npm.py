"""One file of an npm package, fetched once.

What belongs here: getting it. What does not: which, and what it is tried with.
"""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

from .needs import missing, needs

_NPM_TIMEOUT = 60  # seconds


def npm_file(path: Path, package: str, version: str, member: str) -> Path:
    """Return ``path``, with what is ``member`` in this version of ``package``."""
    if not path.exists():
        command = [needs("npm"), "pack", "--silent", f"{package}@{version}"]
        packed = subprocess.run(
            command, cwd=path.parent, capture_output=True, text=True, timeout=_NPM_TIMEOUT
        )
        if packed.returncode:
            missing(f"npm has no {package} {version} for this machine: {packed.stderr[-200:]}")
        with tarfile.open(path.parent / packed.stdout.strip()) as archive:
            file = archive.extractfile(f"package/{member}")
            assert file is not None
            path.write_bytes(file.read())
    return path
