"""What a publish may hold, and what is said about one that may not.

What belongs here: the rules of the body, whichever way it came. What does not: its routes
(``test_api``), and what the log does with it (``brokers``).
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushapp.broker.interface import Published, Scheduled
from pushapp.errors import InvalidInput, TooLarge
from pushapp.message import Draft
from pushapp.publish import PublishRequest, answer, parse
from pushapp.settings import Settings
from pushapp.strict_json import MAX_BODY, MAX_DEPTH, load_json

NOW = 1_800_000_000.0  # Unix seconds
DAYS_30 = 30 * 86400


def check(body: object, header_key: str | None = None, **settings: Any) -> PublishRequest:
    return parse(body, settings=Settings(**settings), now=NOW, header_key=header_key)


def check_text(text: str) -> PublishRequest:
    return check(load_json(text.encode()))


def refused(body: object, **settings: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as error:
        check(body, **settings)
    return error.value


# The four forms


def test_one_message_to_one_channel() -> None:
    """What is not said has its default."""
    wanted = check({"channel": "orders:7", "data": {"state": "paid"}})
    assert wanted.drafts == [Draft("orders:7", '{"state":"paid"}')]
    assert wanted.single is True
    assert wanted.key is None


def test_the_same_to_several_channels() -> None:
    """In the order in which they were named; the answer is a list, even of one."""
    wanted = check({"channels": ["a:1", "b:2"], "data": 1})
    assert [draft.channel for draft in wanted.drafts] == ["a:1", "b:2"]
    assert check({"channels": ["a:1"], "data": 1}).single is False


def test_a_message_to_a_user_goes_to_that_users_channel() -> None:
    """On every device."""
    wanted = check({"user": "42", "data": 1})
    assert [draft.channel for draft in wanted.drafts] == ["user:42"]
    assert wanted.single is True


def test_the_same_to_several_users() -> None:
    """Each on their own channel, and each once; the answer is a list."""
    wanted = check({"users": ["42", "a@b"], "data": 1})
    assert [draft.channel for draft in wanted.drafts] == ["user:42", "user:a@b"]
    assert wanted.single is False


def test_a_batch_keeps_its_order_and_each_message_has_its_own_options() -> None:
    """A channel or a user each, so that every message has one place in the answer."""
    wanted = check(
        {"messages": [{"channel": "a:1", "data": 1, "event": "paid"}, {"user": "7", "data": 2}]}
    )
    assert wanted.drafts == [Draft("a:1", "1", event="paid"), Draft("user:7", "2")]
    assert wanted.single is False


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"data": 1}, "channel"),
        ({}, "channel"),
        ({"channel": "a:1", "user": "7", "data": 1}, "user"),
        ({"channel": "a:1", "channels": ["b:1"], "data": 1}, "channels"),
        ({"channel": "a:1", "messages": [], "data": 1}, "messages"),
        ({"messages": [{"channel": "a:1", "data": 1}], "data": 1}, "data"),
        ({"messages": [{"channel": "a:1", "data": 1}], "event": "e"}, "event"),
        ({"messages": [{"channels": ["a:1"], "data": 1}]}, "messages[0].channels"),
        ({"messages": [{"data": 1}]}, "messages[0].channel"),
        ({"messages": [{"channel": "a", "user": "b", "data": 1}]}, "messages[0].user"),
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": ["a"]}, "messages[0]"),
        ({"channels": [], "data": 1}, "channels"),
        ({"channels": "a:1", "data": 1}, "channels"),
        ({"channels": ["a:1", "a:1"], "data": 1}, "channels"),
        ({"channels": ["a:1", 7], "data": 1}, "channels[1]"),
        ({"channels": [f"a:{n}" for n in range(101)], "data": 1}, "channels"),
        ({"users": ["42", "42"], "data": 1}, "users"),
        ({"users": ["42", 43], "data": 1}, "users[1]"),
        ({"users": [], "data": 1}, "users"),
        ({"users": "42", "data": 1}, "users"),
        ({"users": ["42"], "channel": "a:1", "data": 1}, "users"),
        ({"messages": [{"users": ["42"], "data": 1}]}, "messages[0].users"),
        ({"user": "", "data": 1}, "user"),
        ({"user": "..", "data": 1}, "user"),
        ({"user": 42, "data": 1}, "user"),
        ({"user": "a b", "data": 1}, "user"),
        ({"user": "x" * 124, "data": 1}, "user"),
        ([], "body"),
        ("text", "body"),
        (None, "body"),
    ],
)
def test_forms_that_are_none_are_refused_by_the_field(body: object, field: str) -> None:
    """No mixing, and nothing is guessed."""
    assert refused(body).field == field


def test_a_batch_has_at_most_a_thousand_messages() -> None:
    """The limit itself is inside."""
    one = {"channel": "a:1", "data": 1}
    assert len(check({"messages": [one] * 1000}).drafts) == 1000
    assert refused({"messages": [one] * 1001}).field == "messages"


@pytest.mark.parametrize(
    "name", ["a b", "", "a/b", "é", "a\n", "x" * 129, "a,b", "\ud800", 7, None, ["a"]]
)
def test_a_wrong_channel_name_is_refused(name: object) -> None:
    """Alone and in a batch, where the path says which one."""
    assert refused({"channel": name, "data": 1}).field == "channel"
    batch = [{"channel": "a:1", "data": 1}] * 3 + [{"channel": name, "data": 1}]
    assert refused({"messages": batch}).field == "messages[3].channel"


def test_the_longest_channel_name_is_taken() -> None:
    """128 characters."""
    assert check({"channel": "x" * 128, "data": 1}).drafts[0].channel == "x" * 128


@pytest.mark.parametrize("name", ["chanel", "id", "retian", "Data", "\ud800", "x" * 999, ""])
def test_an_unknown_field_is_refused_by_name(name: str) -> None:
    """A misspelt option must not be silently without effect."""
    error = refused({"channel": "a:1", "data": 1, name: 1})
    assert error.field == ascii(name)[1:-1][:64]
    assert len(str(error)) < 400
    str(error).encode()
    batch = refused({"messages": [{"channel": "a:1", "data": 1, name: 1}]})
    assert batch.field.startswith("messages[0].")


# Data


@pytest.mark.parametrize("data", [None, True, 0, -1.5, "", "text", [], {}, [{"a": [None]}]])
def test_any_json_value_is_data(data: object) -> None:
    """null is a value."""
    assert json.loads(check({"channel": "a:1", "data": data}).drafts[0].data) == data


def test_data_is_required() -> None:
    """So that a forgotten one is no null."""
    assert refused({"channel": "a:1"}).field == "data"


def test_data_is_measured_in_bytes_of_its_json() -> None:
    """An umlaut has two; the limit itself is inside."""
    assert check({"channel": "a:1", "data": "ä" * 4}, max_message=10).drafts
    error = refused({"channel": "a:1", "data": "ä" * 5}, max_message=10)
    assert isinstance(error, TooLarge)
    assert error.field == "data"


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("shape", ["%s", '{"a":[%s]}', '{"a":{"b":%s}}'])
def test_numbers_that_are_not_finite_are_refused(number: str, shape: str) -> None:
    """They would break every JavaScript client."""
    with pytest.raises(InvalidInput):
        check_text(f'{{"channel":"a:1","data":{shape % number}}}')


def test_integers_have_at_most_4300_digits() -> None:
    """Wherever they stand, whatever the interpreter was told; the limit itself is inside."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        longest = "-" + "9" * 4300
        assert check_text(f'{{"channel":"a:1","data":{longest}}}').drafts[0].data == longest
        for body in ('{"channel":"a:1","data":[%s]}', '{"channel":"a:1","data":1,"ttl":%s}'):
            with pytest.raises(InvalidInput) as error:
                check_text(body % ("9" * 4301))
            assert "4300" in str(error.value)
    finally:
        sys.set_int_max_str_digits(before)


