"""How a command reaches a server, and how it fails.

What belongs here: where the server and its key are found, exit codes, one line instead of a
traceback. What does not: the commands (``cli``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from . import local
from .client import Client
from .errors import PushError, RequestFailed

_INTERRUPTED = 130  # what a shell reports for Ctrl-C
#: By status; None is no answer at all.
_HINTS = {
    None: "; which server? --url or PUSH_URL",
    401: "; which key? --api-key or PUSH_API_KEYS",
}


def reaches(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which server."""
    key = click.option("--api-key", help="PUSH_API_KEYS says the same out of sight of ps.")
    return click.option("--url", help="Where the server is; PUSH_URL says the same.")(key(command))


def client_at(url: str | None, api_key: str | None, timeout: float = 10.0) -> Client:
    """Return a client of the server at ``url``, or where the environment says."""
    at = url or local.url(os.environ)
    try:
        return Client(at, api_key or local.api_key(os.environ, at), timeout)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


@contextmanager
def one_line() -> Iterator[None]:
    """End with one line instead of a traceback."""
    try:
        yield
    except RequestFailed as error:
        hint = _HINTS.get(error.status, "")
        raise click.ClickException(f"{error}{hint}") from None
    except PushError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
