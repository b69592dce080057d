"""Whose request it is: where a token travels.

What belongs here: finding the token of a request, in the order of docs/protocol.md. What does not:
what it opens (``auth``). It is found once, at the request's beginning, and stays in its environ;
there a stream's later questions find it again, however it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import request
from werkzeug.datastructures import MultiDict

from .api_keys import bearer, scope
from .auth import TOKEN, current_token
from .client_events import CLIENT, USERS
from .errors import InvalidInput, NotAuthenticated, TokenExpired
from .tokens import Token

if TYPE_CHECKING:
    from .extension import Push


def identify(
    push: Push, values: MultiDict[str, str] | None = None, environ: dict[str, Any] | None = None
) -> Token | None:
    """Return the token of the current request, or of the one that ``environ`` is; None: it has
    none. ``values``: its parameters, where it is one to subscribe; else the header alone counts.

    Raises:
        NotAuthenticated: it has one, or a ticket, that does not hold.
        InvalidInput: it has one in its URL, where that is not allowed.
        Unavailable: whether it holds cannot be told now.
    """
    given = MultiDict() if values is None else values
    if "token" in given and not push.settings.token_in_url:
        expected = "none in a URL, which ends up in logs, unless PUSH_TOKEN_IN_URL=1"
        raise InvalidInput("token", "one", expected)
    environ = request.environ if environ is None else environ
    token = _find(push, given, environ)
    if token is not None:
        environ[TOKEN] = token
    return token


def _find(push: Push, given: MultiDict[str, str], environ: dict[str, Any]) -> Token | None:
    if push.api_keys.of(environ) is not None:
        return None
    text = bearer(environ.get("HTTP_AUTHORIZATION"))
    # asked for one that is not there, a MultiDict makes an exception
    token = given["token"] if "token" in given else ""
    ticket = given["ticket"] if "ticket" in given else ""
    if text is not None or token:
        push.start()  # from here on it is known what was revoked
    if text is not None:
        try:
            return push.tokens.verify(text)
        except TokenExpired:
            raise
        except NotAuthenticated:
            if not push.gate.asks:  # else it may be the app's own, for its own functions
                raise
    if ticket:
        return push.tokens.share(push.tickets.redeem(ticket, push.broker.leases))
    return push.tokens.verify(token) if token else None


def publisher(push: Push) -> str:
    """Return under whose name the current request's idempotency keys are kept."""
    key = push.api_keys.current()
    if key is not None:
        return scope(key)
    token = current_token()
    user = push.gate.app_user() if token is None else token.user
    return CLIENT if user is None else f"{USERS}{user}"