@pytest.mark.parametrize(
    "body",
    [
        '"\\ud800"',
        '["\\uDFFF"]',
        '{"\\ud800":1}',
        '{"a":"x\\ude00y"}',
        '{"channel":"a:1","data":["\\ude00\\ud83d"]}',
        '{"channel":"a:1","data":1,"\\udbff":1}',
    ],
)
def test_lone_surrogates_are_refused_wherever_they_stand(body: str) -> None:
    """UTF-8 cannot spell them: no answer could name them, and no message hold them."""
    with pytest.raises(InvalidInput) as error:
        load_json(body.encode())
    assert error.value.field == "body"


@pytest.mark.parametrize("data", ["\ud800", {"\udfff": 1}])
def test_lone_surrogates_from_python_are_refused_too(data: object) -> None:
    """``push.publish`` takes text that did not come as JSON."""
    assert refused({"channel": "a:1", "data": data}).field == "data"


def test_a_pair_of_surrogates_is_a_character() -> None:
    """However it was written."""
    wanted = check_text('{"channel":"a:1","data":"\\ud83d\\ude00"}')
    assert wanted.drafts[0].data == '"😀"'


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_has_a_limit(opening: str, closing: str) -> None:
    """The limit itself is inside; far beyond it nothing breaks, either."""
    inside = MAX_DEPTH - 1  # the body is a level, too
    text = '{"channel":"a:1","data":%s0%s}'
    assert check_text(text % (opening * inside, closing * inside)).drafts
    for levels in (inside + 1, 1000, 100_000):
        with pytest.raises(InvalidInput) as error:
            check_text(text % (opening * levels, closing * levels))
        assert "nesting" in str(error.value)


