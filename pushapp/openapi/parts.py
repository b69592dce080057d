"""What many paths have in common: parameters, refusals, who may.

What belongs here: what more than one of ``paths`` is made of. What does not: shapes (``schemas``).
"""

from __future__ import annotations

from typing import Any

from ..api import MAX_LIMIT
from ..transports.params import MAX_CHANNELS, MAX_HISTORY, MAX_HOLD
from .schemas import Schema, fields, listed, ref

LOOKS: list[Schema] = [{"apiKey": []}]
PUBLISHES: list[Schema] = [{"apiKey": []}, {"token": []}]
LISTENS: list[Schema] = [{}, {"token": []}, {"ticket": []}, {"apiKey": []}]
_TITLES = {
    400: "something does not fit; detail says what came and what was expected",
    401: "credentials are missing or wrong",
    403: "the credentials are fine; the right is missing",
    404: "there is no such thing",
    405: "another method is meant",
    409: "the idempotency key was used with another body",
    413: "too large",
    415: "compressed bodies are not taken",
    426: "this route speaks WebSocket alone",
    429: "too often; Retry-After says how long to wait",
    503: "not now; nothing was done, Retry-After says when to try again",
}
_CHALLENGE: Schema = {
    "WWW-Authenticate": {
        "schema": {"type": "string"},
        "description": 'Bearer, and error="invalid_token" or "insufficient_scope" (RFC 6750)',
    }
}
_ANYWHERE = (400, 404, 405, 413, 415, 429, 503)


def content(schema: Schema, kind: str = "application/json") -> Schema:
    """Return a body of this type."""
    return {"content": {kind: {"schema": schema}}}


def operation(
    summary: str,
    answer: Schema,
    *,
    refusals: tuple[int, ...] = (),
    **more: Any,  # members of an operation as OpenAPI names them
) -> Schema:
    """Return an operation; ``refusals``: statuses beside those that any may have."""
    responses: Schema = {"200": {"description": "it is done"} | answer}
    for status in sorted({*_ANYWHERE, *refusals}):
        problem = content(ref("Problem"), "application/problem+json")
        responses[str(status)] = {"description": _TITLES[status]} | problem
        if status in (401, 403):
            responses[str(status)]["headers"] = _CHALLENGE
    return {"summary": summary, "security": [{}], "responses": responses} | more


def looking(summary: str, answer: Schema, *parameters: Schema) -> Schema:
    """Return an operation for api keys that may look."""
    return operation(
        summary,
        content(answer),
        refusals=(401, 403),
        security=LOOKS,
        parameters=list(parameters),
    )


def changing(summary: str, answer: Schema, **more: Any) -> Schema:
    """Return an operation for api keys that may publish."""
    return operation(summary, content(answer), refusals=(401, 403), security=LOOKS, **more)


def in_path(name: str, schema: Schema) -> Schema:
    """Return a parameter that stands in the path."""
    return {"name": name, "in": "path", "required": True, "schema": schema}


def in_query(name: str, schema: Schema, about: str = "", **more: Any) -> Schema:
    """Return a parameter of the query."""
    parameter: Schema = {"name": name, "in": "query", "schema": schema} | more
    return parameter | {"description": about} if about else parameter


def in_header(name: str, about: str, schema: Schema | None = None) -> Schema:
    """Return a header field."""
    schema = schema or {"type": "string"}
    return {"name": name, "in": "header", "description": about, "schema": schema}


SCRIPT = content({"type": "string"}, "text/javascript")
TRUE: Schema = {"const": True}
LIMIT = in_query("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 100})
AFTER = in_query("after", {"type": "string"}, "the last one of the page before")
CHANNEL = in_path("channel", ref("Channel"))
SUBSCRIBING: list[Schema] = [
    in_query(
        "channels",
        listed(ref("Channel"), 1, MAX_CHANNELS),
        required=True,
        style="form",
        explode=False,
    ),
    in_query("cursor", ref("Cursor"), "where to go on from; without: from now"),
    in_query(
        "history",
        {"type": "integer", "minimum": 0, "maximum": MAX_HISTORY},
        "without a cursor: also so many kept messages of each channel",
    ),
    in_query("connection", {"type": "string"}, "a poller repeats the id it was given"),
    in_query("presence", {"enum": ["0", "1"]}, "1: tell who comes and goes"),
]
_IF_NONE_MATCH = in_header("If-None-Match", "the cursor, where there is none in the query")
TIMEOUT = in_query("timeout", {"type": "number", "minimum": 1, "maximum": MAX_HOLD}, "seconds")


def polling(summary: str, *more: Schema) -> Schema:
    """Return the two operations of a poll: in the URL, or as a form."""
    answer = content(ref("Answer")) | {
        "headers": {"ETag": {"schema": {"type": "string"}, "description": "the cursor"}}
    }
    asked = operation(
        summary,
        answer,
        refusals=(401, 403),
        security=LISTENS,
        parameters=[*SUBSCRIBING, _IF_NONE_MATCH, *more],
    )
    asked["responses"]["304"] = {"description": "nothing new since If-None-Match"}
    return {"get": asked, "post": asked | _as_form(asked["parameters"])}


def _as_form(parameters: list[Schema]) -> Schema:
    """Return what an operation has where its parameters may be in a form, too."""
    inside = {p["name"]: p["schema"] for p in parameters if p["in"] == "query"}
    form = {"schema": fields({}, inside), "encoding": {"channels": {"explode": False}}}
    return {
        "parameters": [p | {"required": False} for p in parameters],
        "requestBody": {"content": {"application/x-www-form-urlencoded": form}},
    }
