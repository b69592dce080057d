"""Which limits a request meets, and when: the cheapest first, before any token is verified.

What belongs here: whose request it is, for counting. What does not: counting (``limits``,
``seats``).
"""

from __future__ import annotations

from collections.abc import Sized
from typing import TYPE_CHECKING, Any

from flask import request

from .address import counted_address
from .client_events import CLIENT
from .credentials import publisher
from .current import current_push
from .errors import TooManyRequests
from .handover import VERDICT
from .seats import AFTER

if TYPE_CHECKING:
    from .extension import Push

_FEW = 4  # of a user's connections at one worker; push.js shares one between tabs
_LOOK = 10_000  # connections of one user that are looked at, at most
_STREAMS = (".sse_view", ".websocket_view")  # ends of endpoints


def count_request() -> None:
    """Count the current request; one with an api key is a server's, and goes free.

    Raises:
        TooManyRequests: its address makes too many, or begins too many streams.
    """
    if VERDICT in request.environ:
        return  # it was counted where it was published
    push = current_push()
    address = _counted(push, request.environ)
    if address is None:
        return
    push.limits.request(address)
    if (request.endpoint or "").endswith(_STREAMS):
        push.limits.connect(address)


def count_stream(push: Push, environ: dict[str, Any]) -> None:
    """Count the request that ``environ`` is, which begins a stream.

    Raises:
        TooManyRequests: as ``count_request``; it has not been counted.
    """
    address = _counted(push, environ)
    if address is None:
        return
    push.limits.request(address)
    try:
        push.limits.connect(address)
    except TooManyRequests:
        push.limits.take_back(address)
        raise


def _counted(push: Push, environ: dict[str, Any]) -> str | None:
    """Return what a request counts for; None: it goes free."""
    address = address_of(push, environ)
    return None if address is None or push.api_keys.of(environ) is not None else address


def address_of(push: Push, environ: dict[str, Any] | None = None) -> str | None:
    """Return what the current request counts for, or the one that ``environ`` is; see
    ``address.counted_address``."""
    environ = request.environ if environ is None else environ
    return counted_address(environ, push.settings.trusted_proxies)


def find_room(
    push: Push, user: str | None, connection: str, environ: dict[str, Any] | None = None
) -> str | None:
    """Return what the current request counts for, or the one that ``environ`` is, where its
    ``connection`` may wait.

    Raises:
        AtCapacity: nobody may.
        TooManyRequests: its user, or its address, has as many as may be.
        LogUnavailable: nobody can say.
    """
    address = address_of(push, environ)
    push.start().check_room(user, address)
    check_elsewhere(push, user, connection)
    return address


def check_elsewhere(push: Push, user: str | None, connection: str) -> None:
    """Return where one more of ``user``'s may wait, by what all workers have told each other: as of
    a second ago, and with those that may still come back. Who has few here is not looked up.

    Raises:
        As ``find_room``.
    """
    most = push.settings.quota.user_connections
    if user is None or not most or push.hub.seats.of_user(user) < min(_FEW, most / 4):
        return
    found = push.broker.roster.connections(user, limit=min(int(most), _LOOK) + 1)
    if sum(one.entry.id != connection for one in found) >= most:
        raise TooManyRequests(f"user {user} has {most:g} connections already", AFTER)


def count_publish(push: Push) -> None:
    """Count a publish by whoever makes the current request, before its body is looked at.

    Raises:
        TooManyRequests: they publish too much.
    """
    found = _publisher(push)
    if found is not None:
        push.limits.publish(found[0], by_key=found[1])


def count_messages(push: Push, messages: Sized) -> None:
    """Count what a publish turned out to hold."""
    found = _publisher(push)
    if found is not None:
        push.limits.more(found[0], len(messages) - 1, by_key=found[1])


def _publisher(push: Push) -> tuple[str, bool] | None:
    """Return as whom the current request counts, and whether that is an api key; None: it cannot
    be told who it is, and a limit for all of those together would be anybody's to use up."""
    whose = publisher(push)
    if whose == CLIENT:  # the app's session knows who, and we do not
        address = address_of(push)
        if address is None:
            return None
        whose = f"at {address}"
    return whose, push.api_keys.current() is not None
