"""A publish request: from what came to what the log appends, and from receipts to the answer.

What belongs here: every rule about the body of a publish, whichever way it came (HTTP, WebSocket,
``push.publish``). What does not: what JSON is taken at all (``strict_json``), who may publish
(``auth``), and the appending (``broker``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .broker.interface import AppendKey, Published, Receipt
from .errors import InvalidInput
from .message import CHANNEL_PATTERN, EVENT_PATTERN, Draft, dump
from .settings import Settings
from .strict_json import dump_json
from .tokens import USER, is_user

MAX_MESSAGES = 1000  # in one batch
MAX_CHANNELS = 100  # of one message
MAX_AHEAD = 30 * 86400  # seconds that a message may be scheduled ahead
MAX_TTL = 10**9  # seconds; about 30 years, a sanity bound

_KEY_PATTERN = re.compile(r"[\x20-\x7e]{1,128}")
_OPTIONS = frozenset({"data", "event", "ttl", "retain", "delay", "at"})
_TARGETS = ("channel", "channels", "user", "users", "messages")
_MORE = _OPTIONS - {"data"}
#: What may stand beside each target.
_KNOWN = {target: _OPTIONS | {target, "idempotency_key"} for target in _TARGETS} | {
    "messages": frozenset({"messages", "idempotency_key"})
}
_KNOWN_OF_ONE = _OPTIONS | {"channel", "user"}  # ... in a batch
_CHANNEL = "a name of 1 to 128 of A-Z a-z 0-9 _ . : @ | + ~ = -"


class PublishRequest(NamedTuple):
    """A publish that was checked and found good."""

    drafts: list[Draft]
    single: bool  # the answer is one id, and not a list
    key: str | None  # the publisher's idempotency key
    whens: list[tuple[object, object]]  # of each of them, as they came: its delay, and at

    @property
    def fingerprint(self) -> str:
        """The same for the same request, whenever it comes and whatever its key."""
        asked = [
            dump([*draft[:-1], *when]) for draft, when in zip(self.drafts, self.whens, strict=True)
        ]
        return hashlib.sha256("".join(asked).encode()).hexdigest()

    def append_key(self, scope: str) -> AppendKey | None:
        """Return what makes it happen once; ``scope`` keeps publishers apart."""
        return None if self.key is None else AppendKey(scope, self.key, self.fingerprint)


def parse(
    body: object, *, settings: Settings, now: float, header_key: str | None = None
) -> PublishRequest:
    """Return what ``body``, a JSON object in one of the five forms, asks to publish.

    ``now``: Unix seconds. ``header_key``: the Idempotency-Key header, where there is one.

    Raises:
        InvalidInput: a field does not fit; its path is as in ``messages[3].channel``.
        TooLarge: a message's data is.
    """
    fields = _object(body, "body")
    target = _target(fields, "", _TARGETS)
    key = _key(fields, header_key)
    single = target in ("channel", "user")
    parser = _Parser(settings.max_message, now)
    _known(fields, "", _KNOWN[target])
    if target == "messages":
        for i, item in enumerate(_list(fields["messages"], "messages", MAX_MESSAGES)):
            path = f"messages[{i}]"
            one = _object(item, path)
            path += "."
            _known(one, path, _KNOWN_OF_ONE)
            kind = _target(one, path, ("channel", "user"))
            parser.add([_channel(one[kind], kind, path + kind)], one, path)
    else:
        parser.add(_channels(fields, target), fields, "")
    return PublishRequest(parser.drafts, single, key, parser.whens)


def answer(receipts: Sequence[Receipt], single: bool) -> dict[str, object]:
    """Return the body that tells a publisher what the log said."""
    if not single:
        return {"ids": [r.id if isinstance(r, Published) else _scheduled(r) for r in receipts]}
    (receipt,) = receipts
    return {"id": receipt.id} if isinstance(receipt, Published) else _scheduled(receipt)


def answer_body(receipts: Sequence[Receipt], single: bool) -> bytes:
    """Return the same as JSON. That of one message is spelt here: an id needs no escaping."""
    if single and isinstance(receipts[0], Published):
        return b'{"id":"%b"}' % receipts[0].id.encode()
    return dump(answer(receipts, single)).encode()


def _scheduled(receipt: Receipt) -> dict[str, object]:
    assert not isinstance(receipt, Published)
    return {"scheduled": receipt.id, "at": receipt.at}


class _Parser:
    """Collects drafts, and what makes two requests the same."""

    def __init__(self, max_message: int, now: float) -> None:
        self.drafts: list[Draft] = []
        self._max_message, self._now = max_message, now
        self.whens: list[tuple[object, object]] = []

    def add(self, channels: Sequence[str], fields: Mapping[str, object], path: str) -> None:
        if "data" not in fields:
            raise InvalidInput(f"{path}data", None, "it to be there (null is a value)")
        data = dump_json(fields["data"], f"{path}data", self._max_message)
        if fields.keys().isdisjoint(_MORE):
            self.drafts += [Draft(channel, data) for channel in channels]
            self.whens += [(None, None)] * len(channels)
            return
        event = fields.get("event", "message")
        if not isinstance(event, str) or not EVENT_PATTERN.fullmatch(event):
            expected = "a name of 1 to 64 of A-Z a-z 0-9 _ . : -"
            raise InvalidInput(f"{path}event", event, expected)
        retain = fields.get("retain", False)
        if not isinstance(retain, bool):
            raise InvalidInput(f"{path}retain", retain, "true or false")
        ttl = _number(fields, "ttl", path, MAX_TTL, "a number of seconds above 0")
        if ttl == 0:
            raise InvalidInput(f"{path}ttl", 0, "a number of seconds above 0")
        at = self._at(fields, path)
        when = fields.get("delay"), fields.get("at")
        for channel in channels:
            self.drafts.append(Draft(channel, data, event, ttl, retain, at))
            self.whens.append(when)

    def _at(self, fields: Mapping[str, object], path: str) -> float | None:
        """Return when it is due, None for now."""
        ahead = "at most 30 days ahead"
        delay = _number(fields, "delay", path, MAX_AHEAD, f"seconds, 0 or more, {ahead}")
        at = _number(fields, "at", path, self._now + MAX_AHEAD, f"Unix seconds, {ahead}")
        if at is not None and delay is not None:
            raise InvalidInput(f"{path}at", at, "delay or at, not both")
        due = at if delay is None else self._now + delay
        return due if due is not None and due > self._now else None


def _target(fields: Mapping[str, object], path: str, targets: Sequence[str]) -> str:
    found = [name for name in targets if name in fields]
    if len(found) == 1:
        return found[0]
    names = f"{', '.join(targets[:-1])} or {targets[-1]}"
    if not found:
        raise InvalidInput(f"{path}channel", None, f"one of {names}")
    raise InvalidInput(f"{path}{found[1]}", f"{found[0]} too", f"only one of {names}")


def _channels(fields: Mapping[str, object], target: str) -> list[str]:
    if target in ("channel", "user"):
        return [_channel(fields[target], target, target)]
    given = _list(fields[target], target, MAX_CHANNELS)
    names = [_channel(one, target[:-1], f"{target}[{i}]") for i, one in enumerate(given)]
    if len(set(names)) < len(names):
        raise InvalidInput(target, "one of them twice", "each once")
    return names


def _channel(value: object, kind: str, field: str) -> str:
    """Return the channel that ``value`` names: itself, or a user's own."""
    if kind == "user":
        if is_user(value):
            return f"user:{value}"
        raise InvalidInput(field, value, USER)
    if isinstance(value, str) and CHANNEL_PATTERN.fullmatch(value):
        return value
    raise InvalidInput(field, value, _CHANNEL)


