"""Measure pushapp beside other servers, or its logs side by side.

Each repetition takes the cases one after the other, and in each case the servers, or the logs, one
after the other (A B C A B C), so that whatever the machine does meanwhile hits all of them alike.
Records go to bench/results/ as JSON lines, progress to stderr, the report to --docs or stdout.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import report
from cases import CASES, FULL, QUICK, Case
from curve_cases import CURVE_CASES
from log_cases import LOG_CASES, LogCase
from logs import PROMISES
from measure import Record, setting
from peers import BENCH, PEERS, versions
from processes import BenchError, allow_many_connections, build, cores
from records import Results

EXAMPLES = """\
examples:
  python bench/bench.py                              servers and curves, at most 15 minutes
  python bench/bench.py --quick                      once, shorter, about 3 minutes
  python bench/bench.py --only logs                  SQLite and Valkey, about 6 minutes
  python bench/bench.py --cases websocket-100,poll   some cases
  python bench/bench.py --reps 5 --peers "C sender,pushapp"
  python bench/report.py bench/results/RUN.jsonl docs/benchmarks.md
"""

PARTS = {"servers": CASES, "curves": CURVE_CASES, "logs": LOG_CASES}
COUNTED = ("delivered", "answers", "confirmed", "messages")  # what a part's CPU is divided by


def _some(known: dict[str, object], text: str) -> list[object]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r}: one of {', '.join(known)} is expected")
    return [thing for name, thing in known.items() if name in names]


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r}: a number from 1 to 100 is expected")
    return int(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").strip(),
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cases: dict[str, object] = {case.name: case for part in PARTS.values() for case in part}
    peers: dict[str, object] = {peer.name: peer for peer in (*PEERS, *PROMISES)}
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    parser.add_argument("--quick", action="store_true", help="one repetition, shorter phases")
    parser.add_argument("--reps", type=_count, help="repetitions; 3, with --quick 1")
    parser.add_argument("--cases", type=lambda text: _some(cases, text), help=", ".join(cases))
    parser.add_argument("--peers", type=lambda text: _some(peers, text), help=", ".join(peers))
    parser.add_argument(
        "--limit", type=_count, default=15, help="minutes, after which nothing new is begun; 15"
    )
    parser.add_argument("--docs", type=Path, help="write the report here, and its pictures beside")
    options = parser.parse_args()
    options.cases = options.cases or (
        PARTS[options.only] if options.only else (*CASES, *CURVE_CASES)
    )
    return options


def _summary(record: Record) -> str:
    """Return what a line of progress says of a record: the raw figures, no verdict."""
    words = []
    if "bytes_each" in record:
        words.append(f"{record['bytes_each'] / 1024:.2f} KiB each")
    words += [f"{name} {size:,.0f}" for name, size in record.items() if name.endswith("_bytes")]
    for part in (name.removesuffix("_cpu") for name in record if name.endswith("_cpu")):
        counted = ((name, record.get(f"{part}_{name}")) for name in COUNTED)
        name, count = next(((name, count) for name, count in counted if count), ("", 0))
        if count:
            words.append(f"{part} {record[f'{part}_cpu'] / count * 1e6:.2f} µs/{name}")
        for fault, found in (
            ("lost", record.get(f"{part}_expected", 0) - record.get(f"{part}_delivered", 0)),
            ("repeated", record.get(f"{part}_repeated", 0)),
        ):
            if found:
                words.append(f"{found:,} {fault.upper()}")
    others = [cores for name, cores in record.items() if name.endswith("_others")]
    return ", ".join([*words, *([f"others up to {max(others):.2f} cores"] if others else [])])


def _write(file: TextIO, record: Record) -> None:
    file.write(json.dumps(record) + "\n")
    file.flush()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _turns(options: argparse.Namespace) -> tuple[list[tuple[int, Any, Any]], dict[str, str]]:
    """Return repetition, case and peer of each turn, and which peers lack what."""
    absent: dict[str, str] = {}
    turns: list[tuple[int, Case | LogCase, Any]] = []
    chosen = None if options.peers is None else {peer.name for peer in options.peers}
    for repetition in range(options.reps or (1 if options.quick else 3)):
        for case in options.cases:
            for peer in case.peers:
                # "pushapp, tokens" is pushapp
                if chosen is not None and peer.name.partition(",")[0] not in chosen:
                    continue
                need = peer.missing()
                if need:
                    absent[peer.name] = need
                else:
                    turns.append((repetition, case, peer))
    return turns, absent


def take_turns(
    turns: list[tuple[int, Any, Any]], options: argparse.Namespace, file: TextIO
) -> None:
    """Measure each in its turn; write a record for each, or why there is none."""
    began = time.monotonic()
    for place, (repetition, case, peer) in enumerate(turns, 1):
        minutes = (time.monotonic() - began) / 60
        if minutes > options.limit:
            _write(file, {"stopped": f"--limit: stopped after {place - 1} of {len(turns)}"})
            _say(f"--limit: stopped after {place - 1} of {len(turns)}")
            return
        which = {"case": case.name, "peer": peer.name, "repetition": repetition}
        label = f"[{place}/{len(turns)}, {minutes:.1f} min] {case.name}, {peer.name}"
        try:
            record = case.run(peer, QUICK if options.quick else FULL)
        except BenchError as error:
            _write(file, which | {"failure": str(error)})
            _say(f"{label}: NOT MEASURED: {error}")
            continue
        _write(file, which | record)
        _say(f"{label}: {_summary(record)}")


def main() -> int:
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are ended, too
    try:
        build()
    except BenchError as error:
        _say(str(error))
        return 1
    allow_many_connections()
    server, load = cores()
    if server == load:
        _say("one core only: server and load client share it, and every figure is too high")
    turns, absent = _turns(options)
    now = datetime.now(UTC)
    head = {
        "command": shlex.join(["python", "bench/bench.py", *sys.argv[1:]]),
        "date": f"{now:%Y-%m-%d %H:%M} UTC",
        "setting": {**setting(), "peers": versions()},
        "absent": absent,
    }
    path = BENCH / "results" / f"{now:%Y%m%d-%H%M%S}.jsonl"
    path.parent.mkdir(exist_ok=True)
    _say(json.dumps(head, indent=1))
    with path.open("w") as file:
        _write(file, head)
        take_turns(turns, options, file)
    results = Results(path.read_text().splitlines())
    if options.docs:
        report.write(results, options.docs)
    else:
        print(report.render(results))
    _say(f"records: {path.relative_to(BENCH.parent)}")
    return 0 if results.records else 1


if __name__ == "__main__":
    sys.exit(main())
