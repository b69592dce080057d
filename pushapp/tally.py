"""What a worker counts: plain integers, which a second's loop carries to where all can read them.

What belongs here: every metric by name, with the closed set of its labels, and counting. What does
not: how they are shown (``metrics``). It imports values alone: gunicorn's master has to know how
much room the numbers take.

No label ever holds what a client or a publisher chose: no channel, no user. So the number of series
is known beforehand, and nothing private is shown.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

from .message import Loss
from .traffic import Traffic

Labels = tuple[str, ...]
TRANSPORTS = ("poll", "longpoll", "sse", "websocket")
STREAMS = ("sse", "websocket")

#: Why a stream ended; in the log, too.
ENDS = (
    "gone",  # the client left without a word, or could not be reached
    "asked",  # it closed the WebSocket
    "slow",  # it did not read what was sent
    "drain",  # the worker ends, or could not serve it: it comes back
    "renewed",  # it has lasted long enough, and comes back, maybe to another worker
    "expired",  # its token's time was over
    "refused",  # it may not, or no longer
    "kicked",  # somebody ended it
    "protocol",  # it broke the rules of its transport
    "flood",  # it said too much, too fast, and went on like that
    "busy",  # too many connections or requests, or the log did not answer
    "error",  # our own fault
)
#: Why a request, a handshake or an op was refused.
REFUSALS = (
    "invalid",
    "too_large",
    "not_authenticated",
    "expired",
    "not_allowed",
    "not_found",
    "key_reused",
    "too_many_requests",
    "at_capacity",
    "unavailable",
    "error",
    "other",
)
PRESENT = ("stream", "poller", "gone")
#: ``skipped``: what nobody wants, of a channel that keeps its newest message alone, which is there.
OUTCOMES = ("recovered", "skipped", "expired", "epoch", "limit")
OPERATIONS = ("append", "read")

_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
_ROUND_TRIP = (0.0001, 0.00025, 0.0005, *_LATENCY[:-1])  # seconds


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, and all of its series."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str  # without what Prometheus puts around it
    help: str
    labels: Mapping[str, tuple[str, ...]]
    bounds: tuple[float, ...] = ()  # a histogram's; seconds

    @property
    def series(self) -> list[Labels]:
        """Every combination of its labels' values."""
        return list(product(*self.labels.values()))

    @property
    def width(self) -> int:
        """How many numbers one series is: a histogram's buckets and its sum, else one."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 1


_STREAM = {"transport": STREAMS}
_ALL = {"transport": TRANSPORTS}

METRICS = (
    Metric("counter", "published", "messages that the log took from this worker", {}),
    Metric("counter", "deliveries", "messages handed to clients, once for each", _ALL),
    Metric(
        "histogram",
        "delivery_seconds",
        "from a message's time until all of this worker's streams and long polls were handed it",
        {},
        _LATENCY,
    ),
    Metric("gauge", "connections", "clients that wait here", {"transport": TRANSPORTS[1:]}),
    Metric("gauge", "connections_limit", "how many may wait here (PUSH_MAX_CONNECTIONS)", {}),
    Metric("gauge", "channels", "channels that somebody here listens to", {}),
    Metric("counter", "opened", "streams that began", _STREAM),
    Metric("counter", "ended", "streams that ended, and why", _STREAM | {"reason": ENDS}),
    Metric(
        "counter",
        "recoveries",
        "streams that came with a cursor, and on all transports how often a client was told of a"
        " loss, by its reason; skipped: of channels that keep one message, which came",
        _ALL | {"outcome": OUTCOMES},
    ),
    Metric(
        "counter",
        "answers",
        "polls and long polls answered; lane: without gunicorn and Flask",
        {"transport": TRANSPORTS[:2], "way": ("app", "lane")},
    ),
    Metric(
        "counter",
        "publishes",
        "publish requests answered; lane: without gunicorn and Flask",
        {"way": ("app", "lane")},
    ),
    Metric("counter", "refusals", "requests, handshakes and ops refused", {"reason": REFUSALS}),
    Metric(
        "gauge",
        "present",
        "connections that this worker brings to the roster; gone: held for the grace time",
        {"kind": PRESENT},
    ),
    Metric(
        "counter",
        "webhooks",
        "batches of events for PUSH_WEBHOOK_URL; lost: how often some were kept no longer",
        {"outcome": ("taken", "refused", "lost")},
    ),
    Metric("gauge", "unsent_bytes", "what clients have still to take", {}),
    Metric("gauge", "unsent_connections", "clients that have still to take something", {}),
    Metric(
        "histogram",
        "log_seconds",
        "round trips to the log",
        {"operation": OPERATIONS},
        _ROUND_TRIP,
    ),
    Metric(
        "counter",
        "log_errors",
        "times that the log did not answer",
        {"operation": (*OPERATIONS, "follow")},
    ),
    Metric("gauge", "follow_age_seconds", "since the log was last read by who hands out", {}),
    Metric("gauge", "draining", "1: this worker is about to end", {}),
    Metric("gauge", "resident_bytes", "memory of this worker", {}),
    Metric("counter", "cpu_seconds", "CPU time of this worker", {}),
)

#: The numbers of a metric by its labels' values; of a histogram: its buckets and its sum.
Series = Mapping[Labels, float | list[float]]
SIZE = sum(metric.width * len(metric.series) for metric in METRICS)


class Histogram:
    """How often something took how long."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)  # the last one: longer than all bounds
        self.total = 0.0  # seconds

    def observe(self, seconds: float) -> None:
        """Count one; clocks of two machines may make it less than nothing."""
        seconds = max(seconds, 0.0)
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.total += seconds

    @property
    def numbers(self) -> list[float]:
        return [*self.counts, self.total]