def test_many_brackets_side_by_side_are_no_nesting() -> None:
    """A batch has a bracket for each of its messages."""
    assert check_text(f'{{"channel":"a:1","data":[{",".join(["[{}]"] * 1000)}]}}').drafts


def test_brackets_in_text_are_no_nesting() -> None:
    """Only what opens a level does."""
    assert check({"channel": "a:1", "data": "[" * 1000}).drafts


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" + "[]," * 349_000 + "[]]", id="side by side"),
        pytest.param("[" * 1_000_000, id="one in the other"),
        pytest.param("[" + ",".join(["[" * 100 + "]" * 100] * 5_000) + "]", id="just too deep"),
        pytest.param('["' + '\\"[' * 349_000, id="a text without end"),
        pytest.param("[" * 101 + '"' + '\\"' * 500_000, id="the same within brackets"),
    ],
)
def test_a_mebibyte_of_brackets_is_no_work(text: str) -> None:
    """Nobody else is served meanwhile. Measured: 30 to 100 ms; what grows with the square takes
    minutes, and the bound is for slow machines."""
    start = time.thread_time()
    with suppress(InvalidInput):
        load_json(text.encode())
    assert time.thread_time() - start < 10


class Nothing:
    """What JSON cannot spell."""


@pytest.mark.parametrize("data", [Nothing(), {1, 2}, b"bytes", float("nan"), {(1, 2): 3}])
def test_python_values_that_json_cannot_spell_are_refused(data: object) -> None:
    """``push.publish`` takes any object, and says what is wrong with it."""
    assert refused({"channel": "a:1", "data": data}).field == "data"


def test_a_value_that_holds_itself_is_refused() -> None:
    """It has no end."""
    loop: list[Any] = []
    loop.append(loop)
    assert refused({"channel": "a:1", "data": loop}).field == "data"


# The body as bytes


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"hello", b"{'a':1}", b'{"a":1}x', b'{"a":1,}', b"\xef\xbb\xbf{}", b"\x00"]
)
def test_what_is_no_json_is_refused_with_the_place(raw: bytes) -> None:
    """So that its author finds it."""
    with pytest.raises(InvalidInput) as error:
        load_json(raw)
    assert error.value.field == "body"
    assert "line 1" in str(error.value)


@pytest.mark.parametrize("raw", [b'{"a":"\xff"}', '{"a":1}'.encode("utf-16"), b"\xed\xa0\x80"])
def test_what_is_no_utf_8_is_refused(raw: bytes) -> None:
    """Python alone would guess UTF-16."""
    with pytest.raises(InvalidInput) as error:
        load_json(raw)
    assert "UTF-8" in str(error.value)


def test_a_body_has_at_most_a_mebibyte() -> None:
    """The limit itself is inside."""
    text = '"' + "x" * (MAX_BODY - 2) + '"'
    assert load_json(text.encode())
    with pytest.raises(TooLarge):
        load_json(text.encode() + b" ")


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda t: t.encode("utf-8", "replace")))
def test_whatever_comes_is_taken_or_refused(raw: bytes) -> None:
    """Nothing else is ever raised."""
    try:
        check(load_json(raw))
    except InvalidInput as error:
        str(error).encode()


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=8,
)
_names = ("channel", "channels", "user", "data", "event", "ttl", "retain", "delay", "at")


@given(st.dictionaries(st.sampled_from([*_names, "idempotency_key", "messages"]), _values))
def test_whatever_a_field_holds_is_taken_or_refused(body: dict[str, object]) -> None:
    """What is taken, the log can keep: its data is JSON in UTF-8."""
    try:
        wanted = check(body)
    except InvalidInput as error:
        str(error).encode()
    else:
        for draft in wanted.drafts:
            json.loads(draft.data.encode(), parse_constant=pytest.fail)


# Options


