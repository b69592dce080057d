"""Every broker keeps these promises, which are those of ``pushapp.broker.interface``.

What belongs here: appending and reading. What does not: what is kept (``test_contract_kept``), keys
(``test_contract_keys``), following (``test_contract_follow``), the schedule, leases and control
(``test_contract_live``), and what only one kind of broker can be asked (``test_sqlite``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pushapp.broker import open_broker
from pushapp.broker.interface import AppendKey, Broker
from pushapp.message import Draft

from .kinds import Kind
from .tools import (
    A,
    B,
    C,
    Clock,
    append,
    cursor,
    ids,
    now,
    publish,
    retention,
    together,
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


# -- the whole -----------------------------------------------------------------------------------


def test_a_url_opens_the_log(kind: Kind, tx: Broker) -> None:
    """What ``open_broker`` opens is the log that others are open on."""
    given = publish(tx, A)
    broker = open_broker(kind.url, retention, **kind.options)
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
