"""The code blocks of docs/client.md, by the heading above them."""

from __future__ import annotations

import re

from .server import ROOT

_PARTS = re.compile(
    r"^## (?P<heading>[^\n]+)$|^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S
)

TEXT = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")


def _blocks() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    heading = ""
    for part in _PARTS.finditer(TEXT):
        if part["heading"]:
            heading = part["heading"]
        else:
            found.setdefault(heading, []).append((part["language"], part["code"]))
    return found


BLOCKS = _blocks()  # heading → (language, code) of each block under it


def blocks(heading: str, language: str) -> list[str]:
    """Return the code of the blocks in ``language`` under ``heading``."""
    return [code for found, code in BLOCKS[heading] if found == language]
