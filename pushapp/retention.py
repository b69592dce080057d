"""How much of a channel is kept: the figures that an operator can set by namespace.

What belongs here: the names and bounds of PUSH_NAMESPACES. What does not: whose figures a channel
has (``settings``), and dropping what is too much (``broker``).
"""

from __future__ import annotations

import json
from typing import NamedTuple

from .environ import NAMESPACE
from .errors import SettingsError

_NAME = "PUSH_NAMESPACES"
_MOST = 10**9  # messages, or seconds: about 30 years; a sanity bound


class Retention(NamedTuple):
    """How much of a channel is kept."""

    size: int  # messages
    ttl: float  # seconds


def parse(text: str, usual: Retention) -> tuple[tuple[str, Retention], ...]:
    """Return the namespaces that ``text``, a JSON object, names, each with its figures; ``usual``
    has those that it does not say.

    Raises:
        SettingsError: it does not fit.
    """
    if not text:
        return ()
    expected = 'JSON such as {"orders":{"size":100,"ttl":60}}'
    try:
        table = json.loads(text)
    except ValueError:
        raise SettingsError(_NAME, text, expected) from None
    if not isinstance(table, dict):
        raise SettingsError(_NAME, text, expected)
    found = []
    for namespace, figures in table.items():
        if not NAMESPACE.fullmatch(namespace) or not isinstance(figures, dict):
            raise SettingsError(_NAME, namespace, expected)
        if not set(figures) <= {"size", "ttl"}:
            raise SettingsError(_NAME, sorted(figures), f"size and ttl alone, as in {expected}")
        size, ttl = figures.get("size", usual.size), figures.get("ttl", usual.ttl)
        if type(size) is not int or not 1 <= size < _MOST:
            raise SettingsError(_NAME, size, "size: a whole number, at least 1")
        if type(ttl) not in (int, float) or not 0 < ttl < _MOST:
            raise SettingsError(_NAME, ttl, "ttl: a number of seconds above 0")
        found.append((namespace, Retention(size, float(ttl))))
    return tuple(found)
