"""Equal values that very many clients hold are kept once."""

from __future__ import annotations

from pushapp import shared
from pushapp.shared import Shared
from pushapp.transports.params import channels

from .jwts import token
from .test_tokens import known


def test_equal_values_are_one_object() -> None:
    values: Shared[tuple[str, ...]] = Shared()
    first, second = tuple(["a:1", "b:2"]), tuple(["a:1", "b:2"])
    assert first is not second
    assert values.one(first) is first
    assert values.one(second) is first


def test_no_more_than_a_bound_are_known() -> None:
    """Whatever clients name: each channel of its own must not cost anything for ever."""
    values: Shared[int] = Shared()
    for n in range(3 * shared._MOST + 1):
        values.one(10_000 + n)
        assert len(values._known) <= shared._MOST


def test_lists_of_channels_are_shared() -> None:
    assert channels(["room:1,room:2"]) is channels(["room:1", "room:2"])


def test_tokens_share_what_they_say_alike() -> None:
    """Two users' tokens of the same second: patterns and times are the same objects."""
    tokens = known()
    one = tokens.verify(token("room:*", sub="u1", iat=1_700_000_000, exp=4_000_000_000))
    other = tokens.verify(token("room:*", sub="u2", iat=1_700_000_000, exp=4_000_000_000))
    assert one is not other and one.user != other.user
    assert one.channels is other.channels
    assert one.expires is other.expires and one.issued is other.issued
