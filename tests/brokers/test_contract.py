"""Every broker keeps these promises, which are those of ``pushapp.broker.interface``.

What belongs here: the log's. What does not: following, the schedule, leases and control
(``test_contract_live``), and what only one kind of broker can be asked (``test_sqlite``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pushapp.broker import open_broker
from pushapp.broker.interface import AppendKey, Broker, Published, Scheduled
from pushapp.errors import KeyReused
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
    data,
    ids,
    now,
    publish,
    retention,
    together,
    told,
)

KEY = AppendKey("publisher", "key", "fingerprint")


# -- order ---------------------------------------------------------------------------------------


def test_all_channels_share_one_order(tx: Broker, rx: Broker) -> None:
    """Ids grow with every message, whichever broker appends it and wherever it goes."""
    start = now(rx)
    given = publish(tx, A, B) + publish(rx, A, C) + publish(tx, A)

    page = rx.log.read([C, B, A], start)

    assert ids(page.messages) == given
    numbers = [message.n for message in page.messages]
    assert numbers == sorted(set(numbers)) and numbers[0] > start.n
    assert str(page.cursor) == given[-1] and not page.more and not page.lost


def test_prev_names_the_message_before_in_the_same_channel(tx: Broker, rx: Broker) -> None:
    """``prev`` links a channel's messages, across brokers and within a batch."""
    publish(tx, A, B)
    publish(rx, A)
    append(tx, Draft(A, "1"), Draft(B, "2"), Draft(A, "3"))

    messages, _ = tx.log.history(A, 100)
    others, _ = tx.log.history(B, 100)

    assert [m.prev for m in messages] == [None, *(m.n for m in messages[:-1])]
    assert [m.prev for m in others] == [None, others[0].n]


def test_a_message_comes_back_as_it_was_published(tx: Broker, rx: Broker, clock: Clock) -> None:
    """Data, event, time and ttl are what the publisher said."""
    (given,) = append(tx, Draft(A, '{"ä":[1,"\\u0000 🎈"]}', event="moved", ttl=5.0))

    ((message,), _) = rx.log.history(A, 1)

    assert (message.id, message.channel, message.event) == (given, A, "moved")
    assert message.data == '{"ä":[1,"\\u0000 🎈"]}'
    assert (message.time, message.expires) == (clock.now, clock.now + 5.0)


def test_a_batch_is_all_or_nothing(tx: Broker, rx: Broker) -> None:
    """Nothing of a batch is there when one of its messages cannot be."""
    start = now(tx)
    broken: Any = Draft(B, "2", ttl="soon")  # type: ignore[arg-type]

    with pytest.raises(TypeError):
        tx.log.append([Draft(A, "1"), broken])

    given = append(tx, Draft(A, "3"), Draft(B, "4"))
    page = rx.log.read([A, B], start)
    assert ids(page.messages) == given
    assert [m.prev for m in page.messages] == [None, None]


def test_nobody_else_fails_with_a_broken_append(tx: Broker, rx: Broker) -> None:
    """An append that cannot be takes no other one down that comes at the same time."""
    broken: Any = Draft(B, "2", ttl="soon")  # type: ignore[arg-type]

    def fail() -> None:
        with pytest.raises(TypeError):
            tx.log.append([broken])

    for _ in range(20):
        together(lambda: publish(tx, A), fail, lambda: publish(tx, A), fail)

    assert rx.log.history(A, 100)[1].kept == 40
    assert rx.log.history(B, 100)[1].kept == 0


def test_many_publish_at_once(tx: Broker, rx: Broker) -> None:
    """Of concurrent appends none is lost, none doubled, and every ``prev`` is right."""
    given: list[str] = []

    def work(broker: Broker) -> None:
        for _ in range(25):
            given.extend(publish(broker, A, B))

    start = now(tx)
    together(*(lambda broker=broker: work(broker) for broker in (tx, rx, tx, rx)))

    page = rx.log.read([A, B], start)
    assert sorted(ids(page.messages)) == sorted(given)
    for channel in (A, B):
        messages, _ = tx.log.history(channel, 200)
        assert [m.prev for m in messages] == [None, *(m.n for m in messages[:-1])]


# -- reading -------------------------------------------------------------------------------------


