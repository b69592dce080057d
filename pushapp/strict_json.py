"""JSON that comes from outside: read strictly, and spelt as the log keeps it.

What belongs here: what of JSON is taken at all, for every body and every op: its size, its depth,
its numbers and its text. What does not: what a value means (``publish``, ``transports.op``), and
JSON of our own (``message.dump``).
"""

from __future__ import annotations

import json
import re
from array import array
from itertools import accumulate
from typing import NoReturn

from .errors import InvalidInput, TooLarge
from .message import dump

MAX_BODY = 1 << 20  # bytes
MAX_DEPTH = 100  # levels of nesting; some JSON parsers stop not far above
_MAX_DIGITS = 4300  # of an integer; CPython's own default bound (CVE-2020-10735)

# One that does not end is one to the end: what is looked at once is not looked at again.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # as signed bytes: one down, one up
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TEXT = "text that UTF-8 can spell"


def load_json(raw: bytes) -> object:
    """Return the JSON value that ``raw``, a body, spells.

    Numbers that are too large to be finite still pass; ``dump_json`` finds them.

    Raises:
        TooLarge: it is over 1 MiB.
        InvalidInput: it is not JSON in UTF-8, nested too deeply, or holds a lone surrogate.
    """
    if len(raw) > MAX_BODY:
        raise TooLarge("body", f"{len(raw)} bytes", f"at most {MAX_BODY}")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput("body", f"byte {error.start} wrong", "UTF-8") from None
    _check_depth(raw)
    try:
        value = _decoded(text)
    except json.JSONDecodeError as error:
        came = f"{error.msg} at line {error.lineno} column {error.colno}"
        raise InvalidInput("body", came, "JSON") from None
    if _SURROGATE.search(text):  # a pair of them is a character: only encoding it tells
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise InvalidInput("body", "a lone surrogate", _TEXT) from None
    return value


def dump_json(value: object, field: str, at_most: int) -> str:
    """Return ``value``, which came in ``field`` or from Python, as compact JSON.

    Raises:
        TooLarge: it takes more than ``at_most`` bytes.
        InvalidInput: JSON in UTF-8 cannot spell it, or it is nested too deeply.
    """
    try:
        text = dump(value)
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidInput(field, "a lone surrogate", _TEXT) from None
    except (TypeError, ValueError) as error:  # not finite; from Python also other types
        raise InvalidInput(field, str(error), "JSON with finite numbers") from None
    except RecursionError:
        raise _too_deep(field) from None
    if size > at_most:
        raise TooLarge(field, f"{size} bytes", f"at most {at_most} as JSON")
    return text


def _decoded(text: str) -> object:
    if text.startswith("\ufeff"):
        raise json.JSONDecodeError("a byte order mark, which JSON has not", text, 0)
    value: object = _DECODER.decode(text)
    return value


def _int(text: str) -> int:
    # Ours and not only the interpreter's, which an environment variable may lift.
    if len(text.lstrip("-")) > _MAX_DIGITS:
        raise InvalidInput("body", text, f"integers of at most {_MAX_DIGITS} digits")
    return int(text)


def _refuse_constant(text: str) -> NoReturn:
    raise InvalidInput("body", text, "numbers as JSON has them")


#: Made once: ``json.loads`` makes one for each call with functions of ours.
_DECODER = json.JSONDecoder(parse_int=_int, parse_constant=_refuse_constant)


def _check_depth(raw: bytes) -> None:
    """Refuse what is nested too deeply, before it is parsed: a mebibyte of brackets makes many
    objects, and each step here runs in C."""
    # Nothing is nested deeper than it has brackets: most bodies need no look.
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
        steps = array("b", _STRING.sub(b"", raw).translate(_STEPS, _NO_BRACKETS))
        if max(accumulate(steps), default=0) > MAX_DEPTH:
            raise _too_deep("body")


def _too_deep(field: str) -> InvalidInput:
    return InvalidInput(field, "a deeper one", f"nesting of at most {MAX_DEPTH} levels")
