"""What a client asks for when it subscribes: one set of parameters for all transports.

What belongs here: reading and checking them. What does not: whether it may (``auth``), doing it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from sys import intern
from typing import NamedTuple

from flask import Request
from werkzeug.datastructures import MultiDict

from ..broker.roster import FIGURES
from ..errors import InvalidInput
from ..message import CHANNEL_PATTERN, Cursor
from ..shared import Shared
from ..subscriber import listened

MAX_CHANNELS = 100
MAX_HISTORY = 1000  # messages of each channel
HOLD = 25.0  # seconds a long poll waits by default; Heroku's router cuts silence after 30
MAX_HOLD = 55.0  # ... and an answer that has begun after 55
MAX_FORM = 64 * 1024  # bytes of the POST form of poll and longpoll

_lists: Shared[tuple[str, ...]] = Shared()
_CHANNEL = "a name of 1 to 128 characters out of A-Z a-z 0-9 _ . : @ | + ~ = -"
_NO_ETAGS: frozenset[str] = frozenset()  # each other one would be 216 bytes of its own
_ETAG = re.compile(r'"([^"]*)"[ \t]*+(?:,|$)')


class Asked(NamedTuple):
    """What a subscribing client asks for."""

    channels: tuple[str, ...]
    cursor: Cursor | None = None  # None: from now
    history: int = 0  # messages of each channel, where there is no cursor
    hold: float = HOLD  # seconds
    connection: str | None = None
    presence: bool = False  # who comes and goes is to be told
    etags: frozenset[str] = _NO_ETAGS  # of If-None-Match; "*" stands for any
    conditional: bool = False  # the cursor came as If-None-Match: 304 when there is nothing new

    @property
    def listens(self) -> tuple[str, ...]:
        """The channels, and with presence those that tell of their members."""
        return listened(self.channels, self.presence)


def asked(request: Request, values: MultiDict[str, str], *, stream: bool, least: int = 1) -> Asked:
    """Read what ``request`` asks for; its parameters are ``values``.

    ``stream``: Last-Event-ID beats ``cursor``; else If-None-Match stands in where there is none.
    ``least``: how many channels there must be.

    Raises:
        InvalidInput: a parameter does not fit.
    """
    given = dict(values.lists())  # a MultiDict makes an exception for each name that is not there
    cursors = given.get("cursor")
    cursor = oldest(filter(None, cursors), "cursor") if cursors else None
    conditional = False
    etags = _NO_ETAGS
    if stream:
        last = request.headers.get("Last-Event-ID", "")
        if last:
            cursor = Cursor.parse(last, "Last-Event-ID")
    else:
        cursor, etags, conditional = match(cursor, request.environ.get("HTTP_IF_NONE_MATCH", ""))
    first = {name: texts[0] for name, texts in given.items()}
    presence = first.get("presence", "")
    if presence not in ("", "0", "1"):
        raise InvalidInput("presence", presence, "1 or 0")
    return Asked(
        channels=channels(given.get("channels", ()), least),
        cursor=cursor,
        history=_whole(first.get("history", ""), "history", 0, MAX_HISTORY),
        hold=_hold(first.get("timeout", "")),
        connection=first.get("connection") or None,
        presence=presence == "1",
        etags=etags,
        conditional=conditional,
    )


def match(cursor: Cursor | None, header: str) -> tuple[Cursor | None, frozenset[str], bool]:
    """Return the cursor, the ETags and whether 304 may be said, with ``header`` as If-None-Match:
    it stands in where there is no ``cursor``.

    Raises:
        InvalidInput: its cursors are none that any log gave out.
    """
    etags = _etags(header) if header else _NO_ETAGS
    if cursor is not None or not etags:
        return cursor, etags, False
    cursor = oldest((etag for etag in etags if _is_cursor(etag)), "If-None-Match")
    return cursor, etags, cursor is not None or "*" in etags


def channels(given: Iterable[str], least: int = 1) -> tuple[str, ...]:
    """Return the names in ``given``, which may hold several each; none twice.

    Raises:
        InvalidInput: a name does not fit, or there are too few or too many.
    """
    names = dict.fromkeys(name for text in given for name in text.split(",") if name)
    for name in names:
        if not CHANNEL_PATTERN.fullmatch(name) and name != FIGURES:
            raise InvalidInput("channels", name, _CHANNEL)
    if not least <= len(names) <= MAX_CHANNELS:
        raise InvalidInput("channels", f"{len(names)} names", f"{least} to {MAX_CHANNELS} names")
    return _lists.one(tuple(map(intern, names)))  # many clients, few channels


def oldest(cursors: Iterable[str], field: str) -> Cursor | None:
    """Return the oldest of ``cursors``: of several epochs, none is good for all.

    Raises:
        InvalidInput: one is no cursor.
    """
    parsed = [Cursor.parse(text, field) for text in cursors]
    if len({cursor.epoch for cursor in parsed}) > 1:
        return Cursor("0", 0)  # no log has this epoch, so the client is told the truth: epoch
    return min(parsed, default=None)


def _etags(header: str) -> frozenset[str]:
    if header.strip() == "*":
        return frozenset("*")
    # a proxy that compresses marks the ETag: W/ in front (nginx), -gzip behind (Apache)
    return frozenset(re.sub(r"(-gzip|;gzip|-br)$", "", m[1]) for m in _ETAG.finditer(header))


def _is_cursor(text: str) -> bool:
    try:
        Cursor.parse(text)
    except InvalidInput:
        return False  # another server's ETag says nothing about this log
    return True


def _whole(text: str, field: str, least: int, most: int) -> int:
    if not text:
        return least
    if not re.fullmatch(r"[0-9]{1,6}", text) or not least <= int(text) <= most:
        raise InvalidInput(field, text, f"a whole number from {least} to {most}")
    return int(text)


def _hold(text: str) -> float:
    if not text:
        return HOLD
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", text) or not 1 <= float(text) <= MAX_HOLD:
        raise InvalidInput("timeout", text, f"seconds from 1 to {MAX_HOLD:g}")
    return float(text)
