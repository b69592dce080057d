"""Making sure that a file is not opened with another file's write-ahead log.

What belongs here: what has to be looked at before SQLite opens the path. What does not: what it
finds in the file (``schema``).

A restored or replaced file beside the old one's ``-wal`` would have that applied to it, page by
page. So a note in the wake folder tells, by inode numbers, which belong together. It also has the
head that the log had: a restored file may get the old one's inode number, but not its head.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_NOTE = "file"  # in the wake folder


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


class Note(NamedTuple):
    """What is known of the file at the path, from the last who had it open."""

    inode: int = 0  # of the file
    wal: int = 0  # inode number of its -wal
    boot: str = ""  # the machine's run in which it was noted
    epoch: str = ""
    head: int = 0  # that the log had, a second before it was last used at the most


def read_note(folder: str) -> Note:
    """Return the note; an empty one where there is none."""
    try:
        inode, wal, boot, epoch, head = Path(folder, _NOTE).read_text().split()
        return Note(int(inode), int(wal), boot, epoch, int(head))
    except (FileNotFoundError, ValueError):
        return Note()


def write_note(folder: str, note: Note) -> None:
    """Note it, in one step."""
    # Brokers of one process may note at the same time.
    fresh = Path(folder, f"{_NOTE}.{os.getpid()}.{threading.get_ident()}")
    fresh.write_text(" ".join(map(str, note)))
    fresh.replace(Path(folder, _NOTE))


def open_place(path: str, note: Note) -> int:
    """Return the inode number of the file at ``path``, made empty where there is none; what another
    file has left beside it is gone then. To be called with the lock held."""
    if not inode_of(path):
        # Never a file that is there: closing it would drop the locks that this process's other
        # connections hold on it (POSIX), and the next to leave would take the -wal away from them.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644))
    inode = inode_of(path)
    # The same -wal beside another file is the old one's. Where both are others, the whole folder
    # was copied or moved, and they belong together.
    if note.inode not in (0, inode) and note.wal and note.wal == inode_of(f"{path}-wal"):
        for beside in (f"{path}-wal", f"{path}-shm"):
            Path(beside).unlink(missing_ok=True)
    return inode
