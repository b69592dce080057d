"""The server-side scripts: each does one step of the log atomically.

What belongs here: putting their text together. What does not: what they are called with.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """A script, and the name that the server knows it by once it has been loaded."""

    name: str
    text: str
    sha: str


def _script(name: str, *parts: str) -> Script:
    folder = files(__package__) / "lua"
    text = "".join((folder / f"{part}.lua").read_text() for part in ("common", *parts, name))
    return Script(name, text, hashlib.sha1(text.encode()).hexdigest())


ADOPT = _script("adopt")
APPEND = _script("append", "known", "publish")
CANCEL = _script("cancel", "known")
CHANNELS = _script("channels", "known")
CHECK = _script("check", "known")
CLAIM = _script("claim", "known")
CLEAR = _script("clear", "known")
FIRE = _script("fire", "known", "publish")
HISTORY = _script("history", "known", "rows")
LEASES = _script("leases", "known")
ORDERS = _script("orders", "known")
READ = _script("read", "known", "rows")
RENEW = _script("renew", "known", "release")
TELL = _script("tell", "known")
TICK = _script("tick", "known", "release")

ALL = tuple(value for value in globals().values() if isinstance(value, Script))
