"""Backlogs that many clients ask for at once: read once, encoded once.

What belongs here: which pages of the log are kept for the next who comes from the same place, and
when they still are what the log would say. What does not: sending them (``transports.stream``).

After a cut or a deploy everybody comes back within seconds, with one of very few cursors. The first
reads; the others get its page, and what was published since. Nothing is guessed: where the log
cannot say at once that nothing has been taken out of it (``Tail``), a page is good for ``BLIND``.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from .background import quick_lock
from .broker.interface import PAGE_MESSAGES, Log, Page
from .glance import Glance
from .message import Bundle, Cursor

BLIND = 1.0  # seconds for which a page is believed without a look
_PAGES = 64  # kept at most
_BYTES = 16 << 20  # ... of all their messages
_UNUSED = 30.0  # seconds after which one is dropped

Key = tuple[tuple[str, ...], Cursor, int]


class Backlog(NamedTuple):
    """A page, and its messages as all who get them share them."""

    page: Page
    bundle: Bundle | None  # None: it has no messages
    size: int  # bytes of them
    read: float  # monotonic seconds


class Backlogs:
    """The pages of one worker."""

    def __init__(self, log: Log, glance: Glance) -> None:
        self._log, self._glance = log, glance
        self._lock = quick_lock()
        self._kept: OrderedDict[Key, Backlog] = OrderedDict()  # the longest unused one first
        self._size = 0

    def read(self, channels: Sequence[str], cursor: Cursor, max_bytes: int) -> Backlog:
        """Return what ``Log.read`` would.

        Raises:
            LogUnavailable: the log does not answer.
        """
        key = tuple(channels), cursor, max_bytes
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
        found = None if kept is None else self._still(kept, key)
        if found is None:
            found = _backlog(self._log.read(key[0], cursor, max_bytes=max_bytes), time.monotonic())
        if found is not kept:
            self._keep(key, found)
        return found

    def _still(self, kept: Backlog, key: Key) -> Backlog | None:
        """Return ``kept`` with what is new since; None: it has to be read anew."""
        channels, cursor, max_bytes = key
        page, now = kept.page, time.monotonic()
        tail = self._glance.tail()
        if tail is None:
            if now - kept.read > BLIND:
                return None
        elif tail.cursor.epoch != cursor.epoch or max(tail.trimmed, tail.floor) > cursor.n:
            return None  # something after the cursor may be gone
        elif page.more or page.cursor == tail.cursor:
            return kept
        if page.more:
            return kept  # whatever comes, it is the first page
        new = self._log.read(channels, page.cursor, max_bytes=max_bytes)
        if new.lost or new.cursor.epoch != cursor.epoch:
            return None
        if not new.messages:
            return kept._replace(page=Page(new.cursor, page.messages, latest=new.latest))
        messages = [*page.messages, *new.messages]
        whole = _backlog(Page(new.cursor, messages, latest=new.latest), kept.read)
        return None if len(messages) > PAGE_MESSAGES or whole.size > max_bytes else whole

    def _keep(self, key: Key, backlog: Backlog) -> None:
        """Keep it where another may ask for the same."""
        with self._lock:
            old = self._kept.pop(key, None)
            self._size -= 0 if old is None else old.size
            if backlog.bundle is not None and not backlog.page.lost:
                self._kept[key] = backlog
                self._size += backlog.size
            unused = time.monotonic() - _UNUSED
            while self._kept:
                oldest = next(iter(self._kept.values()))
                if len(self._kept) <= _PAGES and self._size <= _BYTES and oldest.read > unused:
                    break
                self._kept.popitem(last=False)
                self._size -= oldest.size


def _backlog(page: Page, read: float) -> Backlog:
    if not page.messages:
        return Backlog(page, None, 0, read)
    return Backlog(page, Bundle(page.messages), sum(len(m.body()) for m in page.messages), read)
