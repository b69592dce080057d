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
    reads: bool  # and changes nothing: asked twice at once, it may be run once


def _script(name: str, *parts: str, reads: bool = False) -> Script:
    folder = files(__package__) / "lua"
    text = "".join((folder / f"{part}.lua").read_text() for part in ("common", *parts, name))
    return Script(name, text, hashlib.sha1(text.encode()).hexdigest(), reads)


ADOPT = _script("adopt")
APPEND = _script("append", "known", "publish")
CANCEL = _script("cancel", "known")
CHANNELS = _script("channels", "known", reads=True)
CHECK = _script("check", "known")
CLAIM = _script("claim", "known")
CLEAR = _script("clear", "known")
CONNECTIONS = _script("connections", "known", reads=True)
FIRE = _script("fire", "known", "publish")
HISTORY = _script("history", "known", "rows", reads=True)
LEASES = _script("leases", "known", reads=True)
MEMBERS = _script("members", "known", reads=True)
ORDERS = _script("orders", "known")
READ = _script("read", "known", "rows", reads=True)
RENEW = _script("renew", "known", "release")
SWEEP = _script("sweep", "known", "publish", "tally")
SYNC = _script("sync", "known", "publish", "tally")
TELL = _script("tell", "known")
TICK = _script("tick", "known", "release")

ALL = tuple(value for value in globals().values() if isinstance(value, Script))
