"""deploy/ and docs/operations.md speak of metrics that there are.

What belongs here: names and labels. What does not: whether the numbers are true.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from pushapp.tally import ENDS, METRICS, PRESENT, Metric

from .server import ROOT

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
ALERTS = (ROOT / "deploy" / "alerts.yml").read_text()
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana.json").read_text())
#: What Prometheus and Grafana add, and what a histogram's buckets have.
ADDED = {"job", "instance", "worker", "dyno", "le"}


def samples(metric: Metric) -> list[str]:
    """Return the names that its lines have."""
    endings = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
    return [f"pushapp_{metric.name}{ending}" for ending in endings[metric.kind]]


BY_SAMPLE = {name: metric for metric in METRICS for name in samples(metric)}


def expressions() -> Iterator[str]:
    """Return every query of the dashboard and of the rules."""
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    for variable in DASHBOARD["templating"]["list"]:
        yield variable.get("definition", "")
    yield from re.findall(r"^ *expr: (.+)$", ALERTS, re.MULTILINE)


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_a_query_asks_for_what_there_is(expression: str) -> None:
    """Its metrics, the labels that it groups by, and the values that it picks."""
    asked = {name: BY_SAMPLE.get(name) for name in re.findall(r"pushapp_\w+", expression)}
    assert all(asked.values()), f"no metric has this name: {asked}"
    known = ADDED | {label for metric in asked.values() if metric for label in metric.labels}
    grouped = re.findall(r"(?:by|on|without) \(([^)]*)\)", expression)
    assert {name.strip() for names in grouped for name in names.split(",")} <= known
    for name, selectors in re.findall(r"(pushapp_\w+)\{([^}]*)\}", expression):
        for label, value in re.findall(r'(\w+)!?=~?"([^"]*)"', selectors):
            metric = asked[name]
            assert metric is not None
            assert label in ADDED or value in metric.labels[label]


def test_every_metric_is_on_the_dashboard() -> None:
    """What is counted is to be seen."""
    text = json.dumps(DASHBOARD["panels"])
    for metric in METRICS:
        assert any(name in text for name in samples(metric)), metric.name


def test_the_dashboard_has_whole_panels() -> None:
    """Ids of their own, a word on what is shown, none over another."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken and at["x"] + at["w"] <= 24
        taken |= cells
        assert panel["type"] == "row" or panel["description"]


def test_the_page_has_every_metric_and_no_other() -> None:
    """What an operator reads of is there, and what is there can be read of."""
    (table,) = re.findall(r"\| metric \|.*?\n\n", OPERATIONS, re.DOTALL)
    named = set(re.findall(r"`(pushapp_\w+)`", table))
    assert named == {
        f"pushapp_{m.name}" + ("_total" if m.kind == "counter" else "") for m in METRICS
    }


def test_the_page_has_every_reason_and_every_alert() -> None:
    """A closed set is listed whole."""
    (table,) = re.findall(r"^\| reason \|.*?\n\n", OPERATIONS, re.DOTALL | re.MULTILINE)
    cells = re.findall(r"^\| ([a-z, ]+) \|", table, re.MULTILINE)
    assert {reason for cell in cells for reason in cell.split(", ")} == {*ENDS, "reason"}
    assert set(re.findall(r"`(\w+)`", OPERATIONS)) >= set(PRESENT)
    assert set(re.findall(r"^\| (Pushapp\w+) \|", OPERATIONS, re.M)) == set(
        re.findall(r"alert: (\w+)", ALERTS)
    )
