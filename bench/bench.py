"""Measure pushapp beside a bare C sender and a plain flask-sock, and its logs side by side.

Each repetition takes the cases one after the other, and in each case the servers, or the logs, one
after the other (A B C A B C), so that whatever the machine does meanwhile hits all of them alike.
Records go to bench/results/ as JSON lines; the report is printed at the end.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import time
from datetime import UTC, datetime
from typing import Any, TextIO

from cases import CASES, FULL, QUICK, Case
from log_cases import LOG_CASES, LogCase
from logs import PROMISES
from measure import Record, setting
from peers import BENCH, PEERS
from processes import BenchError, allow_many_connections, build, cores
from records import Results
from report import render

EXAMPLES = """\
examples:
  python bench/bench.py                              all of it, about 15 minutes
  python bench/bench.py --quick                      once, shorter, about 3 minutes
  python bench/bench.py --only logs                  SQLite and Valkey, about 5 minutes
  python bench/bench.py --cases websocket-100,poll   some cases
  python bench/bench.py --reps 5 --peers "C sender,pushapp"
  python bench/report.py bench/results/RUN.jsonl > docs/benchmarks.md
"""

PARTS = {"servers": CASES, "logs": LOG_CASES}


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
    cases: dict[str, object] = {case.name: case for case in (*CASES, *LOG_CASES)}
    peers: dict[str, object] = {peer.name: peer for peer in (*PEERS, *PROMISES)}
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    parser.add_argument("--quick", action="store_true", help="one repetition, shorter phases")
    parser.add_argument("--reps", type=_count, help="repetitions; 3, with --quick 1")
    parser.add_argument("--cases", type=lambda text: _some(cases, text), help=", ".join(cases))
    parser.add_argument("--peers", type=lambda text: _some(peers, text), help=", ".join(peers))
    parser.add_argument(
        "--limit", type=_count, default=40, help="minutes, after which nothing new is begun; 40"
    )
    options = parser.parse_args()
    options.cases = options.cases or (PARTS[options.only] if options.only else (*CASES, *LOG_CASES))
    return options


def _summary(record: Record) -> str:
    """Return what a line of progress says of a record: the raw figures, no verdict."""
    if "paced_cpu" not in record and "busy_cpu" not in record and "single_cpu" not in record:
        return _log_summary(record)
    words = []
    if "bytes_each" in record:
        words.append(f"{record['bytes_each'] / 1024:.2f} KiB each")
    part = "busy" if "busy_cpu" in record else "single"
    counts = [(name, record[f"{part}_{name}"]) for name in ("delivered", "answers", "confirmed")]
    name, count = next(((name, count) for name, count in counts if count), ("nothing", 0))
    words.append(f"{count:,} {name}")
    if count:
        words.append(f"CPU {record[f'{part}_cpu'] / count * 1e6:.2f} µs each")
    for fault, found in (
        ("lost", record[f"{part}_expected"] - record[f"{part}_delivered"]),
        ("repeated", record[f"{part}_repeated"]),
    ):
        if found:
            words.append(f"{found:,} {fault.upper()}")
    return ", ".join([*words, f"others {record[f'{part}_others']:.2f} cores"])


def _log_summary(record: Record) -> str:
    names = [name.removesuffix("_messages") for name in record if name.endswith("_messages")]
    rates = [f"{n} {record[f'{n}_messages'] / record[f'{n}_wall']:,.0f}/s" for n in names]
    sizes = [f"{name} {size:,.0f}" for name, size in record.items() if name.endswith("_bytes")]
    others = [cores for name, cores in record.items() if name.endswith("_others")]
    busy = [f"others up to {max(others):.2f} cores"] if others else []
    return ", ".join([*rates, *sizes, *busy])


def _write(file: TextIO, record: Record) -> None:
    file.write(json.dumps(record) + "\n")
    file.flush()


def _run(options: argparse.Namespace, file: TextIO) -> None:
    repetitions = options.reps or (1 if options.quick else 3)
    turns: list[tuple[int, Case | LogCase, Any]] = [
        (repetition, case, peer)
        for repetition in range(repetitions)
        for case in options.cases
        for peer in case.peers
        if options.peers is None or peer in options.peers
    ]
    began = time.monotonic()
    for place, (repetition, case, peer) in enumerate(turns, 1):
        if time.monotonic() - began > options.limit * 60:
            print(f"--limit: stopped after {place - 1} of {len(turns)}", flush=True)
            return
        which = {"case": case.name, "peer": peer.name, "repetition": repetition}
        label = f"[{place}/{len(turns)}] {case.name}, {peer.name}"
        try:
            record = case.run(peer, QUICK if options.quick else FULL)
        except BenchError as error:
            _write(file, which | {"failure": str(error)})
            print(f"{label}: NOT MEASURED: {error}", flush=True)
            continue
        _write(file, which | record)
        print(f"{label}: {_summary(record)}", flush=True)


def main() -> int:
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are ended, too
    try:
        build()
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    allow_many_connections()
    server, load = cores()
    if server == load:
        print("one core only: server and load client share it, and every figure is too high")
    now = datetime.now(UTC)
    about = setting()
    head = {
        "command": shlex.join(["python", "bench/bench.py", *sys.argv[1:]]),
        "date": f"{now:%Y-%m-%d %H:%M} UTC",
        "setting": about,
    }
    path = BENCH / "results" / f"{now:%Y%m%d-%H%M%S}.jsonl"
    path.parent.mkdir(exist_ok=True)
    print("\n".join(f"{name}: {text}" for name, text in about.items()), flush=True)
    with path.open("w") as file:
        _write(file, head)
        _run(options, file)
    results = Results(path.read_text().splitlines())
    print(f"\n{render(results)}\nrecords: bench/results/{path.name}")
    return 0 if results.records else 1


if __name__ == "__main__":
    sys.exit(main())
