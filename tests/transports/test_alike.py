"""What all who wait alike are told: the same bytes as if it were made for each alone."""

from __future__ import annotations

import time

import pytest

from pushapp.handover import Head
from pushapp.message import Bundle, Message
from pushapp.transports import alike

from .lane import plain

HEADS = [
    Head(
        b"HTTP/1.1 200 OK\r\nServer: x\r\n",
        (b"A: b\r\n", b"C: d\r\n", b"%b\r\n" % last),
        marks,
        http11=True,
        keep=True,
    )
    for last in (b"E: f", b"E: g")
    for marks in (("ETag", "Content-Length"), ("Content-Length", "ETag"))
]


def message(n: int, data: str, expires: float | None = None) -> Message:
    return Message("abc", n, n - 1 or None, "public:a", "message", 1.5, expires, data)


def alone(bundle: Bundle, under: Head, own: str) -> bytes:
    reply = alike.answer(bundle, own)
    return under.answer(f'"{reply.cursor}"', reply.body())


@pytest.mark.parametrize("own", ["c1" + "x" * 38, "short"])
def test_each_gets_what_would_be_made_for_them_alone(own: str) -> None:
    """Whoever was answered just before, and whatever the messages hold."""
    bundles = [
        Bundle([message(1, f'"{chr(0) * len(own)}"')]),
        Bundle([message(1, f'"{own}"'), message(2, '{"connection":"x"}')]),
    ]
    for _ in range(2):
        for bundle in bundles:
            for under in HEADS:
                before, behind = alike.around_id(bundle, under, len(own))
                made = before + own.encode() + behind
                assert plain(made) == plain(alone(bundle, under, own))


def test_a_message_that_expires_meanwhile_is_told_as_such() -> None:
    """The later ones get its tombstone."""
    bundle = Bundle([message(1, '"secret"', expires=time.time() + 600)])
    assert b"secret" in alike.around_id(bundle, HEADS[0], 40)[1]
    bundle.messages[0].expires = time.time() - 1
    after = alike.around_id(bundle, HEADS[0], 40)[1]
    assert b"secret" not in after and b'"expired":true' in after
