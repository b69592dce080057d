"""Publishes in the express lane: those that the worker remembers, and one that is under way.

What belongs here: knowing a publish again, and what becomes of its connection meanwhile. What does
not: what makes heads equal and what may be published (``republish``), connections (``bay``).
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple, Protocol

from .broker.interface import Receipt
from .cutting import END
from .desk import Outcome
from .handover import Head
from .lifting import head_of
from .publish import PublishRequest
from .remembered import Remembered
from .republish import BEGIN, PostCut, Republish, cut, is_plain

LARGEST = 65536  # bytes of a body; whoever sends more waits for the network, not for us

log = logging.getLogger(__name__)


def head_in(early: bytes) -> bytes:
    """Return the head of the request that ``early``, which the lane has read, begins with; b"":
    there may be more in it than one request that is known again."""
    if early.startswith(BEGIN):
        end = early.find(END)
        return early[: end + len(END)] if end >= 0 else b""
    return early if early.endswith(END) else b""


class Berth(Protocol):
    """The place of a connection in the lane; see ``bay.Bay``."""

    def answer(self, head: Head, body: bytes) -> None:
        """Answer the publish that is under way."""

    def leave_to_app(self, data: bytes, verdict: Exception | None = None) -> None:
        """Let the app serve ``data``, the whole request; ``verdict``: what came of the publish,
        which it is only to say."""


class Known(NamedTuple):
    """A publisher's request that is remembered, and what the head of an answer looks like."""

    republish: Republish
    head: Head


class Found(NamedTuple):
    """A request that is known, as far as it has come."""

    known: Known
    head: bytes
    cut: PostCut

    @property
    def size(self) -> int:
        """How many bytes it has in all."""
        return len(self.head) + self.cut.length


class Posts:
    """The publishers' requests that one worker remembers."""

    def __init__(self) -> None:
        self._known: Remembered[Known] = Remembered()

    def find(self, data: bytes, host: object, last: Found | None) -> Found | None:
        """Return what is known of the request that ``data`` begins with, from this ``host``;
        ``last``: the one before on its connection, which mostly has the same head."""
        if last is not None and data.startswith(last.head):
            known = self._known.get((host, last.cut.parts))
            if known is None or known is last.known:
                return last if known else None
            return last._replace(known=known)
        end = data.find(END)
        if end < 0:
            return None
        head = data[: end + len(END)]
        found = cut(head)
        if found is None or found.length > LARGEST:
            return None
        known = self._known.get((host, found.parts))
        return None if known is None else Found(known, head, found)

    def learn(
        self,
        head: bytes,
        host: object,
        republish: Republish,
        environ: dict[str, Any],
        response: Any,
    ) -> None:
        """Remember a publish that the app has answered with gunicorn's ``response``."""
        found = cut(head)
        if found is None or not is_plain(head) or not republish.is_read_as(found):
            return
        target = environ["RAW_URI"].encode("latin-1")
        if not head.startswith(b"%b%b HTTP/1.1\r\n" % (BEGIN[:-1], target)):
            return  # gunicorn has read something else
        names = [name.lower() for name, _ in response.headers]
        made = head_of(response, etag=False)
        same = names.count("content-length") == 1 and not {"set-cookie", "etag"} & {*names}
        if made.keep and same and response.status_code == 200 and not response.chunked:
            self._known.put((host, found.parts), Known(republish, made))


class Posting:
    """One publish, from the moment that it is whole."""

    __slots__ = ("_berth", "_data", "_found", "_wanted")

    def __init__(self, berth: Berth, found: Found, data: bytes) -> None:
        self._berth, self._found, self._data = berth, found, data
        self._wanted: PublishRequest | None = None

    def begin(self) -> None:
        """Have it appended, or leave it to the app."""
        republish, found = self._found.known.republish, self._found
        body, asked = self._data[len(found.head) :], None
        try:
            self._wanted = republish.wanted(body, found.cut.key)
            if self._wanted is not None:
                asked = republish.append(self._wanted)
        except Exception:  # nobody else would hear of it, and the client would wait
            log.exception("a publish failed in the lane; the app tries it")
        if asked is None:
            self._berth.leave_to_app(self._data)
        else:
            republish.desk.take(asked, self._done)

    def _done(self, outcome: Outcome) -> None:
        body = b""
        try:
            if not isinstance(outcome, Exception):
                body = self._body(outcome)
        except Exception as error:  # it is in the log: the app must not try it, either
            log.exception("a publish could not be answered in the lane")
            outcome = error
        try:
            if isinstance(outcome, Exception):  # the app says so; it must not be tried again
                self._berth.leave_to_app(self._data, outcome)
            else:
                self._berth.answer(self._found.known.head, body)
        except Exception:  # nobody else would hear of it
            log.exception("a publish could not be answered in the lane")

    def _body(self, receipts: list[Receipt]) -> bytes:
        assert self._wanted is not None
        return self._found.known.republish.answer(self._wanted, receipts)
