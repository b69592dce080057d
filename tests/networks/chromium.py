"""A Chromium of a visit's own, with hands on its processes.

What belongs here: starting, ending and stopping a browser. What does not: its pages (``visitor``).
"""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

import psutil
from playwright.sync_api import Playwright

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--host-resolver-rules=MAP push.test 127.0.0.1",
]


class Chromium:
    """One browser, with a profile of its own."""

    def __init__(self, playwright: Playwright, path: str) -> None:
        self._mark = f"--mark={uuid.uuid4()}"  # tells its processes from other browsers'
        self.browser = playwright.chromium.launch(
            executable_path=path, args=[*_ARGUMENTS, self._mark]
        )

    def __enter__(self) -> Chromium:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.browser.close()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let no process of it run, as when a lid is closed. Its sockets stay, in the kernel."""
        processes = self._processes()
        try:
            self._signal(processes, signal.SIGSTOP)
            yield
        finally:
            self._signal(processes, signal.SIGCONT)

    def _signal(self, processes: list[psutil.Process], number: int) -> None:
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # one that ends just now
                process.send_signal(number)

    def _processes(self) -> list[psutil.Process]:
        (first,) = filter(self._is_first, psutil.Process().children(recursive=True))
        return [first, *first.children(recursive=True)]

    def _is_first(self, process: psutil.Process) -> bool:
        try:
            command = process.cmdline()
        except psutil.NoSuchProcess:  # one that ends just now
            return False
        return self._mark in command and not any(word.startswith("--type=") for word in command)