def test_options_reach_the_draft() -> None:
    """event, ttl, retain, at."""
    body = {"channel": "a:1", "data": 1, "event": "typing", "ttl": 5, "retain": True}
    assert check(body).drafts == [Draft("a:1", "1", "typing", 5.0, True)]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("event", ["", "a b", "x" * 65, 7, None, "é"]),
        ("ttl", [0, -1, "5", True, None, [], 10**400, float("inf"), float("nan")]),
        ("retain", [0, 1, "true", None]),
        ("delay", [-1, -0.001, "5", False, None, DAYS_30 + 1, 10**400, float("inf")]),
        ("at", [-1, "now", True, None, NOW + DAYS_30 + 1, NOW * 1000, 10**400, float("nan")]),
        ("idempotency_key", ["", "x" * 129, "é", "a\n", 7, None]),
    ],
)
def test_a_wrong_option_is_refused(field: str, values: list[object]) -> None:
    """Of a wrong type, or out of its bounds."""
    for value in values:
        assert refused({"channel": "a:1", "data": 1, field: value}).field == field


def test_a_delay_is_counted_from_now() -> None:
    """None at all is now; 30 days are the end."""
    assert check({"channel": "a:1", "data": 1, "delay": 60}).drafts[0].at == NOW + 60
    assert check({"channel": "a:1", "data": 1, "delay": 0}).drafts[0].at is None
    assert check({"channel": "a:1", "data": 1, "delay": DAYS_30}).drafts[0].at == NOW + DAYS_30


def test_a_time_in_the_past_is_now() -> None:
    """A publisher whose clock is behind loses nothing."""
    assert check({"channel": "a:1", "data": 1, "at": NOW - 5}).drafts[0].at is None
    assert check({"channel": "a:1", "data": 1, "at": NOW + 5}).drafts[0].at == NOW + 5


def test_delay_and_at_together_are_refused() -> None:
    """Which one should count?"""
    assert refused({"channel": "a:1", "data": 1, "delay": 1, "at": NOW + 1}).field == "at"


# Idempotency


def test_the_key_is_taken_from_the_field_or_the_header() -> None:
    """Both may be there if they are the same."""
    body = {"channel": "a:1", "data": 1}
    assert check({**body, "idempotency_key": "k 1"}).key == "k 1"
    assert check(body, header_key="k 1").key == "k 1"
    assert check({**body, "idempotency_key": "k"}, header_key="k").key == "k"
    for header in ("other", "", "x" * 129):
        with pytest.raises(InvalidInput) as error:
            check({**body, "idempotency_key": "k"}, header_key=header)
        assert error.value.field == "idempotency_key"
    with pytest.raises(InvalidInput):
        check(body, header_key="")


def test_a_request_that_comes_again_has_the_same_fingerprint() -> None:
    """Later, and with another key: a delay must not make it another request."""
    body = {"channel": "a:1", "data": {"a": 1}, "delay": 60}
    first = check({**body, "idempotency_key": "k"})
    later = parse(body, settings=Settings(), now=NOW + 3)
    assert first.drafts != later.drafts
    assert first.fingerprint == later.fingerprint


@pytest.mark.parametrize(
    "other",
    [
        {"channel": "a:2", "data": 1},
        {"channel": "a:1", "data": 2},
        {"channel": "a:1", "data": "1"},
        {"channel": "a:1", "data": 1, "event": "e"},
        {"channel": "a:1", "data": 1, "ttl": 1},
        {"channel": "a:1", "data": 1, "retain": True},
        {"channel": "a:1", "data": 1, "delay": 1},
        {"channel": "a:1", "data": 1, "at": 1},
        {"channels": ["a:1", "a:2"], "data": 1},
        {"messages": [{"channel": "a:1", "data": 1}] * 2},
    ],
)
def test_another_request_has_another_fingerprint(other: dict[str, object]) -> None:
    """Whatever it is that differs."""
    assert check(other).fingerprint != check({"channel": "a:1", "data": 1}).fingerprint


def test_the_append_key_keeps_publishers_apart() -> None:
    """Without an idempotency key there is none: the broker makes one."""
    body = {"channel": "a:1", "data": 1}
    assert check(body).append_key("mine") is None
    key = check(body, header_key="k").append_key("mine")
    assert key is not None
    assert (key.scope, key.key) == ("mine", "k")


# The answer


def test_the_answer_has_the_place_of_each_message() -> None:
    """A scheduled one stands where its id would."""
    published, scheduled = Published("e.1"), Scheduled("s1", NOW)
    assert answer([published], single=True) == {"id": "e.1"}
    assert answer([scheduled], single=True) == {"scheduled": "s1", "at": NOW}
    assert answer([published], single=False) == {"ids": ["e.1"]}
    both = answer([published, scheduled], single=False)
    assert both == {"ids": ["e.1", {"scheduled": "s1", "at": NOW}]}
