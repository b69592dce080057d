"""Opening the log, by its URL.

What belongs here: picking the implementation, once. What does not: anything that an implementation
does; its module is imported only when it is the chosen one.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl, unquote, urlsplit

from ..errors import SettingsError
from ..retention import Retention
from .interface import Broker

_NAME = "PUSH_BROKER_URL"


def open_broker(url: str, retention: Callable[[str], Retention], *, prefix: str = "push") -> Broker:
    """Return a broker on the log at ``url``; ``retention`` tells how much of a channel is kept,
    ``prefix`` keeps apps that share a Valkey or Redis server apart.

    It belongs to the process that calls this. A log that does not answer raises nothing here: each
    use tries again and says so itself.

    Raises:
        SettingsError: ``url`` names no log that this version can open.
    """
    parts = urlsplit(url)
    if parts.scheme.removesuffix("+sentinel") in ("redis", "rediss", "valkey", "valkeys"):
        try:
            from .redis import RedisBroker
        except ModuleNotFoundError as error:
            if error.name != "redis":
                raise
            raise SettingsError(
                _NAME, f"{parts.scheme}://…", "the package redis beside it: pip install redis"
            ) from None
        return RedisBroker(url, retention, prefix=prefix)
    path = unquote(parts.path[1:])  # sqlite:///relative, sqlite:////absolute
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    synchronous = options.pop("synchronous", "normal")
    if (
        parts.scheme != "sqlite"
        or parts.netloc
        or path in ("", "/", ":memory:")
        or path.endswith("/")
        or options
        or synchronous not in ("normal", "full")
    ):
        raise SettingsError(
            _NAME, url, "sqlite:///relative/path.db or sqlite:////path.db, ?synchronous=full or not"
        )
    from .sqlite import SqliteBroker

    return SqliteBroker(path, retention, synchronous=synchronous)
