"""A publish that is under way in the express lane: its connection is free again whatever happens.

What belongs here: what cannot be had from a running server. What does not: what it answers
(``transports/test_posting``).
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pushapp.broker.interface import Published
from pushapp.desk import Outcome
from pushapp.posting import Found, Known, Posting
from pushapp.republish import PostCut


class Berth:
    """A connection that keeps what becomes of it."""

    def __init__(self) -> None:
        self.ended: list[object] = []

    def answer(self, head: object, body: bytes) -> None:
        self.ended.append(body)

    def leave_to_app(self, data: bytes, verdict: Exception | None = None) -> None:
        self.ended.append(verdict)


def posted(outcome: Outcome, answer: Any) -> list[object]:
    """Return what became of the connection of a publish that came to ``outcome``."""
    desk = SimpleNamespace(take=lambda asked, done: done(outcome))
    republish: Any = SimpleNamespace(
        wanted=lambda body, key: "wanted", append=lambda wanted: "asked", desk=desk, answer=answer
    )
    berth = Berth()
    found = Found(Known(republish, None), b"head", PostCut((), 4, None))  # type: ignore[arg-type]
    Posting(berth, found, b"headbody").begin()
    return berth.ended


def test_an_answer_is_made_of_the_receipts() -> None:
    assert posted([Published("e.1")], lambda wanted, receipts: b"made") == [b"made"]


def test_an_answer_that_cannot_be_made_is_the_apps_to_say() -> None:
    """Told as what came of it, so that the app does not publish it again."""
    broken = ValueError("no answer")

    def answer(wanted: object, receipts: object) -> bytes:
        raise broken

    assert posted([Published("e.1")], answer) == [broken]
