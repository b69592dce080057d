"""Every broker keeps these promises about what is kept of a channel, and what is told if not."""

from __future__ import annotations

from typing import Any

import pytest

from pushapp.broker.interface import Broker
from pushapp.message import Cursor, Draft

from .tools import (
    BRIEF,
    DAY,
    FEW,
    A,
    B,
    C,
    Clock,
    append,
    cursor,
    ids,
    now,
    publish,
    told,
)

# -- retention and loss --------------------------------------------------------------------------


def test_retention_by_count_is_exact(tx: Broker, rx: Broker) -> None:
    """After each append the newest ``size`` messages are kept, one by one and in a batch."""
    given: list[str] = []
    for _ in range(5):
        given += publish(tx, FEW)
        messages, info = rx.log.history(FEW, 100)
        assert ids(messages) == given[-3:] and info.kept == len(messages)

    given += append(rx, *(Draft(FEW, str(i)) for i in range(5)))
    messages, info = rx.log.history(FEW, 100)
    assert ids(messages) == given[-3:] and info.kept == 3
    assert [m.prev for m in messages] == [cursor(i).n for i in given[-4:-1]]


def test_retention_by_age(tx: Broker, rx: Broker, clock: Clock, kind: Any) -> None:
    """What is older than ``ttl`` goes, what is younger stays; other channels have their own."""
    old = publish(tx, BRIEF, BRIEF, A)
    clock.forward(30)
    young = publish(tx, BRIEF)
    clock.forward(31)

    kind.tidy(rx)

    messages, info = rx.log.history(BRIEF, 100)
    assert ids(messages) == young and (info.kept, info.last) == (1, young[0])
    assert ids(rx.log.history(A, 100)[0]) == old[2:]
    clock.forward(30)
    kind.tidy(rx)
    messages, info = rx.log.history(BRIEF, 100)
    assert messages == [] and (info.kept, info.last) == (0, young[0])
    assert told(tx.log.read([BRIEF], cursor(old[0]))) == [(BRIEF, None, "expired")]


def test_a_clock_that_is_set_back_breaks_nothing(
    tx: Broker, rx: Broker, clock: Clock, kind: Any
) -> None:
    """Ids grow nevertheless, and what is kept stays a suffix."""
    given = publish(tx, BRIEF)
    clock.forward(-1000)
    given += publish(tx, BRIEF)
    clock.forward(1000 + 59)
    kind.tidy(tx)

    page = rx.log.read([BRIEF], cursor(given[0]))
    assert ids(page.messages) in (given[1:], []) and bool(page.lost) == (not page.messages)
    assert [cursor(i).n for i in given] == sorted(cursor(i).n for i in given)


def test_one_who_was_away_too_long_is_told_of_the_loss(tx: Broker, rx: Broker) -> None:
    """``expired`` exactly where something is missing; what is kept still comes."""
    given = publish(tx, FEW, A, FEW, FEW, FEW, FEW)  # kept: the last three of FEW

    behind = rx.log.read([FEW, A], cursor(given[0]))
    assert told(behind) == [(FEW, given[3], "expired")]
    assert behind.lost[0].after == given[0]
    assert ids(behind.messages) == [given[1], *given[3:]]

    just = rx.log.read([FEW, A], cursor(given[2]))
    assert not just.lost and ids(just.messages) == given[3:]


@pytest.mark.parametrize("other", ["epoch", "future"])
def test_a_cursor_that_this_log_did_not_give_is_told_so(tx: Broker, rx: Broker, other: str) -> None:
    """Another epoch, or above the head: every channel is lost, and comes from the oldest on."""
    given = publish(tx, A, B, A)
    head = now(tx)
    came = Cursor("other", 2) if other == "epoch" else Cursor(head.epoch, head.n + 1)

    page = rx.log.read([A, C], came)

    assert told(page) == [(A, given[0], "epoch"), (C, None, "epoch")]
    assert {loss.after for loss in page.lost} == {str(came)}
    assert ids(page.messages) == [given[0], given[2]] and page.cursor == head


def test_a_forgotten_channel_keeps_no_one_from_being_told(
    tx: Broker, rx: Broker, clock: Clock, kind: Any
) -> None:
    """When a channel is forgotten the floor remembers up to where it may have had messages."""
    given = publish(tx, BRIEF, BRIEF)
    clock.forward(2 * DAY)
    (later,) = publish(tx, A)
    kind.tidy(tx)

    assert BRIEF not in [info.channel for info in rx.log.channels()]
    assert told(rx.log.read([BRIEF], cursor(given[0]))) == [(BRIEF, None, "expired")]
    assert not rx.log.read([BRIEF], cursor(given[1])).lost
    assert not rx.log.read([BRIEF], cursor(later)).lost


def test_a_channel_born_again_starts_at_the_floor(
    tx: Broker, rx: Broker, clock: Clock, kind: Any
) -> None:
    """Its first message has no ``prev``; one who is behind the floor is told of a loss."""
    given = publish(tx, BRIEF, BRIEF)
    clock.forward(2 * DAY)
    kind.tidy(tx)
    again = publish(rx, BRIEF, BRIEF)

    page = tx.log.read([BRIEF], cursor(given[0]))
    assert told(page) == [(BRIEF, again[0], "expired")] and ids(page.messages) == again
    assert [m.prev for m in page.messages] == [None, cursor(again[0]).n]
    page = tx.log.read([BRIEF], cursor(given[1]))
    assert not page.lost and ids(page.messages) == again


