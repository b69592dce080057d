"""A client that somebody else wrote, as a process, and what it says it has heard.

A program takes the server's address and a channel, and prints a line for each thing that comes: a
message's data, which here is a number; ``live`` or ``lost`` when it has caught up. It comes back
after each failure until it is ended.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from ..wire import TIMEOUT

PROGRAMS = Path(__file__).parent / "programs"


class Program:
    """A running program. Its words are kept in ``said``, the numbers among them in ``heard``."""

    def __init__(
        self, name: str, command: Sequence[str], environ: Mapping[str, str], errors: IO[bytes]
    ) -> None:
        self.name = name
        self.said: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # a shell's curl ends with it
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    @property
    def heard(self) -> list[int]:
        return [int(line) for line in self.said if line.isdigit()]

    def wait(self, word: object) -> None:
        """Read on until it has said ``word``."""
        self.wait_for(lambda line: line == str(word), f"never said {word}")

    def wait_for(self, ends: Callable[[str], bool], otherwise: str = "never said it") -> None:
        """Read on until a line fits; a Java takes seconds to begin."""
        while True:
            try:
                line = self._lines.get(timeout=3 * TIMEOUT)
            except queue.Empty:
                raise AssertionError(f"{self.name} {otherwise}: {self.said}") from None
            assert line is not None, f"{self.name} ended: {self.said}"
            self.said.append(line)
            if ends(line):
                return

    def close(self) -> None:
        """End it with all of its children, and read what it still said."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended by itself
        self._process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        assert self._process.stdout is not None
        self._process.stdout.close()
