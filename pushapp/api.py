"""Publishing and looking over HTTP, tickets, and how the server is.

What belongs here: these routes. What does not: what a publish may hold (``publish``), who may
(``auth``), what an error looks like (``problem``).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from flask import Blueprint, Flask, Request, Response, request

from .body import read_body
from .broker.interface import ChannelInfo
from .credentials import identify, publisher
from .current import current_push
from .errors import InvalidInput, LogUnavailable, NoCredentials, NotFound
from .handover import VERDICT
from .message import CHANNEL_PATTERN, Cursor, dump
from .origins import check_origin
from .problem import problem, secure
from .reply import json_reply, raw_reply
from .republish import may_come_again
from .strict_json import MAX_BODY, load_json
from .throttle import count_messages, count_publish
from .transports.poll import array

if TYPE_CHECKING:
    from .extension import Push

MAX_LIMIT = 1000  # channels or messages in one answer
_LIMIT = 100


class Check(NamedTuple):
    """One thing that has to be well for this process to serve."""

    ok: bool
    detail: str


def register(blueprint: Blueprint) -> None:
    """Put the routes under the prefix."""
    blueprint.add_url_rule("/publish", view_func=publish, methods=["POST"])
    blueprint.add_url_rule("/ticket", view_func=ticket, methods=["POST"])
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
    verdict: Exception | None = request.environ.get(VERDICT)
    if verdict is not None:  # the express lane has tried: here it is only said what came of it
        read_body(request, MAX_BODY)
        raise verdict
    if (key := push.api_keys.current()) is not None:
        push.api_keys.require_publish()
    elif identify(push) is None:
        if "Authorization" in request.headers or not push.gate.publishes:
            push.api_keys.require_publish()  # says what is missing
        _check_cookie_request(push)  # the app's own session has to decide
    count_publish(push)
    body = load_json(read_body(request, MAX_BODY))
    wanted = push.parse(body, request.headers.get("Idempotency-Key"))
    for channel in dict.fromkeys(draft.channel for draft in wanted.drafts):
        push.gate.may_publish(channel)
    count_messages(push, wanted.drafts)
    answered = push.append(wanted, publisher(push))
    push.tally.publishes["app"] += 1
    may_come_again(push, key)
    return json_reply(answered)


def ticket() -> Response:
    """Change a token for a ticket, which may stand in a URL."""
    push = current_push()
    read_body(request, MAX_BODY)  # whatever a client library sends along means nothing
    token = identify(push)
    if token is None:
        raise NoCredentials("a ticket is given for a token (Authorization: Bearer TOKEN)")
    ticket = push.tickets.make(token)
    return json_reply({"ticket": ticket.text, "expires": int(ticket.seconds)})


def _check_cookie_request(push: Push) -> None:
    """Refuse what a foreign page can make a browser send together with the app's cookie."""
    check_origin(request, push.settings)
    if request.mimetype != "application/json":  # forms cannot send it, and fetch asks first
        expected = "application/json, where there is no api key"
        raise InvalidInput("Content-Type", request.mimetype, expected)


def channels() -> Response:
    """List the channels that the log knows, in the order of their names."""
    push = current_push()
    push.api_keys.require_look()
    prefix, after = request.args.get("prefix", ""), request.args.get("after", "")
    limit = limit_of(request)
    found = push.broker.log.channels(prefix, after, limit + 1)
    return json_reply({"channels": list(map(_info, found[:limit])), "more": len(found) > limit})


def channel(channel: str) -> Response:
    """Tell what there is of one channel."""
    push = current_push()
    push.api_keys.require_look()
    _, info = push.broker.log.history(channel_name(channel), 0)
    there = push.broker.roster.members(channel, limit=0)
    counted = {**_info(info), "online": there.count, "subscribers": there.waiting}
    retained = b"null" if info.retained is None else array([info.retained])[1:-1]
    return raw_reply(dump(counted).encode()[:-1] + b',"retained":' + retained + b"}")


def history(channel: str) -> Response:
    """Return kept messages, oldest first."""
    push = current_push()
    push.api_keys.require_look()
    log = push.broker.log
    messages, _ = log.history(channel_name(channel), limit_of(request), _before(push))
    more = bool(messages) and bool(log.history(channel, 1, messages[0].n)[0])
    head = f'{{"channel":"{channel}","more":{json.dumps(more)},"messages":'
    return raw_reply(head.encode() + array(messages) + b"}")


def _before(push: Push) -> int | None:
    text = request.args.get("before")
    if text is None:
        return None
    before = Cursor.parse(text, "before")
    epoch = push.broker.log.read((), None).cursor.epoch
    if before.epoch != epoch:  # its number says nothing about this log
        raise InvalidInput("before", text, f"the id of a message of this log, as in {epoch}.1")
    return before.n


def clear(channel: str) -> Response:
    """Delete what is kept of a channel."""
    push = current_push()
    push.api_keys.require_publish()
    return json_reply({"deleted": push.broker.log.clear(channel_name(channel))})


def cancel(name: str) -> Response:
    """Take a message out of the schedule."""
    push = current_push()
    push.api_keys.require_publish()
    if not push.broker.schedule.cancel(name):
        raise NotFound(f"{name!a} is not scheduled (any more)")
    return json_reply({"cancelled": True})


def healthz() -> Response:
    """The process lives."""
    return secure(json_reply({"ok": True}))


def readyz() -> Response:
    """It can serve."""
    ok, checks = readiness(current_push())
    if ok:
        said = {name: check.detail for name, check in checks.items()}
        return secure(json_reply({"ok": True, "checks": said}))
    trouble = "; ".join(f"{name}: {c.detail}" for name, c in checks.items() if not c.ok)
    return problem(503, trouble, {"Retry-After": "1"})


def readiness(push: Push) -> tuple[bool, dict[str, Check]]:
    """Tell whether this process can serve, and by name what was looked at."""
    checks = {}
    try:
        push.broker.check()
    except LogUnavailable as error:
        return False, {"log": Check(False, str(error))}
    checks["log"] = Check(True, push.broker.durability)
    listens, draining = push.hub.listener.is_well, push.hub.draining
    checks["listener"] = Check(
        listens, "follows the log" if listens else "this worker does not follow the log"
    )
    count, most = len(push.hub), push.settings.max_connections
    checks["room"] = Check(count < most, f"{count} of {most} connections")
    if draining:
        checks["drain"] = Check(False, "this worker is about to end")
    return all(check.ok for check in checks.values()), checks


def _info(info: ChannelInfo) -> dict[str, object]:
    return {"channel": info.channel, "last": info.last, "kept": info.kept}


def channel_name(channel: str) -> str:
    """Return the name in a path.

    Raises:
        InvalidInput: it is none.
    """
    if not CHANNEL_PATTERN.fullmatch(channel):
        expected = "a name of 1 to 128 of A-Z a-z 0-9 _ . : @ | + ~ = -"
        raise InvalidInput("channel", channel, expected)
    return channel


def limit_of(request: Request) -> int:
    """Return how many a request asks for.

    Raises:
        InvalidInput: it does not fit.
    """
    text = request.args.get("limit", str(_LIMIT))
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise InvalidInput("limit", text, f"a whole number from 1 to {MAX_LIMIT}")
    return int(text)
