"""The jQuerys of four ages: full builds, from npm, once.

What belongs here: getting them. What does not: what they are tried with.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .npm import npm_file


def jquery_file(cache: pytest.Cache, version: str) -> Path:
    """Return the full build of this version, ``jquery-VERSION.js``."""
    path = cache.mkdir("jquery") / f"jquery-{version}.js"
    return npm_file(path, "jquery", version, "dist/jquery.js")
