"""The express lane: requests that come again on a kept connection pass neither gunicorn nor Flask.

What belongs here: which requests are remembered, and knowing them again. What does not: the answer
(``again``), what of a head has to be equal (``heads``), connections (``bay``).

It is the table that remembers, and not a connection: behind a proxy one connection carries many
people's requests. Who may see an answer is decided by the bytes of the head alone, as it was when
the app read it; so nothing but an equal head is ever answered here.
"""

from __future__ import annotations

from typing import Any

from .again import Again
from .broker.interface import Page
from .cutting import CURSOR, ETAGS, Cut, cut, is_plain, values
from .handover import Head, date
from .lifting import head_of
from .remembered import Remembered
from .transports.params import Asked
from .transports.poll import interval


class Known:
    """A request that is remembered, and what its answers' heads look like: of 200, and of 304."""

    __slots__ = (
        "_asked",
        "_head",
        "_kinds",
        "_parts",
        "_quiet",
        "_turn",
        "_values",
        "again",
        "found",
        "unchanged",
    )

    def __init__(self, again: Again, cut: Cut) -> None:
        self.again = again
        self.found: Head | None = None
        self.unchanged: Head | None = None
        self._parts, self._kinds = cut.parts, cut.kinds  # of its head
        self._head = b""  # that came last, ...
        self._values: tuple[str | None, str] | None = None  # ... with these values
        self._asked = again.asked
        #: What the last empty answer depended on, and it: before and behind an id that is new.
        self._quiet: tuple[object, bytes, bytes | None] | None = None
        self._turn: object = None  # of the loop, in which that was found to be true, see ``Again``

    def learn(self, again: Again, status: int, head: Head) -> None:
        """Know what the app has allowed and answered now."""
        self.again, self._head, self._values, self._quiet = again, b"", None, None
        self._turn = None
        if status == 304:
            self.unchanged = head
        else:
            self.found = head

    def asks(self, head: bytes) -> Asked | None:
        """Return what is asked for where ``head`` is this request's, else None; many ask alike.

        Raises:
            InvalidInput: its cursor is none.
        """
        if head == self._head:
            return self._asked
        found = values(head, self._parts, self._kinds)
        if found is None:
            return None
        cursor, match = None, ""
        for kind, value in zip(self._kinds, found, strict=True):
            if kind is CURSOR:
                cursor = value.decode()
            elif kind is ETAGS:
                match = value.decode().strip()
        if self._values != (cursor, match):
            self._asked = self.again.asks(cursor, match)
            self._values = cursor, match
        self._head = head
        return self._asked

    def quiet(self, page: Page, asked: Asked) -> bytes | None:
        """Return the last answer where it was this one, because there is nothing new; with an id
        of its own, where each gets a new one."""
        if self._quiet is None or page.messages:
            return None
        was, before, behind = self._quiet
        turn = self.again.turn
        if turn is None or turn is not self._turn or turn[2] is not page:
            if was != (asked, page.cursor, _dated(page)):
                return None
            self._turn = turn
        return before if behind is None else before + self.again.id().encode() + behind

    def answered(self, page: Page, asked: Asked, data: bytes, connection: str) -> None:
        """Remember the answer to ``connection`` for ``quiet``."""
        if page.messages or page.lost:
            return
        was = asked, page.cursor, _dated(page)
        before, shown, behind = data.partition(connection.encode())
        if self.again.keeps_id or not shown:
            self._quiet = was, data, None
        else:
            self._quiet = was, before, behind


def _dated(page: Page) -> tuple[bytes, int]:
    """Return what of an empty answer moves with the time."""
    return date(), int(interval(page) * 1000)


class Lane:
    """The requests that one worker remembers."""

    def __init__(self) -> None:
        self._known: Remembered[Known] = Remembered()

    def __len__(self) -> int:
        return len(self._known)

    def find(self, head: bytes, host: object) -> Known | None:
        """Return what is known of a request with this head from this ``host``."""
        found = cut(head)
        if found is None:
            return None
        return self._known.get((host, found.parts))

    def learn(
        self,
        head: bytes,
        host: object,
        again: Again,
        environ: dict[str, Any],
        response: Any,
    ) -> None:
        """Remember a request that the app has answered with gunicorn's ``response``."""
        found = cut(head)
        if found is None or not is_plain(head) or not again.is_read_as(found):
            return
        target = environ["RAW_URI"].encode("latin-1")
        if not head.startswith(b"GET %b HTTP/1.1\r\n" % target):
            return  # gunicorn has read something else
        made = head_of(response)
        if not made.keep or not _is_the_same_each_time(response):
            return
        key = host, found.parts
        known = self._known.get(key)
        if known is None or known.again.waits != again.waits:
            known = Known(again, found)
            self._known.put(key, known)
        known.learn(again, response.status_code, made)


def _is_the_same_each_time(response: Any) -> bool:
    """Tell whether an answer's head may stand for later ones."""
    names = [name.lower() for name, _ in response.headers]
    fixed = names.count("etag") == 1 and "set-cookie" not in names
    framed = names.count("content-length") == (response.status_code == 200)
    return fixed and framed and response.status_code in (200, 304) and not response.chunked
