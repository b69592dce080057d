"""Reading settings out of the environment, or out of an app's config, which holds more than text.

What belongs here: one value of each kind, and what was expected where it does not fit. What does
not: which settings there are (``settings``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from string import whitespace
from urllib.parse import urlsplit

from .errors import SettingsError

NAMESPACE = re.compile(r"[A-Za-z0-9_.@|+~=-]{1,127}")


class Reader:
    """Reads values of one kind each and says what was expected."""

    def __init__(self, environ: Mapping[str, object]) -> None:
        self._environ = environ

    def text(self, name: str, default: str) -> str:
        value = self._environ.get(name)
        if isinstance(value, dict):
            value = json.dumps(value)
        elif isinstance(value, list | tuple | set | frozenset):
            value = ",".join(map(_as_text, value))
        return default if value is None else _as_text(value)

    def texts(self, name: str) -> list[str]:
        value = self._environ.get(name)
        return [_as_text(one) for one in value] if isinstance(value, list | tuple) else []

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
            if not NAMESPACE.fullmatch(part):
                raise SettingsError(name, part, "namespace names, comma-separated")
        return parts


def _as_text(value: object) -> str:
    if isinstance(value, bytes):  # a SECRET_KEY of random bytes must not lose any of them
        value = value.decode("latin-1")
    return str(value).strip(whitespace)


def is_http_url(url: str) -> bool:
    """Tell whether ``url`` says where to send a request, and holds no credentials."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and port != 0
        and "@" not in parts.netloc
        and not parts.fragment
        and re.fullmatch(r"[\x21-\x7e]+", url) is not None
    )