def _key(fields: Mapping[str, object], header_key: str | None) -> str | None:
    key = fields.get("idempotency_key", header_key)
    if "idempotency_key" not in fields and header_key is None:
        return None
    if not isinstance(key, str) or not _KEY_PATTERN.fullmatch(key):
        raise InvalidInput("idempotency_key", key, "1 to 128 printable ASCII characters")
    if header_key is not None and header_key != key:
        raise InvalidInput("idempotency_key", key, "the same as the Idempotency-Key header")
    return key


def _number(
    fields: Mapping[str, object], name: str, path: str, at_most: float, expected: str
) -> float | None:
    if name not in fields:
        return None
    value = fields[name]
    # The comparison is False for NaN, and comes before float(), which a huge int overflows.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= at_most:
        raise InvalidInput(path + name, value, expected)
    return float(value)


def _object(value: object, field: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise InvalidInput(field, value, "a JSON object")
    return value


def _list(value: object, field: str, at_most: int) -> list[object]:
    if not isinstance(value, list):
        raise InvalidInput(field, value, "a list")
    if not 1 <= len(value) <= at_most:
        raise InvalidInput(field, f"{len(value)} of them", f"1 to {at_most}")
    return value


def _known(fields: Mapping[str, object], path: str, known: frozenset[str]) -> None:
    if fields.keys() <= known:
        return
    for name in fields:
        if name not in known:
            expected = f"no other fields than {', '.join(sorted(known))}"
            shown = ascii(name)[1:-1][:64]  # it may be anything, and of any length
            raise InvalidInput(path + shown, fields[name], expected)
