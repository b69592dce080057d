"""``/metrics``: what all workers of this server have counted, as Prometheus reads it.

What belongs here: from a worker's numbers to the board that all share, and from the board to text.
What does not: counting (``tally``), whose slot is whose (``board``).

prometheus_client's own way for several processes keeps a file per process in a folder that somebody
has to make and empty, grows with every worker that ever lived, cannot tell workers apart in
counters, and is switched on by an environment variable for all of a process: a host app's metrics,
too. So the numbers travel by the board, and the library writes the text.
"""

from __future__ import annotations

import logging
import os
import resource
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flask import Flask, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, Metric, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from . import tally
from .board import Board, Slot
from .current import current_push
from .problem import secure
from .tally import METRICS, Labels
from .throttle import count_request

if TYPE_CHECKING:
    from .extension import Push

PREFIX = "pushapp_"
PERIOD = 1.0  # seconds between two reports of a worker to the board
_ALONE = "0"  # the label of a process that has no board
_STATM = Path("/proc/self/statm")
_PAGE = resource.getpagesize()  # bytes

log = logging.getLogger(__name__)


class Reading(NamedTuple):
    """The numbers of one worker, in the order of ``tally.METRICS``."""

    worker: str
    lives: bool
    numbers: Sequence[float]


def register(app: Flask) -> None:
    """Put the route at the root of the standalone app; anyone may ask: it names nobody."""
    app.add_url_rule("/metrics", "metrics", _open_view)


def _open_view() -> Response:
    count_request()  # it takes far longer than to refuse it
    return secure(_answer())


def view() -> Response:
    """Answer under the prefix, in apps of others: with an api key that may look."""
    current_push().api_keys.require_look()
    return _answer()


def _answer() -> Response:
    push = current_push()
    readings = push.reporter.read() if push.reporter else [Reading(_ALONE, True, measure([push]))]
    headers = {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4, "Cache-Control": "no-store"}
    return Response(generate_latest(_Families(readings)), headers=headers)


# -- from a worker to the board -------------------------------------------------------------------


class Reporter:
    """Carries the numbers of this worker to the board; reads those of all."""

    def __init__(self, board: Board, slot: Slot, measure: Callable[[], Sequence[float]]) -> None:
        self._board, self._slot, self._measure = board, slot, measure
        # of the workers that had the slot before: their counters go on
        self._before = [n * grows for n, grows in zip(slot.read(), tally.growing(), strict=True)]

    @property
    def worker(self) -> str:
        """The label of this worker."""
        return self._slot.name

    def write(self) -> None:
        """Say how it is now."""
        self._slot.write(map(add, self._before, self._measure()))

    def run(self) -> None:
        """Say it every second, for ever."""
        while True:
            try:
                self.write()
            except Exception:
                log.exception("counting failed; trying again")
            time.sleep(PERIOD)

    def read(self) -> list[Reading]:
        """Return the numbers of all workers: this one's of now, the others' of a second ago."""
        self.write()
        return [Reading(slot.name, slot.lives, slot.read()) for slot in self._board.slots()]


def measure(pushes: Iterable[Push]) -> list[float]:
    """Return the numbers of this process, of all its ``pushes`` together."""
    found = tally.flat(of_process())
    for push in pushes:
        found = list(map(add, found, tally.flat(of_push(push))))
    return found


def _resident() -> int:
    """Return the bytes that this process has in memory; 0 where nobody says."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE
    except OSError:  # another system, or no file descriptor is left
        return 0


def of_process() -> dict[str, tally.Series]:
    """Return what the whole process uses."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    resident = _resident() or usage.ru_maxrss * 1024
    return {
        "cpu_seconds": {(): usage.ru_utime + usage.ru_stime},
        "resident_bytes": {(): resident},
    }


def of_push(push: Push) -> dict[str, tally.Series]:
    """Return the numbers of one Push in this process."""
    numbers = push.tally.numbers()
    numbers["connections_limit"] = {(): push.settings.max_connections}
    running = push.running
    if running is None:
        return numbers
    hub, lot = running.hub, running.lot
    waiting = dict.fromkeys(tally.TRANSPORTS, 0)
    delivered = dict(push.tally.deliveries)
    with hub.lock:
        for subscriber in hub.subscribers():
            waiting[subscriber.transport] += 1
            delivered[subscriber.transport] += subscriber.messages
    return numbers | {
        "connections": tally.by_label(waiting),
        "deliveries": tally.by_label(delivered),
        "channels": {(): hub.channels},
        "present": tally.by_label(dict(zip(tally.PRESENT, running.presence.counts, strict=True))),
        "unsent_bytes": {(): lot.unsent},
        "unsent_connections": {(): len(lot.backlogged)},
        "follow_age_seconds": {(): time.monotonic() - hub.listener.heard},
        "draining": {(): float(hub.draining)},
    }


# -- from the board to text -----------------------------------------------------------------------


class _Families(Collector):
    """What prometheus_client asks for metrics."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        dyno = os.environ.get("DYNO")  # on Heroku a request gets to any of the machines
        more = {"dyno": dyno} if dyno else {}
        start = 0
        for metric in METRICS:
            family = _family(metric, [*metric.labels, "worker", *more])
            for labels in metric.series:
                end = start + metric.width
                for reading in self._readings:
                    if reading.lives or metric.kind != "gauge":
                        whose = (*labels, reading.worker, *more.values())
                        _add(family, metric, whose, reading.numbers[start:end])
                start = end
            yield family


def _family(
    metric: tally.Metric, labels: Sequence[str]
) -> CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily:
    kinds: dict[str, type[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]] = {
        "counter": CounterMetricFamily,
        "gauge": GaugeMetricFamily,
        "histogram": HistogramMetricFamily,
    }
    return kinds[metric.kind](PREFIX + metric.name, metric.help, labels=labels)


def _add(
    family: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily,
    metric: tally.Metric,
    labels: Labels,
    numbers: Sequence[float],
) -> None:
    if isinstance(family, HistogramMetricFamily):
        *counts, total = numbers
        bounds = [*map(str, metric.bounds), "+Inf"]
        family.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), total)
    else:
        family.add_metric(labels, numbers[0])