def test_reading_goes_on_after_the_cursor(tx: Broker, rx: Broker) -> None:
    """Each id is the cursor after it, for any set of channels."""
    first, second, third = publish(tx, A, B, A)

    assert ids(rx.log.read([A, B], cursor(first)).messages) == [second, third]
    assert ids(rx.log.read([A], cursor(first)).messages) == [third]
    assert ids(rx.log.read([B], cursor(second)).messages) == []
    assert str(rx.log.read([B], cursor(first)).cursor) == third


def test_without_a_cursor_only_now_is_told(tx: Broker, rx: Broker) -> None:
    """A reader with no cursor gets one, no messages and no loss; an empty log has a now, too."""
    empty = rx.log.read([A], None)
    assert (empty.messages, empty.lost, empty.latest) == ((), (), None)

    given = publish(tx, A)
    page = rx.log.read([A], None)

    assert not page.messages and not page.lost and not page.more
    assert str(page.cursor) == given[-1]
    assert ids(rx.log.read([A], empty.cursor).messages) == given


def test_latest_tells_when_a_channel_was_last_used(tx: Broker, rx: Broker, clock: Clock) -> None:
    """``latest`` is the time of the newest message of the asked channels, kept or not."""
    publish(tx, A)
    clock.forward(10)
    publish(tx, B)
    tx.log.clear(B)
    clock.forward(10)
    publish(tx, C)

    assert rx.log.read([A, B], None).latest == clock.now - 10
    assert rx.log.read([A], now(rx)).latest == clock.now - 20


def test_a_page_is_at_most_limit_messages(tx: Broker, rx: Broker) -> None:
    """With ``more`` the cursor is the last message's; going on there loses nothing."""
    start = now(rx)
    given = publish(tx, *(A, B, A, A, B) * 3)

    got: list[str] = []
    at, more = start, True
    while more:
        page = rx.log.read([A, B], at, limit=4)
        assert len(page.messages) == 4 or not page.more
        assert not page.lost
        assert page.cursor.n == page.messages[-1].n
        got += ids(page.messages)
        at, more = page.cursor, page.more

    assert got == given
    assert rx.log.read([A, B], start, limit=15).more is False


def test_a_page_is_at_most_max_bytes_but_one_message(tx: Broker, rx: Broker) -> None:
    """A page is bounded by its bytes of data, whatever characters they are; one always comes."""
    start = now(rx)
    text = '"' + "é" * 49 + '"'  # 100 bytes
    given = append(tx, *(Draft(A, text) for _ in range(3)), Draft(A, "1"))

    assert ids(rx.log.read([A], start, max_bytes=200).messages) == given[:2]
    assert ids(rx.log.read([A], start, max_bytes=199).messages) == given[:1]
    page = rx.log.read([A], start, max_bytes=1)
    assert ids(page.messages) == given[:1] and page.more
    assert ids(rx.log.read([A], cursor(given[1]), max_bytes=101).messages) == given[2:]


def test_nothing_above_upto_is_read(tx: Broker, rx: Broker) -> None:
    """``upto`` bounds the messages and the cursor."""
    start = now(rx)
    given = publish(tx, A, B, A, B)
    bound = cursor(given[2]).n

    page = rx.log.read([A, B], start, upto=bound)
    assert ids(page.messages) == given[:3] and str(page.cursor) == given[2] and not page.more
    page = rx.log.read([B], start, upto=bound)
    assert ids(page.messages) == given[1:2] and str(page.cursor) == given[2]
    assert rx.log.read([A], None, upto=bound).cursor.n == bound
    assert rx.log.read([A], start, upto=bound + 100).cursor == cursor(given[3])


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


# -- idempotency ---------------------------------------------------------------------------------


def test_the_same_key_appends_once(tx: Broker, rx: Broker) -> None:
    """The first receipts come back from every broker, and nothing more is in the log."""
    first = append(tx, Draft(A, "1"), Draft(B, "2"), key=KEY)

    assert append(rx, Draft(A, "1"), Draft(B, "2"), key=KEY) == first
    assert append(tx, Draft(A, "1"), Draft(B, "2"), key=KEY) == first
    assert data(rx.log.history(A, 10)[0]) == ["1"]


