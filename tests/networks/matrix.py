"""Several visits at once, since most of each is waiting.

What belongs here: threads, browsers and progress. What does not: a visit (``visit``).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path

from playwright.sync_api import sync_playwright

from .chromium import Chromium
from .visit import Form, Network, Result, visit

Row = tuple[Form, Network]


class Matrix:
    """Pays the visits in the order in which they are given, ``width`` of them at once, beginning
    with the one that is asked for first: processes that share the rows pay each its own."""

    def __init__(
        self, rows: Iterable[Row], width: int, folder: Path, jquery: Path, chromium: str
    ) -> None:
        self._width, self._folder, self._jquery, self._path = width, folder, jquery, chromium
        self._futures: dict[Row, Future[Result]] = {row: Future() for row in rows}
        self._waiting: queue.SimpleQueue[tuple[Row, Future[Result]]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def _start(self, first: Row) -> None:
        rows = [*self._futures]
        at = rows.index(first)
        for row in rows[at:] + rows[:at]:
            self._waiting.put((row, self._futures[row]))
        self._threads = [threading.Thread(target=self._work) for _ in range(self._width)]
        for thread in self._threads:
            thread.start()

    def result(self, form: Form, network: Network) -> Result:
        """Wait for what was found there."""
        if not self._threads:
            self._start((form, network))
        return self._futures[form, network].result()

    def results(self) -> dict[tuple[str, int], Result]:
        """Return what was found so far, by the form's name and the network's number."""
        done = {row: f for row, f in self._futures.items() if f.done() and not f.cancelled()}
        return {
            (form.name, network.number): f.result()
            for (form, network), f in done.items()
            if f.exception() is None
        }

    def close(self) -> None:
        """Begin no more visits, and wait for those that have begun."""
        for future in self._futures.values():
            future.cancel()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        try:
            with sync_playwright() as playwright, Chromium(playwright, self._path) as chromium:
                for (form, network), future in self._rest():
                    if future.set_running_or_notify_cancel():
                        self._pay(form, network, chromium, future)
        except BaseException as error:  # the tests that wait for these rows fail with it
            for _, future in self._rest():
                future.set_exception(error)

    def _pay(
        self, form: Form, network: Network, chromium: Chromium, future: Future[Result]
    ) -> None:
        folder = self._folder / f"{form.name}-{network.number}".replace(" ", "-")
        folder.mkdir()
        try:
            future.set_result(visit(network, form, folder, self._jquery, chromium))
        except BaseException as error:
            future.set_exception(error)

    def _rest(self) -> Iterator[tuple[Row, Future[Result]]]:
        """Give out the rows that nobody has taken yet."""
        while True:
            try:
                yield self._waiting.get_nowait()
            except queue.Empty:
                return
