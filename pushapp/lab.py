"""The lab: the standalone server's page at ``/``, and what its visitors may do without an api key.

What belongs here: the page, and its visitors' small rights: to publish to the namespace ``demo``,
to enter the room as a guest, to say something there. What does not: what the page does, which is
in ``templates/`` and ``static/``, and how it sees its own requests (``mirror``).
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Flask, Response, render_template, request
from flask_sock import Sock
from werkzeug.exceptions import HTTPException

from . import mirror
from .address import client_address
from .body import read_body, refuse_body
from .credentials import identify
from .current import current_push
from .errors import InvalidInput, NotAllowed, NotFound, PushError, TooManyRequests
from .limits import TokenBuckets
from .origins import check_origin
from .pages import folder, language
from .problem import problem, secure
from .reply import json_reply
from .strict_json import load_json
from .transports.handshake import Refused, check_handshake

#: What breaks a line, or lets a name look like another one (Unicode TR 36, bidirectional text).
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_ROOM = "demo:room"
_GUEST = "guest-"  # how the room's users begin
_OWN = frozenset({_ROOM, "demo:system"})  # who speaks there is known, so the form may not
_BODY = 16384  # bytes of one request of the page
_BATCH = 100  # messages in it
_NAME, _TEXT = 24, 500  # characters of a guest's name, and of what is said
_STAY = 3600.0  # seconds that a guest's token holds

#: Nothing inline, nothing from elsewhere, and no text ever becomes markup: whatever a channel's
#: messages hold, it cannot run.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)


def register(app: Flask) -> None:
    """Serve the page at ``/``, its files, and what its visitors may do."""
    lab = Blueprint(
        "lab",
        __name__,
        static_folder=folder("static"),
        static_url_path="/static",
        template_folder=str(folder("templates")),
    )
    lab.add_url_rule("/", view_func=page)
    _post(lab, publish, TokenBuckets(20, 200))  # messages: twice what the buttons do
    _post(lab, enter, TokenBuckets(1, 20))
    _post(lab, say, TokenBuckets(2, 20))
    looks = TokenBuckets(5, 100)
    lab.add_url_rule("/demo/mirror", "mirror", mirror.view)
    mirror.route(Sock(), lab)
    lab.before_request(lambda: _check_look(looks) if request.path in mirror.PATHS else None)
    lab.register_error_handler(PushError, problem)
    lab.register_error_handler(HTTPException, problem)
    lab.register_error_handler(Refused, lambda e: problem(e.status, e.detail, e.headers))
    lab.after_request(_protect)
    app.register_blueprint(lab)


def page() -> Response:
    """Answer with the page in the browser's language; the page itself can switch."""
    settings = current_push().settings
    text = render_template(
        "lab.html",
        language=language(),
        prefix=settings.prefix,
        demo=settings.demo,
        host=request.host_url.rstrip("/"),
    )
    return Response(text, headers={"Cache-Control": "no-cache", "Vary": "Accept-Language"})


def publish(fields: dict[str, Any], limits: TokenBuckets) -> dict[str, object]:
    """Publish what a visitor wants to, one message or a batch: to the namespace ``demo``.

    Raises:
        NotAllowed: it wants another channel.
        InvalidInput: something does not fit.
        TooManyRequests: too much comes from this address.
        LogUnavailable: the log did not take it.
    """
    push = current_push()
    wanted = push.parse(fields)
    if len(wanted.drafts) > _BATCH:
        raise InvalidInput("messages", f"{len(wanted.drafts)} of them", f"at most {_BATCH}")
    for draft in wanted.drafts:
        if not draft.channel.startswith("demo:") or draft.channel in _OWN:
            raise NotAllowed(
                "this form publishes to channels that begin with demo:, but not to "
                + " or ".join(sorted(_OWN))
            )
    _count(limits, len(wanted.drafts), "messages")
    return push.append(wanted, "demo")


