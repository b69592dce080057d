"""Making sure that a file is not opened with another file's write-ahead log.

What belongs here: what has to be looked at before SQLite opens the path. What does not: what it
finds in the file (``schema``).

A restored or replaced file beside the old one's ``-wal`` would have that applied to it, page by
page. So a note in the wake folder names the file (by its inode number) that they belong to.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

_NOTE = "file"  # in the wake folder: the inode number of the file that -wal and -shm belong to


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Let one process at a time open the file.

    Raises:
        BlockingIOError: another one is at it.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(fd)


def inode_of(path: str) -> int:
    """Return the inode number of what is at ``path``, 0 where nothing is."""
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0


def open_place(path: str, folder: str) -> int:
    """Return the inode number of the file at ``path``, made empty where there is none; what another
    file has left beside it is gone then. To be called with the lock held."""
    if not inode_of(path):
        # Never a file that is there: closing it would drop the locks that this process's other
        # connections hold on it (POSIX), and the next to leave would take the -wal away from them.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644))
    inode = inode_of(path)
    note = Path(folder, _NOTE)
    known = note.read_text() if note.exists() else ""
    if known != str(inode):
        if known:
            for beside in (f"{path}-wal", f"{path}-shm"):
                Path(beside).unlink(missing_ok=True)
        note.write_text(str(inode))
    return inode
