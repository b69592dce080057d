"""A server on this machine, for trying things out: its keys, where it is, and its start.

What belongs here: what ``pushapp run`` makes and keeps in var/, and who else finds it there. What
does not: how gunicorn is set up (``gunicorn_conf``).
"""

from __future__ import annotations

import os
import secrets
import shlex
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from .errors import PushError, SettingsError
from .settings import Settings, load

_KEPT = {"PUSH_API_KEYS": "api-key", "PUSH_SECRET": "secret"}  # setting → its file in var/
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class CannotRun(PushError):
    """The server cannot be started here."""


def url(environ: Mapping[str, str]) -> str:
    """Return where the server is, by PUSH_URL or on this machine."""
    prefix = environ.get("PUSH_PREFIX", "").strip()
    return environ.get("PUSH_URL") or f"http://127.0.0.1:{environ.get('PORT') or 8000}{prefix}"


def api_key(environ: Mapping[str, str], at: str) -> str | None:
    """Return the key to use for the server ``at``: the environment's first that publishes, else
    the kept one, which no other machine gets to see."""
    keys = [k.strip() for k in environ.get("PUSH_API_KEYS", "").split(",") if k.strip()]
    keys.sort(key=lambda key: key.startswith("read:"))
    if keys:
        return keys[0].removeprefix("publish:").removeprefix("read:")
    return _kept("PUSH_API_KEYS") if urlsplit(at).hostname in _LOOPBACK else None


def with_kept_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` with what ``run`` keeps in var/, where it says nothing itself."""
    kept = {name: value for name in _KEPT if (value := _kept(name))}
    return kept | {name: value for name, value in environ.items() if value}


def run() -> None:
    """Become gunicorn with the demo on.

    Raises:
        CannotRun: something is in the way.
        SettingsError: a setting is wrong.
    """
    for name in _KEPT:
        if not os.environ.get(name):
            _keep(name)
    environ = {"BIND": "127.0.0.1", "PORT": "8000", "PUSH_DEMO": "1", **with_kept_keys(os.environ)}
    settings = load(environ)
    host, port = environ["BIND"], environ["PORT"]
    if not environ.get("WEB_CONCURRENCY", "1").isdecimal():  # gunicorn itself ends in a traceback
        raise SettingsError("WEB_CONCURRENCY", environ["WEB_CONCURRENCY"], "a whole number")
    _check_free(host, port)
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    at = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"
    key, where = _shown_key()
    pages = f"The page:     {at}/\nThe console:  {at}{settings.prefix}/console (its key: {where})"
    print(f"\n{pages}\n\nFrom a shell:\n\n{_curl(at, settings, key)}\n", flush=True)
    gunicorn = [sys.executable, "-m", "gunicorn", "-c", "python:pushapp.gunicorn_conf"]
    os.execve(sys.executable, [*gunicorn, "pushapp.wsgi:app"], environ)


def _shown_key() -> tuple[str, str]:
    # What is printed may end in a log: a key that the operator has chosen stays out of it.
    made = None if os.environ.get("PUSH_API_KEYS") else _kept("PUSH_API_KEYS")
    return (made, "the one below, kept in var/api-key") if made else ("KEY", "one of PUSH_API_KEYS")


def _curl(at: str, settings: Settings, key: str) -> str:
    headers = [f"Authorization: Bearer {key}", "Content-Type: application/json"]
    body = '{"channel":"demo:chat","data":{"text":"hello"}}'
    parts = ["curl", f"{at}{settings.prefix}/publish", "-H", headers[0], "-H", headers[1]]
    return "  " + shlex.join([*parts, "-d", body])


def _check_free(host: str, port: str) -> None:
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise SettingsError("PORT", port, "a whole number from 1 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            change = "another one: PORT=8001" if host in _LOOPBACK else "another BIND or PORT"
            reason = f"{host} port {port} cannot be used ({error.strerror}); take {change}"
            raise CannotRun(reason) from None


def _kept(name: str) -> str | None:
    path = Path("var", _KEPT[name])
    try:
        return path.read_text("ascii").strip() or None
    except (OSError, ValueError):  # nothing kept, or not for us: the same as none
        return None


def _keep(name: str) -> None:
    path = Path("var", _KEPT[name])
    try:
        path.parent.mkdir(exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if _kept(name) is None:
            raise CannotRun(f"{path} is there and cannot be read; remove it") from None
        return
    except OSError as error:
        raise CannotRun(f"{path}: {error.strerror}; it keeps {name}") from None
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
