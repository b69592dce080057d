"""Waking the followers of a log: a datagram each, through sockets in a folder beside the file.

What belongs here: ringing and hearing. What does not: what there is to read then; a ring that gets
lost delays a follower until it looks for itself, and loses nothing. Within a process that gevent
has patched a follower is told without a datagram.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import socket
import threading
import time

from .native import is_patched

_SUFFIX = ".bell"
_SETTLED = 30_000_000  # ns; file systems' clocks tick every 1 to 10 ms


class Folder:
    """The folder with everybody's sockets. Addressed through a descriptor of it, because a Unix
    socket's path has at most 107 bytes; without /proc the path itself has to do."""

    def __init__(self, path: str) -> None:
        os.makedirs(path, exist_ok=True)
        self._path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._changed = -1  # the folder's mtime_ns when it was listed
        self._names: list[str] = []
        self.told: set[str] = set()  # names of those who are told otherwise
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender.setblocking(False)

    def address(self, name: str) -> str:
        """Return how to reach ``name`` in the folder."""
        if os.path.isdir("/proc/self/fd"):
            return f"/proc/self/fd/{self._fd}/{name}"
        return os.path.join(self._path, name)

    def ring(self) -> None:
        """Wake everybody else; never waits."""
        changed = os.fstat(self._fd).st_mtime_ns
        if changed != self._changed:
            # a change within the same tick of the file system's clock would not show
            settled = time.time_ns() - changed > _SETTLED  # before it is listed, however long
            names = {n for n in os.listdir(self._fd) if n.endswith(_SUFFIX)}
            self._names = list(names - self.told)
            self._changed = changed if settled else -1
        for name in self._names:
            self.ring_one(name)

    def ring_one(self, name: str) -> None:
        """Wake one; where nobody listens any more, its socket is cleared away."""
        try:
            self._sender.sendto(b"!", self.address(name))
        except ConnectionRefusedError:
            with contextlib.suppress(OSError):
                os.unlink(self.address(name))
        except OSError:
            return  # rung enough, gone, or another user's: it looks for itself within a second

    def close(self) -> None:
        """Let go of it."""
        self._sender.close()
        os.close(self._fd)


class Bell:
    """One follower's socket."""

    rung = False  # by somebody else, as far as that is known without a system call

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(folder.address(self._name))

    def wait(self, timeout: float) -> bool:
        """Return when it rings, or after ``timeout`` seconds; tell whether the log may have more
        than what was ``told``."""
        self._socket.settimeout(max(timeout, 0.001))
        try:
            self._socket.recv(64)
            self._socket.setblocking(False)
            while True:  # many rings are one
                self._socket.recv(64)
        except (TimeoutError, BlockingIOError):
            return True

    def ring(self) -> None:
        """Wake this one."""
        self._folder.ring_one(self._name)

    def tell(self) -> None:
        """Wake this one, of the process that has appended. The folder rings it as all others."""

    def close(self) -> None:
        """Clear it away."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._folder.address(self._name))
        self._socket.close()


class GreenBell(Bell):
    """The same in a process that gevent has patched: no system call where it tells itself."""

    def __init__(self, folder: Folder) -> None:
        super().__init__(folder)
        import gevent

        folder.told.add(self._name)
        self._socket.setblocking(False)
        self._rung = threading.Event()
        self._loop = gevent.get_hub().loop
        self._watcher = self._loop.io(self._socket.fileno(), 1)  # libev's EV_READ
        self._watcher.start(self._hear)
        self._alarm = self._loop.timer(0)
        self._due = math.inf  # monotonic seconds; when the alarm rings

    def wait(self, timeout: float) -> bool:
        due = time.monotonic() + timeout
        if due < self._due:  # else it rings early, once: no timer is started for each ring
            self._alarm.close()
            self._alarm, self._due = self._loop.timer(max(timeout, 0.001)), due
            self._alarm.start(self._on_alarm)
        self._rung.wait()
        self._rung.clear()
        more, self.rung = self.rung, False
        return more

    def _on_alarm(self) -> None:
        self._due = math.inf
        self.ring()

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._socket.recv(64)  # one at a time: it is called for each
        self.ring()

    def ring(self) -> None:
        self.rung = True
        self._rung.set()

    def tell(self) -> None:
        self._rung.set()

    def close(self) -> None:
        for watcher in (self._watcher, self._alarm):
            watcher.stop()
            watcher.close()
        self._folder.told.discard(self._name)
        super().close()


def bell(folder: Folder) -> Bell:
    """Return a bell that fits this process."""
    return GreenBell(folder) if is_patched() else Bell(folder)
