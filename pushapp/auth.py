"""Who may do what: by an api key, by a token, or by the app's own authorize functions.

What belongs here: every decision about a right. What does not: whose request it is
(``credentials``), what a refusal looks like (``problem``), and for how long a stream believes a
grant (the transports ask again).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple, TypeVar, overload

import flask
from werkzeug.exceptions import HTTPException

from .api_keys import ApiKeys
from .errors import InvalidInput, NoCredentials, NotAllowed, NotRecognized, OutOfScope
from .message import EVERYONE, is_internal
from .origins import is_trusted
from .settings import ApiKey, Settings
from .tokens import USER, Token, Tokens, is_pattern, is_user, matches

Action = Literal["subscribe", "publish"]
Decision = bool | int | float | None
#: An app's own ``f(channel)``, asked about subscribing alone, or ``f(channel, action)``.
Authorize = Callable[[str], Decision] | Callable[[str, Action], Decision]
_F = TypeVar("_F", bound=Callable[..., Decision])

ASK_AGAIN = 60.0  # seconds that a bare True holds, on streams too (docs/protocol.md)
TOKEN = "pushapp.token"  # the environ's key for the request's Token, once it was verified
#: What is kept of a stream's request; its Token alone, where nothing else counts.
Sketch = Token | Mapping[str, object]


def current_token() -> Token | None:
    """Return the current request's token, as far as ``credentials`` has found one."""
    token: Token | None = flask.request.environ.get(TOKEN)
    return token


class Grant(NamedTuple):
    """What a subscriber was allowed."""

    user: str | None
    seconds: float | None  # ask again after so long; None: it holds
    member: str | None = None  # JSON text: what others may know of the user
    observer: bool = False  # it looks on with an api key, and is no member


class _Rule(NamedTuple):
    pattern: str | None  # None: any channel
    ask: Callable[[str, Action], Decision]
    publish: bool  # is asked about publishing, too

    def matches(self, channel: str) -> bool:
        if self.pattern is None:
            return True
        if channel.startswith("user:") and not self.pattern.startswith("user:"):
            return False  # no pattern ever opens them by the way
        return matches(self.pattern, channel)


class Gate:
    """Decides who subscribes, and who publishes as a client; always within a request."""

    def __init__(self, settings: Settings, api_keys: ApiKeys, tokens: Tokens) -> None:
        self._settings, self._api_keys, self._tokens = settings, api_keys, tokens
        self._rules: list[_Rule] = []
        self._who: Callable[[], str | None] | None = None

    def use(self, settings: Settings, api_keys: ApiKeys, tokens: Tokens) -> None:
        """Go by these; what was registered stays, so that it may be before an app is there."""
        self._settings, self._api_keys, self._tokens = settings, api_keys, tokens

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
        if not is_pattern(which):
            raise InvalidInput("authorize", which, "a channel name, or the start of one and *")

        def register(function: _F) -> _F:
            self._rules.append(_rule(which, function))
            return function

        return register

    def recognize(self, who: Callable[[], str | None]) -> None:
        """Have the app say whose request it is, where there is no token."""
        self._who = who

    @property
    def asks(self) -> bool:
        """Whether the app has functions of its own."""
        return bool(self._rules) or self._who is not None

    @property
    def publishes(self) -> bool:
        """Whether a client without an api key or a token may publish at all."""
        return any(rule.publish for rule in self._rules)

    def may_subscribe(self, channels: Sequence[str]) -> Grant:
        """Return what the current request may read, all of ``channels``. A token's grant ends with
        the token, even where the channels are public.

        Raises:
            NotAuthenticated: no one can tell who asks.
            NotAllowed: they may not.
        """
        return self.grant(channels, self._api_keys.current(), current_token())

    def grant(self, channels: Sequence[str], key: ApiKey | None, token: Token | None) -> Grant:
        """Return the same for a request that has ``key`` and ``token``. Where the app has functions
        of its own, they ask the current request.

        Raises:
            As ``may_subscribe``.
        """
        user = self.app_user() if token is None else token.user
        seconds = [] if user is None else [ASK_AGAIN]
        if token is not None:
            seconds = [self._tokens.left(token)]
        if key is None or not key.may_look:
            for channel in channels:
                if is_internal(channel):  # no pattern, and no app, ever opens one
                    raise self._refusal(channel, "subscribe", key, token)
                if self._settings.is_public(channel) or (token and token.may_read(channel)):
                    continue
                if user is None or channel not in (f"user:{user}", EVERYONE):
                    seconds.append(self._ask(channel, "subscribe", key, token))
        member = None if token is None else token.member_text()
        return Grant(user, min(seconds, default=None), member, observer=key is not None)

    def app_user(self) -> str | None:
        """Return whose request it is by the app's word; None: nobody's, or it has not been asked
        to say so, or somebody else says so.

        Raises:
            TypeError: the app returned what is no user's id.
        """
        if self._who is None or self._api_keys.current() or current_token():
            return None
        with _without_foreign_cookies(self._settings):
            user = self._who()
        if user is None or is_user(user):
            return user
        raise TypeError(f"the function of @push.user returned {user!a}: expected None, or {USER}")

    def may_publish(self, channel: str) -> None:
        """Return when the current request may publish to ``channel``. Public ones are only read.

        Raises:
            NotAuthenticated: no one can tell who asks.
            NotAllowed: they may not.
        """
        key, token = self._api_keys.current(), current_token()
        if token is not None:
            self._tokens.left(token)
        if (key is None or not key.may_publish) and not (token and token.may_publish(channel)):
            if channel == EVERYONE:
                kind = NotAllowed if key is None and token is None else OutOfScope
                raise kind(f"to {EVERYONE} an api key alone publishes")
            self._ask(channel, "publish", key, token)

    def _ask(self, channel: str, action: Action, key: ApiKey | None, token: Token | None) -> float:
        """Return for how many seconds the app allows it."""
        for rule in self._rules:
            if (rule.publish or action == "subscribe") and rule.matches(channel):
                with _without_foreign_cookies(self._settings):
                    return _seconds(_asked(rule, channel, action), channel, action)
        raise self._refusal(channel, action, key, token)

    def _refusal(
        self, channel: str, action: Action, key: ApiKey | None, token: Token | None
    ) -> NotAllowed | NoCredentials:
        """Return what is to be raised where nothing allows it."""
        if key is not None:
            return OutOfScope(f"this api key may not {action} {channel}")
        if token is not None:
            return OutOfScope(f"this token may not {action} {channel}")
        if not is_internal(channel) and self.app_user() is not None:
            return NotAllowed(f"you may not {action} {channel}")
        return NoCredentials(f"to {action} {channel} needs credentials")


def _asked(rule: _Rule, channel: str, action: Action) -> Decision:
    """Ask the app; ``abort(401)`` and ``abort(403)`` are its way of saying no."""
    try:
        return rule.ask(channel, action)
    except HTTPException as refusal:
        if refusal.code == 401:
            raise NotRecognized(f"to {action} {channel} needs credentials") from None
        if refusal.code == 403:
            raise NotAllowed(f"you may not {action} {channel}") from None
        raise


@contextmanager
def _without_foreign_cookies(settings: Settings) -> Iterator[None]:
    """Let the app see no cookie that a foreign page made the browser send: never credentials
    with "*"; a WebSocket knows no CORS that would see to it."""
    if "Cookie" not in flask.request.headers or is_trusted(flask.request, settings):
        yield
        return
    environ = {k: v for k, v in flask.request.environ.items() if k != "HTTP_COOKIE"}
    app = flask.current_app
    with app.app_context(), app.request_context(environ):  # a g of its own: theirs may say who
        yield


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
