"""Who may do what: api keys, connection ids, origins, and the app's own authorize functions.

What belongs here: every decision about a right. What does not: what a refusal looks like
(``problem``), and for how long a stream believes a grant (the transports ask again).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import inspect
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, NamedTuple, TypeVar, overload
from urllib.parse import urlsplit

import flask
from werkzeug.exceptions import HTTPException

from .errors import InvalidInput, NotAllowed, NotAuthenticated
from .settings import ApiKey, Settings

Action = Literal["subscribe", "publish"]
Decision = bool | int | float | None
#: An app's own ``f(channel)``, asked about subscribing alone, or ``f(channel, action)``.
Authorize = Callable[[str], Decision] | Callable[[str, Action], Decision]
_F = TypeVar("_F", bound=Callable[..., Decision])

ASK_AGAIN = 60.0  # seconds that a bare True holds, on streams too (docs/protocol.md)

_PATTERN = re.compile(r"[A-Za-z0-9_.:@|+~=-]{1,128}|[A-Za-z0-9_.:@|+~=-]{0,127}\*")
_CONNECTION_ID = re.compile(r"c1([A-Za-z0-9_-]{16})([A-Za-z0-9_-]{22})")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class ApiKeys:
    """The keys that publish and look."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = [(_digest(k.key), k) for k in keys]

    def find(self, authorization: str | None) -> ApiKey | None:
        """Return the key that an Authorization header holds, None where it holds none of ours."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        digest, found = _digest(token.strip()), None
        for known, key in self._keys:  # always all of them: the time tells nothing
            if hmac.compare_digest(digest, known):
                found = key
        return found

    def require_publish(self) -> ApiKey:
        """Return the current request's key.

        Raises:
            NotAuthenticated: there is none, or it is wrong.
            NotAllowed: it may only look.
        """
        key = self._require()
        if not key.may_publish:
            raise NotAllowed("this api key may look, and not publish")
        return key

    def require_look(self) -> ApiKey:
        """Return the current request's key.

        Raises:
            NotAuthenticated: there is none, or it is wrong.
            NotAllowed: it may only publish.
        """
        key = self._require()
        if not key.may_look:
            raise NotAllowed("this api key may publish, and not look")
        return key

    def _require(self) -> ApiKey:
        header = flask.request.headers.get("Authorization")
        key = self.find(header)
        if key is None:
            came = "there is none" if header is None else "this is not one"
            raise NotAuthenticated(f"an api key is needed (Authorization: Bearer KEY); {came}")
        return key


def scope(key: ApiKey) -> str:
    """Return the name under which a key's idempotency keys are kept; it does not tell the key."""
    return _digest(f"scope {key.key}").hex()[:32]


