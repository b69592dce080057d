"""The server that the log is on: connections to it, and what every command to it carries.

What belongs here: reaching it, by whatever kind of URL; making sure on every new connection that no
id is given out twice. What does not: sharing a connection (``line``), what is asked (``log``).
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from redis.exceptions import (
    ClusterError,
    MasterDownError,
    MovedError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.sentinel import Sentinel, SentinelConnectionPool

from ...errors import LogUnavailable, SettingsError
from ...message import Cursor
from ..names import random_name
from .scripts import ADOPT, ALL, Script

PATIENCE = 5.0  # seconds that an answer is waited for
_CONNECT = 2.0  # seconds
JUMP = 1_000_000_000  # ids; more than a failover can have taken with it
FORMAT = 1  # of the keys: lua/common.lua has them; another one is left alone

log = logging.getLogger(__name__)

# What redis-py raises, and what its sockets do: all of it means that the log did not answer.
TROUBLE = (RedisError, OSError)


class Server:
    """Where the log is, and what this process knows of it. ``clock`` (Unix seconds) is for tests:
    the server's own counts otherwise, the same for all machines."""

    def __init__(self, url: str, prefix: str, clock: Callable[[], float] | None) -> None:
        self._pool, db = _pool(url, prefix)
        self.clock = clock
        self.meta = f"{{{prefix}}}:meta"
        self.wakes = f"{{{prefix}}}/{db}:"  # pub/sub knows no databases: their number keeps apart
        self.seen = Cursor("", 0)  # the highest head that this process knows of
        self._ended: set[str] = set()  # epochs that it has seen the end of

    def connect(self) -> Any:
        """Return a new connection whose server is fit for use.

        Raises:
            RedisError, OSError: there is none.
        """
        connection = self._pool.make_connection()
        try:
            connection.connect()
            for script in ALL:
                connection.send_command("SCRIPT", "LOAD", script.text)
            for _ in ALL:
                connection.read_response()
            self.adopt(connection)
        except BaseException:
            connection.disconnect()
            raise
        return connection

    def adopt(self, connection: Any) -> None:
        """Have the log checked against what this process has seen; see adopt.lua."""
        connection.send_command(*self.command(ADOPT, (random_name(10), JUMP, FORMAT)))
        epoch, n, *_ = connection.read_response()
        self.saw(epoch, int(n))

    def command(self, script: Script, args: Sequence[object]) -> tuple[object, ...]:
        """Return the command that runs ``script``; to be made just before it is sent."""
        now = "" if self.clock is None else repr(self.clock())
        epoch, n = self.seen
        return ("EVALSHA", script.sha, 1, self.meta, now, epoch, n, self.wakes, *args)

    def saw(self, epoch: str, n: int) -> None:
        """Remember the head that an answer or a wake-up told of."""
        seen = self.seen
        if epoch == seen.epoch:
            self.seen = Cursor(epoch, max(n, seen.n))
        elif epoch not in self._ended:  # else it was on its way for long
            if seen.epoch:
                self._ended.add(seen.epoch)
                log.error(
                    "the log is not what it was: epoch %s ended, %s begins", seen.epoch, epoch
                )
            self.seen = Cursor(epoch, n)

    def close(self) -> None:
        self._pool.disconnect()


def unavailable(error: Exception) -> LogUnavailable:
    """Say what went wrong between us and the server."""
    text = str(error) or type(error).__name__
    if isinstance(error, OutOfMemoryError) or "OOM" in text:
        text = f"the server is out of memory: {text}"
    if isinstance(error, ClusterError | MovedError):
        text = f"a cluster's node that does not have the log: {text}"
    return LogUnavailable(f"Valkey/Redis: {text}")


def is_gone(error: ResponseError) -> bool:
    """Tell whether what answers is no longer the server that the connection was made to."""
    # redis-py takes the code off; Redis 6 leaves it in the middle of a script's error
    return isinstance(error, ReadOnlyError | MasterDownError) or "READONLY" in str(error)


class Names:
    """Names that nobody else ever makes, quickly: a random one for the process, and a number."""

    def __init__(self) -> None:
        self._own, self._count = random_name(16), itertools.count()

    def next(self) -> str:
        return f"{self._own}.{next(self._count)}"


def _pool(url: str, prefix: str) -> tuple[Any, str]:
    options: dict[str, Any] = {
        "client_name": f"pushapp:{prefix}",
        "decode_responses": True,
        "socket_timeout": PATIENCE,
        "socket_connect_timeout": _CONNECT,
        "socket_keepalive": True,
        "protocol": 2,
        "driver_info": None,  # one round trip less for a new connection
        "max_connections": 2**31,  # the pool counts all that it ever made, not those that live
        "retry": None,  # no retries by the library: ours know which append they repeat
    }
    parts = urlsplit(url)
    try:
        if parts.scheme.endswith("+sentinel"):
            return _sentinel_pool(url, options)
        own = url.replace("valkey", "redis", 1) if parts.scheme.startswith("valkey") else url
        pool = redis.ConnectionPool.from_url(own, **options)
        pool.make_connection()  # connects to nothing yet, but looks at its options
    except (ValueError, TypeError, RedisError) as error:
        raise _wrong(url, str(error)) from None
    return pool, str(pool.connection_kwargs.get("db") or 0)


def _sentinel_pool(url: str, options: dict[str, Any]) -> tuple[Any, str]:
    """``redis+sentinel://[user:password@]host[:26379][,host…]/SERVICE[/DB][?sentinel_password=…]``;
    ``rediss+sentinel`` speaks TLS with the servers."""
    parts = urlsplit(url)
    account, _, hosts = parts.netloc.rpartition("@")
    service, _, db = parts.path.strip("/").partition("/")
    query = dict(parse_qsl(parts.query))
    sentinel_options = {
        name.removeprefix("sentinel_"): query.pop(name)
        for name in ("sentinel_username", "sentinel_password")
        if name in query
    }
    if not service or not hosts or (db and not db.isdigit()) or query:
        raise _wrong(url, "redis+sentinel://[user:password@]host:26379,host:26379/SERVICE[/DB]")
    places = []
    for host in hosts.split(","):
        name, _, port = host.partition(":")
        places.append((name, int(port or 26379)))
    user, colon, password = account.partition(":")
    if not colon:
        user, password = "", account
    sentinel: Any = Sentinel(  # type: ignore[no-untyped-call]
        places,
        sentinel_kwargs={
            "socket_timeout": _CONNECT,
            "socket_connect_timeout": _CONNECT,
            **sentinel_options,
        },
    )
    pool: Any = SentinelConnectionPool(  # type: ignore[no-untyped-call]
        service,
        sentinel,
        ssl=parts.scheme.startswith(("rediss", "valkeys")),
        db=int(db or 0),
        username=unquote(user) or None,
        password=unquote(password) or None,
        **options,
    )
    return pool, db or "0"


def _wrong(url: str, expected: str) -> SettingsError:
    parts = urlsplit(url)
    shown = url.replace(f"{parts.netloc.rpartition('@')[0]}@", "…@") if "@" in url else url
    return SettingsError("PUSH_BROKER_URL", shown, expected)
