"""Which pages may ask: our own, and those that the settings name.

What belongs here: whether a request comes from a foreign page. What does not: whose request it is
(``credentials``), CORS headers (``extension``).
"""

from __future__ import annotations

from urllib.parse import urlsplit

import flask

from .errors import NotAllowed, show
from .settings import DEFAULT_PORTS, Settings


def check_origin(request: flask.Request, settings: Settings) -> None:
    """Return when the request does not come from a foreign page.

    Raises:
        NotAllowed: it does, and that page's origin is not among the allowed ones.
    """
    if "*" not in settings.allowed_origins and not is_trusted(request, settings):
        origin, site = map(request.environ.get, ("HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE"))
        came = (
            f"Sec-Fetch-Site: got {show(site)}" if origin is None else f"Origin: got {show(origin)}"
        )
        raise NotAllowed(f"{came}, expected our own page, or one that PUSH_ALLOWED_ORIGINS names")


def is_allowed_origin(origin: str | None, settings: Settings) -> bool:
    """Tell whether the settings name ``origin``. ``null``, which many pages share, needs "*"."""
    allowed = settings.allowed_origins
    return "*" in allowed or (origin is not None and origin.lower() in allowed)


def is_trusted(request: flask.Request, settings: Settings) -> bool:
    """Tell whether the page that asks is ours, or one that the settings name: "*" names none."""
    origin = request.environ.get("HTTP_ORIGIN")
    if origin is not None and origin.lower() in settings.allowed_origins:
        return True
    site = request.environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:  # a page cannot forge it; old browsers and plain http have none
        return site in ("same-origin", "none")
    return origin is None or _is_host(origin, *_asked_at(request, settings))


def _asked_at(request: flask.Request, settings: Settings) -> tuple[str, bool]:
    """Return the host[:port] that the client asked, and whether that is known to be by https. A
    proxy of ours may have asked us at another one; what it says is the last of a list."""
    host, scheme = request.host, request.scheme
    if settings.trusted_proxies.trusts_peer(request.environ):
        host = request.headers.get("X-Forwarded-Host", host).rpartition(",")[2].strip()
        scheme = request.headers.get("X-Forwarded-Proto", scheme).rpartition(",")[2].strip()
    return host, scheme.lower() in ("https", "wss")


def _is_host(origin: str, host: str, secure: bool) -> bool:
    """Tell whether ``origin`` has this host[:port]; ``null`` and garbage have none. Where the
    client asked by https, a page that came without is a foreign one."""
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return False
    if secure and parts.scheme != "https":
        return False
    port = DEFAULT_PORTS.get(parts.scheme, "")
    return parts.netloc.removesuffix(port) == host.lower().removesuffix(port) != ""
