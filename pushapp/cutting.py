"""The head of a request that may come again: what has to be equal, and what may differ.

What belongs here: finding the values that differ each time, and nothing but those. What does not:
what is remembered of a request (``lane``), what its values mean (``transports.params``).

The values of ``cursor``, ``_`` (jQuery's against caches), If-None-Match and of tracing headers are
cut out; all other bytes have to be equal. A value is cut out only where it consists of
characters that mean nothing to any parser, so two heads that are equal without their values are
read alike. Whatever is not plain is no such head.
"""

from __future__ import annotations

import re
from operator import itemgetter
from typing import NamedTuple

LONGEST = 4096  # bytes; browsers' heads have 400 to 1,500. gunicorn's own limits are higher
END = b"\r\n\r\n"
LINE = b" HTTP/1.1\r\n"

#: What proxies set anew on each request: Heroku's router, whoever knows W3C Trace Context,
#: Cloudflare and Amazon's load balancers.
TRACING = tuple(
    f"\r\n{name}:".encode()
    for name in ("x-request-id", "x-request-start", "traceparent", "cf-ray", "x-amzn-trace-id")
)
_MATCH = b"\r\nif-none-match:"

CURSOR = re.compile(rb"[a-z0-9.]{1,64}")
_NUMBER = re.compile(rb"[0-9]{1,20}")
TRACE = re.compile(rb" [A-Za-z0-9_.:;=-]{1,200}")
ETAGS = re.compile(rb" [\x20-\x7e]{1,400}")
_FRAMED = re.compile(
    rb"\r\n(?:content-length|transfer-encoding|expect|upgrade|te|trailer|[^:\r\n]*_[^:\r\n]*):"
    rb"|\r\nconnection:(?! keep-alive\r\n)"
)


Kind = re.Pattern[bytes]


class Cut(NamedTuple):
    """A head without its values."""

    parts: tuple[bytes, ...]  # what stands around them
    cursor: str | None
    stamp: str | None  # the value of "_"
    match: str  # the value of If-None-Match; "": there is none
    kinds: tuple[Kind, ...]  # what each value consists of, in their order


def cut(head: bytes) -> Cut | None:
    """Return what ``head`` is made of; None where it is not one plain GET and nothing else."""
    line = head.find(LINE)
    if line < 0 or not head.startswith(b"GET /") or head.find(END) != len(head) - 4:
        return None
    spans: list[tuple[int, int]] = []  # where values begin and end
    kinds: list[tuple[int, Kind]] = []  # ... and of which kind each is
    cursor = stamp = None
    query = head.find(b"?", 0, line)
    if query >= 0:
        if (at := head.find(b"cursor=", query, line)) >= 0:
            start, end = span = _parameter(head, at, 7, line)
            if not CURSOR.fullmatch(head, start, end) or head.find(b"cursor=", end, line) >= 0:
                return None
            cursor = head[start:end].decode()
            spans.append(span)
            kinds.append((start, CURSOR))
        if (at := head.find(b"_=", query, line)) >= 0:
            start, end = span = _parameter(head, at, 2, line)
            if not _NUMBER.fullmatch(head, start, end) or head.find(b"_=", end, line) >= 0:
                return None
            stamp = head[start:end].decode()
            spans.append(span)
            kinds.append((start, _NUMBER))
    fields = head[line:].lower()  # as long, so a place in it is one in the head
    match = ""
    if (at := fields.find(_MATCH)) >= 0:
        start, end = span = _field(head, line + at + len(_MATCH))
        if not ETAGS.fullmatch(head, start, end):
            return None
        match = head[start:end].decode().strip()
        spans.append(span)
        kinds.append((start, ETAGS))
    for name in TRACING:
        if (at := fields.find(name)) >= 0:
            start, end = span = _field(head, line + at + len(name))
            if not TRACE.fullmatch(head, start, end):
                return None
            spans.append(span)
            kinds.append((start, TRACE))
    kinds.sort(key=itemgetter(0))
    return Cut(around(head, spans), cursor, stamp, match, tuple(kind for _, kind in kinds))


def values(head: bytes, parts: tuple[bytes, ...], kinds: tuple[Kind, ...]) -> list[bytes] | None:
    """Return what stands between ``parts`` in ``head``, where that is all of it and each is of its
    kind; None: it is for ``cut`` to say what that is.

    ``cut`` would find the same, in three times the time: no value holds what it looks for, which is
    in ``parts`` then, where it found it before.
    """
    if not head.startswith(parts[0]):
        return None
    found, start = [], len(parts[0])
    for kind, part in zip(kinds, parts[1:], strict=True):
        end = head.find(part, start)
        if end < 0 or not kind.fullmatch(head, start, end):
            return None
        found.append(head[start:end])
        start = end + len(part)
    return found if start == len(head) else None


def around(head: bytes, spans: list[tuple[int, int]]) -> tuple[bytes, ...]:
    """Return what of ``head`` stands around ``spans``, which are where values begin and end."""
    spans.sort()
    parts, before = [], 0
    for start, end in spans:
        parts.append(head[before:start])
        before = end
    parts.append(head[before:])
    return tuple(parts)


def _parameter(head: bytes, at: int, name: int, line: int) -> tuple[int, int]:
    """Return where the value of the parameter at ``at`` is; an empty one where it is the end of
    another name. ``name``: how long its name is, ``line``: where the query ends."""
    start = at + name
    if head[at - 1] not in b"?&":
        return start, start
    end = head.find(b"&", start, line)
    return start, line if end < 0 else end


def _field(head: bytes, start: int) -> tuple[int, int]:
    """Return where the value of a header field is."""
    return start, head.find(b"\r\n", start)


def is_plain(head: bytes) -> bool:
    """Tell whether ``head``, as the normal way has read it, has no body and asks for nothing but an
    answer: that it is so need be found out once for all heads that are equal to it."""
    return _FRAMED.search(head.lower()) is None
