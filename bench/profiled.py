"""Profile pushapp in a case of the bench: what bounds a figure.

What belongs here: sampling its worker with py-spy while a part of a case is measured, and the
functions in which it was. A table can go into notes/KEY.md as it is.
Usage: python bench/profiled.py CASE [--part PART] [--seconds 5] [--native]
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from cases import CASES, Case, Seconds
from curve_cases import CURVE_CASES
from processes import BenchError, Server, allow_many_connections, build
from records import table

RATE = 500  # samples a second
SHOWN = 25  # functions
#: What py-spy takes for work: a native thread that waits for some, a stack that it could not read.
NO_WORK = ("acquire_with_timeout (gevent/_threading.py)", "")
WAIT = 20.0  # seconds for py-spy to begin, and to end
PY_SPY = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")


def top(raw: str) -> str:
    """Return a table of what py-spy's raw format says: own and whole share of each function."""
    own, whole = Counter[str](), Counter[str]()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if frames[-1] in NO_WORK:
            continue
        own[frames[-1]] += int(count)
        for frame in set(frames):
            whole[frame] += int(count)
    samples = own.total() or 1
    rows = [
        [f"`{name}`", f"{100 * count / samples:.1f}", f"{100 * whole[name] / samples:.1f}"]
        for name, count in own.most_common(SHOWN)
    ]
    return table(["function", "itself, %", "with what it calls, %"], rows)


def _times(pids: list[int]) -> tuple[float, float]:
    found = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(times.user for times in found), sum(times.system for times in found)


class ProfiledServer(Server):
    """A server that is sampled while a part of the case runs."""

    part = ""  # "": every part
    native = False

    @contextmanager
    def watched(self, part: str) -> Iterator[None]:
        if self.part not in ("", part):
            yield
            return
        output = self.scratch / "profile"
        command = [str(PY_SPY), "record", "--pid", str(self.pids()[-1]), "--nolineno"]
        command += ["--format", "raw", "--rate", str(RATE), "--output", str(output)]
        spy = subprocess.Popen(
            command + ["--native"] * self.native, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert spy.stdout
        said = spy.stdout.readline()  # once it samples
        user, system = _times(self.pids())
        yield
        user, system = (b - a for a, b in zip((user, system), _times(self.pids()), strict=True))
        spy.send_signal(signal.SIGINT)
        rest, _ = spy.communicate(timeout=WAIT)
        if not output.exists():
            raise BenchError(f"py-spy: {(said + rest).decode().strip()}")
        share = 100 * system / (user + system or 1)
        print(f"### {part}\n\nIn the kernel: {share:.0f} % of {user + system:.2f} s of CPU.\n")
        print(top(output.read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    cases: dict[str, Case] = {case.name: case for case in (*CASES, *CURVE_CASES)}
    parser.add_argument("case", choices=cases)
    parser.add_argument("--part", default="", help="single, burst, paced, connect, …; else all")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each part; 5")
    parser.add_argument("--native", action="store_true", help="frames of C libraries, too")
    options = parser.parse_args()
    if PY_SPY is None:
        sys.exit("there is no py-spy: pip install -r requirements-bench.txt")
    case = cases[options.case]
    peer = next((peer for peer in case.peers if peer.name.startswith("pushapp")), None)
    if peer is None:
        sys.exit(f"{case.name} has no pushapp")
    ProfiledServer.part, ProfiledServer.native = options.part, options.native
    allow_many_connections()
    try:
        build()
        case.run(peer, Seconds(options.seconds, options.seconds), ProfiledServer)
    except BenchError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
