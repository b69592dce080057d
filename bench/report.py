"""From the records of one run to Markdown: where and when, targets, tables, curves, faults, noise.

What belongs here: the frame around the parts. Nothing is measured here.
Usage: python bench/report.py bench/results/RUN.jsonl [docs/benchmarks.md]
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from textwrap import shorten

import curves
import log_report
import server_report
import targets
from records import Results, table

LONGEST = 300  # characters that the report says of a failure; the records have all of it
QUIET = 0.1  # cores that others may use before the report says that the machine was not quiet


def _faults(results: Results) -> str:
    def total(peer: str, name: str) -> int:
        return sum(
            count
            for record in results.records
            if record["peer"] == peer
            for key, count in record.items()
            if key.endswith(f"_{name}")
        )

    rows = []
    for peer in results.peers:
        delivered = total(peer, "delivered")
        lost = total(peer, "expected") - delivered
        bad = total(peer, "refused") + total(peer, "bad_answers")
        counts = (
            *(delivered, lost, total(peer, "repeated"), total(peer, "misdelivered"), bad),
            total(peer, "closed"),
        )
        rows.append([peer, *(f"{count:,}" for count in counts)])
    header = ["", "delivered", "lost", "repeated", "misdelivered", "refused", "connections lost"]
    return table(header, rows)


def _noise(results: Results) -> str:
    def all_of(name: str) -> list[float]:
        found = [v for record in results.records for k, v in record.items() if k.endswith(name)]
        return found or [0.0]

    others, stolen = all_of("_others"), all_of("_stolen")
    disturbed = sum(cores > QUIET for cores in others)
    verdict = "quiet" if not disturbed else "NOT QUIET: others were at work on it"
    return (
        f"The machine was {verdict}. In {disturbed} of {len(others)} measured phases others used "
        f"more than {QUIET} cores (median {median(others):.2f}, at most {max(others):.2f}). Its "
        f"own host took away {median(stolen):.2f} cores (at most {max(stolen):.2f}).\n"
    )


def _servers(results: Results, plots: list[str]) -> str:
    return f"""{targets.render(results)}
{server_report.render(results)}
{curves.render(results, plots)}
## What went wrong

{_faults(results)}
## How it is measured

- One core for the server, another for the load client, which is a C program of one thread that
  opens all subscribers and publishes over HTTP; 128 bytes a message. It never sleeps while
  measuring, so that no server pays for waking it.
- Every case starts a fresh server: one process that serves, no other settings than `bench/peers.py`
  shows. pushapp's log is an SQLite file on this machine's disk with its default settings.
- The kernel charges the receiving half of the loopback to whoever sends: the same for all.
- *C sender* (`bench/sender.c`) is no push server: one `send()` for each subscriber, no log, nothing
  kept, nothing recovered. It is the floor.
- *nginx + Nchan*, *Socket.IO* on Node, *Flask-SocketIO* and *flask-sock* are set up as their own
  documentation has it (`bench/nchan.conf`, `bench/*_peer.*`). The load client offers no
  compression; browsers do, and flask-sock then needs more CPU and memory than shown here.
"""


def render(results: Results, plots: list[str] | None = None) -> str:
    """Return the whole report as Markdown; `plots` are the names of the pictures it may show."""
    setting = "".join(f"- {name}: {text}\n" for name, text in results.head["setting"].items())
    failures = "".join(
        f"- **not measured**: {failure['case']}, {failure['peer']}, "
        f"repetition {failure['repetition']}: {shorten(failure['failure'], LONGEST)}\n"
        for failure in results.failures
    )
    absent = "".join(
        f"- **not measured**: {name}: this machine does not have {need}\n"
        for name, need in results.head.get("absent", {}).items()
    )
    if results.stopped:
        failures += f"- **not all of it**: {results.stopped}; the last repetition is not whole\n"
    logs = {record["peer"] for record in results.records} & log_report.NAMES
    cases = len({record["case"] for record in results.records})
    servers = set(results.peers) - log_report.NAMES
    return f"""# Measured

`{results.head["command"]}`, {results.head["date"]}.
Cases: {cases}, in turns (case by case, peer after peer); repetitions: {results.repetitions}.
Each figure is the median of the repetitions (smallest–largest); a ratio is the median of each
repetition's own ratio.

{setting}{absent}{failures}
{_noise(results)}
{_servers(results, plots or []) if servers else ""}{log_report.render(results) if logs else ""}"""


def write(results: Results, path: Path) -> None:
    """Write the report and its pictures beside it."""
    path.write_text(render(results, curves.draw(results, path)))


def main(arguments: list[str]) -> None:
    if not 1 <= len(arguments) <= 2:
        sys.exit("usage: python bench/report.py bench/results/RUN.jsonl [docs/benchmarks.md]")
    results = Results(Path(arguments[0]).read_text().splitlines())
    if len(arguments) == 2:
        write(results, Path(arguments[1]))
    else:
        print(render(results), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