class Tally:
    """What one Push of a process has counted. Whoever counts adds to a number of these."""

    def __init__(self) -> None:
        self.is_latest_only: Callable[[str], bool] = lambda channel: False  # as ``Settings``' is
        self.published = 0
        self.deliveries = dict.fromkeys(
            TRANSPORTS, 0
        )  # without those of streams that have not ended
        self.opened = dict.fromkeys(STREAMS, 0)
        self.ended: dict[Labels, int] = dict.fromkeys(product(STREAMS, ENDS), 0)
        self.recoveries: dict[Labels, int] = dict.fromkeys(product(TRANSPORTS, OUTCOMES), 0)
        self.answers = dict.fromkeys(TRANSPORTS[:2], 0)
        self.lane = dict.fromkeys(TRANSPORTS[:2], 0)
        self.publishes = {"app": 0, "lane": 0}
        self.refusals = dict.fromkeys(REFUSALS, 0)
        self.webhooks = {"taken": 0, "refused": 0, "lost": 0}
        self.log_errors = dict.fromkeys((*OPERATIONS, "follow"), 0)
        self.traffic: Traffic | None = None  # while somebody looks
        self.delivery = Histogram(_LATENCY)
        self.log = {operation: Histogram(_ROUND_TRIP) for operation in OPERATIONS}

    def answered(
        self,
        transport: str,
        messages: int,
        lost: Sequence[Loss],
        way: dict[str, int] | None = None,  # ``lane``; None: ``answers``
    ) -> None:
        """Count an answer to a poll or a long poll."""
        (self.answers if way is None else way)[transport] += 1
        self.deliveries[transport] += messages
        if lost:
            self.lost(transport, lost)

    def recovered(self, transport: str) -> None:
        """Count a stream that came with a cursor and missed nothing."""
        self.recoveries[transport, "recovered"] += 1

    def lost(self, transport: str, lost: Iterable[Loss]) -> None:
        """Count a client that is told of ``lost``: once for each reason."""
        for outcome in set(map(self._outcome, lost)):
            self.recoveries[transport, outcome] += 1

    def _outcome(self, loss: Loss) -> str:
        is_there = loss.before is not None  # the newest
        if loss.reason == "expired" and is_there and self.is_latest_only(loss.channel):
            return "skipped"
        return loss.reason

    def numbers(self) -> dict[str, Series]:
        """Return what has been counted, by metric and labels."""
        answers: dict[Labels, int] = {(t, "app"): n for t, n in self.answers.items()}
        return {
            "published": {(): self.published},
            "deliveries": by_label(self.deliveries),
            "opened": by_label(self.opened),
            "ended": self.ended,
            "recoveries": self.recoveries,
            "answers": answers | {(t, "lane"): n for t, n in self.lane.items()},
            "publishes": by_label(self.publishes),
            "refusals": by_label(self.refusals),
            "webhooks": by_label(self.webhooks),
            "log_errors": by_label(self.log_errors),
            "delivery_seconds": {(): self.delivery.numbers},
            "log_seconds": {(name,): histogram.numbers for name, histogram in self.log.items()},
        }


def by_label(counts: Mapping[str, int]) -> dict[Labels, float | list[float]]:
    """Return counts of a metric that has one label."""
    return {(label,): count for label, count in counts.items()}


def flat(numbers: Mapping[str, Series]) -> list[float]:
    """Return ``numbers`` in the order of METRICS: what a slot of the board holds."""
    found: list[float] = []
    for metric in METRICS:
        of_metric = numbers.get(metric.name, {})
        for labels in metric.series:
            value = of_metric.get(labels, 0.0)
            found += value if isinstance(value, list) else [value] + [0.0] * (metric.width - 1)
    return found


def growing() -> list[bool]:
    """Tell of each number of ``flat`` whether it only grows."""
    return [
        metric.kind != "gauge"
        for metric in METRICS
        for _ in range(metric.width * len(metric.series))
    ]
