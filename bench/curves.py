"""The curves: how a cost changes with a size, as pictures and as tables.

What belongs here: which curves there are, and drawing them. matplotlib is only needed to draw.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from cases import PUBLISHERS
from curve_cases import CROWD, LISTENING, SOCKETS
from peers import NCHAN, PUSHAPP, SENDER
from records import Results, cell, table

BUNDLING = """With some messages under way the one worker mostly finds all of them waiting, and puts
them into one `send`. Of two each is told of its own publishes at once and of the other's as they
come: it finds fewer together and sends more often, less each time. So a delivery costs more then,
and a `send` does not.
"""

Points = dict[int, list[float]]  # by size: the figure of each repetition
COLOURS = {SENDER.name: "tab:gray", NCHAN.name: "tab:green"}  # pushapp: what is left


@dataclass(frozen=True, slots=True)
class Curve:
    """One picture: for each peer a line over the sizes of one case."""

    name: str  # of the picture
    title: str
    case: str
    part: str  # records hold `{part}{size}_{above}`
    above: str
    below: str  # what it is divided by; "": nothing
    across: str  # what the sizes are
    unit: str
    peers: tuple[str, ...]
    text: str
    scale: str = "log"  # of the sizes; "linear", or "log-log": the figures, too
    times_size: bool = False  # the figure is of each, and shown of all

    def points(self, results: Results, peer: str) -> Points:
        """Return the figures of one peer, whatever its settings, by size, smallest first."""
        found: Points = {}
        for record in results.records:
            if record["case"] != self.case or record["peer"].partition(",")[0] != peer:
                continue
            for key, value in record.items():
                match = re.fullmatch(rf"{self.part}(\d+)_{self.above}", key)
                if not match:
                    continue
                size = int(match[1])
                count = record[f"{self.part}{size}_{self.below}"] if self.below else 1
                if count:
                    scale = 1e6 if self.above == "cpu" else size if self.times_size else 1
                    found.setdefault(size, []).append(value / count * scale)
        return dict(sorted(found.items()))


CURVES = (
    Curve(
        *("channels", "Many channels", "curve-channels", "channels", "cpu", "confirmed"),
        *("channels that somebody listens to", "CPU µs a message", (PUSHAPP.name,)),
        text=f"Each message is published over HTTP and goes to one subscriber. Up to {SOCKETS:,} "
        "WebSockets listen to all these channels, as many to each.",
    ),
    Curve(
        *("kept", "Much history", "curve-kept", "kept", "cpu", "confirmed"),
        *("messages kept in the channel", "CPU µs a message", (PUSHAPP.name,)),
        text=f"Each message goes to {LISTENING} WebSockets.",
    ),
    Curve(
        *("idle", "Many who hear nothing", "curve-idle", "idle", "cpu", "confirmed"),
        *("idle clients beside", "CPU µs a message", (NCHAN.name, PUSHAPP.name)),
        text=f"Each message goes to {LISTENING} WebSockets; the others listen to another channel.",
    ),
    Curve(
        *("load", "Delay under load", "curve-load", "rate", "p99_ms", ""),
        *("deliveries a second", "delay p99, ms", (SENDER.name, NCHAN.name, PUSHAPP.name)),
        text="1,000 WebSockets; a line ends where a server cannot keep up (p99 over a second).",
        scale="log-log",
    ),
    Curve(
        *("workers", "More workers", "curve-workers", "workers", "delivered", "cpu"),
        *("workers", "deliveries a second, with a core for each worker", (PUSHAPP.name,)),
        text=f"{CROWD:,} WebSockets, one message under way. What is measured is what all workers "
        "deliver in a second of their CPU; times their number, that is what they would deliver in "
        "a second with a core each. Here they share the machine with the load client, which never "
        "sleeps: on two cores that are three busy processes, and each finds its caches used by "
        "others. Each worker is woken for each message, reads it and plans its part.",
        scale="linear",
        times_size=True,
    ),
)


def _picture(curve: Curve, lines: Mapping[str, Points]) -> Any:
    """Return a matplotlib figure: medians with their spread."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for peer, points in lines.items():
        middle = [median(found) for found in points.values()]
        below = [m - min(found) for m, found in zip(middle, points.values(), strict=True)]
        above = [max(found) - m for m, found in zip(middle, points.values(), strict=True)]
        axes.errorbar(
            *(list(points), middle, [below, above]),
            **{"label": peer, "marker": "o", "capsize": 3},
            color=COLOURS.get(peer, "tab:blue"),
        )
    sizes = sorted({size for points in lines.values() for size in points})
    if curve.scale == "linear":
        axes.set_xticks(sizes)
    elif sizes[0] == 0:
        axes.set_xscale("symlog", linthresh=sizes[1] if len(sizes) > 1 else 1)
    else:
        axes.set_xscale("log")
    if curve.scale == "log-log":
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set(title=curve.title, xlabel=curve.across, ylabel=curve.unit)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def draw(results: Results, report: Path) -> list[str]:
    """Draw every curve that was measured beside the report; return the pictures' names."""
    if find_spec("matplotlib") is None:
        return []
    drawn = []
    for curve in CURVES:
        lines = {peer: points for peer in curve.peers if (points := curve.points(results, peer))}
        if lines:
            name = f"{report.stem}-{curve.name}.png"
            _picture(curve, lines).savefig(report.with_name(name), dpi=110)
            drawn.append(name)
    return drawn


def _section(results: Results, curve: Curve, plots: Sequence[str]) -> str:
    lines = {peer: curve.points(results, peer) for peer in curve.peers}
    sizes = sorted({size for points in lines.values() for size in points})
    if not sizes:
        return ""
    rows = [
        [f"{size:,}", *(cell(points.get(size, []), 1) for points in lines.values())]
        for size in sizes
    ]
    picture = "".join(
        f"![{curve.title}]({n})\n\n" for n in plots if n.endswith(f"-{curve.name}.png")
    )
    header = [curve.across, *(f"{peer}, {curve.unit}" for peer in lines)]
    return f"### {curve.title}\n\n{curve.text}\n\n{picture}{table(header, rows)}"


def _workers(results: Results) -> str:
    """Return what a delivery costs all workers together."""
    curve = replace(CURVES[-1], above="cpu", below="delivered")
    one = curve.points(results, PUSHAPP.name)
    some = replace(curve, part="burst").points(results, PUSHAPP.name)
    rows = [[f"{n:,}", cell(one[n], 2), cell(some.get(n, []), 2)] for n in one]
    header = [
        "CPU µs a delivery, of all workers",
        "one message under way",
        f"{PUBLISHERS} under way",
    ]
    return f"{table(header, rows)}\n{BUNDLING}" if rows else ""


def render(results: Results, plots: Sequence[str]) -> str:
    """Return the curves that were measured as Markdown, with those pictures that there are."""
    sections = [_section(results, curve, plots) for curve in CURVES] + [_workers(results)]
    there = [section for section in sections if section]
    return "## Curves\n\n" + "\n".join(there) if there else ""
