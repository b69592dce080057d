"""An import only ever points down: the table of docs/design.md, enforced."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from .server import ROOT

#: From the ground up. A package stands for all of its modules.
LAYERS = [
    {"message", "errors", "environ", "address", "quota", "retention", "settings", "shared"},
    {
        "background",
        "broker",
        "caller",
        "client",
        "finding",
        "signature",
        "board",
        "tally",
        "traffic",
    },
    {"cutting", "wheel", "window", "listener"},
    {"glance"},
    {"backlogs"},
    {"subscriber", "seats", "audiences"},
    {"delivery"},
    {"hub", "metered"},
    {"outlet"},
    {"parking", "waiter", "handover", "heads", "knock", "lifting"},
    {"departures"},
    {"key_set", "keyring", "tokens", "tickets", "api_keys", "connection_ids", "origins", "auth"},
    {"cors", "orders", "revocations", "endings", "headcount", "presence", "courier", "webhooks"},
    {"problem", "strict_json", "publish", "limits", "body", "current", "reply", "client_events"},
    {"transports", "desk"},
    {
        "credentials",
        "throttle",
        "sketch",
        "upgrade",
        "again",
        "republish",
        "subscribe",
        "api",
        "pages",
        "lab",
        "mirror",
        "people",
        "power",
        "metrics",
        "figures",
        "console",
        "openapi",
    },
    {"running"},
    {"calls"},
    {"extension"},
    {
        "factory",
        "remembered",
        "posting",
        "lane",
        "together",
        "bay",
        "connection",
        "doors",
        "drain",
        "porter",
        "yard",
        "worker",
    },
    {"testing", "testing_clients", "gunicorn_conf", "local", "feed", "doctor_redis", "doctor_web"},
    {"doctor"},
    {"cli", "cli_people", "cli_reach", "cli_token", "wsgi", ""},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
#: On the standard library alone, so that a cron job that publishes loads nothing else.
ALONE = {"client", "caller", "errors", "message", "signature"}
#: Imported when a fixture is used: every pytest loads the plugin where pushapp is installed.
IN_FIXTURES = {("testing", "testing_clients")}

MODULES = {
    ".".join(path.relative_to(ROOT / "pushapp").with_suffix("").parts): path
    for path in sorted((ROOT / "pushapp").rglob("*.py"))
}


def unit(module: str) -> str:
    """Return what stands for a module in the table: "" is the package itself."""
    return "" if module == "__init__" else module.split(".")[0]


def imports(path: Path) -> set[str]:
    """Return the modules of ours that a file imports when it runs; what is for types alone is
    left out."""
    package = ("pushapp", *path.relative_to(ROOT / "pushapp").parent.parts)
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(path.read_text())]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            todo += node.orelse
            continue
        todo += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *filter(None, [node.module])])
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    ours = {name.removeprefix("pushapp.") for name in found if name.startswith("pushapp.")}
    return {name for name in ours if name in MODULES or f"{name}.__init__" in MODULES}


def test_every_module_has_its_layer() -> None:
    """A new module is put into the table, and one that has gone is taken out."""
    assert {unit(module) for module in MODULES} == set(RANK)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    """No module imports one of a higher layer."""
    own = unit(module)
    above = {name for name in imports(MODULES[module]) if RANK[unit(name)] > RANK[own]}
    assert not above


def test_no_circle_within_a_layer() -> None:
    """Between neighbours, too, imports run one way (``graphlib`` raises CycleError)."""
    graph: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        graph.setdefault(unit(module), set()).update(map(unit, imports(path)))
    for name, below in graph.items():
        below -= {name} | {late for plugin, late in IN_FIXTURES if plugin == name}
    assert set(TopologicalSorter(graph).static_order()) == set(RANK)


@pytest.mark.parametrize("module", sorted(ALONE))
def test_the_publisher_stands_alone(module: str) -> None:
    """``pushapp.client`` and what it needs import nothing of the server's."""
    assert {unit(name) for name in imports(MODULES[module])} <= ALONE


def test_values_import_nothing_of_ours() -> None:
    """The ground is the ground: values raise our errors, and know each other at most."""
    for module in LAYERS[0]:
        assert {unit(name) for name in imports(MODULES[module])} <= LAYERS[0]
