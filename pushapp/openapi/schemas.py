"""What passes over the paths: schemas (JSON Schema 2020-12) by name.

What belongs here: shapes. What does not: who sends which (``paths``).
"""

from __future__ import annotations

from typing import Any

from ..message import CHANNEL_PATTERN, EVENT_PATTERN
from ..publish import MAX_AHEAD, MAX_CHANNELS, MAX_MESSAGES, MAX_TTL

Schema = dict[str, Any]

_USER = "[A-Za-z0-9_.:@|+~=-]{1,123}"


def ref(name: str) -> Schema:
    """Return a reference to the schema of this name."""
    return {"$ref": f"#/components/schemas/{name}"}


def fields(required: Schema, optional: Schema | None = None, *, closed: bool = False) -> Schema:
    """Return an object's schema; ``closed``: the server refuses other fields."""
    schema = {
        "type": "object",
        "required": list(required),
        "properties": required | (optional or {}),
    }
    return schema | {"additionalProperties": False} if closed else schema


def listed(items: Schema, least: int = 0, most: int | None = None) -> Schema:
    """Return a list's schema."""
    schema: Schema = {"type": "array", "items": items, "minItems": least}
    return schema if most is None else schema | {"maxItems": most}


def text(pattern: str, about: str = "") -> Schema:
    """Return the schema of a string that is wholly of ``pattern``."""
    schema: Schema = {"type": "string", "pattern": f"^{pattern}$"}
    return schema | {"description": about} if about else schema


def or_null(schema: Schema) -> Schema:
    """Return a schema that takes null, too."""
    return {"oneOf": [schema, {"type": "null"}]}


SECONDS: Schema = {"type": "number", "description": "Unix seconds"}
_CURSOR = r"[a-z0-9]{1,32}\.(0|[1-9][0-9]{0,17})"
_OPTIONS: Schema = {
    "event": text(EVENT_PATTERN.pattern, "the publisher's name for it; else message"),
    "ttl": {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": MAX_TTL,
        "description": "seconds after which only a tombstone is sent",
    },
    "retain": {"type": "boolean", "description": "keep it as the channel's value, too"},
}
#: At most one of these; JSON Schema says it as "not both".
_WHEN: Schema = {
    "delay": {"type": "number", "minimum": 0, "maximum": MAX_AHEAD, "description": "seconds"},
    "at": {"type": "number", "minimum": 0, "description": "Unix seconds, 30 days ahead at most"},
}
_NOT_BOTH: Schema = {"not": {"required": ["delay", "at"]}}
_KEY: Schema = {"idempotency_key": text(r"[\x20-\x7e]{1,128}", "the same again publishes nothing")}
_DATA: Schema = {"data": {"description": "any JSON; numbers have to be finite"}}
_MEMBER: Schema = {
    "user": ref("User"),
    "anonymous": {"type": "string", "description": "one connection without a user"},
    "member": {"description": "what the user's token says of them"},
}


def _publish(target: Schema, more: Schema) -> Schema:
    return fields(target | _DATA, {**_OPTIONS, **_WHEN, **more}, closed=True) | _NOT_BOTH


SCHEMAS: Schema = {
    "Channel": text(CHANNEL_PATTERN.pattern, "what stands before the first : is its namespace"),
    "User": text(_USER) | {"not": {"enum": [".", ".."]}},
    "Id": text(_CURSOR, "a message's place in the log"),
    "Cursor": text(_CURSOR, "everything up to here; opaque, handed back as it is"),
    "Message": fields(
        {
            "id": ref("Id"),
            "prev": or_null(ref("Id")),
            "channel": ref("Channel"),
            "event": text(EVENT_PATTERN.pattern),
            "time": SECONDS,
        },
        _DATA | {"expired": {"const": True, "description": "its ttl is over: there is no data"}},
    ),
    "Loss": fields(
        {
            "channel": ref("Channel"),
            "after": ref("Cursor"),
            "before": or_null(ref("Id")),
            "reason": {"enum": ["expired", "epoch", "limit"]},
        }
    ),
    "Answer": fields(
        {
            "connection": {"type": "string", "description": "a poller repeats it"},
            "cursor": ref("Cursor"),
            "recovered": {"type": "boolean"},
            "messages": listed(ref("Message")),
            "advice": fields(
                {"interval": {"type": "integer", "description": "ms until the next poll"}},
                {"reconnect": {"type": "integer", "description": "ms; this worker ends"}},
            ),
        },
        {
            "lost": listed(ref("Loss"), 1),
            "more": {"const": True},
            "history": {"type": "object", "additionalProperties": listed(ref("Message"))},
            "presence": {"type": "object", "additionalProperties": ref("Presence")},
        },
    ),
    "Presence": fields(
        {
            "version": ref("Cursor"),
            "count": {"type": "integer", "minimum": 0, "description": "members"},
            "changes": listed(
                fields({"event": {"enum": ["join", "leave", "occupied", "vacated"]}}, _MEMBER)
            ),
        },
        {
            "channel": ref("Channel"),
            "members": listed({"type": "object", "properties": _MEMBER, "minProperties": 1}),
            "more": {"type": "boolean"},
            "next": {"type": "string", "description": "for after"},
        },
    ),
    "Connection": fields(
        {
            "id": {"type": "string"},
            "transport": {"enum": ["poll", "longpoll", "sse", "websocket"]},
            "since": SECONDS,
            "channels": listed(ref("Channel")),
        },
        {"user": or_null(ref("User"))},
    ),
    "Publish": {
        "oneOf": [
            _publish({"channel": ref("Channel")}, _KEY),
            _publish(
                {"channels": listed(ref("Channel"), 1, MAX_CHANNELS) | {"uniqueItems": True}}, _KEY
            ),
            _publish({"user": ref("User")}, _KEY),
            _publish({"users": listed(ref("User"), 1, MAX_CHANNELS) | {"uniqueItems": True}}, _KEY),
            fields({"messages": listed(ref("Draft"), 1, MAX_MESSAGES)}, _KEY, closed=True),
        ]
    },
    "Draft": {
        "oneOf": [
            _publish({"channel": ref("Channel")}, {}),
            _publish({"user": ref("User")}, {}),
        ]
    },
    "Scheduled": fields({"scheduled": text("s.+"), "at": SECONDS}),
    "Published": {
        "oneOf": [
            fields({"id": ref("Id")}),
            fields({"ids": listed({"oneOf": [ref("Id"), ref("Scheduled")]}, 1)}),
            ref("Scheduled"),
        ]
    },
    "ChannelInfo": fields(
        {
            "channel": ref("Channel"),
            "last": or_null(ref("Id")),
            "kept": {"type": "integer", "minimum": 0},
        }
    ),
    "Problem": fields(
        {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
        },
        {
            "detail": {"type": "string"},
            "field": {"type": "string", "description": "what is to blame"},
        },
    ),
}
