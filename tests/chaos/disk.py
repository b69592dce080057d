"""A small disk that can be full, and a wall clock that can be moved.

What belongs here: what the servers' processes alone have of a machine, so that it can be harmed.
What does not: when (``faults``).
"""

from __future__ import annotations

import errno
import mmap
import resource
import struct
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_SIZE = "256m"  # of a disk; it takes memory as it is used
_PIECE = 1 << 20  # bytes of ballast at a time
_CLOCK = Path(__file__).with_name("clock.c")


class Disk:
    """A folder on a file system of its own (tmpfs); without the right to mount, a plain folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "chaos", str(folder)]
        self._is_own = subprocess.run(mount, capture_output=True).returncode == 0

    @contextmanager
    def full(self, pids: Callable[[], Iterable[int]]) -> Iterator[None]:
        """Have no room on it. A plain folder stays as it is: instead, no file that these processes
        write may become longer, which they cannot tell from a full disk."""
        if not self._is_own:
            with _short_files(list(pids())):
                yield
            return
        ballast = self.folder / "ballast"
        try:
            with ballast.open("wb", buffering=0) as file:
                _fill(file.write)
            yield
        finally:
            ballast.unlink()

    def close(self) -> None:
        """Take it away, with all that is on it."""
        if self._is_own:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


def _fill(write: Callable[[bytes], int | None]) -> None:
    """Write until there is no room, not even for a byte."""
    piece = bytes(_PIECE)
    while piece:
        try:
            write(piece)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            piece = piece[: len(piece) // 2]


@contextmanager
def _short_files(pids: list[int]) -> Iterator[None]:
    _limit(pids, 4000)  # bytes; less than one page of a database
    try:
        yield
    finally:
        _limit(pids, resource.RLIM_INFINITY)


def _limit(pids: list[int], size: int) -> None:
    for pid in pids:
        try:
            _, hard = psutil.Process(pid).rlimit(resource.RLIMIT_FSIZE)
            psutil.Process(pid).rlimit(resource.RLIMIT_FSIZE, (size, hard))
        except psutil.NoSuchProcess:
            continue  # it could not bear it


class Clock:
    """The wall clock of the processes that are started with ``environ``."""

    def __init__(self, folder: Path) -> None:
        library, file = folder / "clock.so", folder / "clock"
        subprocess.run(
            ["gcc", "-O2", "-shared", "-fPIC", "-o", str(library), str(_CLOCK)], check=True
        )
        file.write_bytes(struct.pack("d", 0.0))
        with file.open("r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), 8)
        self.environ = {"LD_PRELOAD": str(library), "CHAOS_CLOCK": str(file)}

    @contextmanager
    def moved(self, seconds: float) -> Iterator[None]:
        """Have it go wrong by so much."""
        self._map[:] = struct.pack("d", seconds)
        try:
            yield
        finally:
            self._map[:] = struct.pack("d", 0.0)
