"""The four routes on which clients listen.

What belongs here: from a request to a waiting subscriber, for each transport: read the parameters,
ask whether it may, and let it wait the way it can. What does not: the waiting itself.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from flask import Blueprint, Request, Response, current_app, request
from simple_websocket import Server
from werkzeug.datastructures import CombinedMultiDict, MultiDict
from werkzeug.exceptions import HTTPException

from . import upgrade
from .again import may_come_again
from .auth import Grant, current_token
from .body import end_connection, read_body, refuse_body
from .broker.roster import Entry, of_clients
from .credentials import identify
from .current import current_push
from .errors import InvalidInput, NoCredentials, PushError, show
from .handover import Connection, connection_of
from .message import dump
from .origins import check_origin
from .outlet import set_options
from .problem import as_dict, close_code, problem, reason_of
from .sketch import sketch, sketch_of
from .throttle import count_stream, find_room
from .tokens import Token
from .transports import frames, poll
from .transports.handshake import Refused, check_handshake
from .transports.longpoll import LongPoll
from .transports.params import MAX_FORM, Asked, asked
from .transports.poll import Answer, first_answer
from .transports.sse import HEADERS as SSE_HEADERS
from .transports.sse import ChunkedSse, Sse
from .transports.websocket import kind_of
from .upgrade import Lean, greeting

if TYPE_CHECKING:
    from .extension import Push

log = logging.getLogger(__name__)


def register(blueprint: Blueprint) -> None:
    """Put the routes into ``blueprint``."""
    blueprint.before_request(_prepare_websocket)
    blueprint.add_url_rule("/poll", view_func=poll_view, methods=["GET", "POST"])
    blueprint.add_url_rule("/longpoll", view_func=longpoll_view, methods=["GET", "POST"])
    blueprint.add_url_rule("/sse", view_func=sse_view)
    upgrade.route(blueprint, "/ws", websocket_view)
    blueprint.register_error_handler(Refused, _refused)
    blueprint.register_error_handler(ConnectionError, _gone)


def poll_view() -> Response:
    """Answer at once."""
    push = current_push()
    wanted = _wanted(push)
    grant = push.gate.may_subscribe(wanted.channels)
    connection = push.connection_id(wanted.connection, grant.user)
    may_come_again(push, wanted, grant, connection, waits=False)
    reply = first_answer(push.broker, wanted, connection)
    push.tally.answered("poll", reply.count, reply.lost)
    _came_again(push, "poll", wanted, grant, connection, reply.interval)
    return _answered(push, reply, wanted)


def longpoll_view() -> Response:
    """Answer when there is something, or after ``timeout`` seconds."""
    push = current_push()
    wanted = _wanted(push)
    grant = push.gate.may_subscribe(wanted.channels)
    connection = push.connection_id(wanted.connection, grant.user)
    may_come_again(push, wanted, grant, connection, waits=True)
    reply = first_answer(push.broker, wanted, connection)
    hold = wanted.hold if grant.seconds is None else min(wanted.hold, grant.seconds)
    _came_again(push, "longpoll", wanted, grant, connection, hold)
    if wanted.cursor is None or request.method == "HEAD" or not poll.is_empty(reply):
        push.tally.answered("longpoll", reply.count, reply.lost)
        return _answered(push, reply, wanted)
    address = find_room(push, grant.user, connection)
    berth = _berth(push, request.environ)
    parks = berth is not None
    waiting = LongPoll(push.hub, push.lot, push.presence, wanted, connection, parks=parks)
    waiting.user, waiting.address = grant.user, address
    waiting.begin(hold)
    if waiting.answered is not None:
        return _answered(push, waiting.answered, wanted)
    if berth is None:
        return poll.response(waiting.wait(hold), wanted)
    berth.waiting = waiting
    return poll.empty_response()


def _came_again(
    push: Push, transport: str, wanted: Asked, grant: Grant, connection: str, seconds: float
) -> None:
    """Say that a poller is there, from its second request on: the first that brings its id. In
    ``seconds`` it is due again."""
    if connection == wanted.connection:
        about = grant.user, grant.member, transport, time.time(), of_clients(wanted.channels)
        entry = Entry(connection, *about, wanted.presence, grant.observer)
        push.presence.polled(entry, seconds, current_token())


def _answered(push: Push, reply: Answer, wanted: Asked) -> Response:
    if wanted.presence and (wanted.cursor is None or reply.connection != wanted.connection):
        reply.owed = wanted.channels  # a connection begins with who is there
    poll.settle(reply, push.presence.roster)
    return poll.response(reply, wanted)


def sse_view() -> Response:
    """Begin an event stream."""
    push = current_push()
    refuse_body(request)
    wanted = asked(request, request.args, stream=True)
    check_origin(request, push.settings)
    identify(push, request.args)
    grant = push.gate.may_subscribe(wanted.channels)
    connection = push.connection_id(wanted.connection, grant.user)
    address = find_room(push, grant.user, connection)
    _check_log(push)
    if request.method == "HEAD":
        return Response(headers=SSE_HEADERS)
    berth = _berth(push, request.environ)
    http11 = request.environ.get("SERVER_PROTOCOL") != "HTTP/1.0"
    kind = ChunkedSse if berth is not None and http11 else Sse
    stream = kind(push.start().context, wanted, connection, grant, sketch())
    stream.address = address
    if berth is not None:
        berth.waiting = stream.wants(wanted)
        return Response(headers=SSE_HEADERS)
    response = Response(stream.body(wanted), headers=SSE_HEADERS)
    response.call_on_close(stream.hang_up)
    return response


def open_websocket(push: Push, environ: dict[str, Any]) -> bool:
    """Begin a WebSocket without Flask, for a request that nobody else looks at (``porter``); tell
    whether it is answered. Else Flask is to have it, and nothing has been counted."""
    request = Request(environ, populate_request=False)  # one in its own environ: a cycle
    offers = environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", "")
    try:
        _check_websocket(push, request)
        if not upgrade.may_be_lean(push, environ):
            return False
        ws = upgrade.lean(push, environ, offers)
        count_stream(push, environ)
    except Exception as error:  # Flask finds it, too, and says so
        log.debug("a handshake is left to Flask: %s", error)
        return False
    _begin_websocket(push, request, ws)
    return True


def websocket_view(ws: Server | Lean) -> None:
    """Begin a WebSocket."""
    _begin_websocket(current_push(), request, ws)


def _begin_websocket(push: Push, request: Request, ws: Server | Lean) -> None:
    """Begin a WebSocket. The handshake is right, and a browser sees an error only as frames."""
    environ = request.environ
    try:
        wanted = asked(request, request.args, stream=False, least=0)
        token = identify(push, request.args, environ)
        grant = _grant_or_why_not(push, wanted, environ, token)
        user = grant.user if isinstance(grant, Grant) else None
        connection = push.connection_id(wanted.connection, user)
        address = find_room(push, user, connection, environ)
        _check_log(push)
    except Exception as caught:  # a response after the 101 would be read as frames
        error = caught if isinstance(caught, PushError | HTTPException) else PushError()
        if error is caught:
            error.__traceback__ = None  # it has this frame, which has it
        else:
            push.app.logger.error("pushapp: %s failed", show(request.path), exc_info=caught)
        push.tally.refusals[reason_of(error)] += 1
        body = f'{{"type":"error",{dump(as_dict(error))[1:]}'.encode()
        body = frames.text(body) + frames.close(close_code(error), type(error).__name__)
        ws.sock.sendall(greeting(ws) + body)
        ws.connected = False  # what flask-sock would send now, has been sent
        return
    berth = _berth(push, environ)
    stream = kind_of(upgrade.agreed_with(ws))(
        push.start().context,
        wanted,
        connection,
        grant,
        sketch_of(environ, asks=push.gate.asks),
        push.start().ops,
        push.start().frame_limit,
    )
    stream.address = address
    stream.greets(greeting(ws))
    if berth is None:
        stream.serve(ws.sock, early=b"")
    else:
        berth.waiting = stream
        ws.mode = "werkzeug"  # an ordinary response for the middlewares; the worker parks it
    ws.connected = False


def _check_log(push: Push) -> None:
    """Return when the log answers: a stream that has begun can no longer say 503.

    Raises:
        LogUnavailable: it does not.
    """
    push.hub.now()


def _grant_or_why_not(
    push: Push, wanted: Asked, environ: dict[str, Any], token: Token | None
) -> Grant | NoCredentials:
    """Return the grant, or what is missing: in a browser a token may come in the first frame."""
    try:
        return push.gate.grant(wanted.channels, push.api_keys.of(environ), token)
    except NoCredentials as error:
        return error.with_traceback(None)


def _berth(push: Push, environ: dict[str, Any]) -> Connection | None:
    """Return the connection of a request where its client can be parked; where it cannot, the
    kernel finds it all the same when it has silently gone."""
    connection = connection_of(environ) if push.settings.park else None
    if connection is None:
        sock = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
        if sock is not None:
            set_options(sock, push.lot.patience)
    return connection


def _wanted(push: Push) -> Asked:
    values = _values()
    wanted = asked(request, values, stream=False)
    identify(push, values)
    return wanted


def _values() -> MultiDict[str, str]:
    if request.method != "POST":
        refuse_body(request)
        return request.args
    form = read_body(request, MAX_FORM)
    if request.mimetype not in ("application/x-www-form-urlencoded", ""):
        expected = "application/x-www-form-urlencoded"
        raise InvalidInput("Content-Type", request.mimetype, expected)
    try:
        fields = parse_qsl(form.decode(), keep_blank_values=True, errors="strict")
    except ValueError:
        raise InvalidInput("body", "bytes that are not UTF-8", "a form in UTF-8") from None
    return CombinedMultiDict([request.args, MultiDict(fields)])


def _prepare_websocket() -> None:
    """Check the handshake before flask-sock answers it."""
    if request.endpoint is None or not request.endpoint.endswith(".websocket_view"):
        return
    refuse_body(request)
    _check_websocket(current_push(), request)
    upgrade.use_our_threads(current_app.config)
    request.environ[upgrade.OURS] = True


def _check_websocket(push: Push, request: Request) -> None:
    check_handshake(request)
    check_origin(request, push.settings)


def _refused(error: Refused) -> Response:
    current_push().tally.refusals[reason_of(error.status)] += 1
    return problem(error.status, error.detail, error.headers)


def _gone(error: ConnectionError) -> Response:
    """The client went away within the handshake: nobody reads this answer."""
    end_connection(request)
    return Response(status=400)