def enter(fields: dict[str, Any], limits: TokenBuckets) -> dict[str, object]:
    """Answer with a token for the room: a new guest's, or again for the one who asks.

    Raises:
        InvalidInput: the name does not fit.
        NotAuthenticated: the token that came does not hold.
        TooManyRequests: too many come from this address.
    """
    push = current_push()
    name = _words(fields, "name", _NAME, least=0)
    _count(limits, 1, "guests")
    token = identify(push)
    known = token is not None and token.user.startswith(_GUEST)
    user = token.user if token and known else _GUEST + secrets.token_hex(4)
    text = push.token(user, channels=[_ROOM], expires=_STAY, member={"name": name})
    return {"user": user, "token": text}


def say(fields: dict[str, Any], limits: TokenBuckets) -> dict[str, object]:
    """Publish what a guest says, under the name in their token: to the room, or to one guest.

    Raises:
        NotAllowed: no guest's token came along.
        InvalidInput: something does not fit.
        NotAuthenticated: the token does not hold.
        TooManyRequests: too much comes from this address.
        LogUnavailable: the log did not take it.
    """
    push = current_push()
    token = identify(push)
    if token is None or not token.user.startswith(_GUEST):
        raise NotAllowed("guests of the room alone speak here: get a token of /demo/enter")
    to = fields.get("to")
    if to is not None and not (isinstance(to, str) and to.startswith(_GUEST)):
        raise InvalidInput("to", to, f"nobody, or a user that begins with {_GUEST}")
    said = {"from": token.user, "text": _words(fields, "text", _TEXT)}
    said |= {"name": (token.member or {}).get("name", "")}
    _count(limits, 1, "messages")
    target = {"channel": _ROOM} if to is None else {"user": to}
    return push.append(push.parse({**target, "data": said}), "demo")


def _post(
    lab: Blueprint,
    act: Callable[[dict[str, Any], TokenBuckets], dict[str, object]],
    limits: TokenBuckets,
) -> None:
    """Let our own page post JSON to ``act``, where the demo is on."""

    def view() -> Response:
        _check_demo()
        if request.mimetype != "application/json":  # what a foreign page can send has another type
            raise InvalidInput("Content-Type", request.mimetype, "application/json")
        fields = load_json(read_body(request, _BODY))
        if not isinstance(fields, dict):
            raise InvalidInput("body", fields, "a JSON object")
        return json_reply(act(fields, limits))

    lab.add_url_rule(f"/demo/{act.__name__}", act.__name__, view, methods=["POST"])


def _check_demo() -> None:
    """Return when the demo is on and the page that asks is ours.

    Raises:
        NotFound: it is off.
        NotAllowed: the page is a foreign one.
    """
    settings = current_push().settings
    if not settings.demo:
        raise NotFound("the demo is switched off; PUSH_DEMO=1 switches it on")
    check_origin(request, settings)


def _check_look(limits: TokenBuckets) -> None:
    """Return when our own page may look into the mirror.

    Raises:
        As ``_check_demo``.
        Refused: it is a WebSocket's, and its handshake is wrong.
        InvalidInput: as ``Refused``, or it has a body.
        TooManyRequests: too many come from this address.
    """
    _check_demo()
    refuse_body(request)
    _count(limits, 1, "looks")
    if request.path == mirror.SOCKET:
        mirror.decline_offer()
        check_handshake(request)


def _count(limits: TokenBuckets, cost: int, what: str) -> None:
    push = current_push()
    wait = limits.take(client_address(request.environ, push.settings.trusted_proxies) or "", cost)
    if wait > 0:
        seconds = math.ceil(wait)
        raise TooManyRequests(
            f"too many {what} from this address; try again in {seconds} s", seconds
        )


def _words(fields: dict[str, Any], name: str, most: int, least: int = 1) -> str:
    """Return a field that is text of one line, without what nobody can see at its ends."""
    text = fields.get(name)
    if not isinstance(text, str) or not least <= len(text.strip()) <= most:
        raise InvalidInput(name, text, f"a text of {least} to {most} characters")
    if _UNSEEN.search(text.strip()):
        raise InvalidInput(name, text, "one line, without signs that turn the direction of others")
    return text.strip()


def _protect(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return secure(response)
