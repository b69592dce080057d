"""Ending connections and revoking tokens over HTTP.

What belongs here: these routes. What does not: how it is done (``endings``, ``revocations``).
They take an api key that may publish: they change something.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, request

from .body import read_body
from .current import current_push
from .errors import InvalidInput
from .reply import json_reply
from .strict_json import load_json

if TYPE_CHECKING:
    from .extension import Push

MAX_BODY = 16384  # bytes; a token has up to 8,000 characters


def register(blueprint: Blueprint) -> None:
    """Put the routes under the prefix."""
    delete = ["DELETE"]
    blueprint.add_url_rule("/connections/<name>", view_func=end_connection, methods=delete)
    blueprint.add_url_rule("/users/<name>/connections", view_func=end_user, methods=delete)
    blueprint.add_url_rule("/revoke", view_func=revoke, methods=["POST"])


def end_connection(name: str) -> Response:
    """End one connection, wherever it is."""
    push = current_push()
    push.api_keys.require_publish()
    push.disconnect(connection=name)
    return json_reply({"ended": True})


def end_user(name: str) -> Response:
    """End all connections of a user."""
    push = current_push()
    push.api_keys.require_publish()
    push.disconnect(user=name)
    return json_reply({"ended": True})


def revoke() -> Response:
    """Let tokens of a user, or of everybody, count no longer."""
    push = current_push()
    push.api_keys.require_publish()
    body = load_json(read_body(request, MAX_BODY))
    if not isinstance(body, dict):
        raise InvalidInput("body", body, "a JSON object")
    for field in body:
        if field not in ("user", "everybody", "token", "before"):
            expected = "user, everybody or token, and before"
            raise InvalidInput(ascii(field)[1:-1][:64], body[field], expected)
    meant = [name for name in ("user", "everybody", "token") if name in body]
    if len(meant) != 1:
        raise InvalidInput("user", " and ".join(meant) or None, "it, everybody or token")
    if meant == ["token"]:
        return _revoke_token(push, body)
    before = body.get("before", time.time())
    if isinstance(before, bool) or not isinstance(before, int | float):
        raise InvalidInput("before", before, "Unix seconds")
    if body.get("everybody", True) is not True:
        raise InvalidInput("everybody", body["everybody"], "true")
    if "user" in body and body["user"] is None:  # a forgotten one must not mean everybody
        raise InvalidInput("user", None, "a user's id")
    push.revoke(body.get("user"), before)
    return json_reply({"revoked": True, "before": before})


def _revoke_token(push: Push, body: dict[str, Any]) -> Response:
    if not isinstance(body["token"], str):
        raise InvalidInput("token", body["token"], "a token")
    if "before" in body:
        raise InvalidInput("before", body["before"], "none where it is one token")
    push.revoke(token=body["token"])
    return json_reply({"revoked": True})
