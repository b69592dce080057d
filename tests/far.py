"""A network of its own beside this machine's, and the cable between them: it can be pulled.

What belongs here: making both, and sockets whose packets pass the cable. What does not: what is
said over them. Nobody on either side is told when the cable is pulled; packets are just gone.
"""

from __future__ import annotations

import ctypes
import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from .needs import needs

_NETWORK = 0x40000000  # CLONE_NEWNET of linux/sched.h
_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The kernel lets us make no networks: containers often may not."""


class Far:
    """A network at the other end of a cable."""

    def __init__(self) -> None:
        self._ip = needs("ip", also="/usr/sbin")
        number = random.randrange(1, 250)
        self._name, self._near, self._there = f"far{number}", f"near{number}", f"there{number}"
        # of the addresses that are for tests of networks (RFC 2544)
        self.address, self._other = f"198.18.{number}.1", f"198.18.{number}.2"
        self._run("netns", "add", self._name)
        try:
            peer = ("peer", "name", self._there, "netns", self._name)
            self._run("link", "add", self._near, "type", "veth", *peer)
            self._run("addr", "add", f"{self.address}/30", "dev", self._near)
            self._run("link", "set", self._near, "up")
            self._run_there("addr", "add", f"{self._other}/30", "dev", self._there)
            self.plug()
        except Refused:
            self.close()
            raise

    def _run(self, *arguments: str) -> None:
        done = subprocess.run([self._ip, *arguments], capture_output=True, text=True)
        if done.returncode:
            raise Refused(f"ip {' '.join(arguments)}: {done.stderr.strip()}")

    def _run_there(self, *arguments: str) -> None:
        self._run("-n", self._name, *arguments)

    def plug(self) -> None:
        """Connect the cable."""
        self._run_there("link", "set", self._there, "up")

    def pull(self) -> None:
        """Disconnect the cable at the far end: what is sent to there is lost without a word."""
        self._run_there("link", "set", self._there, "down")

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Have sockets that this thread makes meanwhile be of the far network."""
        with (
            open("/proc/thread-self/ns/net") as here,
            open(f"/run/netns/{self._name}") as there,
        ):
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(here.fileno())

    def close(self) -> None:
        """Take it away; the cable goes with it."""
        self._run("netns", "del", self._name)


def _enter(fd: int) -> None:
    if _libc.setns(fd, _NETWORK):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
