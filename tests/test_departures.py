"""The lines of streams that end: beside, bounded, and all of them in the end.

What belongs here: how lines get into the log. What does not: whether they are true
(``transports/test_counting``).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pytest

from pushapp import departures
from pushapp.departures import Departures
from pushapp.errors import ConnectionEnded, InvalidInput, LogUnavailable, NotAllowed, TokenExpired
from pushapp.tally import ENDS, Tally


@dataclass
class Leaver:
    """A stream that ends."""

    id: str
    transport: str = "sse"
    user: str | None = None
    since: float = 0.0
    messages: int = 3


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What would be done beside, and is not yet."""
    begun: list[object] = []
    monkeypatch.setattr(departures, "spawn", begun.append)
    return begun


def test_ten_thousand_that_leave_at_once_hold_nobody_up(
    held: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is written where they leave, and beside it one writer is begun, not ten thousand."""
    caplog.set_level(logging.INFO, "pushapp")
    leaving = Departures(Tally())
    for n in range(10_000):
        leaving.add(Leaver(str(n)), "drain")
    assert not caplog.records and len(held) == 1

    leaving.close()

    lines = [record.getMessage() for record in caplog.records]
    assert [line.split()[1] for line in lines] == [f"connection={n}" for n in range(10_000)]
    assert all(" reason=drain " in line for line in lines)


def test_of_more_than_can_wait_the_number_is_told(
    held: list[object], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is bounded; what is counted is not."""
    caplog.set_level(logging.INFO, "pushapp")
    monkeypatch.setattr(departures, "_MOST", 5)
    tally = Tally()
    leaving = Departures(tally)
    for n in range(8):
        leaving.add(Leaver(str(n)), "gone")
    leaving.close()
    assert len(caplog.records) == 6
    assert caplog.records[-1].getMessage() == "ended: 3 more connections, of which there is no line"
    assert tally.ended["sse", "gone"] == 8
    assert tally.deliveries["sse"] == 24


def test_where_nobody_reads_lines_none_are_made(
    held: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    """At a higher level it costs the counting alone."""
    caplog.set_level(logging.WARNING, "pushapp")
    tally = Tally()
    Departures(tally).add(Leaver("one"), "gone")
    assert not held and tally.ended["sse", "gone"] == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TokenExpired(), "expired"),
        (NotAllowed("no"), "refused"),
        (ConnectionEnded(), "kicked"),
        (LogUnavailable("away"), "busy"),
        (InvalidInput("op", "dance", "another"), "protocol"),
    ],
)
def test_an_error_has_its_reason(error: Exception, reason: str) -> None:
    """The nearest class counts."""
    assert departures.why(error) == reason  # type: ignore[arg-type]
    assert reason in ENDS


def test_every_reason_that_an_error_can_have_is_counted() -> None:
    """A reason that the tally does not know would end in a KeyError."""
    assert set(departures.WHY.values()) <= set(ENDS)
