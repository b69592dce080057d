"""The head of a WebSocket's handshake, read as gunicorn reads it.

What belongs here: one plain head, and what it says. What does not: whose may be read here, and what
comes of it (``porter``).

Plain means: all of it and nothing else, no field twice, no body, and no character that any two
parsers could take for different things. Whatever is unusual is not read here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any

from .heads import PIECE

#: One field a line, in printable ASCII. gunicorn does not pass on names that have a "_".
_FIELDS = re.compile(rb"(?:\r\n[A-Za-z0-9-]+:[ -~]*)+\r\n\r\n")
_QUERY = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@/?%|-]*")
_HOST = re.compile(r"(?:[A-Za-z0-9-]{1,50}\.)*[A-Za-z0-9-]{1,50}(?::[0-9]{1,5})?")
#: What tells of a body, or has gunicorn do more than read.
_UNUSUAL = {
    "HTTP_CONTENT_LENGTH",
    "HTTP_CONTENT_TYPE",
    "HTTP_EXPECT",
    "HTTP_TE",
    "HTTP_TRAILER",
    "HTTP_TRANSFER_ENCODING",
}


class Knock:
    """Reads heads by a gunicorn's settings, of handshakes for one path."""

    def __init__(self, path: str, cfg: Any) -> None:
        self._path = path
        self._begin = f"GET {path}".encode()
        limits = cfg.limit_request_line, cfg.limit_request_fields, cfg.limit_request_field_size
        # 0: gunicorn has a high one, or none; then there is what is read at once
        self._line, self._fields, self._field = (n if n > 0 else PIECE for n in limits)
        secure = cfg.secure_scheme_headers.items()
        self._schemes = {_key(n): on for n, on in secure if n == n.upper().replace("_", "-")}
        allowed = cfg.forwarded_allow_ips
        self._everybody = "*" in allowed
        self._networks = [ip_network(network) for network in allowed if network != "*"]
        self._trusts = lru_cache(maxsize=1024)(self._is_trusted)

    def environ(self, data: bytes, peer: Any, server: Any) -> dict[str, Any] | None:
        """Return what gunicorn would make of ``data``, as far as we look at it; None: it is no such
        head. ``peer``, ``server``: the addresses of both ends; a text of a Unix socket."""
        if isinstance(peer, bytes):  # a Unix socket's abstract name, which may be no text
            return None
        line = data.find(b"\r\n")
        if not data.startswith(self._begin) or not _FIELDS.fullmatch(data, line):
            return None
        uri, version = data[4 : line - 9].decode("latin-1"), data[line - 9 : line]
        path, _, query = uri.partition("?")
        if version != b" HTTP/1.1" or path != self._path or not _QUERY.fullmatch(query):
            return None
        fields = data[line + 2 : -4].decode("ascii").split("\r\n")
        longest = max(map(len, fields)) + 2
        if line > self._line or len(fields) > self._fields or longest > self._field:
            return None
        environ: dict[str, Any] = {}
        for field in fields:
            name, _, value = field.partition(":")
            environ[_key(name)] = value.strip(" ")
        host = environ.get("HTTP_HOST", "")
        if len(environ) < len(fields) or not _UNUSUAL.isdisjoint(environ):
            return None
        if not _HOST.fullmatch(host) or not _asks_for_websocket(environ):
            return None
        scheme = self._scheme(environ, peer)
        if scheme is None:
            return None
        if isinstance(server, str):  # nothing but the client says where it was asked
            name, _, port = host.partition(":")
            server = name, port or ("443" if scheme == "https" else "80")
        if isinstance(peer, tuple):
            environ["REMOTE_PORT"] = str(peer[1])
        return environ | {
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "RAW_URI": uri,
            "REMOTE_ADDR": peer[0] if isinstance(peer, tuple) else peer,
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "SERVER_NAME": server[0],
            "SERVER_PORT": str(server[1]),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": scheme,
        }

    def _scheme(self, environ: dict[str, Any], peer: Any) -> str | None:
        """Return by which scheme the client asked; None: a proxy says both."""
        secure = {environ[key] == on for key, on in self._schemes.items() if key in environ}
        if not secure or not self._trusts(peer[0] if isinstance(peer, tuple) else None):
            return "http"
        if len(secure) > 1:
            return None
        return "https" if secure.pop() else "http"

    def _is_trusted(self, host: str | None) -> bool:
        """Tell whether gunicorn believes the peer at ``host``; None: a Unix socket's."""
        if host is None or self._everybody:
            return True
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


@lru_cache(maxsize=256)
def _key(name: str) -> str:
    return f"HTTP_{name.upper().replace('-', '_')}"


def _asks_for_websocket(environ: dict[str, Any]) -> bool:
    """Tell whether Werkzeug sees a handshake there."""
    if environ.get("HTTP_UPGRADE", "").lower() != "websocket":
        return False
    return "upgrade" in map(str.strip, environ.get("HTTP_CONNECTION", "").lower().split(","))
