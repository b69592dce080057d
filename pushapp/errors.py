"""Every error that pushapp raises itself: one tree, one root.

What belongs here: what went wrong, and the data that says so. What does not: HTTP statuses and
WebSocket close codes; ``pushapp.problem`` has the one table that maps these classes to them.

    PushError
    ├── SettingsError        a setting is missing or wrong: the start stops with this one line
    ├── InvalidInput         what a client sent does not fit: field, what came, what was expected
    │   └── TooLarge         ... because it is over a size limit
    ├── NotAuthenticated     wrong credentials, or none
    │   ├── NoCredentials    ... none: they may still come
    │   ├── NotRecognized    ... none that the app's own functions know
    │   └── TokenExpired     ... they were right: a new token will do
    ├── NotAllowed           known, but without the right
    │   ├── OutOfScope       ... which the token or the api key that came does not give
    │   └── ConnectionEnded  ... on this connection any more: a new one may be begun
    ├── NotFound             there is no such thing
    ├── KeyReused            an idempotency key came again with another body
    └── Unavailable          not now: try again after ``retry_after`` seconds
        ├── LogUnavailable   the log cannot be read or written; nothing was acknowledged
        ├── TooManyRequests  one client asks more often than it may, or has as much as it may
        │   └── Flood        ... and goes on like that: its connection ends
        └── AtCapacity       this worker holds as many connections as it may

Raised on the other side of the wire, by ``pushapp.client`` and ``pushapp.signature``:

    PushError
    ├── WebhookRefused       a webhook that came is not one of ours
    └── RequestFailed        a server refused a request, or did not answer it
        └── PublishFailed    ... and so has not acknowledged what was to be published
"""

from __future__ import annotations


class PushError(Exception):
    """The root of the tree."""


class SettingsError(PushError):
    """A setting is missing or wrong."""

    def __init__(self, name: str, came: object, expected: str) -> None:
        self.name, self.came, self.expected = name, came, expected

    def __str__(self) -> str:
        came = "is not set" if self.came is None else f"is {show(self.came)}"
        return f"{self.name} {came}: expected {self.expected}"


class InvalidInput(PushError):
    """A field of a request does not fit."""

    def __init__(self, field: str, came: object, expected: str) -> None:
        self.field, self.came, self.expected = field, came, expected

    def __str__(self) -> str:
        return f"{self.field}: got {show(self.came)}, expected {self.expected}"


class TooLarge(InvalidInput):
    """A body, a frame or a field is over its limit."""


class NotAuthenticated(PushError):
    """There are no credentials, or they are wrong."""


class NoCredentials(NotAuthenticated):
    """There are none."""


class NotRecognized(NotAuthenticated):
    """The app's own functions do not know who asks."""


class TokenExpired(NotAuthenticated):
    """A token's time is over."""

    def __str__(self) -> str:
        return "the token has expired"


class NotAllowed(PushError):
    """The credentials are fine; the right is missing."""


class OutOfScope(NotAllowed):
    """The token or the api key that came does not give the right."""


class ConnectionEnded(NotAllowed):
    """Somebody has ended this connection."""

    def __str__(self) -> str:
        return "this connection was ended; another one may be begun"


class NotFound(PushError):
    """There is no such thing."""


class KeyReused(PushError):
    """An idempotency key came again, with another body."""

    def __str__(self) -> str:
        return "idempotency_key: it was used within 5 minutes for a request with another body"


class Unavailable(PushError):
    """Not now. Nothing was done; trying again after ``retry_after`` seconds may work."""

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        self.detail, self.retry_after = detail, retry_after

    def __str__(self) -> str:
        return self.detail


class LogUnavailable(Unavailable):
    """The log cannot be read or written just now; nothing was acknowledged."""


class TooManyRequests(Unavailable):
    """One client asks more often than it may, or has as much as it may."""


class Flood(TooManyRequests):
    """It goes on after it was told so: its connection ends."""


class AtCapacity(Unavailable):
    """This worker holds as many connections as it may."""


class WebhookRefused(PushError):
    """What came is no webhook that was signed with this secret, lately."""


class RequestFailed(PushError):
    """A server refused a request, or did not answer in time.

    ``status``, ``title`` and ``detail`` are those of its problem document (RFC 9457); a ``status``
    of None: no answer at all.
    """

    def __init__(self, status: int | None, title: str, detail: str) -> None:
        self.status, self.title, self.detail = status, title, detail

    def __str__(self) -> str:
        if self.status is None:
            return f"{self.title}: {self.detail}"
        return f"{self.status} {self.title}" + (f": {self.detail}" if self.detail else "")

    @property
    def may_pass(self) -> bool:
        """True where the same request may succeed later, as it is."""
        return self.status is None or self.status in (429, 502, 503, 504)


class PublishFailed(RequestFailed):
    """Not acknowledged. Repeated with ``idempotency_key`` within 5 minutes it is there once."""

    def __init__(self, failure: RequestFailed, idempotency_key: str) -> None:
        super().__init__(failure.status, failure.title, failure.detail)
        self.idempotency_key = idempotency_key


def show(value: object, limit: int = 80) -> str:
    """Return ``value`` as it may stand in an error: short, printable, on one line."""
    text = ascii(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
