"""The express lane: requests that come again on a kept connection pass neither gunicorn nor Flask.

What belongs here: which requests are remembered, and knowing them again. What does not: the answer
(``again``), what of a head has to be equal (``heads``), connections (``bay``).

It is the table that remembers, and not a connection: behind a proxy one connection carries many
people's requests. Who may see an answer is decided by the bytes of the head alone, as it was when
the app read it; so nothing but an equal head is ever answered here.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from .again import Again
from .cutting import Cut, cut, is_plain
from .handover import Head
from .lifting import head_of

_MOST = 10_000  # requests remembered; whichever was asked longest ago is forgotten
_BYTES = 16 << 20  # ... and bytes of their heads


#: The peer's address, by which limits count, and a head without its values.
Key = tuple[object, tuple[bytes, ...]]


class Known:
    """A request that is remembered, and what its answers' heads look like by their status."""

    __slots__ = ("again", "heads")

    def __init__(self, again: Again) -> None:
        self.again = again
        self.heads: dict[int, Head] = {}


class Lane:
    """The requests that one worker remembers."""

    def __init__(self) -> None:
        self._known: OrderedDict[Key, Known] = OrderedDict()
        self._bytes = 0  # of their heads
        self.asked = 0  # heads that came on connections in the lane
        self.hits = 0  # ... and were answered there

    def __len__(self) -> int:
        return len(self._known)

    def find(self, head: bytes, host: object) -> tuple[Known, Cut] | None:
        """Return what is known of a request with this head from this ``host``."""
        self.asked += 1
        found = cut(head)
        if found is None:
            return None
        key = host, found.parts
        known = self._known.get(key)
        if known is None:
            return None
        self._known.move_to_end(key)
        return known, found

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
            known = Known(again)
            self._put(key, known)
        else:
            known.again = again  # what it was allowed now
        known.heads[response.status_code] = made

    def _put(self, key: Key, known: Known) -> None:
        if self._known.pop(key, None) is None:
            self._bytes += _size(key)
        self._known[key] = known
        while len(self._known) > _MOST or self._bytes > _BYTES:
            oldest, _ = self._known.popitem(last=False)
            self._bytes -= _size(oldest)


def _size(key: Key) -> int:
    return sum(map(len, key[1]))


def _is_the_same_each_time(response: Any) -> bool:
    """Tell whether an answer's head may stand for later ones."""
    names = [name.lower() for name, _ in response.headers]
    fixed = names.count("etag") == 1 and "set-cookie" not in names
    framed = names.count("content-length") == (response.status_code == 200)
    return fixed and framed and response.status_code in (200, 304) and not response.chunked
