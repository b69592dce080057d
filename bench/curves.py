"""The curves: how a cost changes with a size, as pictures and as tables.

What belongs here: which curves there are, and drawing them. matplotlib is only needed to draw.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from curve_cases import LISTENING, SOCKETS
from peers import NCHAN, PUSHAPP, SENDER
from records import Results, cell, table
from variants import KEEPING, WORKERS

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

    def points(self, results: Results, peer: str) -> Points:
        """Return the figures of one peer by size, smallest first."""
        found: Points = {}
        for record in results.records:
            if record["case"] != self.case or record["peer"] != peer:
                continue
            for key, value in record.items():
                match = re.fullmatch(rf"{self.part}(\d+)_{self.above}", key)
                if not match:
                    continue
                size = int(match[1])
                count = record[f"{self.part}{size}_{self.below}"] if self.below else 1
                if count:
                    scale = 1e6 if self.above == "cpu" else 1
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
        *("messages kept in the channel", "CPU µs a message", (KEEPING.name,)),
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
    ),
)


def draw(results: Results, report: Path) -> list[str]:
    """Draw every curve that was measured beside the report; return the pictures' names."""
    if find_spec("matplotlib") is None:
        return []
    from matplotlib.figure import Figure

    drawn = []
    for curve in CURVES:
        lines = [(peer, curve.points(results, peer)) for peer in curve.peers]
        if not any(points for _, points in lines):
            continue
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        axes = figure.subplots()
        for peer, points in lines:
            sizes = list(points)
            middle = [median(points[size]) for size in sizes]
            low = [m - min(points[size]) for m, size in zip(middle, sizes, strict=True)]
            high = [max(points[size]) - m for m, size in zip(middle, sizes, strict=True)]
            colour = COLOURS.get(peer, "tab:blue")
            axes.errorbar(
                *(sizes, middle), yerr=[low, high], label=peer, marker="o", capsize=3, color=colour
            )
        axes.set_xscale("symlog" if any(0 in points for _, points in lines) else "log")
        if curve.part == "rate":
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.set(title=curve.title, xlabel=curve.across, ylabel=curve.unit)
        axes.grid(alpha=0.3)
        axes.legend()
        name = f"{report.stem}-{curve.name}.png"
        figure.savefig(report.with_name(name), dpi=110, metadata={"Software": None})
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
    def rate(cases: dict) -> float:
        record = cases["curve-workers"]
        return record["workers_delivered"] / record["workers_secs"]

    def cost(cases: dict) -> float:
        record = cases["curve-workers"]
        return record["workers_cpu"] / record["workers_delivered"] * 1e6

    one, two = (peer.name for peer in WORKERS)
    if one not in results.peers or two not in results.peers:
        return ""
    rows = []
    for title, value, digits in (
        ("deliveries a second", rate, 0),
        ("CPU µs a delivery, of all workers", cost, 2),
        ("deliveries a second of CPU", lambda cases: 1e6 / cost(cases), 0),
    ):
        cells = [cell(results.values(name, value), digits) for name in (one, two)]
        rows.append([title, *cells, cell(results.ratios(two, one, value), 2)])
    return f"""### Two workers

1,000 WebSockets, four messages under way. Where there are only two cores, the load client needs
most of one of them, and two workers cannot show their rate: what counts then is the CPU of a
delivery. Where it does not grow with the workers, two cores give close to twice the deliveries.

{table(["", one, two, "2 ÷ 1"], rows)}"""


def render(results: Results, plots: Sequence[str]) -> str:
    """Return the curves that were measured as Markdown, with those pictures that there are."""
    sections = [_section(results, curve, plots) for curve in CURVES] + [_workers(results)]
    there = [section for section in sections if section]
    return "## Curves\n\n" + "\n".join(there) if there else ""
