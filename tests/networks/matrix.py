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
    """Pays the visits in the order in which they are given, ``width`` of them at once."""

    def __init__(self, rows: Iterable[Row], folder: Path, jquery: Path, chromium: str) -> None:
        self._folder, self._jquery, self._path = folder, jquery, chromium
        self._futures: dict[tuple[str, int], Future[Result]] = {}
        self._waiting: queue.SimpleQueue[tuple[Row, Future[Result]]] = queue.SimpleQueue()
        for form, network in rows:
            future: Future[Result] = Future()
            self._futures[form.name, network.number] = future
            self._waiting.put(((form, network), future))
        self._threads: list[threading.Thread] = []

    def start(self, width: int) -> None:
        self._threads = [threading.Thread(target=self._work) for _ in range(width)]
        for thread in self._threads:
            thread.start()

    def result(self, form: Form, network: Network) -> Result:
        """Wait for what was found there."""
        return self._futures[form.name, network.number].result()

    def results(self) -> dict[tuple[str, int], Result]:
        """Return what was found so far, by the form's name and the network's number."""
        done = {key: f for key, f in self._futures.items() if f.done() and not f.cancelled()}
        return {key: f.result() for key, f in done.items() if f.exception() is None}

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
