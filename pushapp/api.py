"""Publishing and looking over HTTP, and how the server is.

What belongs here: these routes. What does not: what a publish may hold (``publish``), who may
(``auth``), what an error looks like (``problem``).
"""

from __future__ import annotations

import json
import re

from flask import Blueprint, Flask, Response, request

from .auth import scope
from .body import read_body
from .broker.interface import ChannelInfo
from .current import current_push
from .errors import InvalidInput, LogUnavailable, NotFound
from .message import CHANNEL_PATTERN, Cursor, dump
from .problem import problem, secure
from .publish import MAX_BODY, load_json
from .transports.poll import array

MAX_LIMIT = 1000  # channels or messages in one answer
_LIMIT = 100


def register(blueprint: Blueprint) -> None:
    """Put the routes under the prefix."""
    blueprint.add_url_rule("/publish", view_func=publish, methods=["POST"])
    blueprint.add_url_rule("/channels", view_func=channels)
    blueprint.add_url_rule("/channels/<channel>", view_func=channel)
    blueprint.add_url_rule("/channels/<channel>/history", view_func=history)
    blueprint.add_url_rule("/channels/<channel>/history", view_func=clear, methods=["DELETE"])
    blueprint.add_url_rule("/scheduled/<name>", view_func=cancel, methods=["DELETE"])


def register_health(app: Flask) -> None:
    """Put the health routes at the root of the standalone app; anyone may ask."""
    app.add_url_rule("/healthz", view_func=healthz)
    app.add_url_rule("/readyz", view_func=readyz)


def publish() -> Response:
    """Append what came; a 2xx is a promise."""
    push = current_push()
    key = push.api_keys.require_publish()
    body = load_json(read_body(request, MAX_BODY))
    wanted = push.parse(body, request.headers.get("Idempotency-Key"))
    return _json(push.append(wanted, scope(key)))


def channels() -> Response:
    """List the channels that the log knows, in the order of their names."""
    push = current_push()
    push.api_keys.require_look()
    prefix, after = request.args.get("prefix", ""), request.args.get("after", "")
    found = push.broker.log.channels(prefix, after, _limit())
    return _json({"channels": [_info(info) for info in found]})


def channel(channel: str) -> Response:
    """Tell what there is of one channel."""
    push = current_push()
    push.api_keys.require_look()
    _, info = push.broker.log.history(_name(channel), 0)
    subscribers = push.census.subscribers(channel)
    retained = None if info.retained is None else json.loads(info.retained.body())
    return _json({**_info(info), "subscribers": subscribers, "retained": retained})


def history(channel: str) -> Response:
    """Return kept messages, oldest first."""
    push = current_push()
    push.api_keys.require_look()
    before = request.args.get("before")
    n = None if before is None else Cursor.parse(before, "before").n
    log = push.broker.log
    messages, _ = log.history(_name(channel), _limit(), n)
    more = bool(messages) and bool(log.history(channel, 1, messages[0].n)[0])
    head = f'{{"channel":"{channel}","more":{json.dumps(more)},"messages":'
    return Response(head.encode() + array(messages) + b"}", mimetype="application/json")


def clear(channel: str) -> Response:
    """Delete what is kept of a channel."""
    push = current_push()
    push.api_keys.require_publish()
    return _json({"deleted": push.broker.log.clear(_name(channel))})


def cancel(name: str) -> Response:
    """Take a message out of the schedule."""
    push = current_push()
    push.api_keys.require_publish()
    if not push.broker.schedule.cancel(name):
        raise NotFound(f"{name!a} is not scheduled (any more)")
    return _json({"cancelled": True})


def healthz() -> Response:
    """The process lives."""
    return secure(_json({"ok": True}))


def readyz() -> Response:
    """It can serve: the log answers and takes writes, there is room, the listener lives."""
    push = current_push()
    try:
        push.broker.check()
        trouble = None
        if not push.hub.listens:
            trouble = "this worker does not follow the log"
        elif push.hub.draining:
            trouble = "this worker is about to end"
        elif len(push.hub) >= push.settings.max_connections:
            trouble = "this worker holds as many connections as it may"
    except LogUnavailable as error:
        trouble = str(error)
    if trouble is not None:
        return problem(503, trouble, {"Retry-After": "1"})
    connections = {"now": len(push.hub), "most": push.settings.max_connections}
    log = {"durability": push.broker.durability}
    return secure(_json({"ok": True, "log": log, "connections": connections}))


def _json(value: object) -> Response:
    return Response(dump(value), mimetype="application/json")


def _info(info: ChannelInfo) -> dict[str, object]:
    return {"channel": info.channel, "last": info.last, "kept": info.kept}


def _name(channel: str) -> str:
    if not CHANNEL_PATTERN.fullmatch(channel):
        expected = "a name of 1 to 128 of A-Z a-z 0-9 _ . : @ | + ~ = -"
        raise InvalidInput("channel", channel, expected)
    return channel


def _limit() -> int:
    text = request.args.get("limit", str(_LIMIT))
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise InvalidInput("limit", text, f"a whole number from 1 to {MAX_LIMIT}")
    return int(text)