class ConnectionIds:
    """Gives out ids of connections, and knows its own again. An id proves nothing by itself."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def new(self, user: str | None) -> str:
        """Return a new id, bound to ``user``."""
        nonce = secrets.token_urlsafe(12)  # 96 bits: 16 characters
        return f"c1{nonce}{self._sign(nonce, user)}"

    def check(self, text: str, user: str | None) -> bool:
        """Tell whether ``text`` is an id that was made for ``user``."""
        match = _CONNECTION_ID.fullmatch(text)
        return match is not None and hmac.compare_digest(match[2], self._sign(match[1], user))

    def _sign(self, nonce: str, user: str | None) -> str:
        # "connection" keeps these apart from whatever else the secret signs.
        whose = "-" if user is None else f"={user}"
        mac = hmac.digest(self._secret, f"connection {nonce}{whose}".encode(), "sha256")
        return base64.urlsafe_b64encode(mac[:16]).decode().rstrip("=")  # 128 bits: 22 characters


def check_origin(request: flask.Request, settings: Settings) -> None:
    """Return when the request does not come from a foreign page.

    Raises:
        NotAllowed: it does, and that page's origin is not among the allowed ones.
    """
    if "*" not in settings.allowed_origins and not is_trusted(request, settings):
        raise NotAllowed("this origin is not allowed; PUSH_ALLOWED_ORIGINS names those that are")


def is_allowed_origin(origin: str | None, settings: Settings) -> bool:
    """Tell whether the settings name ``origin``. ``null``, which many pages share, needs "*"."""
    allowed = settings.allowed_origins
    return "*" in allowed or (origin is not None and origin.lower() in allowed)


class Grant(NamedTuple):
    """What a subscriber was allowed."""

    user: str | None
    seconds: float | None  # ask again after so long; None: it holds


class _Rule(NamedTuple):
    pattern: str | None  # None: any channel
    ask: Callable[[str, Action], Decision]
    publish: bool  # is asked about publishing, too

    def matches(self, channel: str) -> bool:
        if self.pattern is None:
            return True
        if channel.startswith("user:") and not self.pattern.startswith("user:"):
            return False  # no pattern ever opens them by the way
        if self.pattern.endswith("*"):
            return channel.startswith(self.pattern[:-1])
        return channel == self.pattern


class Gate:
    """Decides who subscribes, and who publishes as a client; always within a request."""

    def __init__(self, settings: Settings, api_keys: ApiKeys) -> None:
        self._settings, self._api_keys = settings, api_keys
        self._rules: list[_Rule] = []

    def use(self, settings: Settings, api_keys: ApiKeys) -> None:
        """Go by these; what was registered stays, so that it may be before an app is there."""
        self._settings, self._api_keys = settings, api_keys

    @overload
    def authorize(self, which: str) -> Callable[[_F], _F]: ...
    @overload
    def authorize(self, which: _F) -> _F: ...
    def authorize(self, which: str | _F) -> Callable[[_F], _F] | _F:
        """Register a function: ``@authorize`` for any channel, ``@authorize("room:*")`` for some.

        The first whose pattern fits decides: False or None refuses, True holds for 60 seconds, a
        number for that many seconds.

        Raises:
            InvalidInput: the pattern is not a channel name, nor one that ends in ``*``.
        """
        if not isinstance(which, str):
            self._rules.append(_rule(None, which))
            return which
        if not _PATTERN.fullmatch(which):
            raise InvalidInput("authorize", which, "a channel name, or the start of one and *")

        def register(function: _F) -> _F:
            self._rules.append(_rule(which, function))
            return function

        return register

    @property
    def publishes(self) -> bool:
        """Whether a client without an api key may publish at all."""
        return any(rule.publish for rule in self._rules)

    def may_subscribe(self, channels: Sequence[str]) -> Grant:
        """Return what the current request may read, all of ``channels``.

        Raises:
            NotAuthenticated: no one can tell who asks.
            NotAllowed: they may not.
        """
        closed = [c for c in channels if not self._settings.is_public(c)]
        if not closed:
            return Grant(None, None)
        key = self._current_key()
        if key is not None and key.may_look:
            return Grant(None, None)
        return Grant(None, min(self._ask(c, "subscribe", key) for c in closed))

    def may_publish(self, channel: str) -> None:
        """Return when the current request may publish to ``channel``. Public ones are only read.

        Raises:
            NotAuthenticated: no one can tell who asks.
            NotAllowed: they may not.
        """
        key = self._current_key()
        if key is None or not key.may_publish:
            self._ask(channel, "publish", key)

    def _current_key(self) -> ApiKey | None:
        return self._api_keys.find(flask.request.headers.get("Authorization"))

    def _ask(self, channel: str, action: Action, key: ApiKey | None) -> float:
        """Return for how many seconds the app allows it."""
        for rule in self._rules:
            if (rule.publish or action == "subscribe") and rule.matches(channel):
                with _without_foreign_cookies(self._settings):
                    return _seconds(_asked(rule, channel, action), channel, action)
        if key is None:
            raise NotAuthenticated(f"to {action} {channel} needs credentials")
        raise NotAllowed(f"this api key may not {action} {channel}")


def _asked(rule: _Rule, channel: str, action: Action) -> Decision:
    """Ask the app; ``abort(401)`` and ``abort(403)`` are its way of saying no."""
    try:
        return rule.ask(channel, action)
    except HTTPException as refusal:
        if refusal.code == 401:
            raise NotAuthenticated(f"to {action} {channel} needs credentials") from None
        if refusal.code == 403:
            raise NotAllowed(f"you may not {action} {channel}") from None
        raise


def is_trusted(request: flask.Request, settings: Settings) -> bool:
    """Tell whether the page that asks is ours, or one that the settings name: "*" names none."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() in settings.allowed_origins:
        return True
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:  # a page cannot forge it; old browsers and plain http have none
        return site in ("same-origin", "none")
    return origin is None or _is_host(origin, request.host)


def _without_foreign_cookies(settings: Settings) -> AbstractContextManager[object]:
    """Let the app see no cookie that a foreign page made the browser send: never credentials
    with "*"; a WebSocket knows no CORS that would see to it."""
    if "Cookie" not in flask.request.headers or is_trusted(flask.request, settings):
        return nullcontext()
    environ = {k: v for k, v in flask.request.environ.items() if k != "HTTP_COOKIE"}
    return flask.current_app.request_context(environ)


def _rule(pattern: str | None, function: Callable[..., Decision]) -> _Rule:
    try:
        inspect.signature(function).bind("channel", "subscribe")
    except TypeError:
        return _Rule(pattern, lambda channel, _: function(channel), publish=False)
    return _Rule(pattern, function, publish=True)


def _seconds(decision: Decision, channel: str, action: Action) -> float:
    if decision is True:
        return ASK_AGAIN
    if decision is None or decision is False:
        raise NotAllowed(f"you may not {action} {channel}")
    if not isinstance(decision, int | float):  # a login page's Response is no yes
        raise TypeError(f"authorize returned {decision!r}: expected a bool or a number of seconds")
    if not decision > 0:
        raise NotAllowed(f"you may not {action} {channel}")
    return float(decision)


def _is_host(origin: str, host: str) -> bool:
    """Tell whether ``origin`` has this host[:port]; ``null`` and garbage have none."""
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return False
    port = _DEFAULT_PORTS.get(parts.scheme, "")
    return parts.netloc.removesuffix(port) == host.lower().removesuffix(port) != ""


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
