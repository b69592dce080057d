"""A publish that comes again on a kept connection: published without the app, as the app would.

What belongs here: what of its head has to be equal, whether it may be remembered, and whether what
it asks for may be done. What does not: where it is remembered (``posting``), the appending
(``desk``), what a publish may hold (``publish``).

The values of Content-Length, Idempotency-Key and of tracing headers are cut out; all other bytes
have to be equal, so the same publisher asks, in the same way. Whatever the app would refuse is left
to it, before anything is counted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from flask import Flask, request

from .auth import current_token
from .broker.interface import Append, Receipt
from .credentials import publisher
from .cutting import END, LINE, TRACE, TRACING, around
from .errors import PushError
from .handover import connection_of
from .outlet import Lot
from .publish import PublishRequest, answer_body
from .settings import ApiKey
from .strict_json import load_json
from .throttle import address_of
from .tokens import Token

if TYPE_CHECKING:
    from .extension import Push

BEGIN = b"POST /"
_LENGTH = b"\r\ncontent-length:"
_KEY = b"\r\nidempotency-key:"
_FRAMED = re.compile(
    rb"\r\n(?:content-encoding|transfer-encoding|expect|upgrade|te|trailer|[^:\r\n]*_[^:\r\n]*):"
    rb"|\r\nconnection:(?! keep-alive\r\n)"
)
#: What may be cut out, and how it has to look.
_CUT = (
    (_LENGTH, re.compile(rb" (?:0|[1-9][0-9]{0,6})")),
    (_KEY, re.compile(rb" [\x21-\x7e]{1,128}")),
    *((name, TRACE) for name in TRACING),
)


class PostCut(NamedTuple):
    """The head of a publish without its values."""

    parts: tuple[bytes, ...]  # what stands around them
    length: int  # bytes of its body
    key: str | None  # the value of Idempotency-Key


def cut(head: bytes) -> PostCut | None:
    """Return what ``head`` is made of; None where it is not one plain POST with a length."""
    line = head.find(LINE)
    if line < 0 or not head.startswith(BEGIN) or head.find(END) != len(head) - 4:
        return None
    fields = head[line:].lower()  # as long, so a place in it is one in the head
    spans, values = [], dict[bytes, str]()
    for name, pattern in _CUT:
        if (at := fields.find(name)) >= 0:
            start = line + at + len(name)
            end = head.find(b"\r\n", start)
            if not pattern.fullmatch(head, start, end):
                return None
            spans.append((start, end))
            values[name] = head[start:end].decode().strip()
    if _LENGTH not in values:
        return None
    return PostCut(around(head, spans), int(values[_LENGTH]), values.get(_KEY))


def is_plain(head: bytes) -> bool:
    """Tell whether ``head``, as the normal way has read it, has one length, at most one key, and
    asks for nothing else: all heads that are equal to it are the same."""
    fields = head.lower()
    once = fields.count(_LENGTH) == 1 and fields.count(_KEY) <= 1
    return once and _FRAMED.search(fields) is None


class Republish:
    """What is known of one publisher's request."""

    __slots__ = (
        *("_address", "_header", "_length", "_push", "_running", "_token", "_whose"),
        *("app", "desk", "lot"),
    )

    def __init__(self, push: Push, token: Token | None) -> None:
        running = push.start()
        self.app: Flask = push.app
        self.lot: Lot = running.lot
        self.desk = running.desk
        self._push, self._running = push, running
        self._token = token  # None: an api key, which holds while we live
        self._whose = publisher(push)
        self._address = None if token is None else address_of(push)
        self._length = request.content_length
        self._header = request.headers.get("Idempotency-Key")

    def is_read_as(self, cut: PostCut) -> bool:
        """Tell whether the app has found the values that were cut out, and no others."""
        return (cut.length, cut.key) == (self._length, self._header)

    def wanted(self, body: bytes, key: str | None) -> PublishRequest | None:
        """Return what is to be published, counted as a request and as so many messages; None where
        the app has to say why not, and nothing is counted."""
        push, token, by_key = self._push, self._token, self._token is None
        if push.running is not self._running:
            return None  # closed meanwhile: the app opens the log again
        try:
            if token is not None:
                push.tokens.check(token)
            wanted = push.parse(load_json(body), key)
            if token is not None and not all(token.may_publish(d.channel) for d in wanted.drafts):
                return None
            push.limits.check_publish(self._whose, by_key=by_key)
            if self._address is not None:
                push.limits.request(self._address)
            push.limits.publish(self._whose, by_key=by_key)
        except PushError:
            return None
        if len(wanted.drafts) > 1:
            push.limits.more(self._whose, len(wanted.drafts) - 1, by_key=by_key)
        return wanted

    def append(self, wanted: PublishRequest) -> Append:
        """Return what is to be appended, and under which key."""
        return Append(self._push.drafts(wanted, self._whose), wanted.append_key(self._whose))

    def answer(self, wanted: PublishRequest, receipts: list[Receipt]) -> bytes:
        """Return the body of the answer to a publish that is in the log; count it."""
        self._push.tally.publishes["lane"] += 1
        return answer_body(receipts[: len(wanted.drafts)], wanted.single)


def may_come_again(push: Push, key: ApiKey | None) -> None:
    """Note on the connection that the current publish may come again, where nothing but its head
    and its body decides about it. Its body has been read."""
    berth = connection_of(request.environ)
    token = current_token()
    if berth is None or not push.settings.park or (key is None and token is None):
        return  # nobody but the app knows whose request it is
    if request.mimetype != "application/json" or request.content_length is None:
        return
    if not push.is_watched:
        berth.again = Republish(push, None if key is not None else token)
