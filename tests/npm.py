"""What comes from npm, fetched once, though several processes may want it at the same moment.

What belongs here: getting it. What does not: which, and what it is tried with.
"""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from .needs import missing, needs

_TIMEOUT = 180  # seconds


def npm_file(path: Path, package: str, version: str, member: str) -> Path:
    """Return ``path``, with what is ``member`` in this version of ``package``."""
    if not path.exists():
        with _beside(path) as folder:
            packed = _npm(folder, "pack", f"{package}@{version}")
            with tarfile.open(folder / packed.strip()) as archive:
                file = archive.extractfile(f"package/{member}")
                assert file is not None
                (folder / "file").write_bytes(file.read())
            (folder / "file").replace(path)
    return path


def npm_packages(folder: Path, *packages: str) -> Path:
    """Return ``folder``, with a node_modules that has these packages."""
    if not folder.exists():
        with _beside(folder) as new:
            whole = new / "whole"
            whole.mkdir()
            _npm(whole, "install", "--no-save", "--no-audit", "--prefix", str(whole), *packages)
            with suppress(OSError):  # another process was first
                whole.rename(folder)
    return folder


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Make a folder from which something whole can be moved to ``path`` in one step."""
    with TemporaryDirectory(dir=path.parent) as folder:
        yield Path(folder)


def _npm(folder: Path, command: str, *arguments: str) -> str:
    done = subprocess.run(
        [needs("npm"), command, "--silent", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
    )
    if done.returncode:
        wanted = [word for word in arguments if "@" in word]
        missing(f"npm has no {', '.join(wanted)} for this machine: {done.stderr[-200:]}")
    return done.stdout
