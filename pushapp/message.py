"""A message and its place in the log, as values.

What belongs here: ids, cursors, messages, what was lost, and how they look as JSON. What does not:
where they are kept (``broker``), who gets them (``hub``), how they are framed (``transports``).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from .errors import InvalidInput

CHANNEL_PATTERN = re.compile(r"[A-Za-z0-9_.:@|+~=-]{1,128}")
EVENT_PATTERN = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
EVERYONE = "everyone"  # the channel that whoever is known may read, and an api key alone writes
_CURSOR_PATTERN = re.compile(r"([a-z0-9]{1,32})\.(0|[1-9][0-9]{0,17})")

#: Why something is missing; see "lost" in docs/protocol.md.
LostReason = Literal["expired", "epoch", "limit"]


def is_internal(channel: str) -> bool:
    """Tell whether ``channel`` is one of the server's own: no client publishes there, and at most
    an api key listens to it by its name."""
    return "/" in channel


class Cursor(NamedTuple):
    """A point in the log: everything up to message ``n`` of this ``epoch``."""

    epoch: str
    n: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.n}"

    @classmethod
    def parse(cls, text: str, field: str = "cursor") -> Cursor:
        """Return the cursor that ``text`` spells.

        Raises:
            InvalidInput: it is not one that any log ever gave out.
        """
        match = _CURSOR_PATTERN.fullmatch(text)
        if match is None:
            raise InvalidInput(field, text, "a cursor as this server handed it out")
        return cls(match[1], int(match[2]))


class Loss(NamedTuple):
    """What is missing of one channel: all after ``after`` and before ``before``."""

    channel: str
    after: str  # the cursor that the client came with
    before: str | None  # id of the first kept message; None: nothing is kept
    reason: LostReason

    def as_json(self) -> dict[str, str | None]:
        return self._asdict()


class Message:
    """One published item; immutable. ``data`` is JSON text already."""

    __slots__ = (
        "_body",
        "_tombstone",
        "channel",
        "data",
        "epoch",
        "event",
        "expires",
        "n",
        "packed",
        "prev",
        "time",
    )

    def __init__(
        self,
        epoch: str,
        n: int,
        prev: int | None,  # the message before this one in the same channel
        channel: str,
        event: str,
        time: float,  # Unix seconds
        expires: float | None,  # Unix seconds after which only a tombstone is sent
        data: str,
    ) -> None:
        self.epoch, self.n, self.prev, self.channel = epoch, n, prev, channel
        self.event, self.time, self.expires, self.data = event, time, expires, data
        self._body: bytes | None = None
        self._tombstone: bytes | None = None
        self.packed: tuple[bytes, bytes] | None = None  # see ``transports.deflate``

    @property
    def id(self) -> str:
        return f"{self.epoch}.{self.n}"

    def is_expired(self, now: float) -> bool:
        """Tell whether its own ttl is over at ``now`` (Unix seconds)."""
        return self.expires is not None and now >= self.expires

    def body(self) -> bytes:
        """Return the JSON object, encoded once. Channel and event need no escaping."""
        if self._body is None:
            self._body = f'{self._head()},"data":{self.data}}}'.encode()
        return self._body

    def tombstone(self) -> bytes:
        """Return the JSON object without data, which keeps continuity provable."""
        if self._tombstone is None:
            self._tombstone = f'{self._head()},"expired":true}}'.encode()
        return self._tombstone

    def _head(self) -> str:
        prev = "null" if self.prev is None else f'"{self.epoch}.{self.prev}"'
        return (
            f'{{"id":"{self.epoch}.{self.n}","prev":{prev},"channel":"{self.channel}",'
            f'"event":"{self.event}","time":{round(self.time, 3)!r}'
        )

    def __repr__(self) -> str:
        return f"<Message {self.id} {self.channel}>"


class Bundle:
    """Messages that are handed out together, oldest first; never empty.

    Each transport's encoding of it is made once and shared by all who get it.
    """

    __slots__ = ("_encoded", "_mortal", "first", "last", "messages")

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = tuple(messages)
        self.first, self.last = self.messages[0].n, self.messages[-1].n
        self._encoded: dict[object, bytes] = {}
        self._mortal = any(m.expires is not None for m in self.messages)

    @property
    def cursor(self) -> str:
        """The cursor of one who has everything up to the last of these."""
        return self.messages[-1].id

    def after(self, n: int) -> Bundle | None:
        """Return those after ``n``, or None where there are none."""
        if self.first > n:
            return self
        rest = [m for m in self.messages if m.n > n]
        return Bundle(rest) if rest else None

    def of(self, channels: Sequence[str]) -> Bundle | None:
        """Return those of ``channels``, or None where there are none."""
        wanted = [m for m in self.messages if m.channel in channels]
        return Bundle(wanted) if wanted else None

    def encoded(self, encode: Callable[[Sequence[tuple[Message, bytes]]], bytes]) -> bytes:
        """Return ``encode([(message, body), …])``, called once per bundle and encoder."""
        key: object = encode
        now = 0.0
        if self._mortal:  # a tombstone is a second encoding
            now = time.time()
            key = encode, *(m.is_expired(now) for m in self.messages)
        data = self._encoded.get(key)
        if data is None:
            data = self._encoded[key] = encode(bodies(self.messages, now))
        return data


def bodies(messages: Sequence[Message], now: float) -> list[tuple[Message, bytes]]:
    """Return each message with its bytes as they are at ``now`` (Unix seconds)."""
    return [(m, m.tombstone() if m.is_expired(now) else m.body()) for m in messages]


class Draft(NamedTuple):
    """A message on its way into the log; valid, because it was checked at the edge."""

    channel: str
    data: str  # JSON text
    event: str = "message"
    ttl: float | None = None  # seconds
    retain: bool = False
    at: float | None = None  # Unix seconds; None: now


#: Made once: ``json.dumps`` makes one for each call that is not quite the default.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def dump(value: object) -> str:
    """Return ``value`` as compact JSON.

    Raises:
        ValueError: it holds a number that is not finite.
    """
    return _ENCODER.encode(value)
