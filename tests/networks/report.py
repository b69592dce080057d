"""The tables of docs/networks.md.

What belongs here: writing them. What does not: the prose around them, which is in that file.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from ..server import ROOT
from .matrix import Matrix
from .networks import NETWORKS
from .visit import NO_JQUERY, OWN_JQUERY, Network, Result

PAGE = ROOT / "docs" / "networks.md"
BEGIN, END = "<!-- made by `make networks` -->", "<!-- end of what it made -->"
_FULL = f"full {OWN_JQUERY}"
OTHERS = ("1.12.4", "2.2.4", "4.0.0", NO_JQUERY)  # than the jQuery that the server serves
TRANSPORTS = ("websocket", "sse", "longpoll", "poll")


def write_report(matrix: Matrix) -> None:
    """Put the tables into the page, where this run has been the whole matrix."""
    found = matrix.results()
    if not {(_FULL, network.number) for network in NETWORKS} <= found.keys():
        return
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{_tables(found)}\n{END}{after}")


def _tables(found: dict[tuple[str, int], Result]) -> str:
    git = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return "\n\n".join(
        (
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit.strip()}.",
            "### With default options, 200 messages, true times",
            _table(
                (
                    "",
                    "network",
                    "promised, s",
                    "ended on",
                    "first, s",
                    "slowest, s",
                    "lost",
                    "twice",
                ),
                (_row(network, found[_FULL, network.number]) for network in NETWORKS),
            ),
            "### With other jQuerys, and with none: 40 messages, times scaled down",
            _table(
                ("jQuery", "networks", "promise kept", "first, s, at most", "lost", "twice"),
                (_summary(version, found) for version in OTHERS),
            ),
            "### Each transport alone, likewise: first / slowest, s; – where it cannot work",
            _table(
                ("", "network", *TRANSPORTS),
                (
                    _alone(network, found)
                    for network in NETWORKS
                    if network.alone and network.tabs == 1
                ),
            ),
        )
    )


def _row(network: Network, result: Result) -> Sequence[str]:
    lost = f"{result.lost}, told" if network.loses and result.told else str(result.lost)
    return (
        str(network.number),
        network.name,
        f"{network.promise:.0f}",
        result.transport if not result.problems else f"{result.transport}: {_first(result)}",
        _seconds(result.first),
        _seconds(result.slowest),
        lost,
        str(result.twice),
    )


def _summary(version: str, found: dict[tuple[str, int], Result]) -> Sequence[str]:
    results = [result for (form, _), result in found.items() if form == f"short {version}"]
    kept = [network for network in NETWORKS if not network.loses]
    here = [found.get((f"short {version}", network.number), Result()) for network in kept]
    return (
        version,
        str(len(results)),
        str(sum(not result.problems for result in results)),
        _seconds(max((result.first or 0.0 for result in results), default=None)),
        str(sum(result.lost for result in here)),
        str(sum(result.twice for result in here)),
    )


def _alone(network: Network, found: dict[tuple[str, int], Result]) -> Sequence[str]:
    cells = []
    for transport in TRANSPORTS:
        result = found.get((f"short {OWN_JQUERY} {transport}", network.number))
        if result is None:
            cells.append("–")
        elif result.problems:
            cells.append(_first(result))
        else:
            cells.append(f"{_seconds(result.first)} / {_seconds(result.slowest)}")
    return (str(network.number), network.name, *cells)


def _first(result: Result) -> str:
    return result.problems[0].partition(";")[0]


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines
    )
