"""``static/push.js`` is ES5 and speaks the words of the wire contract, all it needs and no others.

The words are taken out of the syntax tree, so that a comment proves nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import esprima
import pytest

ROOT = Path(__file__).resolve().parent.parent
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
PAGES = sorted(path.name for path in (ROOT / "static").glob("lab*.js"))

#: Words of the whole contract that the client knows, whatever the server at hand has of it.
AHEAD = frozenset({"ticket", "refresh", "ping"})

#: What the syntax trees of ECMAScript 5.1 are made of (the ESTree specification, es5.md).
ES5 = frozenset(
    """
    Program ExpressionStatement BlockStatement EmptyStatement DebuggerStatement WithStatement
    ReturnStatement LabeledStatement BreakStatement ContinueStatement IfStatement SwitchStatement
    SwitchCase ThrowStatement TryStatement CatchClause WhileStatement DoWhileStatement ForStatement
    ForInStatement FunctionDeclaration VariableDeclaration VariableDeclarator ThisExpression
    ArrayExpression ObjectExpression Property FunctionExpression UnaryExpression UpdateExpression
    BinaryExpression AssignmentExpression LogicalExpression MemberExpression ConditionalExpression
    CallExpression NewExpression SequenceExpression Identifier Literal Directive
    """.split()
)


def nodes(tree: Any) -> Iterator[Any]:
    """Return every node of a syntax tree."""
    if isinstance(tree, list):
        for item in tree:
            yield from nodes(item)
    elif isinstance(tree, esprima.nodes.Node):
        yield tree
        for name, value in tree.items():
            if name != "loc":
                yield from nodes(value)


def parse(name: str) -> list[Any]:
    text = (ROOT / "static" / name).read_text(encoding="utf-8")
    return list(nodes(esprima.parseScript(text, {"loc": True})))


def newer_than_es5(tree: list[Any]) -> list[str]:
    """Return what is in a tree that a browser of 2011 could not read."""
    found = []
    for node in tree:
        newer = node.type not in ES5
        if node.type == "VariableDeclaration":
            newer = node.kind != "var"
        elif node.type == "Property":
            newer = node.shorthand or node.method or node.computed
        elif node.type.startswith("Function"):
            newer = (
                node.generator or node.isAsync or any(p.type != "Identifier" for p in node.params)
            )
        if newer:
            found.append(f"line {node.loc.start.line}: {node.type}")
    return found


@pytest.fixture(scope="module")
def client() -> list[Any]:
    """The syntax tree of push.js."""
    return parse("push.js")


def literals(tree: list[Any]) -> set[str]:
    return {n.value for n in tree if n.type == "Literal" and isinstance(n.value, str)}


def members(tree: list[Any], *objects: str) -> set[str]:
    """Return the names that are read or set as ``object.name``."""
    return {
        n.property.name
        for n in tree
        if n.type == "MemberExpression" and not n.computed and n.object.name in objects
    }


def section(start: str, end: str) -> str:
    """Return what the contract says between two phrases."""
    text = PROTOCOL[PROTOCOL.index(start) :]
    return text[: text.index(end, len(start))]


def quoted(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", text))


def test_the_client_is_es5(client: list[Any]) -> None:
    """Old browsers can read the client, without a build step."""
    assert not newer_than_es5(client)


@pytest.mark.parametrize("name", PAGES)
def test_scripts_of_the_lab_are_es2017(name: str) -> None:
    """What the lab runs needs no build step, either."""
    assert parse(name)


@pytest.mark.parametrize(
    "newer",
    ["let a", "a => a", "`a`", "f({a})", "f(...a)", "class A {}", "for (var a of b) f(a)"],
)
def test_newer_syntax_is_found(newer: str) -> None:
    """The check of the test above can fail."""
    assert newer_than_es5(list(nodes(esprima.parseScript(newer, {"loc": True}))))


def test_paths_are_routes(client: list[Any], app: Any) -> None:
    """The client asks for the four transports, tickets and publishing where the server has them."""
    asked = {text for text in literals(client) if re.fullmatch(r"/[a-z]+", text)} - {"/push"}
    assert asked == {"/ws", "/sse", "/longpoll", "/poll", "/publish", "/ticket"}
    routes = {rule.rule for rule in app.url_map.iter_rules()}
    assert {f"/push{path}" for path in asked} - {"/push/ticket"} <= routes


def test_sse_events_are_the_named_ones(client: list[Any]) -> None:
    """An EventSource is told of each named event, else it would drop it in silence."""
    (listened,) = (
        {item.value for item in n.init.elements}
        for n in client
        if n.type == "VariableDeclarator" and n.id.name == "SSE_EVENTS"
    )
    named = section("- **SSE**: messages are unnamed", "named ones")
    assert listened == quoted(named) - {"onmessage"}


def test_frame_types_are_those_of_the_contract_and_of_the_server(client: list[Any]) -> None:
    """Each type of frame that the server sends has its case, and there are no others."""
    handled = {n.test.value for n in client if n.type == "SwitchCase" and n.test.type == "Literal"}
    contract = section("one without `type` is a message; the others:", "From the client")
    assert handled == quoted(contract) - {"type"}
    assert handled >= sent_by_server()


def sent_by_server() -> set[str]:
    """Return the types that the server's own code sends: the literals in ``named("type", …)``."""
    found = set()
    for path in (ROOT / "pushapp" / "transports").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr == "named" and isinstance(node.args[0], ast.Constant):
                    found.add(str(node.args[0].value))
    assert {"welcome", "live"} <= found  # else it looks in the wrong place
    return found


def test_ops_are_those_of_the_contract(client: list[Any]) -> None:
    """What the client says on a WebSocket is something that the server knows."""
    said = {n.value.value for n in client if n.type == "Property" and n.key.name == "op"}
    assert said == {"subscribe", "unsubscribe", "publish", "refresh", "ping"}
    assert said <= set(re.findall(r'\{"op":"(\w+)"', PROTOCOL)) | AHEAD


def test_parameters_are_those_of_the_contract(client: list[Any]) -> None:
    """The client asks with the parameters that all four transports share, and `timeout`."""
    (returned,) = (
        {p.key.name for p in nodes(n.body) if p.type == "Property"}
        for n in client
        if n.type == "FunctionDeclaration" and n.id.name == "parameters"
    )
    sent = (returned - {"_"}) | members(client, "data") | {"connection"}
    table = section("| parameter | meaning |", "Precedence")
    known = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert {"channels", "cursor", "history", "presence", "connection", "timeout"} == sent
    assert sent - {"timeout"} <= known


def test_fields_are_those_of_the_contract(client: list[Any]) -> None:
    """Each field that the client reads stands in the contract."""
    read = members(client, "frame", "answer", "message", "reply")
    assert {"id", "cursor", "recovered", "lost", "messages", "more", "after"} <= read
    words = set(re.findall(r"\w+", PROTOCOL))
    assert read <= words | AHEAD
