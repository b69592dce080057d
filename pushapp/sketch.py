"""A stream's request, kept small: later questions are asked within it again.

What belongs here: what of a request is kept, and asking. What does not: the answers (``auth``).
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Flask, request

from .auth import TOKEN, Gate, Grant, Sketch
from .credentials import publisher
from .current import current_push
from .errors import NotAllowed
from .subscriber import Subscriber
from .throttle import check_elsewhere, count_messages, count_publish
from .tokens import Token

_KEPT = (
    "HTTP_AUTHORIZATION",
    "HTTP_COOKIE",
    "HTTP_HOST",
    "HTTP_ORIGIN",
    "HTTP_SEC_FETCH_SITE",
    "HTTP_USER_AGENT",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PROTO",
    "PATH_INFO",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "SCRIPT_NAME",
    "wsgi.url_scheme",
    TOKEN,
)
_NOTHING: Mapping[str, object] = {}  # one for all: there may be very many


def sketch() -> Sketch:
    """Return what is kept of the current request. Of a token or a ticket: what it said, which all
    streams with that token share, and not its text."""
    return sketch_of(request.environ, asks=current_push().gate.asks)


def sketch_of(environ: dict[str, Any], *, asks: bool) -> Sketch:
    """Return the same of a request. ``asks``: the app has functions of its own."""
    if asks:
        return _drawn(environ)
    if TOKEN in environ:  # all that we look at, where the app has no functions
        token: Token = environ[TOKEN]
        return token
    if "HTTP_AUTHORIZATION" in environ:
        return {"HTTP_AUTHORIZATION": environ["HTTP_AUTHORIZATION"]}
    return _NOTHING


def _drawn(environ: dict[str, Any]) -> Mapping[str, object]:
    """Return what the app's own functions may look at."""
    kept = {name: environ[name] for name in _KEPT if name in environ}
    if TOKEN in kept:
        kept.pop("HTTP_AUTHORIZATION", None)
        parts = environ.get("QUERY_STRING", "").split("&")
        kept["QUERY_STRING"] = "&".join(p for p in parts if not p.startswith(("ticket=", "token=")))
    return kept


def _as_mapping(sketch: Sketch) -> Mapping[str, object]:
    return {TOKEN: sketch} if isinstance(sketch, Token) else sketch


def _environ(sketch: Sketch) -> dict[str, Any]:
    """Return a request as it was, as far as it was kept."""
    sketch = _as_mapping(sketch)
    host, _, port = str(sketch.get("HTTP_HOST", "localhost")).partition(":")
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "wsgi.url_scheme": "http",
        "SERVER_NAME": host,
        "SERVER_PORT": port or "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        **sketch,
    }


class Ops:
    """What a client may do on its socket, within its own request again."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def may_subscribe(self, sketch: Sketch, channels: Sequence[str]) -> Grant:
        """See ``transports.conversation.Ops``."""
        with self._app.request_context(_environ(sketch)):
            return current_push().gate.may_subscribe(channels)

    def refresh(self, sketch: Sketch, text: str, stream: Subscriber) -> tuple[Sketch, Grant]:
        """See ``transports.conversation.Ops``."""
        kept = _as_mapping(sketch)
        with self._app.app_context():
            push = current_push()
            header = f"Bearer {text}"
            if stream.user is None and push.api_keys.find(header) is not None:
                push.start().endings.check(stream.id, None)
                kept = {**kept, "HTTP_AUTHORIZATION": header}  # as if a browser could send it
                return kept, self.may_subscribe(kept, stream.channels)
            token = push.tokens.verify(text)
            if stream.user not in (None, token.user):  # by a token or by the app's word
                raise NotAllowed("this is another user's token: open another connection with it")
            push.start().endings.check(stream.id, token.user)
            if TOKEN not in kept:
                check_elsewhere(push, token.user, "")
        refreshed = {**kept, TOKEN: token} if kept.keys() - {TOKEN} else token
        return refreshed, self.may_subscribe(refreshed, stream.channels)

    def publish(self, sketch: Sketch, body: Mapping[str, object]) -> dict[str, Any]:
        """See ``transports.conversation.Ops``."""
        with self._app.request_context(_environ(sketch)):
            push = current_push()
            count_publish(push)
            wanted = push.parse(body)
            for channel in {draft.channel for draft in wanted.drafts}:
                push.gate.may_publish(channel)
            count_messages(push, wanted.drafts)
            return push.append(wanted, publisher(push))


class Still:
    """Asks again whether a stream's client may listen; see ``transports.context.Context``."""

    def __init__(self, app: Flask, gate: Gate) -> None:
        self._app, self._gate = app, gate

    def __call__(self, sketch: Sketch, channels: Sequence[str]) -> Grant:
        with self._app.request_context(_environ(sketch)):
            return self._gate.may_subscribe(channels)
