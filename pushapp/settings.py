"""What an operator can set, checked once at start.

What belongs here: one frozen dataclass, with each default, its unit and its reason on the same
line, and the one function that reads the environment. What does not: anything computed while
serving.
A new setting needs an operator who asked for it; everything else is a constant where it is used.
"""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from string import whitespace
from typing import NamedTuple
from urllib.parse import urlsplit

from .errors import SettingsError

_NAMESPACE = re.compile(r"[A-Za-z0-9_.@|+~=-]{1,127}")
_SCHEMES = (
    "sqlite",
    *(
        f"{kind}{by}"
        for kind in ("redis", "rediss", "valkey", "valkeys")
        for by in ("", "+sentinel")
    ),
)
_SECRET_LENGTH = 32  # characters; RFC 7518 section 3.2: an HS256 key has at least 256 bits
_MOST = 10**9  # messages, or seconds: about 30 years; a sanity bound
FDS_RESERVED = 200  # listener, log, wake sockets, files, connections being answered


class Retention(NamedTuple):
    """How much of a channel is kept."""

    size: int  # messages
    ttl: float  # seconds


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that publishes, looks, or both."""

    key: str
    may_publish: bool = True
    may_look: bool = True


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings; see the table in docs/protocol.md."""

    broker_url: str = "sqlite:///var/push.db"
    key_prefix: str = "push"  # of all keys on a Valkey or Redis server that apps share
    secret: str = ""  # signs connection ids (and tokens, when they come)
    api_keys: tuple[ApiKey, ...] = ()
    public_namespaces: frozenset[str] = frozenset({"public", "demo"})
    allowed_origins: frozenset[str] = frozenset()  # empty: same origin; "*": any
    history_size: int = 1000  # messages kept per channel
    history_ttl: float = 3600.0  # seconds they are kept
    namespaces: tuple[tuple[str, Retention], ...] = ()  # other figures for some namespaces
    max_message: int = 65536  # bytes of data as JSON
    max_connections: int = 16000  # per worker; less where the fd limit is lower
    buffer: int = 1 << 20  # unsent bytes per subscriber; beyond it, it is cut off as slow
    buffer_total: int = 256 << 20  # unsent bytes per worker
    heartbeat: float = 25.0  # seconds; proxies cut silence after 30 to 60 s
    park: bool = True  # off: waiting clients keep their greenlet
    demo: bool = False  # the demo page's publish form, and the system feed
    prefix: str = "/push"  # where everything lives

    def retention(self, channel: str) -> Retention:
        """Return how much of ``channel`` is kept."""
        namespace, colon, _ = channel.partition(":")
        if colon:
            for name, retention in self.namespaces:
                if name == namespace:
                    return retention
        return Retention(self.history_size, self.history_ttl)

    def is_public(self, channel: str) -> bool:
        """Tell whether anyone may read ``channel``. A name without ":" is never public."""
        namespace, colon, _ = channel.partition(":")
        return bool(colon) and namespace in self.public_namespaces


