"""What passes the stop-watch is counted, and is what it was.

What belongs here: the log and the webhooks' receiver, metered. What does not: what they do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import pytest
from flask import Flask

from pushapp.client_events import CLIENT, told
from pushapp.errors import LogUnavailable
from pushapp.message import Cursor, Draft
from pushapp.metered import MeteredLog
from pushapp.problem import REASONS
from pushapp.tally import REFUSALS, Tally


def test_a_read_is_timed_and_passes(app: Flask) -> None:
    """The page is the log's own."""
    push = app.extensions["push"]
    push.publish("public:a", "one")
    cursor = push.cursor()
    id = push.publish("public:a", "two")

    page = push.broker.log.read(("public:a",), Cursor.parse(cursor))

    assert [message.id for message in page.messages] == [id]
    tally = push.tally
    assert sum(tally.log["read"].counts) >= 2 and tally.log["read"].total > 0
    assert sum(tally.log["append"].counts) == tally.published == 2
    assert set(tally.log_errors.values()) == {0}


def test_what_webhooks_tell_of_a_publish_is_no_publish(app: Flask) -> None:
    """It comes in the same append."""
    push = app.extensions["push"]
    drafts = [Draft("public:a", "1"), Draft("public:a", "2")]
    push.broker.log.append([*drafts, *told(drafts, CLIENT, 0.0)])
    assert push.tally.published == 2


def test_a_log_that_does_not_answer_is_an_error_and_no_round_trip() -> None:
    """Whoever asked is told, as without the watch."""

    class Away:
        def __getattr__(self, name: str) -> Callable[..., NoReturn]:
            return self.away

        def away(self, *_: object) -> NoReturn:
            raise LogUnavailable("away")

    tally = Tally()
    log = MeteredLog(Away(), tally)  # type: ignore[arg-type]
    with pytest.raises(LogUnavailable):
        log.read(("public:a",), None)
    with pytest.raises(LogUnavailable):
        log.append(())
    assert tally.log_errors == {"append": 1, "read": 1, "follow": 0}
    assert [sum(histogram.counts) for histogram in tally.log.values()] == [0, 0]
    assert tally.published == 0


def test_every_refusal_has_a_reason_that_is_counted() -> None:
    """A reason that the tally does not know would end in a KeyError."""
    assert set(REASONS.values()) | {"other"} == set(REFUSALS)
