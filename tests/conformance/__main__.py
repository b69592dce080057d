"""``python -m tests.conformance``: all Autobahn cases, or some groups of them, and a table.

What belongs here: the command line, progress, the table. What does not: the cases (``suite``).
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from kosoku._kosoku import CaseResult

from .suite import ABOUT, ALL, SHORT, echo_server, is_good, run, verdict

_WIDTH = 30  # characters of the bar


def main() -> int:
    """Return 0 where each case went as it should."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--groups", default=",".join(ABOUT), help="such as 1,9; without it: all")
    parser.add_argument("--short", action="store_true", help="of those that take long, a few")
    parser.add_argument("--no-park", action="store_true", help="each client keeps its greenlet")
    parser.add_argument("--at-once", type=int, default=4, help="cases at a time")
    asked = parser.parse_args()
    groups = asked.groups.split(",")
    if unknown := [group for group in groups if group not in ABOUT]:
        parser.error(f"--groups: got {unknown[0]}, expected some of {','.join(ABOUT)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # no server may stay behind
    cases, settings = SHORT if asked.short else ALL, {"PUSH_PARK": int(not asked.no_park)}
    parts = [(group, part) for group in groups for part in cases[group]]
    results: dict[str, list[CaseResult]] = {group: [] for group in groups}
    seconds: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        server = echo_server(Path(folder), **settings).start()
        try:
            for done, (group, part) in enumerate(parts):
                _show(done / len(parts), part[0])
                begun = time.monotonic()
                results[group] += run(server, part, asked.at_once)
                seconds[group] += round(time.monotonic() - begun)
        finally:
            server.stop()
    _show(1.0, "done")
    print(_table(results, seconds))
    bad = [result for found in results.values() for result in found if not is_good(result)]
    for result in bad:
        print(f"{result.case_id} {verdict(result)}: {result.result} {result.result_close}")
    return 1 if bad else 0


def _show(share: float, doing: str) -> None:
    """Draw the bar anew where somebody looks; else write a line."""
    bar = ("#" * round(share * _WIDTH)).ljust(_WIDTH, ".")
    begin, end = ("\r\x1b[K", "") if sys.stderr.isatty() and share < 1 else ("", "\n")
    print(f"{begin}[{bar}] {doing}", end=end, file=sys.stderr, flush=True)


def _table(results: dict[str, list[CaseResult]], seconds: Counter[str]) -> str:
    lines = [
        "| group | cases | OK | informational | other | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for group, found in results.items():
        lines.append(_row(f"{group}: {ABOUT[group]}", found, seconds[group]))
    everything = [result for found in results.values() for result in found]
    lines.append(_row("all", everything, seconds.total()))
    return "\n".join(lines)


def _row(name: str, found: list[CaseResult], seconds: int) -> str:
    words = Counter(map(verdict, found))
    fine, informational = words["OK"], words["INFORMATIONAL"]
    other = len(found) - fine - informational
    return f"| {name} | {len(found)} | {fine} | {informational} | {other} | {seconds} |"


if __name__ == "__main__":
    sys.exit(main())
