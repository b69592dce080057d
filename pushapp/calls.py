"""What an app's own code calls on its ``Push``.

What belongs here: publishing, tokens, letting people go, and the functions by which the app
decides. What does not: putting Push into an app, and what is open (``extension``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

from .auth import Gate
from .client_events import told
from .message import Draft
from .publish import PublishRequest, answer, parse
from .running import Running
from .settings import Settings
from .tokens import Tokens

_F = TypeVar("_F", bound=Callable[..., Any])
_U = TypeVar("_U", bound=Callable[[], str | None])


class Calls:
    """The half of ``extension.Push`` that an app's own code calls."""

    settings: Settings
    tokens: Tokens
    gate: Gate

    def start(self) -> Running:
        """See ``extension.Push``."""
        raise NotImplementedError

    def publish(
        self,
        channel: str | Sequence[str] | None = None,
        data: object = None,
        *,
        user: str | None = None,
        users: Sequence[str] | None = None,
        idempotency_key: str | None = None,
        **options: object,
    ) -> str | dict[str, object] | list[object]:
        """Publish ``data`` to a channel, to several, to a user or to several; return its id (or
        ids).

        ``options``: event, ttl, retain, delay, at; see "Publishing" in docs/protocol.md. A
        scheduled message returns ``{"scheduled":…,"at":…}`` in the place of its id.

        Raises:
            InvalidInput: something does not fit.
            LogUnavailable: the log did not take it; nothing was published.
            KeyReused: the key was used with other data.
        """
        body: dict[str, object] = {"data": data, **options}
        if user is not None:
            body["user"] = user
        if users is not None:
            body["users"] = list(users)
        if channel is not None:
            body["channel" if isinstance(channel, str) else "channels"] = channel
        if idempotency_key is not None:
            body["idempotency_key"] = idempotency_key
        result = self.append(self.parse(body), "app")
        return result.get("id") or result.get("ids") or result  # type: ignore[return-value]

    def parse(self, body: object, header_key: str | None = None) -> PublishRequest:
        """Check a publish as it came.

        Raises:
            InvalidInput: something does not fit.
        """
        return parse(body, settings=self.settings, now=time.time(), header_key=header_key)

    def drafts(self, wanted: PublishRequest, whose: str) -> list[Draft]:
        """Return what is to be appended: the messages, and what webhooks are to be told of them."""
        if not self.settings.webhook_url:
            return wanted.drafts
        return [*wanted.drafts, *told(wanted.drafts, whose, time.time())]

    def append(self, wanted: PublishRequest, whose: str) -> dict[str, object]:
        """Append what was checked, and return the answer. ``whose`` keeps publishers' keys apart.

        Raises:
            As ``publish``.
        """
        drafts, key = self.drafts(wanted, whose), wanted.append_key(whose)
        receipts = self.start().broker.log.append(drafts, key)
        return answer(receipts[: len(wanted.drafts)], wanted.single)

    def token(
        self,
        user: str,
        channels: Sequence[str] = (),
        publish: Sequence[str] = (),
        expires: float = 3600,
        member: object = None,
    ) -> str:
        """Return a token with which ``user`` reads ``channels`` (names, or patterns such as
        ``room:*``) and their own ``user:`` channel, and publishes to ``publish``.

        ``expires``: seconds. ``member``: what others may know of this user; any JSON.

        Raises:
            InvalidInput: something does not fit.
            SettingsError: PUSH_SECRET is too short to sign with.
        """
        return self.tokens.make(user, channels, publish, expires, member)

    def revoke(
        self, user: str | None = None, before: float | None = None, *, token: str | None = None
    ) -> None:
        """Let the tokens of ``user`` (None: of everybody) that were issued before then (Unix
        seconds; None: now) count no longer, on every worker and machine, within a second; or one
        ``token`` alone.

        Raises:
            InvalidInput: ``user`` is no id, ``before`` no time that has been, or ``token`` none
                that counts.
            LogUnavailable: it may not have been kept; do it again.
        """
        revocations = self.start().revocations
        if token is None:
            revocations.revoke(user, time.time() if before is None else before)
        elif user is None and before is None:
            revocations.revoke_token(token)
        else:
            raise TypeError("revoke: either a token, or whose and before when")

    def disconnect(self, *, user: str | None = None, connection: str | None = None) -> None:
        """End all connections of ``user``, or the one ``connection``, on every worker and machine,
        pollers' too. Who may still come, comes back with another one: see ``revoke``.

        Raises:
            InvalidInput: it is no user's id, or no connection's.
            LogUnavailable: it may not have been told; do it again.
        """
        if (user is None) == (connection is None):
            raise TypeError("disconnect: either user or connection")
        endings = self.start().endings
        if connection is None:
            endings.end_user(user)
        else:
            endings.end_connection(connection)

    def cursor(self) -> str:
        """Return where now is: print it into a page with its data, and the page's client goes on
        from exactly there. Take it before reading the data.

        Raises:
            LogUnavailable: the log does not answer.
        """
        return str(self.start().broker.log.read((), None).cursor)

    @overload
    def authorize(self, which: str) -> Callable[[_F], _F]: ...
    @overload
    def authorize(self, which: _F) -> _F: ...
    def authorize(self, which: str | _F) -> Callable[[_F], _F] | _F:
        """Register who may subscribe: ``@push.authorize`` or ``@push.authorize("orders:*")``.

        The function gets the channel (and, if it takes two, ``"subscribe"`` or ``"publish"``)
        inside the client's own request, so the app's session is there. It returns False, True
        (asked again after 60 seconds, on streams too) or for how many seconds.
        """
        return self.gate.authorize(which)

    def user(self, function: _U) -> _U:
        """Register who asks: ``@push.user``. The function gets nothing, is called inside the
        client's own request, and returns the id of who is logged in, or None.

        Who has one reads their own ``user:`` channel and ``everyone``, is seen by it, can be
        disconnected by it, and is asked for it again after 60 seconds, on streams too.
        """
        self.gate.recognize(function)
        return function
