"""Axe-core, from npm, once: what a page does to those who cannot see it, or use no mouse.

What belongs here: running it. What does not: which pages are looked at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from .npm import npm_file

_VERSION = "4.14.1"
_RUN = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations.map(
  found => [found.impact, found.id, found.nodes.map(node => node.target.join(' '))])"""


def axe_file(cache: pytest.Cache) -> Path:
    """Return ``axe.min.js``."""
    path = cache.mkdir("axe") / f"axe-{_VERSION}.min.js"
    return npm_file(path, "axe-core", _VERSION, "axe.min.js")


def findings(page: Page, axe: Path) -> list[Any]:
    """Return what axe finds wrong with ``page`` as it is now: impact, rule and elements of each."""
    page.evaluate(axe.read_text(encoding="utf-8"))  # past the page's policy, as a debugger is
    found: list[Any] = page.evaluate(_RUN)
    return found


def serious(page: Page, axe: Path) -> list[Any]:
    """Return the findings that keep somebody from using the page."""
    return [one for one in findings(page, axe) if one[0] in ("serious", "critical")]
