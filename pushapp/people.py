"""Looking at who is there: a channel's members, a user, connections.

What belongs here: these routes. What does not: who is there (``presence``), ending any of it
(``power``).
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from .api import MAX_LIMIT, channel_name, limit_of
from .broker.roster import Connection
from .credentials import identify
from .current import current_push
from .errors import InvalidInput
from .reply import json_reply, raw_reply
from .tokens import USER, is_user
from .transports.members import list_fields


def register(blueprint: Blueprint) -> None:
    """Put the routes under the prefix."""
    blueprint.add_url_rule("/channels/<channel>/presence", view_func=presence)
    blueprint.add_url_rule("/users/<name>", view_func=user)
    blueprint.add_url_rule("/connections", view_func=connections)


def presence(channel: str) -> Response:
    """Tell who is in a channel, to whoever may subscribe to it."""
    push = current_push()
    name, limit = channel_name(channel), limit_of(request)
    identify(push)
    push.gate.may_subscribe((name,))
    found = push.broker.roster.members(name, request.args.get("after", ""), limit)
    return raw_reply(f'{{"channel":"{name}",{list_fields(found)}}}'.encode())


def user(name: str) -> Response:
    """Tell whether a user is there, since when, and by what."""
    push = current_push()
    push.api_keys.require_look()
    _check_user(name)
    after, limit = request.args.get("after", ""), limit_of(request)
    roster = push.broker.roster
    found = roster.connections(name, after, limit + 1)
    more = len(found) > limit
    # what is told of the user is not of a page alone
    entries = [
        c.entry for c in (roster.connections(name, limit=MAX_LIMIT) if more or after else found)
    ]
    return json_reply(
        {
            "user": name,
            "online": bool(entries),
            "since": min((round(entry.since, 3) for entry in entries), default=None),
            "transports": sorted({entry.transport for entry in entries}),
            "connections": [_described(one) for one in found[:limit]],
            "more": more,
        }
    )


def connections() -> Response:
    """List the connections of all workers, or a user's, in the order of their ids."""
    push = current_push()
    push.api_keys.require_look()
    whose, after, limit = request.args.get("user"), request.args.get("after", ""), limit_of(request)
    if whose is not None:  # an empty one is somebody's mistake, and not everybody
        _check_user(whose)
    found = push.broker.roster.connections(whose, after, limit + 1)
    told = [{**_described(one), "user": one.entry.user} for one in found[:limit]]
    return json_reply({"connections": told, "more": len(found) > limit})


def _check_user(name: str) -> None:
    if not is_user(name):
        raise InvalidInput("user", name, USER)


def _described(one: Connection) -> dict[str, Any]:
    entry = one.entry
    since, channels = round(entry.since, 3), list(entry.channels)
    return {"id": entry.id, "transport": entry.transport, "since": since, "channels": channels}
