"""Where the log is: one look for all who are served in one turn of the event loop."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from pushapp import glance
from pushapp.broker.interface import Tail
from pushapp.glance import Glance
from pushapp.hub import Hub
from pushapp.message import Cursor

from .fake_log import FakeBroker


class Looked:
    """As much of a window as is asked for where the log is."""

    def __init__(self) -> None:
        self.looks = 0

    def tail(self) -> Tail:
        self.looks += 1
        return Tail(Cursor("e", self.looks), 0, 0)


def test_all_in_one_turn_share_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next turn has its own."""
    monkeypatch.setattr(glance, "is_module_patched", lambda name: name == "threading")
    window: Any = Looked()
    one = Glance(window)
    first = one.tail()
    assert one.tail() is first and window.looks == 1
    gevent.sleep(0.001)
    second = one.tail()
    assert second is not first and one.tail() is second and window.looks == 2


def test_who_may_be_told_of_an_earlier_point_shares_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within one turn, though the loop's time moves on in it; never beyond."""
    monkeypatch.setattr(glance, "is_module_patched", lambda name: name == "threading")
    window: Any = Looked()
    one = Glance(window)
    first = one.tail()
    while one.tail() is first:
        gevent.get_hub().loop.update_now()
    assert one.lately() is one.lately() and window.looks == 2
    gevent.sleep(0.001)
    one.lately()
    assert window.looks == 3


def test_threads_look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have no loop, or one that never turns."""
    monkeypatch.setattr(glance, "is_module_patched", lambda name: False)
    window: Any = Looked()
    one = Glance(window)
    assert one.tail() != one.tail()
    assert one.lately() != one.lately()


def test_now_is_read_where_no_look_tells() -> None:
    """It takes waiting to find out, or an epoch has begun that the hub has not reached."""
    hub = Hub(FakeBroker())
    try:
        read = hub.log.read((), None).cursor
        for tail in (None, Tail(Cursor("another", 5), 0, 0)):
            looked: Any = type("Looked", (), {"lately": lambda self, tail=tail: tail})()
            hub.glance = looked
            assert hub.now() == read
        seen: Any = type("Looked", (), {"lately": lambda self: Tail(read._replace(n=7), 0, 0)})()
        hub.glance = seen
        assert hub.now() == read._replace(n=7)
    finally:
        hub.close()