def test_a_channel_is_not_forgotten_while_it_has_something(
    tx: Broker, rx: Broker, clock: Clock, kind: Any
) -> None:
    """A retained value keeps its channel."""
    (given,) = append(tx, Draft(BRIEF, "1", retain=True))
    clock.forward(2 * DAY)
    kind.tidy(tx)

    (info,) = rx.log.channels()
    assert (info.channel, info.last, info.kept) == (BRIEF, given, 0)
    retained = rx.log.history(BRIEF, 1)[1].retained
    assert retained is not None and retained.id == given


# -- history, retained value, clearing, channels --------------------------------------------------


def test_history_is_the_last_messages_oldest_first(tx: Broker, rx: Broker) -> None:
    """``limit`` counts from the end, ``before`` leaves out what is not older."""
    given = publish(tx, A, B, A, A, B, A)
    own = [given[i] for i in (0, 2, 3, 5)]

    assert ids(rx.log.history(A, 100)[0]) == own
    assert ids(rx.log.history(A, 2)[0]) == own[-2:]
    assert ids(rx.log.history(A, 2, cursor(own[2]).n)[0]) == own[:2]
    assert ids(rx.log.history(A, 1, cursor(own[2]).n)[0]) == own[1:2]
    assert ids(rx.log.history(A, 100, cursor(own[0]).n)[0]) == []
    assert ids(rx.log.history(A, 0)[0]) == []
    info = rx.log.history(A, 0)[1]
    assert (info.channel, info.last, info.kept, info.retained) == (A, own[-1], 4, None)


def test_history_is_bounded_by_bytes(tx: Broker, rx: Broker) -> None:
    """The newest that fit come, and at least one."""
    given = append(tx, *(Draft(A, '"' + "é" * 49 + '"') for _ in range(3)))

    assert ids(rx.log.history(A, 100, max_bytes=299)[0]) == given[1:]
    assert ids(rx.log.history(A, 100, max_bytes=1)[0]) == given[2:]


def test_a_channel_that_never_was_has_no_history(rx: Broker) -> None:
    messages, info = rx.log.history(A, 10)
    assert messages == [] and (info.last, info.kept, info.retained) == (None, 0, None)


def test_a_retained_value_is_replaced_and_cleared(tx: Broker, rx: Broker) -> None:
    """The last one counts; ``null`` clears it; the messages are in the log like others."""
    first, second, third = append(
        tx, Draft(A, "1", retain=True), Draft(A, "2", retain=True), Draft(A, "3")
    )

    messages, info = rx.log.history(A, 10)
    assert ids(messages) == [first, second, third]
    assert info.retained is not None
    assert (info.retained.id, info.retained.data) == (second, "2")

    (last,) = append(rx, Draft(A, "null", retain=True))
    messages, info = tx.log.history(A, 10)
    assert info.retained is None and messages[-1].id == last


def test_a_retained_value_outlives_its_message(tx: Broker, rx: Broker) -> None:
    """It is kept apart from the log: trimming does not touch it."""
    (value,) = append(tx, Draft(FEW, "1", retain=True))
    publish(tx, *[FEW] * 5)

    messages, info = rx.log.history(FEW, 10)
    assert value not in ids(messages)
    assert info.retained is not None and info.retained.id == value


def test_clearing_is_a_loss_for_those_behind(tx: Broker, rx: Broker) -> None:
    """Messages and retained value are gone, the last id is not."""
    given = append(tx, Draft(A, "1", retain=True), Draft(B, "2"), Draft(A, "3"))

    assert rx.log.clear(A) == 2
    assert rx.log.clear(A) == 0 == rx.log.clear(C)

    messages, info = tx.log.history(A, 10)
    assert messages == [] and (info.last, info.kept, info.retained) == (given[2], 0, None)
    page = tx.log.read([A, B], cursor(given[0]))
    assert told(page) == [(A, None, "expired")] and ids(page.messages) == [given[1]]
    assert not tx.log.read([A, B], cursor(given[2])).lost
    (later,) = publish(tx, A)
    assert told(rx.log.read([A], cursor(given[0]))) == [(A, later, "expired")]
    assert rx.log.history(A, 10)[0][0].prev == cursor(given[2]).n


def test_channels_are_listed_by_name(tx: Broker, rx: Broker) -> None:
    """In the order of names, by prefix, after a name, at most so many."""
    given = publish(tx, "b:2", "a:1", "b:1", "b:10", "b~", "B:1", "b:1")

    def names(*args: Any, **kwargs: Any) -> list[str]:
        return [info.channel for info in rx.log.channels(*args, **kwargs)]

    assert names() == ["B:1", "a:1", "b:1", "b:10", "b:2", "b~"]
    assert names("b:") == ["b:1", "b:10", "b:2"]
    assert names("b:", limit=2) == ["b:1", "b:10"]
    assert names("b:", after="b:10") == ["b:2"]
    assert names(limit=2, after="a:1") == ["b:1", "b:10"]
    (info,) = rx.log.channels("b:1", limit=1)
    assert (info.last, info.kept, info.retained) == (given[-1], 2, None)
