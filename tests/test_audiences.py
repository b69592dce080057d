"""Who listens to which channel: one, many, and nobody any more."""

from __future__ import annotations

import sys

import pytest

from pushapp.audiences import Audiences, count
from pushapp.subscriber import Subscriber


@pytest.fixture
def audiences() -> Audiences:
    return Audiences()


def test_one_many_and_none(audiences: Audiences) -> None:
    """In the order in which they came; a channel that nobody listens to is told once, and gone."""
    ann, bob, cid = (Subscriber(("a", "b")) for _ in range(3))
    assert list(audiences.of("a")) == [] and "a" not in audiences
    audiences.add(ann, ("a", "b"))
    assert list(audiences.of("a")) == [ann] and len(audiences) == 2
    for one in (bob, cid):
        audiences.add(one, ("a",))
    assert list(audiences.of("a")) == [ann, bob, cid]
    assert audiences.remove(ann, ("a", "b")) == ["b"]
    assert [(channel, list(found)) for channel, found in audiences.all()] == [("a", [bob, cid])]
    assert audiences.remove(bob, ("a",)) == []
    assert audiences.remove(cid, ("a",)) == ["a"]
    assert len(audiences) == 0 and list(audiences.of("a")) == []


def test_the_same_again_changes_nothing(audiences: Audiences) -> None:
    """Who never listened takes nobody's place with them, either."""
    ann, bob = Subscriber(("a",)), Subscriber(("a",))
    for _ in range(2):
        audiences.add(ann, ("a", "a"))
    assert list(audiences.of("a")) == [ann]
    assert audiences.remove(bob, ("a", "b")) == [] and list(audiences.of("a")) == [ann]
    audiences.add(bob, ("a",))
    for n in range(2):
        assert audiences.remove(bob, ("a",)) == [], n
    assert audiences.remove(ann, ("a", "a")) == ["a"]


def test_a_channel_of_ones_own_takes_no_container(audiences: Audiences) -> None:
    """It may be as many channels as clients."""
    ann = Subscriber(("a",))
    audiences.add(ann, ("a",))
    assert audiences._found["a"] is ann
    assert sys.getsizeof({ann: None}) > 200, "it is worth it no more"


def test_others_may_come_while_they_are_counted(audiences: Audiences) -> None:
    """Where threads serve clients, whoever counts for the console holds no lock."""

    class Inviting(Subscriber):
        """One in whose turn another one comes."""

        @property
        def rests(self) -> bool:
            audiences.add(Subscriber(("a",)), ("a",))
            return False

        @rests.setter
        def rests(self, rests: bool) -> None:
            """It never does."""

    for _ in range(2):
        audiences.add(Inviting(("a",)), ("a",))
    assert count(audiences.of("a")) == 2 and len(audiences.of("a")) == 4
