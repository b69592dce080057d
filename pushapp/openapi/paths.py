"""The paths, and what each takes and answers.

What belongs here: one entry for each route; a test names what is missing. What does not: what many
of them have in common (``parts``), shapes (``schemas``).
"""

from __future__ import annotations

from ..broker.roster import FIGURES
from .parts import (
    AFTER,
    CHANNEL,
    LIMIT,
    LISTENS,
    LOOKS,
    PUBLISHES,
    SCRIPT,
    SUBSCRIBING,
    TIMEOUT,
    TRUE,
    changing,
    content,
    in_header,
    in_path,
    in_query,
    looking,
    operation,
    polling,
)
from .schemas import SECONDS, Schema, fields, listed, or_null, ref

UNDER_PREFIX: Schema = {
    "/poll": polling("Ask what there is, at once"),
    "/longpoll": polling("Ask, and have the answer when there is one", TIMEOUT),
    "/sse": {
        "get": operation(
            "Follow as server-sent events",
            content({"type": "string"}, "text/event-stream"),
            refusals=(401, 403),
            security=LISTENS,
            parameters=[*SUBSCRIBING, in_header("Last-Event-ID", "the cursor; beats the query's")],
        )
    },
    "/ws": {
        "get": operation(
            "Follow, subscribe and publish on a WebSocket",
            {"description": "never: 101 where all is well"},
            refusals=(401, 403, 426),
            security=LISTENS,
            parameters=SUBSCRIBING,
        )
    },
    "/publish": {
        "post": operation(
            "Append one message, or several",
            content(ref("Published")),
            refusals=(401, 403, 409),
            security=PUBLISHES,
            parameters=[in_header("Idempotency-Key", "the same again publishes nothing")],
            requestBody={"required": True} | content(ref("Publish")),
        )
    },
    "/ticket": {
        "post": operation(
            "Change a token for a ticket, which may stand in a URL",
            content(fields({"ticket": {"type": "string"}, "expires": {"type": "integer"}})),
            refusals=(401,),
            security=[{"token": []}],
        )
    },
    "/revoke": {
        "post": changing(
            "Let tokens of a user, or of everybody, or one token, count no longer",
            fields({"revoked": TRUE}, {"before": SECONDS}),
            requestBody={"required": True}
            | content(
                {
                    "oneOf": [
                        fields({"user": ref("User")}, {"before": SECONDS}, closed=True),
                        fields({"everybody": TRUE}, {"before": SECONDS}, closed=True),
                        fields({"token": {"type": "string"}}, closed=True),
                    ]
                }
            ),
        )
    },
    "/scheduled/{name}": {
        "delete": changing(
            "Take a message out of the schedule",
            fields({"cancelled": TRUE}),
            parameters=[in_path("name", {"type": "string"})],
        )
    },
    "/channels": {
        "get": looking(
            "List known channels in the order of their names",
            fields({"channels": listed(ref("ChannelInfo")), "more": {"type": "boolean"}}),
            in_query("prefix", {"type": "string"}),
            AFTER,
            LIMIT,
        )
    },
    "/channels/{channel}": {
        "get": looking(
            "Tell what there is of one channel",
            {
                "allOf": [
                    ref("ChannelInfo"),
                    fields(
                        {
                            "online": {"type": "integer", "minimum": 0},
                            "subscribers": {"type": "integer", "minimum": 0},
                            "retained": or_null(ref("Message")),
                        }
                    ),
                ]
            },
            CHANNEL,
        )
    },
    "/channels/{channel}/history": {
        "get": looking(
            "Read kept messages, oldest first",
            fields(
                {
                    "channel": ref("Channel"),
                    "more": {"type": "boolean"},
                    "messages": listed(ref("Message")),
                }
            ),
            CHANNEL,
            LIMIT,
            in_query("before", ref("Id")),
        ),
        "delete": changing(
            "Delete what is kept of a channel",
            fields({"deleted": {"type": "integer", "minimum": 0}}),
            parameters=[CHANNEL],
        ),
    },
    "/channels/{channel}/presence": {
        "get": operation(
            "Tell who is in a channel, to whoever may subscribe to it",
            content(ref("Presence")),
            refusals=(401, 403),
            security=LISTENS,
            parameters=[CHANNEL, AFTER, LIMIT],
        )
    },
    "/connections": {
        "get": looking(
            "List the connections of all workers, in the order of their ids",
            fields({"connections": listed(ref("Connection")), "more": {"type": "boolean"}}),
            in_query("user", ref("User")),
            AFTER,
            LIMIT,
        )
    },
    "/users/{name}": {
        "get": looking(
            "Tell whether a user is there, since when, and by what",
            fields(
                {
                    "user": ref("User"),
                    "online": {"type": "boolean"},
                    "since": or_null(SECONDS),
                    "transports": listed({"type": "string"}),
                    "connections": listed(ref("Connection")),
                    "more": {"type": "boolean"},
                }
            ),
            in_path("name", ref("User")),
            AFTER,
            LIMIT,
        )
    },
    "/connections/{name}": {
        "delete": changing(
            "End one connection, wherever it is",
            fields({"ended": TRUE}),
            parameters=[in_path("name", {"type": "string"})],
        )
    },
    "/users/{name}/connections": {
        "delete": changing(
            "End all connections of a user",
            fields({"ended": TRUE}),
            parameters=[in_path("name", ref("User"))],
        )
    },
    "/console/watch": {
        "post": looking(
            "Have all workers say their figures in an internal channel, once a second, for a while",
            fields(
                {
                    "channel": {"const": FIGURES, "description": "an api key may subscribe to it"},
                    "seconds": {"type": "number", "description": "after which to ask again"},
                    "may_publish": {"type": "boolean", "description": "this api key"},
                    "ready": {"type": "boolean", "description": "the worker that was asked"},
                    "checks": {
                        "type": "object",
                        "additionalProperties": fields(
                            {"ok": {"type": "boolean"}, "detail": {"type": "string"}}
                        ),
                    },
                    "limits": {"type": "object", "additionalProperties": {"type": "integer"}},
                    "bounds": {
                        "type": "object",
                        "description": "of the histograms, in seconds",
                        "additionalProperties": listed({"type": "number"}),
                    },
                }
            ),
        )
    },
    "/metrics": {
        "get": operation(
            "Read what all workers have counted, as Prometheus does",
            content({"type": "string"}, "text/plain"),
            refusals=(401, 403),
            security=LOOKS,
        )
    },
    "/openapi.json": {"get": operation("Read this document", content({"type": "object"}))},
    "/push.js": {"get": operation("Load the client", SCRIPT)},
    "/jquery.js": {"get": operation("Load a jQuery", SCRIPT)},
}

AT_ROOT: Schema = {
    "/healthz": {"get": operation("Does the process live?", content(fields({"ok": TRUE})))},
    "/readyz": {
        "get": operation(
            "Can it serve?",
            content(
                fields(
                    {
                        "ok": TRUE,
                        "checks": {
                            "type": "object",
                            "additionalProperties": {"type": "string"},
                        },
                    }
                )
            ),
        )
    },
    "/metrics": {
        "get": operation(
            "Read what all workers have counted, as Prometheus does",
            content({"type": "string"}, "text/plain"),
        )
    },
}
