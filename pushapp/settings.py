"""What an operator can set, checked once at start.

What belongs here: one frozen dataclass, with each default, its unit and its reason on the same
line, and the one function that reads the environment. What does not: anything computed while
serving.
A new setting needs an operator who asked for it; everything else is a constant where it is used.
"""

from __future__ import annotations

import re
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from . import retention
from .address import Proxies
from .environ import Reader, is_http_url
from .errors import SettingsError
from .quota import Quota
from .retention import Retention

_REDIS = ("redis", "rediss", "valkey", "valkeys")
_SCHEMES = ("sqlite", *_REDIS, *(f"{kind}+sentinel" for kind in _REDIS))
SECRET_LENGTH = 32  # characters; RFC 7518 section 3.2: an HS256 key has at least 256 bits
_ORIGIN = re.compile(r"(https?)://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
DEFAULT_PORTS = {"http": ":80", "https": ":443"}  # which browsers leave out of an origin
FDS_RESERVED = 200  # listener, log, wake sockets, files, connections being answered


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
    secret: str = ""  # signs tokens, tickets and connection ids
    old_secrets: tuple[str, ...] = ()  # sign nothing more, and are still believed
    public_key: str = ""  # PEM, or its path; tokens may be signed with its private half, too
    jwks: str = ""  # path or https URL of a JWK Set: the same, for several keys that change
    audience: str = ""  # what a token's aud has to name; empty: it must have none
    token_in_url: bool = False  # URLs end up in logs
    api_keys: tuple[ApiKey, ...] = ()
    public_namespaces: frozenset[str] = frozenset({"public", "demo"})
    allowed_origins: frozenset[str] = frozenset()  # empty: same origin; "*": any
    history_size: int = 1000  # messages kept per channel
    history_ttl: float = 3600.0  # seconds they are kept
    namespaces: tuple[tuple[str, Retention], ...] = ()  # other figures for some namespaces
    max_message: int = 65536  # bytes of data as JSON
    max_connections: int = 16000  # per worker; less where the fd limit is lower
    trusted_proxies: Proxies = Proxies()  # whose word counts on where a request comes from
    quota: Quota = Quota()  # what one client may use of a worker
    buffer: int = 1 << 20  # unsent bytes per subscriber; beyond it, it is cut off as slow
    buffer_total: int = 256 << 20  # unsent bytes per worker
    heartbeat: float = 25.0  # seconds; proxies cut silence after 30 to 60 s
    stream_life: float = 3600.0  # seconds; less or more by up to a quarter, then it comes back
    presence_grace: float = 15.0  # seconds; one who comes back within them has not left
    park: bool = True  # off: waiting clients keep their greenlet
    deflate: bool = False  # compress for WebSockets; each message costs CPU, once per worker
    webhook_url: str = ""  # who is told of connections and clients' publishes; empty: nobody
    webhook_secrets: tuple[str, ...] = ()  # that sign it; the receiver knows one of them
    demo: bool = False  # the lab's visitors may publish; the system feed
    prefix: str = "/push"  # where everything lives

    def retention(self, channel: str) -> Retention:
        """Return how much of ``channel`` is kept."""
        namespace, colon, _ = channel.partition(":")
        if colon:
            for name, retention in self.namespaces:
                if name == namespace:
                    return retention
        return Retention(self.history_size, self.history_ttl)

    def is_latest_only(self, channel: str) -> bool:
        """Tell whether nobody needs more of ``channel`` than its newest message."""
        return self.retention(channel).size == 1

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
    read, usual = Reader(environ), Settings()
    kept = Retention(
        read.number("PUSH_HISTORY_SIZE", usual.history_size, at_least=1),
        read.seconds("PUSH_HISTORY_TTL", usual.history_ttl),
    )
    buffer = read.number("PUSH_BUFFER", usual.buffer, at_least=4096)
    most = min(usual.max_message, buffer // 2)
    secret, *old_secrets = _secrets(read, embedded=embedded) or [""]
    settings = Settings(
        broker_url=_broker_url(read),
        key_prefix=_key_prefix(read),
        secret=secret,
        old_secrets=tuple(old_secrets),
        public_key=read.text("PUSH_PUBLIC_KEY", ""),
        jwks=read.text("PUSH_JWKS", ""),
        audience=read.text("PUSH_AUDIENCE", ""),
        token_in_url=read.flag("PUSH_TOKEN_IN_URL", usual.token_in_url),
        api_keys=_api_keys(read),
        public_namespaces=_public_namespaces(read),
        allowed_origins=frozenset(_origins(read)),
        history_size=kept.size,
        history_ttl=kept.ttl,
        namespaces=retention.parse(read.text("PUSH_NAMESPACES", ""), kept),
        max_message=read.number("PUSH_MAX_MESSAGE", most, at_least=1),
        max_connections=_max_connections(read),
        trusted_proxies=_trusted_proxies(read),
        quota=Quota.parse(read.text("PUSH_LIMITS", "")),
        buffer=buffer,
        buffer_total=read.number("PUSH_BUFFER_TOTAL", usual.buffer_total, at_least=buffer),
        heartbeat=read.seconds("PUSH_HEARTBEAT", usual.heartbeat),
        stream_life=read.seconds("PUSH_STREAM_LIFE", usual.stream_life),
        presence_grace=read.seconds("PUSH_PRESENCE_GRACE", usual.presence_grace),
        park=read.flag("PUSH_PARK", usual.park),
        deflate=read.flag("PUSH_DEFLATE", usual.deflate),
        webhook_url=_webhook_url(read),
        webhook_secrets=_webhook_secrets(read),
        demo=read.flag("PUSH_DEMO", usual.demo),
        prefix=_prefix(read),
    )
    if settings.max_message > buffer // 2:
        expected = f"at most half of PUSH_BUFFER ({buffer})"
        raise SettingsError("PUSH_MAX_MESSAGE", settings.max_message, expected)
    if not embedded:
        _check_alone(settings)
    return settings


def _check_alone(settings: Settings) -> None:
    """Check what a server needs that is in nobody's app."""
    if not settings.api_keys:
        raise SettingsError("PUSH_API_KEYS", None, "one or more keys, comma-separated")
    if not settings.secret:
        raise SettingsError("PUSH_SECRET", None, f"{SECRET_LENGTH} or more random characters")
    expected = f"{SECRET_LENGTH} or more characters (of each, where there are several)"
    _check_length("PUSH_SECRET", (settings.secret, *settings.old_secrets), expected)


def _check_length(name: str, secrets: tuple[str, ...], expected: str) -> None:
    for one in secrets:
        if len(one) < SECRET_LENGTH:
            raise SettingsError(name, "*" * len(one), expected)


def _public_namespaces(read: Reader) -> frozenset[str]:
    name = "PUSH_PUBLIC_NAMESPACES"
    names = frozenset(read.names(name, ",".join(Settings().public_namespaces)))
    if "user" in names:
        expected = "other names: user:ID is read by that user alone"
        raise SettingsError(name, "user", expected)
    return names


def _trusted_proxies(read: Reader) -> Proxies:
    # Heroku: nobody but its router reaches a dyno
    return Proxies.parse(read.text("PUSH_TRUSTED_PROXIES", "1" if read.text("DYNO", "") else ""))


def _secrets(read: Reader, *, embedded: bool) -> list[str]:
    """Return the one that signs, and those before it."""
    found = [one.strip() for one in read.text("PUSH_SECRET", "").split(",")]
    if embedded and not any(found):  # Flask's own, and Flask's own way to change it
        found = [read.text("SECRET_KEY", ""), *read.texts("SECRET_KEY_FALLBACKS")]
    return [one for one in found if one]


def _webhook_url(read: Reader) -> str:
    url = read.text("PUSH_WEBHOOK_URL", "")
    if url and not is_http_url(url):
        shown = re.sub("//[^/]*@", "//…@", url)
        expected = "https://host/path; no user, no password: it is signed"
        raise SettingsError("PUSH_WEBHOOK_URL", shown, expected)
    return url


def _webhook_secrets(read: Reader) -> tuple[str, ...]:
    """Return the one that signs, and those before it. Its own, because the receiver knows it."""
    name = "PUSH_WEBHOOK_SECRET"
    found = tuple(one.strip() for one in read.text(name, "").split(",") if one.strip())
    expected = f"{SECRET_LENGTH} or more random characters"
    if read.text("PUSH_WEBHOOK_URL", "") and not found:
        raise SettingsError(name, None, f"{expected}, as there is a PUSH_WEBHOOK_URL")
    _check_length(name, found, expected)
    return found


def _broker_url(read: Reader) -> str:
    name = "PUSH_BROKER_URL"
    url = read.text(name, "")
    if not url:
        redis = read.text("REDIS_URL", "")
        name, url = ("REDIS_URL", redis) if redis else (name, Settings().broker_url)
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


def _api_keys(read: Reader) -> tuple[ApiKey, ...]:
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


def _origins(read: Reader) -> list[str]:
    """Return them as browsers send them: in lower case, without the port that goes unsaid."""
    name, origins = "PUSH_ALLOWED_ORIGINS", list[str]()
    for one in filter(None, map(str.strip, read.text("PUSH_ALLOWED_ORIGINS", "").split(","))):
        match = _ORIGIN.fullmatch(one.lower())
        if one != "*" and match is None:  # one that no page has would let in nobody, in silence
            expected = "https://host[:port] with the whole name, as a browser sends it, or *"
            raise SettingsError(name, one, expected)
        origins.append(match[0].removesuffix(DEFAULT_PORTS[match[1]]) if match else one)
    return origins


def _max_connections(read: Reader) -> int:
    wanted = read.number("PUSH_MAX_CONNECTIONS", Settings().max_connections, at_least=1)
    fds = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return wanted if fds == resource.RLIM_INFINITY else min(wanted, max(1, fds - FDS_RESERVED))


def _key_prefix(read: Reader) -> str:
    prefix = read.text("PUSH_KEY_PREFIX", Settings().key_prefix)
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", prefix):
        raise SettingsError("PUSH_KEY_PREFIX", prefix, "letters, digits, _ . and -, at most 64")
    return prefix


def _prefix(read: Reader) -> str:
    prefix = read.text("PUSH_PREFIX", Settings().prefix)
    if not re.fullmatch(r"(/[A-Za-z0-9_.~-]+)+", prefix):
        raise SettingsError("PUSH_PREFIX", prefix, "a path such as /push")
    return prefix
