"""Ajax polling: what there is, at once. And the answer's shape, which long polling shares.

What belongs here: one answer as JSON with its headers. What does not: waiting (``longpoll``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from flask import Response

from ..broker.interface import PAGE_BYTES, Broker, Log, Page
from ..broker.roster import Roster, is_presence
from ..message import Bundle, Cursor, Loss, Message, bodies, dump
from . import members
from .params import Asked

QUIET = 3.0  # seconds between polls where nothing is known of the channels
FASTEST, SLOWEST = 1.0, 30.0  # seconds between polls: busy and quiet channels
_GROWTH = 10  # a channel quiet for so many seconds gets a second between polls

#: Nothing on the way may keep an answer: no-store, and what HTTP/1.0 caches and old browsers know.
HEADERS = {
    "Content-Type": "application/json",
    "Cache-Control": "no-store, no-cache, must-revalidate, max-age=0",
    "Pragma": "no-cache",
    "Expires": "0",
    "Vary": "Authorization, Cookie, Origin",
}


@dataclass(slots=True)
class Answer:
    """One poll's answer."""

    connection: str
    cursor: Cursor
    messages: bytes = b"[]"  # a JSON array, made once for all who get the same
    count: int = 0  # of the messages
    lost: Sequence[Loss] = ()
    history: dict[str, list[Message]] = field(default_factory=dict)
    presence: dict[str, str] = field(default_factory=dict)  # channel → JSON object
    owed: Sequence[str] = ()  # channels whose members have to be told, and read first
    more: bool = False
    interval: float = QUIET  # seconds
    reconnect: float | None = None  # seconds

    def body(self) -> bytes:
        """Return the JSON object."""
        head = (
            f'{{"connection":"{self.connection}","cursor":"{self.cursor}",'
            f'"recovered":{"false" if self.lost else "true"},"messages":'
        )
        advice = f'"advice":{{"interval":{int(self.interval * 1000)}'
        if self.reconnect is not None:
            advice += f',"reconnect":{int(self.reconnect * 1000)}'
        tail = f",{advice}}}"
        if self.lost:
            tail += f',"lost":{dump([loss.as_json() for loss in self.lost])}'
        if self.more:
            tail += ',"more":true'
        past = b""
        if self.history:
            pairs = (f'"{name}":'.encode() + array(kept) for name, kept in self.history.items())
            past = b',"history":{' + b",".join(pairs) + b"}"
        if self.presence:
            told = ",".join(f'"{name}":{what}' for name, what in self.presence.items())
            past += f',"presence":{{{told}}}'.encode()
        return head.encode() + self.messages + past + tail.encode() + b"}"


def json_array(pairs: Sequence[tuple[Message, bytes]]) -> bytes:
    """Encode a bundle's messages as a JSON array; changes of presence stand elsewhere."""
    return b"[" + b",".join([body for m, body in pairs if not is_presence(m.channel)]) + b"]"


def array(messages: Sequence[Message]) -> bytes:
    """Encode ``messages`` as a JSON array."""
    return json_array(bodies(messages, time.time()))


def answer(page: Page, connection: str) -> Answer:
    """Return the answer that hands ``page`` over."""
    return Answer(
        connection=connection,
        cursor=page.cursor,
        messages=Bundle(page.messages).encoded(json_array) if page.messages else b"[]",
        count=len(page.messages),
        lost=page.lost,
        more=page.more,
        interval=interval(page),
    )


def add_presence(reply: Answer, messages: Sequence[Message]) -> None:
    """Put the changes among ``messages`` into ``reply``; what was lost of them is no loss of the
    client's, because lists in their place heal it (``settle``)."""
    reply.presence = members.changes(messages)
    reply.owed = (*members.begin_anew(messages), *members.lost_lists(reply.lost))
    reply.lost = members.lost_messages(reply.lost)


def settle(reply: Answer, roster: Roster) -> None:
    """Put the lists into ``reply`` that it owes.

    Raises:
        LogUnavailable: nobody can say.
    """
    reply.presence |= members.lists(roster, reply.owed)
    reply.owed = ()


def interval(page: Page) -> float:
    """Return how long to wait before the next poll, in seconds: it grows in quiet channels."""
    if page.latest is None:
        return QUIET
    quiet = max(0.0, time.time() - page.latest)
    return min(SLOWEST, max(FASTEST, quiet / _GROWTH))


def history(log: Log, channels: Sequence[str], limit: int) -> dict[str, list[Message]]:
    """Return the last ``limit`` kept messages of each channel, at most a page of them all (but one
    of each); a retained value that is not among
    them comes first."""
    found = {}
    share = PAGE_BYTES // max(1, len(channels))  # all together are one answer
    for channel in channels:
        messages, info = log.history(channel, limit, max_bytes=share)
        retained = info.retained
        if retained is not None and all(m.n != retained.n for m in messages):
            messages = [retained, *messages]
        found[channel] = messages
    return found


def first_answer(broker: Broker, asked: Asked, connection: str) -> Answer:
    """Return what there is now for ``asked``."""
    page = broker.log.read(asked.listens, asked.cursor)
    reply = answer(page, connection)
    if asked.presence:
        add_presence(reply, page.messages)
    if asked.cursor is None and asked.history:
        reply.history = history(broker.log, asked.channels, asked.history)
    return reply


def is_empty(reply: Answer) -> bool:
    """Tell whether ``reply`` has nothing new."""
    told = reply.lost or reply.history or reply.presence or reply.owed
    return reply.messages == b"[]" and not told


def unchanged(reply: Answer, asked: Asked) -> bool:
    """Tell whether 304 says it all (RFC 9110 section 13.1.2)."""
    if not is_empty(reply):
        return False
    return asked.conditional or str(reply.cursor) in asked.etags or "*" in asked.etags


def etag(reply: Answer, asked: Asked, not_modified: bool) -> str:
    """Return the ETag: the cursor; with a 304 the one that the client has."""
    if not_modified and asked.conditional and asked.cursor is not None:
        return etag_of(asked.cursor)
    return etag_of(reply.cursor)


def etag_of(cursor: Cursor) -> str:
    """Return the ETag of an answer that leads up to ``cursor``."""
    return f'"{cursor}"'


def response(reply: Answer, asked: Asked) -> Response:
    """Return ``reply`` as a response: 200 with a body (jQuery fails on an empty one), or 304."""
    not_modified = unchanged(reply, asked)
    result = Response(b"" if not_modified else reply.body(), 304 if not_modified else 200, HEADERS)
    result.headers["ETag"] = etag(reply, asked, not_modified)
    return result


def empty_response() -> Response:
    """Return what stands for a later answer until the client is parked: with the same fields."""
    result = Response(b"", headers=HEADERS)
    result.headers["ETag"] = '""'
    return result
