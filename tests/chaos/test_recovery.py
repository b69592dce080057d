"""How soon all was well again: from made-up books with a fault in them."""

from __future__ import annotations

from .books import Got, Reader, Sent, Turn
from .recovery import Happened, dark, kinds

CHANNEL = "public:a"


def reader(*came: float) -> Reader:
    """Return one that got message n at ``came[n]``."""
    entries = [Got(f"e.{n + 1}", None, CHANNEL, n, at) for n, at in enumerate(came)]
    return Reader("r", [CHANNEL], [Turn("sse", 1, [*entries])])


def sent(*at: float) -> list[Sent]:
    return [Sent(n, CHANNEL, f"e.{n + 1}", seconds, 1) for n, seconds in enumerate(at)]


def test_a_late_reader_has_recovered_when_the_last_late_message_has_come() -> None:
    """Counted from the end of the harm; one that was never late is not counted at all."""
    faults = [Happened("harm", 10.0, 12.0)]
    readers = [reader(9.1, 15.5, 15.6), reader(9.1, 11.2, 13.6)]
    found = kinds(faults, sent(9.0, 11.0, 13.0), readers)["harm"]
    assert (found.times, found.lasted) == (1, [2.0])
    assert found.deliveries == 4  # of what was acknowledged at 11 and 13
    assert [round(seconds, 9) for seconds in found.recovered] == [3.6]


def test_what_is_late_after_the_next_fault_has_begun_is_the_next_ones() -> None:
    """Each has its own time, also of the dark between two acknowledgements."""
    faults = [Happened("one", 10.0, 10.0), Happened("two", 11.0, 12.0)]
    found = kinds(faults, sent(9.9, 10.5, 11.5, 15.5), [reader(9.9, 10.6, 14.0, 15.6)])
    assert found["one"].recovered == [] and found["two"].recovered == [2.0]
    assert found["one"].dark == [1.0] and found["two"].dark == [4.0]


def test_what_happens_beside_counts_for_both() -> None:
    """A restart takes long, and other things happen meanwhile."""
    faults = [Happened("short", 11.0, 12.0), Happened("long", 10.0, 14.0)]
    found = kinds(faults, sent(11.5), [reader(14.5)])
    assert found["short"].recovered == [2.5] and found["long"].recovered == [0.5]


def test_who_rests_is_not_in_the_dark() -> None:
    """Only what is being published can stay unanswered; what was given up was published, too."""
    book = [
        Sent(0, CHANNEL, "e.1", 11.0, 1, since=10.5),
        Sent(1, CHANNEL, None, 13.5, 1, since=12.0),  # a second after the last answer
        Sent(2, CHANNEL, "e.2", 15.0, 1, since=14.0),
    ]
    assert dark(book, 10.0, 20.0) == 1.5
    assert dark(book, 13.0, 20.0) == 1.0
    assert dark(book, 15.5, 20.0) == 0.0
