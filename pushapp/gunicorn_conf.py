"""gunicorn's settings, for pushapp's own server and for any Flask app with ``Push`` in it:

    gunicorn -c python:pushapp.gunicorn_conf app:app

What belongs here: what gunicorn reads, and the system feed's life beside the server's. What does
not: what a worker does (``worker``). On Heroku the defaults fit its router, which cuts 30 s of
silence, and its 30 s between SIGTERM and SIGKILL.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from errno import EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH, ETIMEDOUT
from typing import Any

from gunicorn.glogging import Logger

from .address import client_address
from .board import Board
from .errors import SettingsError
from .settings import FDS_RESERVED, Settings, load
from .tally import SIZE

_SPARE = 100  # connections over our own cap, so that "full" is an answer and not a silent wait
_FEED_END = 5.0  # seconds that the feed has to end

_BROKEN = "Invalid request from ip="  # how gunicorn's line on a request begins that is no HTTP

_SOCKET_ERROR = "Socket error processing request."  # gunicorn's line where it is no end
#: What a socket says whose peer has silently gone. One that was reset is an end to gunicorn, too.
_UNREACHABLE = (ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN)

_MEMORY = "/dev/shm"  # Linux's file system in memory

_SPARE_SLOTS = 32  # of workers that end while their successors live, or that a signal adds

_feed: subprocess.Popen[bytes] | None = None


def _number(name: str, default: int, at_most: int) -> int:
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or not 1 <= int(text) <= at_most:
        raise SettingsError(name, text, f"a whole number from 1 to {at_most}")
    return int(text)


def checked(*, embedded: bool) -> Settings:
    """Return the settings; a wrong or missing one stops the start with one line."""
    try:
        return load(os.environ, embedded=embedded)
    except SettingsError as error:
        sys.exit(f"pushapp: {error}")


# "embedded", because an app may set the rest, or other values, in its own configuration.
_settings = checked(embedded=True)
try:
    _port = _number("PORT", 8000, 65535)
    workers = _number("WEB_CONCURRENCY", min(os.cpu_count() or 1, 4), 1024)
except SettingsError as error:
    sys.exit(f"pushapp: {error}")

_host = os.environ.get("BIND", "").strip() or "0.0.0.0"  # every address: a container has one
bind = f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"

worker_class = "gevent"
worker_connections = _settings.max_connections + _SPARE  # requests and keep-alive; not the parked
keepalive = 65  # seconds; longer than a proxy in front keeps its own (nginx 60, AWS 60)
timeout = 30  # seconds after which a worker whose loop stands still is replaced
graceful_timeout = 20  # seconds; Heroku kills after 30
if os.access(_MEMORY, os.W_OK):
    worker_tmp_dir = _MEMORY  # it is touched each second, and a disk that is busy blocks on that
backlog = 4096  # a deploy brings all clients back at once
limit_request_line = 8190  # bytes; 100 channels in a URL are more than the default 4,094
accesslog = None  # -c may be followed by --access-logfile
preload_app = False  # nothing may be opened before the fork
forwarder_headers = ""  # no SCRIPT_NAME by a header: most proxies pass on a client's own
reuse_port = False  # an exiting worker would strand the connections in its queue
control_socket_disable = True  # several servers of one user would share its default path


class logger_class(Logger):  # type: ignore[misc]  # noqa: N801 (gunicorn's name for the setting)
    """gunicorn's own, without queries: they hold tickets, and tokens where a setting allows it. The
    address is the client's, and what is no printable ASCII is shown as such."""

    def atoms(self, *args: Any) -> dict[str, Any]:
        """Return what an access log's line may name."""
        found: dict[str, Any] = super().atoms(*args)
        method, _, rest = found["r"].partition(" ")
        uri, _, version = rest.rpartition(" ")
        found["r"] = f"{method} {uri.partition('?')[0]} {version}"
        found |= {"q": "-", "f": found["f"].partition("?")[0]}
        address = client_address(args[2], _settings.trusted_proxies)
        return {name: _plain(value) for name, value in (found | {"h": address or "-"}).items()}

    def exception(self, msg: Any, *args: Any, **options: Any) -> None:
        """Log what failed: where a middleware did, gunicorn names the request's URI. That somebody
        cannot be reached any more is no failure: where it was a stream, a line of ours says so."""
        error = sys.exc_info()[1]
        if msg == _SOCKET_ERROR and isinstance(error, OSError) and error.errno in _UNREACHABLE:
            self.debug("Ignoring %s", error)
            return
        shown = (arg.partition("?")[0] if isinstance(arg, str) else arg for arg in args)
        super().exception(msg, *shown, **options)

    def warning(self, msg: Any, *args: Any, **options: Any) -> None:
        """Log a warning; of a request that breaks HTTP what is wrong with it, without what came:
        gunicorn quotes whole lines of its head, with the tokens that are in them."""
        if isinstance(msg, str) and msg.startswith(_BROKEN):
            msg = re.split("['\"]", msg, maxsplit=1)[0].rstrip(": ")
        super().warning(msg, *args, **options)


