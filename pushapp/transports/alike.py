"""The answer to all long polls that wait alike: made once, but for each one's own connection id.

What belongs here: what stands around the id. What does not: the answer's shape (``poll``), whether
one waits alike (``longpoll``).
"""

from __future__ import annotations

from ..handover import Head, date
from ..message import Bundle, Cursor
from .poll import Answer, etag_of, json_array

Parts = tuple[bytes, bytes]

_last: tuple[object, Parts] = (None, (b"", b""))  # what they were made of; they are asked in a row


def answer(bundle: Bundle, connection: str) -> Answer:
    """Return what ``connection`` is answered when ``bundle`` comes."""
    cursor = Cursor(bundle.messages[-1].epoch, bundle.last)
    messages = bundle.encoded(json_array)
    return Answer(connection, cursor, messages, len(bundle.messages), interval=1.0)


def around_id(bundle: Bundle, head: Head, length: int) -> Parts:
    """Return the bytes of that answer under ``head``, before and behind an id of this length."""
    global _last
    made_of = bundle, bundle.encoded(json_array), head, date(), length
    if _last[0] != made_of:
        place = "\0" * length  # what stands in no head
        reply = answer(bundle, place)
        data = head.answer(etag_of(reply.cursor), reply.body())
        before, _, behind = data.partition(place.encode())
        _last = made_of, (before, behind)
    return _last[1]
