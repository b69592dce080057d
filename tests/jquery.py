"""The jQuerys of four ages, from npm, once.

What belongs here: getting them. What does not: what they are tried with.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .npm import npm_file


def jquery_file(cache: pytest.Cache, version: str) -> Path:
    """Return the full build of this version, ``jquery-VERSION.js``, or with ``-slim`` that one."""
    path = cache.mkdir("jquery") / f"jquery-{version}.js"
    number, slim, _ = version.partition("-slim")
    return npm_file(path, "jquery", number, f"dist/jquery{'.slim' if slim else ''}.js")
