"""Reading a request's body with a bound and a deadline.

What belongs here: what gunicorn leaves open. It has no deadline for a body: a byte a second holds a
connection for ever. What does not: what the body means (``publish``, ``transports.params``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Request
from gevent import Timeout
from gevent.monkey import is_module_patched
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import RequestTimeout, UnsupportedMediaType

from .background import Turn
from .errors import InvalidInput, TooLarge, show
from .handover import CONNECTION

DEADLINE = 10.0  # seconds for the whole body
_LINGER = 1.0  # seconds to read on before a refusal
_PIECE = 4096  # bytes read at once of what may come in as many chunks: 20 ms for gunicorn


class Compressed(UnsupportedMediaType):
    """A body has a Content-Encoding."""

    def get_headers(self, *args: Any) -> list[tuple[str, str]]:
        """Return the headers of the answer: what would be taken (RFC 9110 section 15.5.16)."""
        return [*super().get_headers(*args), ("Accept-Encoding", "identity")]


def read_body(request: Request, limit: int) -> bytes:
    """Return the whole body, at most ``limit`` bytes.

    Raises:
        Compressed: it is compressed: a small one may stand for a very large one.
        TooLarge: it has more; the connection then ends, because the rest was not read.
        RequestTimeout: it did not come within 10 s; the connection ends.
        InvalidInput: it breaks HTTP, or off; the connection ends.
    """
    _refuse_encoding(request)
    size = request.content_length
    if size is not None and size > limit:
        end_connection(request)
        linger(request.stream.read, 2 * limit)
        raise TooLarge("body", f"{size} bytes", f"at most {limit}")
    timeout = Timeout(DEADLINE) if is_module_patched("socket") else None
    try:
        if timeout is not None:
            timeout.start()
        # past the limit by one byte: a chunked body tells its size only by coming
        body = _read(request, limit + 1)
    except Timeout as late:
        if late is not timeout:
            raise
        end_connection(request)
        raise RequestTimeout(f"the body did not come within {DEADLINE:g} s") from None
    except (ParseException, OSError) as error:  # wrong chunks, or its client has gone
        end_connection(request)
        raise InvalidInput("body", str(error), "it whole, in chunks as HTTP has them") from None
    finally:
        if timeout is not None:
            timeout.close()
    if len(body) > limit:
        end_connection(request)
        raise TooLarge("body", f"over {limit} bytes", f"at most {limit}")
    if size is not None and len(body) < size:  # gunicorn does not say so
        end_connection(request)
        raise InvalidInput("body", f"{len(body)} of {size} bytes", "it whole")
    return body


def _read(request: Request, most: int) -> bytes:
    """Return the body, at most so many bytes. One that comes in chunks of a byte takes a second of
    CPU for each 100 KB: the others, and the deadline, have their turn on the way. In larger ones it
    does not wait for them 256 times: on a busy worker that could outlast the deadline."""
    if request.content_length is not None:
        whole: bytes = request.stream.read(most)
        return whole
    body, turn = bytearray(), Turn()
    while piece := request.stream.read(min(_PIECE, most - len(body))):
        body += piece
        turn.pause()
    return bytes(body)


def _refuse_encoding(request: Request) -> None:
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        end_connection(request)
        raise Compressed(f"Content-Encoding: got {show(encoding)}, expected none")


def linger(read: Callable[[int], bytes], most: int) -> None:
    """Read on for a moment, at most ``most`` bytes, and forget it: to close over bytes that were
    not read resets the connection, and may take the answer with it (nginx 1.22 then says 502)."""
    if not is_module_patched("socket"):
        return
    turn = Turn()
    with Timeout(_LINGER, False):
        while most > 0 and (piece := read(min(most, _PIECE))):
            most -= len(piece)
            turn.pause()


def refuse_body(request: Request) -> None:
    """Refuse a body where none belongs: read as the next request, it would be request smuggling.

    Raises:
        InvalidInput: there is one; the connection ends.
    """
    if request.content_length or "Transfer-Encoding" in request.headers:
        end_connection(request)
        raise InvalidInput("body", f"one with {request.method}", "none")


def end_connection(request: Request) -> None:
    """Make this the last request of its connection."""
    connection = request.environ.get(CONNECTION)
    if connection is not None:
        connection.close = True
