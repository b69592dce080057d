"""The tables of docs/client.md name what push.js has, all of it and nothing else.

What belongs here: names, taken out of the syntax tree. What does not: what they do (``browser``).
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from .docs_client import TEXT
from .test_javascript_words import nodes, parse


@pytest.fixture(scope="module")
def client() -> list[Any]:
    """The syntax tree of push.js."""
    return parse("push.js")


def first_column(heading: str) -> set[str]:
    """Return what is named in the first column of the table under a heading."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.+?`) \|", section, re.M)
    return {name for cell in cells for name in re.findall(r"`([\w:]+)(?:\(.*?\))?`", cell)}


def test_options(client: list[Any]) -> None:
    """Each option that the client looks at is in the table, and no others."""
    options = {
        n.property.name
        for n in client
        if n.type == "MemberExpression"
        and (n.object.property or n.object).name == "options"  # options.NAME, link.options.NAME
    }
    assert first_column("Options") == options


def test_members(client: list[Any]) -> None:
    """So is what the object has that a page gets."""
    (made,) = (
        {p.key.name for p in n.init.properties}
        for n in client
        if n.type == "VariableDeclarator" and n.id.name == "push"
    )
    set_later = {
        n.left.property.name
        for n in client
        if n.type == "AssignmentExpression"
        and n.left.type == "MemberExpression"
        and n.left.object.name == "push"
        and n.right.type == "FunctionExpression"
    }
    states = {"CONNECTING", "OPEN", "CLOSING", "CLOSED"}
    assert first_column("Members") | states == made | set_later


def test_events(client: list[Any]) -> None:
    """So are the events that it emits."""
    emitted = set()
    for call in client:
        if call.type == "CallExpression" and call.callee.name == "emit":
            (name, *_) = (n for n in nodes(call.arguments[0]) if n.type == "Literal")
            emitted.add(name.value)
    table = {re.sub("NAME$", "", name) for name in first_column("Events")}
    assert table == emitted
