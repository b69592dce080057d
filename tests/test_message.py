"""A message, a cursor and a loss as values: what they look like on the wire."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushapp.errors import InvalidInput
from pushapp.message import Bundle, Cursor, Loss, Message, bodies, dump


def message(n: int, prev: int | None = None, expires: float | None = None) -> Message:
    return Message("k3f9", n, prev, "orders:7", "paid", 1795386494.1234, expires, f'{{"n":{n}}}')


# Cursors


@given(st.from_regex(r"[a-z0-9]{1,32}", fullmatch=True), st.integers(0, 10**18 - 1))
def test_a_cursor_is_read_back_as_it_was_written(epoch: str, n: int) -> None:
    """Whatever log it comes from."""
    assert Cursor.parse(str(Cursor(epoch, n))) == (epoch, n)


@pytest.mark.parametrize(
    "text",
    ["", "a", ".", "a.", ".1", "a.-1", "a.01", "a.1.2", "A.1", "a.1\n", " a.1", "a.1e3", "a.١"]
    + ["a" * 33 + ".1", "a." + "9" * 19, "a.1 ", "é.1", "a.1\x00"],
)
def test_what_no_log_gave_out_is_no_cursor(text: str) -> None:
    """The error names the field."""
    with pytest.raises(InvalidInput) as error:
        Cursor.parse(text, "Last-Event-ID")
    assert error.value.field == "Last-Event-ID"


# Messages


def test_a_message_is_the_json_of_the_contract() -> None:
    """Its id is the cursor after it; the time is in milliseconds; the data is as it was given."""
    assert message(1042, prev=1039).body() == (
        b'{"id":"k3f9.1042","prev":"k3f9.1039","channel":"orders:7","event":"paid",'
        b'"time":1795386494.123,"data":{"n":1042}}'
    )
    assert json.loads(message(1).body())["prev"] is None


def test_data_of_any_alphabet_is_utf_8() -> None:
    """Not escaped: it would be twice as long."""
    one = Message("e", 1, None, "a", "message", 1.0, None, dump("é😀"))
    assert "é😀".encode() in one.body()


def test_a_tombstone_has_everything_but_the_data() -> None:
    """Continuity stays provable."""
    whole = json.loads(message(2, prev=1).body())
    stone = json.loads(message(2, prev=1).tombstone())
    assert stone.pop("expired") is True
    del whole["data"]
    assert stone == whole


def test_a_message_is_encoded_once() -> None:
    """Not once per subscriber."""
    one = message(1)
    assert one.body() is one.body()
    assert one.tombstone() is one.tombstone()


@pytest.mark.parametrize(
    ("expires", "now", "expired"), [(None, 10**12, False), (5, 4.9, False), (5, 5, True)]
)
def test_a_message_expires_with_its_own_ttl(
    expires: float | None, now: float, expired: bool
) -> None:
    """At that moment, or never."""
    one = message(1, expires=expires)
    assert one.is_expired(now) is expired
    ((_, body),) = bodies([one], now)
    assert (body is one.tombstone()) is expired


# Bundles


def test_a_bundle_knows_its_ends() -> None:
    """Its cursor is that of one who has it all."""
    bundle = Bundle([message(3), message(5)])
    assert (bundle.first, bundle.last, bundle.cursor) == (3, 5, "k3f9.5")


def test_what_is_after_a_point_is_the_rest() -> None:
    """Itself, a part, or nothing."""
    bundle = Bundle([message(3), message(5), message(9)])
    assert bundle.after(2) is bundle
    part = bundle.after(3)
    assert part is not None
    assert [m.n for m in part.messages] == [5, 9]
    assert [m.n for m in (bundle.after(8) or Bundle([message(1)])).messages] == [9]
    assert bundle.after(9) is None


def test_an_encoding_of_a_bundle_is_made_once_for_all_who_get_it() -> None:
    """One for each encoder."""
    bundle = Bundle([message(1), message(2)])
    calls = []

    def encode(pairs: object) -> bytes:
        calls.append(pairs)
        return b"encoded"

    assert bundle.encoded(encode) is bundle.encoded(encode)
    assert len(calls) == 1
    assert bundle.encoded(lambda pairs: b"other") == b"other"


def test_a_bundle_is_encoded_anew_when_one_of_it_has_expired() -> None:
    """Who comes later gets the tombstone."""
    dead = time.time() - 1
    bundle = Bundle([message(1), message(2, expires=dead), message(3, expires=dead + 1000)])
    joined = bundle.encoded(lambda pairs: b"|".join(body for _, body in pairs))
    assert [b"expired" in part for part in joined.split(b"|")] == [False, True, False]


# Losses and JSON


def test_a_loss_is_the_json_of_the_contract() -> None:
    """``before`` is null where nothing is kept."""
    loss = Loss("orders:7", "k3f9.1", None, "expired")
    expected = {"channel": "orders:7", "after": "k3f9.1", "before": None, "reason": "expired"}
    assert loss.as_json() == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_numbers_that_are_not_finite_are_no_json(value: object) -> None:
    """JavaScript clients would fail on them."""
    with pytest.raises(ValueError, match="JSON"):
        dump(value)
