"""Every broker keeps these promises about idempotency keys."""

from __future__ import annotations

from typing import Any

import pytest

from pushapp.broker.interface import AppendKey, Broker, Published, Scheduled
from pushapp.errors import KeyReused
from pushapp.message import Draft

from .tools import (
    A,
    B,
    Clock,
    append,
    data,
    ids,
    together,
)

KEY = AppendKey("publisher", "key", "fingerprint")


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
