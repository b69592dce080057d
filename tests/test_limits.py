"""Counting: how often, how many, and that it takes no memory without end."""

from __future__ import annotations

import pytest

from pushapp.errors import Flood, SettingsError, TooManyRequests
from pushapp.limits import Limits, TokenBuckets
from pushapp.quota import Quota
from pushapp.seats import Seats
from pushapp.settings import load
from pushapp.subscriber import Subscriber


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_burst_then_the_rate(clock: Clock) -> None:
    """Three at once, then two a second; whoever is refused is told when to come again."""
    buckets = TokenBuckets(2, 3, clock)
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 0]
    assert buckets.take("a") == pytest.approx(0.5)
    assert buckets.take("b") == 0, "each has a bucket of its own"
    clock.now += 0.5
    assert buckets.take("a") == 0
    assert buckets.take("a") == pytest.approx(0.5)
    clock.now += 60
    assert [buckets.take("a") > 0 for _ in range(4)] == [False, False, False, True]


def test_what_costs_more_than_there_is_is_owed(clock: Clock) -> None:
    """A batch passes whole, and its publisher waits longer after it."""
    buckets = TokenBuckets(2, 3, clock)
    assert buckets.take("a", 10) == 0
    assert buckets.take("a") == pytest.approx(4)
    assert buckets.take("b") == 0
    buckets.owe("b", 9)
    assert buckets.take("b") == pytest.approx(4)


def test_a_rate_of_none_never_refuses(clock: Clock) -> None:
    buckets = TokenBuckets(0, 1, clock)
    assert not any(buckets.take("a") for _ in range(1000))


def test_many_keys_take_a_bounded_memory(clock: Clock) -> None:
    """Whoever was quiet longest is forgotten; who is active is not."""
    buckets = TokenBuckets(1, 2, clock)
    for i in range(25_000):
        buckets.take(f"{i}")
        if not i % 5000:
            buckets.take("busy")
    assert len(buckets._full_at) == 10_000
    assert buckets.take("busy") > 0
    assert buckets.take("1") == 0


def test_a_connection_that_goes_on_after_it_was_told_so_is_a_flood(clock: Clock) -> None:
    """Ten seconds' worth at once is fine, as much again is refused, more ends it."""
    limits = Limits(Quota(operations=2), clock)
    for _ in range(20):
        limits.operation("c")
    for _ in range(20):
        with pytest.raises(TooManyRequests) as caught:
            limits.operation("c")
        assert not isinstance(caught.value, Flood)
        assert caught.value.retry_after == 1
    with pytest.raises(Flood):
        limits.operation("c")
    limits.operation("another")


def client(user: str | None = None, address: str | None = None) -> Subscriber:
    subscriber = Subscriber(())
    subscriber.user, subscriber.address = user, address
    return subscriber


def test_seats_are_counted_by_user_and_by_address() -> None:
    """Who is refused is not counted; who has left makes room; nothing stays behind."""
    seats = Seats(Quota(user_connections=2, address_connections=3))
    ann = [client("ann", f"address {i}") for i in range(2)]
    for one in ann:
        seats.take(one)
    with pytest.raises(TooManyRequests, match="user ann has 2 connections"):
        seats.take(client("ann", "address 3"))
    here = [client(None, "here") for _ in range(3)]
    for one in here:
        seats.take(one)
    with pytest.raises(TooManyRequests, match="here has 3"):
        seats.check("bob", "here")
    seats.take(client())  # who has neither is not counted
    seats.leave(here[0])
    seats.check("bob", "here")
    for one in (*ann, *here[1:]):
        seats.leave(one)
    assert len(seats) == 0


def test_no_limit_counts_and_never_refuses() -> None:
    seats = Seats(Quota(user_connections=0, address_connections=0))
    for _ in range(200):
        seats.take(client("ann", "here"))
    assert seats.of_user("ann") == 200


def test_what_is_set_goes_over_the_defaults() -> None:
    """The others keep theirs."""
    settings = load(
        {"PUSH_LIMITS": '{"connects":7,"requests":0}', "SECRET_KEY": "x" * 32}, embedded=True
    )
    assert settings.quota == Quota(connects=7, requests=0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "expected JSON"),
        ("[]", "expected JSON"),
        ('{"conects":1}', "conects"),
        ('{"connects":-1}', "connects: -1"),
        ('{"connects":"7"}', "connects: '7'"),
        ('{"connects":true}', "connects: True"),
        ('{"connects":NaN}', "connects: nan"),
    ],
)
def test_a_wrong_setting_stops_the_start(text: str, told: str) -> None:
    with pytest.raises(SettingsError, match="PUSH_LIMITS is") as caught:
        load({"PUSH_LIMITS": text, "SECRET_KEY": "x" * 32}, embedded=True)
    assert told in str(caught.value)