def _plain(value: Any) -> Any:
    if not isinstance(value, str) or (value.isascii() and value.isprintable()):
        return value
    return ascii(value)[1:-1]


# Each parked client is a file descriptor: use what the hard limit allows. Workers inherit it.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
_wanted = worker_connections + FDS_RESERVED
if _soft != resource.RLIM_INFINITY and _soft < _wanted:
    _limit = _wanted if _hard == resource.RLIM_INFINITY else min(_wanted, _hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_limit, _hard))


# Of all workers that this master will ever have; each inherits it, and reports there.
_board = Board(2 * workers + _SPARE_SLOTS, SIZE)


# The hooks are imported within the workers alone: they come with Flask and gevent, and gunicorn's
# master must import nothing of that before its workers have patched.


def pre_fork(server: Any, worker: Any) -> None:
    """Give a new worker its place for the numbers of /metrics."""
    slot = _board.take()
    if slot is None:
        server.log.warning("more workers than /metrics has places for: one counts for itself")
    else:
        worker.pushapp_place = _board, slot


def child_exit(server: Any, worker: Any) -> None:
    """Let the next worker have the place of one that has ended."""
    place = getattr(worker, "pushapp_place", None)
    if place is not None:
        place[1].free()


def post_worker_init(worker: Any) -> None:
    """Check that the worker fits, and take its connections in hand."""
    from .worker import post_worker_init as hook

    hook(worker)


def pre_request(worker: Any, request: Any) -> None:
    """Note that a request is in progress."""
    from .worker import pre_request as hook

    hook(worker, request)


def post_request(worker: Any, request: Any, environ: Any, response: Any) -> None:
    """Note that it is no longer."""
    from .worker import post_request as hook

    hook(worker, request, environ, response)


def worker_exit(server: Any, worker: Any) -> None:
    """Wait for the drain."""
    from .worker import worker_exit as hook

    hook(server, worker)


def when_ready(server: Any) -> None:
    """Start the system feed beside the workers where the demo is on."""
    global _feed
    if not _settings.demo:
        return
    if not any(key.may_publish for key in _settings.api_keys):
        server.log.warning("no system feed: PUSH_API_KEYS has no key that may publish")
        return
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(_host, bind.rpartition(":")[0])
    url = f"http://{host}:{_port}{_settings.prefix}"
    command = [sys.executable, "-m", "pushapp.cli", "feed", "system", f"--parent={os.getpid()}"]
    _feed = subprocess.Popen(command, env={**os.environ, "PUSH_URL": url}, stdin=subprocess.DEVNULL)


def on_exit(server: Any) -> None:
    """End the system feed."""
    if _feed is None:
        return
    _feed.terminate()
    try:
        _feed.wait(_FEED_END)
    except subprocess.TimeoutExpired:
        _feed.kill()
        _feed.wait()
