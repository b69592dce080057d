"""What a client says on its WebSocket: one JSON object a frame.

What belongs here: reading an op's fields; each function takes its own out of the object. What does
not: doing the op (``websocket``).
"""

from __future__ import annotations

from typing import Any

from ..errors import InvalidInput
from ..message import CHANNEL_PATTERN, Cursor
from ..strict_json import load_json
from .params import MAX_HISTORY, channels


def parse(payload: bytes) -> dict[str, Any]:
    """Return the object in a frame.

    Raises:
        InvalidInput: it does not fit.
    """
    op = load_json(payload)
    if not isinstance(op, dict):
        raise InvalidInput("body", op, "a JSON object with an op")
    return op


def only(op: dict[str, Any]) -> None:
    """Refuse what is left of an op when its fields have been taken.

    Raises:
        InvalidInput: it does not fit.
    """
    for name in op:
        raise InvalidInput(name[:64], op[name], "no such field with this op")


def names(op: dict[str, Any]) -> tuple[str, ...]:
    """Take the channels.

    Raises:
        InvalidInput: it does not fit.
    """
    given = op.pop("channels", None)
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise InvalidInput("channels", given, "a list of 1 to 100 names")
    return channels(given)


def channel(op: dict[str, Any]) -> str:
    """Take the one channel.

    Raises:
        InvalidInput: it does not fit.
    """
    name = op.pop("channel", None)
    if not isinstance(name, str) or not CHANNEL_PATTERN.fullmatch(name):
        raise InvalidInput("channel", name, "the name of a channel")
    return name


def after(op: dict[str, Any]) -> str:
    """Take the place in a list after which to go on; empty: from its beginning.

    Raises:
        InvalidInput: it does not fit.
    """
    key = op.pop("after", "")
    if not isinstance(key, str):
        raise InvalidInput("after", key, "what a list had as next")
    return key


def cursor(op: dict[str, Any]) -> Cursor | None:
    """Take the cursor; None: from now.

    Raises:
        InvalidInput: it does not fit.
    """
    text = op.pop("cursor", None)
    if text in (None, ""):
        return None
    if not isinstance(text, str):
        raise InvalidInput("cursor", text, "a cursor as this server handed it out")
    return Cursor.parse(text)


def history(op: dict[str, Any]) -> int:
    """Take how many messages of the past are wanted.

    Raises:
        InvalidInput: it does not fit.
    """
    limit = op.pop("history", 0)
    if type(limit) is not int or not 0 <= limit <= MAX_HISTORY:
        raise InvalidInput("history", limit, f"a whole number from 0 to {MAX_HISTORY}")
    return limit


def token(op: dict[str, Any]) -> str:
    """Take the token.

    Raises:
        InvalidInput: it does not fit.
    """
    text = op.pop("token", None)
    if not isinstance(text, str):  # what came instead is not shown: it may hold one
        raise InvalidInput("token", "none" if text is None else "no string", "a string")
    return text
