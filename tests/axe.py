"""Axe-core, from npm, once: what a page does to those who cannot see it, or use no mouse.

What belongs here: running it. What does not: which pages are looked at.
"""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from .needs import missing, needs

_VERSION = "4.14.1"
_NPM_TIMEOUT = 60  # seconds
_RUN = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations.map(
  found => [found.impact, found.id, found.nodes.map(node => node.target.join(' '))])"""


def axe_file(cache: pytest.Cache) -> Path:
    """Return ``axe.min.js``."""
    path = cache.mkdir("axe") / f"axe-{_VERSION}.min.js"
    if not path.exists():
        command = [needs("npm"), "pack", "--silent", f"axe-core@{_VERSION}"]
        packed = subprocess.run(
            command, cwd=path.parent, capture_output=True, text=True, timeout=_NPM_TIMEOUT
        )
        if packed.returncode:
            missing(f"npm has no axe-core {_VERSION} for this machine: {packed.stderr[-200:]}")
        with tarfile.open(path.parent / packed.stdout.strip()) as archive:
            file = archive.extractfile("package/axe.min.js")
            assert file is not None
            path.write_bytes(file.read())
    return path


def findings(page: Page, axe: Path) -> list[Any]:
    """Return what axe finds wrong with ``page`` as it is now: impact, rule and elements of each."""
    page.evaluate(axe.read_text(encoding="utf-8"))  # past the page's policy, as a debugger is
    found: list[Any] = page.evaluate(_RUN)
    return found


def serious(page: Page, axe: Path) -> list[Any]:
    """Return the findings that keep somebody from using the page."""
    return [one for one in findings(page, axe) if one[0] in ("serious", "critical")]
