"""The recent window: all of a channel after a known point, or it says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from pushapp.broker.interface import Page
from pushapp.message import Cursor, Loss, Message
from pushapp.window import Window, after

from .fake_log import FakeFollower, FakeLog

LARGE = "x" * 40_000  # characters: two are more than is kept of a channel


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


@pytest.fixture
def follower(log: FakeLog) -> FakeFollower:
    return log.follow()


@pytest.fixture
def window(follower: FakeFollower) -> Iterator[Window]:
    yield Window(follower, threading.RLock(), {"listened": set()})


def move(window: Window, follower: FakeFollower, lost: Sequence[Loss] = ()) -> None:
    """Let the window see what is new."""
    follower.wake()
    page = follower.next(0)
    window.add(Page(page.cursor, page.messages, lost=lost))


def numbers(window: Window, n: int, *channels: str) -> list[int] | None:
    """Return which messages after ``n`` are at hand; None: not all of them are."""
    recents = window.look(channels)
    if recents is None or any(recent.since > n for recent in recents):
        return None
    return [message.n for message in after(recents, n)]


def test_what_comes_after_a_channel_was_taken_in_is_at_hand(
    window: Window, follower: FakeFollower, log: FakeLog
) -> None:
    """In the order of the log, over several channels; what came before is not."""
    log.append("a")
    move(window, follower)
    window.keep(["a", "b"])
    for channel in "abcab":
        log.append(channel)
    move(window, follower)
    assert numbers(window, 0, "a") is None
    assert numbers(window, 1, "a", "b") == [2, 3, 5, 6]
    assert numbers(window, 3, "a", "b") == [5, 6]
    assert numbers(window, 6, "a", "b") == []
    assert numbers(window, 6, "a", "c") is None
    assert window.cursor == log.head


def test_of_very_many_or_large_messages_the_newest_are_at_hand(
    window: Window, follower: FakeFollower, log: FakeLog
) -> None:
    """And it is known from where on."""
    window.keep(["many", "large"])
    for _ in range(100):
        log.append("many")
    for _ in range(3):
        log.append("large", LARGE)
    move(window, follower)
    many = numbers(window, 36, "many")
    assert many is not None and many[-1] == 100 and len(many) == 64
    assert numbers(window, 35, "many") is None
    assert numbers(window, 102, "large") == [103]
    assert numbers(window, 101, "large") is None


def test_a_hole_or_a_new_epoch_lets_go_of_a_channel(
    window: Window, follower: FakeFollower, log: FakeLog
) -> None:
    """Whoever asks then has to read the log."""
    window.keep(["a", "b"])
    log.append("a")
    move(window, follower, [Loss("a", "fake.0", None, "expired")])
    assert numbers(window, 1, "a") is None
    assert numbers(window, 1, "b") == []
    window.add(Page(Cursor("other", 7)))
    assert numbers(window, 7, "b") is None


def test_a_channel_that_nobody_asks_about_is_followed_no_longer(
    window: Window, follower: FakeFollower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless somebody listens to it."""
    window.keep(["a", "listened", "asked"])
    assert follower.watched == {"a", "listened", "asked"}
    now = [0.0]
    monkeypatch.setattr("pushapp.window.time.monotonic", lambda: now[0] + 1e9)
    window.look(["asked"])
    now[0] = 6.0
    window.sweep()
    assert follower.watched == {"listened", "asked"}
    assert window.look(["listened"]) is None


def test_a_channel_is_of_no_use_before_it_is_followed(
    window: Window, follower: FakeFollower, log: FakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes while the broker is asked to follow it may not be among what is handed out."""
    watch = follower.watch
    seen = []

    def slow(*channels: str) -> None:
        log.append("a")
        move(window, follower)
        seen.append(numbers(window, 0, "a"))
        watch(*channels)

    monkeypatch.setattr(follower, "watch", slow)
    window.keep(["a"])
    assert seen == [None]
    assert numbers(window, 0, "a") is None and numbers(window, 1, "a") == []


def test_messages_of_others_are_not_kept(
    window: Window, follower: FakeFollower, log: FakeLog
) -> None:
    """Only of channels that somebody asks about."""
    follower.watch("b")
    window.keep(["a"])
    window.add(Page(Cursor("fake", 1), [Message("fake", 1, None, "b", "message", 0, None, "0")]))
    assert numbers(window, 1, "b") is None
