"""Ending connections and revoking tokens over HTTP.

What belongs here: these routes. What does not: how it is done (``endings``, ``revocations``).
They take an api key that may publish: they change something.
"""

from __future__ import annotations

import time

from flask import Blueprint, Response, request

from .body import read_body
from .current import current_push
from .errors import InvalidInput
from .publish import load_json
from .reply import json_reply

MAX_BODY = 4096  # bytes


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
        if field not in ("user", "everybody", "before"):
            raise InvalidInput(ascii(field)[1:-1][:64], body[field], "user or everybody, before")
    before = body.get("before", time.time())
    if isinstance(before, bool) or not isinstance(before, int | float):
        raise InvalidInput("before", before, "Unix seconds")
    if ("user" in body) == ("everybody" in body):
        raise InvalidInput("user", body.get("user"), "either it or everybody, to say who is meant")
    if body.get("everybody", True) is not True:
        raise InvalidInput("everybody", body["everybody"], "true")
    if "user" in body and body["user"] is None:  # a forgotten one must not mean everybody
        raise InvalidInput("user", None, "a user's id")
    push.revoke(body.get("user"), before)
    return json_reply({"revoked": True, "before": before})