def test_keys_of_other_publishers_are_other_keys(tx: Broker, rx: Broker) -> None:
    given = append(tx, Draft(A, "1"), key=KEY)
    given += append(rx, Draft(A, "1"), key=AppendKey("another", KEY.key, KEY.fingerprint))
    given += append(rx, Draft(A, "1"), key=AppendKey(KEY.scope, "another", KEY.fingerprint))

    assert ids(tx.log.history(A, 10)[0]) == given and len(set(given)) == 3


def test_a_key_with_another_request_is_refused(tx: Broker, rx: Broker) -> None:
    """``KeyReused``, and nothing is appended."""
    given = append(tx, Draft(A, "1"), key=KEY)

    with pytest.raises(KeyReused):
        rx.log.append([Draft(A, "2")], AppendKey(KEY.scope, KEY.key, "another"))

    assert ids(tx.log.history(A, 10)[0]) == given


def test_a_key_is_remembered_for_five_minutes(
    tx: Broker, rx: Broker, clock: Clock, kind: Any
) -> None:
    first = append(tx, Draft(A, "1"), key=KEY)
    clock.forward(299)
    kind.tidy(rx)
    assert append(rx, Draft(A, "1"), key=KEY) == first
    clock.forward(2)
    again = append(rx, Draft(A, "2"), key=AppendKey(KEY.scope, KEY.key, "another"))

    assert ids(tx.log.history(A, 10)[0]) == first + again


def test_of_a_race_with_one_key_one_wins(tx: Broker, rx: Broker) -> None:
    """Whoever comes with the same key at the same time gets the same receipts."""
    for round_ in range(10):
        key = AppendKey("publisher", str(round_), "fingerprint")
        got: list[list[str]] = []

        def work(broker: Broker, key: AppendKey = key, got: list[list[str]] = got) -> None:
            got.append(append(broker, Draft(A, key.key), key=key))

        together(*(lambda broker=broker: work(broker) for broker in (tx, rx, tx, rx)))
        assert len(got) == 4 and all(receipts == got[0] for receipts in got)
    assert data(tx.log.history(A, 100)[0]) == [str(i) for i in range(10)]


def test_a_key_covers_what_was_scheduled(tx: Broker, rx: Broker, clock: Clock) -> None:
    """The receipts of a mixed batch come back as they were, and each entry is scheduled once."""
    drafts = [Draft(A, "1"), Draft(A, "2", at=clock.now + 10), Draft(A, "3")]
    first = tx.log.append(drafts, KEY)
    again = rx.log.append(drafts, KEY)

    assert again == first
    assert [type(receipt) for receipt in first] == [Published, Scheduled, Published]
    clock.forward(10)
    rx.schedule.fire_due()
    tx.schedule.fire_due()
    assert data(tx.log.history(A, 10)[0]) == ["1", "3", "2"]
    assert tx.log.append(drafts, KEY) == first


# -- the whole -----------------------------------------------------------------------------------


def test_a_url_opens_the_log(broker_url: str, tx: Broker) -> None:
    """What ``open_broker`` opens is the log that others are open on."""
    given = publish(tx, A)
    broker = open_broker(broker_url, retention)
    try:
        broker.check()
        assert ids(broker.log.history(A, 10)[0]) == given
        assert broker.durability
    finally:
        broker.close()


def test_what_a_broker_has_is_there_when_it_is_opened_again(
    open_log: Callable[[], Broker], clock: Clock
) -> None:
    """The log outlives all brokers: messages, ids, retained value, schedule, keys, leases."""
    broker = open_log()
    first = append(broker, Draft(A, "1", retain=True), key=KEY)
    broker.log.append([Draft(A, "2", at=clock.now + 10)])
    broker.leases.renew("w1", {"n": "1"}, 60.0)
    broker.close()

    broker = open_log()
    messages, info = broker.log.history(A, 10)
    assert ids(messages) == first and info.retained is not None
    assert append(broker, Draft(A, "1"), key=KEY) == first
    assert broker.leases.read("n") == {"w1": "1"}
    assert broker.schedule.fire_due() == 10.0
    again = publish(broker, A)
    page = broker.log.read([A], cursor(first[0]))
    assert ids(page.messages) == again and page.messages[0].prev == cursor(first[0]).n


def test_closing_twice_is_closing(open_log: Callable[[], Broker]) -> None:
    broker = open_log()
    publish(broker, A)
    follower = broker.log.follow()
    follower.close()
    follower.close()
    broker.close()
    broker.close()
