"""How an error looks to a client: the one table from error classes to statuses, and its answers.

What belongs here: HTTP statuses, WebSocket close codes, ``application/problem+json`` (RFC 9457),
and the handlers that make sure that every answer under the prefix is one of ours. What does not:
what went wrong (``errors``), and when to raise it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

import flask
from werkzeug.exceptions import BadRequest, HTTPException, MethodNotAllowed, default_exceptions

from .current import current_push
from .errors import (
    AtCapacity,
    InvalidInput,
    KeyReused,
    NoCredentials,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    NotRecognized,
    OutOfScope,
    PushError,
    TokenExpired,
    TooLarge,
    TooManyRequests,
    Unavailable,
    show,
)

#: Error class → HTTP status and title (RFC 9457 section 4.2.1: that status's own phrase).
TABLE: dict[type[PushError], tuple[int, str]] = {
    PushError: (500, "Internal Server Error"),
    InvalidInput: (400, "Bad Request"),
    TooLarge: (413, "Content Too Large"),
    NotAuthenticated: (401, "Unauthorized"),
    NotAllowed: (403, "Forbidden"),
    NotFound: (404, "Not Found"),
    KeyReused: (409, "Conflict"),
    TooManyRequests: (429, "Too Many Requests"),
    Unavailable: (503, "Service Unavailable"),
}
_TITLES = dict(TABLE.values())

#: HTTP status → WebSocket close code; whatever is not here is 1011, our own fault.
CLOSE_CODES = {
    400: 1003,  # unsupported data
    401: 1008,  # no right
    403: 1008,
    404: 1008,
    409: 1008,
    413: 1009,  # too big
    429: 1013,  # try later
    503: 1013,
}

EXPIRED = 4001  # close code: come back with another token

#: Error class → the reason of a refusal in /metrics; see ``tally.REFUSALS``.
REASONS: dict[type[PushError], str] = {
    PushError: "error",
    InvalidInput: "invalid",
    TooLarge: "too_large",
    NotAuthenticated: "not_authenticated",
    TokenExpired: "expired",
    NotAllowed: "not_allowed",
    NotFound: "not_found",
    KeyReused: "key_reused",
    TooManyRequests: "too_many_requests",
    AtCapacity: "at_capacity",
    Unavailable: "unavailable",
}

_CHALLENGE = 'Bearer realm="push"'
#: Error class → WWW-Authenticate: what is wrong with a token, where one came (RFC 6750 section 3).
CHALLENGES: dict[type[PushError], str] = {
    NotAuthenticated: f'{_CHALLENGE}, error="invalid_token"',
    NoCredentials: _CHALLENGE,
    NotRecognized: _CHALLENGE,
    OutOfScope: f'{_CHALLENGE}, error="insufficient_scope"',
}

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def as_dict(error: Exception | int, detail: str = "") -> dict[str, object]:
    """Return the members of a problem that every transport shows. A 500 has no detail."""
    status = _status(error)
    body: dict[str, object] = {"status": status, "title": _title(status)}
    if isinstance(error, HTTPException):
        detail = detail or error.description or ""
    elif isinstance(error, PushError):
        detail = detail or str(error)
    if detail and status != 500:
        body["detail"] = detail
    if isinstance(error, InvalidInput):
        body["field"] = error.field
    if isinstance(error, Unavailable):  # a header is nothing that a stream could show
        body["retry_after"] = error.retry_after
    return body


def close_code(error: Exception) -> int:
    """Return the WebSocket close code that goes with ``error``."""
    if isinstance(error, TokenExpired):
        return EXPIRED
    return CLOSE_CODES.get(_status(error), 1011)


def reason_of(error: Exception | int) -> str:
    """Return the reason under which a refusal for ``error`` is counted."""
    for kind in type(error).__mro__:
        if kind in REASONS:
            return REASONS[kind]
    if isinstance(error, Exception) and not isinstance(error, HTTPException):
        return "error"
    status = _status(error)
    of_status = [reason for kind, reason in REASONS.items() if TABLE.get(kind, (0,))[0] == status]
    return of_status[0] if of_status else "other"


def problem(
    error: Exception | int, detail: str = "", headers: Mapping[str, str] | None = None
) -> flask.Response:
    """Return ``error``, or a bare status, as ``application/problem+json``."""
    body = {"type": "about:blank", **as_dict(error, detail)}
    response = flask.Response(json.dumps(body), _status(error))
    if isinstance(error, HTTPException):  # Allow, Retry-After, ...
        response.headers.extend(error.get_headers())
    response.headers.update(headers or {})
    response.headers["Content-Type"] = "application/problem+json"
    response.headers["Cache-Control"] = "no-store"
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(error.retry_after)
    if challenge := _challenge(error):
        response.headers.setdefault("WWW-Authenticate", challenge)
    return secure(response)


def _challenge(error: Exception | int) -> str | None:
    for kind in type(error).__mro__:
        if kind in CHALLENGES:
            return CHALLENGES[kind]
    return _CHALLENGE if _status(error) == 401 else None


def secure(response: flask.Response) -> flask.Response:
    """Set the headers that all answers carry, unless they are set already."""
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    return response


def install(blueprint: flask.Blueprint, prefix: str) -> None:
    """Make every answer under ``prefix`` one of ours, unknown paths and wrong methods included."""
    # A host's handler for a code would win over our class: Flask asks for codes first.
    blueprint.register_error_handler(Exception, _answer)
    for code in default_exceptions:
        blueprint.register_error_handler(code, _answer)
    blueprint.after_request(_allow)
    blueprint.after_request(secure)
    blueprint.record(lambda state: _catch_all(state, prefix))


def install_everywhere(app: flask.Flask) -> None:
    """Make every other answer of an app that is ours alone a problem, too."""
    for code in default_exceptions:
        app.register_error_handler(code, _answer)
    app.register_error_handler(Exception, _answer)


def _allow(response: flask.Response) -> flask.Response:
    """Say what OPTIONS may say: Flask cannot tell, because the catch-all takes every method."""
    if flask.request.method == "OPTIONS" and not response.headers.get("Allow"):
        allowed = [m for m in _METHODS if _is_known(m, websocket=False)]
        response.headers["Allow"] = ", ".join(allowed or ("GET", "OPTIONS"))
    return response


def _answer(error: Exception) -> flask.Response | HTTPException:
    if isinstance(error, HTTPException) and error.response is not None:
        return error  # abort(response): the view made its own answer
    current_push().tally.refusals[reason_of(error)] += 1
    response = problem(error)
    if response.status_code == 500:
        flask.current_app.logger.error(
            "pushapp: %s failed", show(flask.request.path), exc_info=error
        )
    return response


def _catch_all(state: flask.blueprints.BlueprintSetupState, prefix: str) -> None:
    # Straight into the map: add_url_rule would give these rules methods, and they take them all.
    endpoint = f"{state.name_prefix}.{state.name}.unknown".lstrip(".")
    state.app.view_functions[endpoint] = _unknown
    for path in (prefix, f"{prefix}/", f"{prefix}/<path:rest>"):
        for websocket in (False, True):
            rule = state.app.url_rule_class(path, endpoint=endpoint, websocket=websocket)
            state.app.url_map.add(rule)


def _unknown(rest: str = "") -> flask.Response:
    """Say what is wrong with a request that no other rule took."""
    request = flask.request
    if allowed := [m for m in _METHODS if _is_known(m, websocket=False)]:
        if request.method in allowed:
            raise BadRequest("Upgrade: got 'websocket', expected none: this is plain HTTP")
        came, expected = show(request.method), ", ".join(allowed)
        raise MethodNotAllowed(allowed, f"method: got {came}, expected one of {expected}")
    if _is_known("GET", websocket=True):
        if request.method == "OPTIONS":
            return flask.Response()
        current_push().tally.refusals["other"] += 1
        return problem(426, "this route speaks WebSocket alone", {"Upgrade": "websocket"})
    raise NotFound(f"there is nothing at {show(request.path)}")


def _is_known(method: str, *, websocket: bool) -> bool:
    adapter = flask.current_app.create_url_adapter(flask.request)
    assert adapter is not None  # there is a request
    try:
        rule, _ = adapter.match(method=method, websocket=websocket, return_rule=True)
    except HTTPException:
        return False
    return rule.methods is not None  # the catch-all's own rules are the ones without


def _status(error: Exception | int) -> int:
    if isinstance(error, int):
        return error
    if isinstance(error, HTTPException):
        return error.code or 500
    return next((TABLE[c][0] for c in type(error).__mro__ if c in TABLE), 500)


def _title(status: int) -> str:
    return _TITLES.get(status) or HTTPStatus(status).phrase