def load(environ: Mapping[str, object], *, embedded: bool = False) -> Settings:
    """Return the settings that ``environ`` holds (``os.environ``, or an app's config over it).

    ``embedded``: inside somebody's Flask app, which may publish from Python alone: no api keys are
    needed then, and its SECRET_KEY serves where PUSH_SECRET is missing.

    Raises:
        SettingsError: one is wrong or missing; its text is the one line to show.
    """
    read = _Reader(environ)
    buffer = read.number("PUSH_BUFFER", 1 << 20, at_least=4096)
    settings = Settings(
        broker_url=_broker_url(read),
        key_prefix=_key_prefix(read),
        secret=read.text("PUSH_SECRET", "") or (read.text("SECRET_KEY", "") if embedded else ""),
        api_keys=_api_keys(read),
        public_namespaces=frozenset(read.names("PUSH_PUBLIC_NAMESPACES", "public,demo")),
        allowed_origins=frozenset(_origins(read)),
        history_size=read.number("PUSH_HISTORY_SIZE", 1000, at_least=1),
        history_ttl=read.seconds("PUSH_HISTORY_TTL", 3600.0),
        namespaces=_namespaces(read),
        max_message=read.number("PUSH_MAX_MESSAGE", min(65536, buffer // 2), at_least=1),
        max_connections=_max_connections(read),
        buffer=buffer,
        buffer_total=read.number("PUSH_BUFFER_TOTAL", 256 << 20, at_least=buffer),
        heartbeat=read.seconds("PUSH_HEARTBEAT", 25.0),
        park=read.flag("PUSH_PARK", True),
        demo=read.flag("PUSH_DEMO", False),
        prefix=_prefix(read),
    )
    if "user" in settings.public_namespaces:
        raise SettingsError(
            "PUSH_PUBLIC_NAMESPACES", "user", "other names: user:ID is read by that user alone"
        )
    if settings.max_message > settings.buffer // 2:
        raise SettingsError(
            "PUSH_MAX_MESSAGE", settings.max_message, f"at most half of PUSH_BUFFER ({buffer})"
        )
    if not embedded:
        if not settings.api_keys:
            raise SettingsError("PUSH_API_KEYS", None, "one or more keys, comma-separated")
        if not settings.secret:
            raise SettingsError("PUSH_SECRET", None, f"{_SECRET_LENGTH} or more random characters")
    if settings.secret and not embedded and len(settings.secret) < _SECRET_LENGTH:
        raise SettingsError(
            "PUSH_SECRET", "*" * len(settings.secret), f"{_SECRET_LENGTH} or more characters"
        )
    return settings


class _Reader:
    """Reads values of one kind each and says what was expected."""

    def __init__(self, environ: Mapping[str, object]) -> None:
        self._environ = environ

    def text(self, name: str, default: str) -> str:
        value = self._environ.get(name)
        if isinstance(value, bytes):  # a SECRET_KEY of random bytes must not lose any of them
            value = value.decode("latin-1")
        elif isinstance(value, dict):  # app.config has more than text
            value = json.dumps(value)
        elif isinstance(value, list | tuple | set | frozenset):
            value = ",".join(map(str, value))
        return default if value is None else str(value).strip(whitespace)

    def number(self, name: str, default: int, *, at_least: int) -> int:
        text = self.text(name, "")
        if not text:
            return default
        if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < at_least:
            raise SettingsError(name, text, f"a whole number, at least {at_least}")
        return int(text)

    def seconds(self, name: str, default: float) -> float:
        text = self.text(name, "")
        if not text:
            return default
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or float(text) <= 0:
            raise SettingsError(name, text, "a number of seconds above 0")
        return float(text)

    def flag(self, name: str, default: bool) -> bool:
        text = self.text(name, "").lower()
        if text in ("1", "true", "yes", "on"):
            return True
        if text in ("0", "false", "no", "off"):
            return False
        if text:
            raise SettingsError(name, text, "1 or 0")
        return default

    def names(self, name: str, default: str) -> list[str]:
        parts = [p.strip() for p in self.text(name, default).split(",") if p.strip()]
        for part in parts:
            if not _NAMESPACE.fullmatch(part):
                raise SettingsError(name, part, "namespace names, comma-separated")
        return parts


def _broker_url(read: _Reader) -> str:
    name = "PUSH_BROKER_URL"
    url = read.text(name, "")
    if not url:
        redis = read.text("REDIS_URL", "")
        name, url = ("REDIS_URL", redis) if redis else (name, "sqlite:///var/push.db")
    scheme = urlsplit(url).scheme
    if scheme not in _SCHEMES:
        shown = re.sub("//[^/]*@", "//…@", url)  # no password in a log
        raise SettingsError(
            name, shown, "a URL such as sqlite:///var/push.db or redis://host:6379/0"
        )
    on_dyno = bool(read.text("DYNO", ""))
    if scheme == "sqlite" and on_dyno and not read.flag("PUSH_SINGLE_MACHINE", False):
        raise SettingsError(
            name,
            url,
            "redis:// where DYNO is set, because every dyno would have a log of its own"
            " (PUSH_SINGLE_MACHINE=1 says that there is only one)",
        )
    return url


def _api_keys(read: _Reader) -> tuple[ApiKey, ...]:
    keys = []
    for part in read.text("PUSH_API_KEYS", "").split(","):
        part = part.strip()
        if not part:
            continue
        kind, colon, key = part.partition(":")
        if not colon:
            kind, key = "", part
        if kind not in ("", "read", "publish") or not re.fullmatch(r"[\x21-\x2b\x2d-\x7e]+", key):
            raise SettingsError("PUSH_API_KEYS", "…", "KEY, read:KEY or publish:KEY, no spaces")
        keys.append(ApiKey(key, may_publish=kind != "read", may_look=kind != "publish"))
    if len({key.key for key in keys}) < len(keys):
        raise SettingsError("PUSH_API_KEYS", "…", "each key once, with one kind of rights")
    return tuple(keys)


def _origins(read: _Reader) -> list[str]:
    origins = [o.strip() for o in read.text("PUSH_ALLOWED_ORIGINS", "").split(",") if o.strip()]
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin):
            raise SettingsError("PUSH_ALLOWED_ORIGINS", origin, "https://host[:port], or *")
    return [o.lower() for o in origins]


def _namespaces(read: _Reader) -> tuple[tuple[str, Retention], ...]:
    name, text = "PUSH_NAMESPACES", read.text("PUSH_NAMESPACES", "")
    if not text:
        return ()
    expected = 'JSON such as {"orders":{"size":100,"ttl":60}}'
    try:
        table = json.loads(text)
    except ValueError:
        raise SettingsError(name, text, expected) from None
    if not isinstance(table, dict):
        raise SettingsError(name, text, expected)
    size, ttl = (
        read.number("PUSH_HISTORY_SIZE", 1000, at_least=1),
        read.seconds("PUSH_HISTORY_TTL", 3600.0),
    )
    found = []
    for namespace, figures in table.items():
        if not _NAMESPACE.fullmatch(namespace) or not isinstance(figures, dict):
            raise SettingsError(name, namespace, expected)
        if not set(figures) <= {"size", "ttl"}:
            raise SettingsError(name, sorted(figures), f"size and ttl alone, as in {expected}")
        own = Retention(figures.get("size", size), figures.get("ttl", ttl))
        if type(own.size) is not int or not 1 <= own.size < _MOST:
            raise SettingsError(name, own.size, "size: a whole number, at least 1")
        if type(own.ttl) not in (int, float) or not 0 < own.ttl < _MOST:
            raise SettingsError(name, own.ttl, "ttl: a number of seconds above 0")
        found.append((namespace, Retention(own.size, float(own.ttl))))
    return tuple(found)


def _max_connections(read: _Reader) -> int:
    wanted = read.number("PUSH_MAX_CONNECTIONS", 16000, at_least=1)
    fds = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return wanted if fds == resource.RLIM_INFINITY else min(wanted, max(1, fds - FDS_RESERVED))


def _key_prefix(read: _Reader) -> str:
    prefix = read.text("PUSH_KEY_PREFIX", "push")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", prefix):
        raise SettingsError("PUSH_KEY_PREFIX", prefix, "letters, digits, _ . and -, at most 64")
    return prefix


def _prefix(read: _Reader) -> str:
    prefix = read.text("PUSH_PREFIX", "/push")
    if not re.fullmatch(r"(/[A-Za-z0-9_.~-]+)+", prefix):
        raise SettingsError("PUSH_PREFIX", prefix, "a path such as /push")
    return prefix
