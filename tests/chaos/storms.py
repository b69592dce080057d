"""``python -m tests.chaos.storms``: thousands come back at once, again and again.

What belongs here: the two tests of this kind that others publish. What does not: a client
(``flock``), and what breaks on purpose (``faults``).

* ``jitter``: each client's TCP connection is killed every 15 s, and it is away for 2 s; meanwhile
  120 messages are published. How many of them come, and how soon after coming back.
* ``deploy``: a rolling restart, one instance after the other. Who does not come back, and how long
  each was in the dark.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from ..server import LONG, ROOT, Server
from .flock import Found, Plan
from .recovery import share
from .report import show_bar, write

_CHANNEL = "public:storm"
_FLOCKS = 2  # processes
_MESSAGES = 120
_PACE = 1.0  # seconds between two messages
_KEY = "storm {}"
#: All clients have one address here, which in the world is thousands of homes.
_LIMITS = '{"connects":0,"requests":0,"address_connections":0}'


class Flocks:
    """The processes of the clients, and how far they are."""

    def __init__(self, ports: list[int], clients: int, **options: float) -> None:
        each = [clients // _FLOCKS + (n < clients % _FLOCKS) for n in range(_FLOCKS)]
        self._said = [(0, 0, 0)] * _FLOCKS
        self._last: list[Found | None] = [None] * _FLOCKS
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.flock"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in each
        ]
        self._ears = []
        for n, count in enumerate(each):
            plan = Plan(ports, _CHANNEL, count, seed=n, **options)
            stdin = self._processes[n].stdin
            assert stdin is not None
            print(json.dumps(asdict(plan)), file=stdin, flush=True)
            self._ears.append(threading.Thread(target=self._hear, args=(n,), daemon=True))
            self._ears[-1].start()

    def _hear(self, n: int) -> None:
        lines = self._processes[n].stdout
        assert lines is not None
        for line in lines:
            said = json.loads(line)
            if isinstance(said, dict):
                self._last[n] = Found(**said)
            else:
                self._said[n] = (said[0], said[1], said[2])

    @property
    def live(self) -> int:
        """How many are connected."""
        return sum(live for live, _, _ in self._said)

    @property
    def came(self) -> int:
        """How many have been connected."""
        return sum(came for _, came, _ in self._said)

    @property
    def received(self) -> int:
        return sum(received for _, _, received in self._said)

    def end(self) -> list[Found]:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        for ear in self._ears:
            ear.join(LONG)
        for process in self._processes:
            process.wait(LONG)
        return [found for found in self._last if found is not None]


class Publishing(threading.Thread):
    """Publishes the numbers, one a second, each until it is acknowledged."""

    def __init__(self, servers: Sequence[Server], count: int) -> None:
        super().__init__(daemon=True)
        self._servers, self._count = servers, count
        self.done = 0
        self.acknowledged: list[float] = []  # monotonic seconds

    def run(self) -> None:
        pause, began, tries = threading.Event(), time.monotonic(), 0
        while self.done < self._count:
            key = _KEY.format(self.done)
            server = self._servers[tries % len(self._servers)]
            try:
                server.publish(_CHANNEL, self.done, idempotency_key=key)
            except (OSError, AssertionError):  # it is away, or says "not now"
                tries += 1
                pause.wait(0.1)
                continue
            self.acknowledged.append(time.monotonic())
            self.done += 1
            pause.wait(max(0.0, began + self.done * _PACE - time.monotonic()))


def _wait(condition: Callable[[], bool], show: Callable[[], None], seconds: float) -> None:
    """Wait until it is true, or so long; show how far it is meanwhile."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    shown = 0.0
    while not condition() and (now := time.monotonic()) < deadline:
        if now - shown > (0.5 if sys.stderr.isatty() else 5.0):
            show()
            shown = now
        pause.wait(0.1)


def _servers(folder: Path, broker: str) -> list[Server]:
    """Two instances, which a rolling restart needs, with one worker each: a core for each."""
    kept = {"PUSH_BROKER_URL": broker} if broker else {}
    return [
        Server(folder, WEB_CONCURRENCY=1, PUSH_LIMITS=_LIMITS, **kept).start() for _ in range(2)
    ]


def storm(
    kind: str, clients: int, folder: Path, broker: str = "", messages: int = _MESSAGES
) -> str:
    """Run one of the two; return the report. Its last word is "lost" where anything was."""
    servers = _servers(folder, broker)
    options = {"kill_every": 15.0, "offline": 2.0} if kind == "jitter" else {}
    flocks = Flocks([server.port for server in servers], clients, **options)
    publishing = Publishing(servers, messages)
    doing = "coming"

    def show() -> None:
        count = f"{flocks.live:,} of {clients:,} connected, {publishing.done} published"
        show_bar(flocks.received / (messages * clients), f"{count}, {doing}")

    try:
        _wait(lambda: flocks.came == clients, show, 2 * LONG)
        doing, began = "publishing", time.monotonic()
        publishing.start()
        if kind == "deploy":
            for server in servers:
                _wait(lambda: False, show, messages * _PACE / 6)
                server.stop()
                server.launch()
        _wait(lambda: publishing.done == messages, show, messages * _PACE + LONG)
        doing = "waiting for the last"
        _wait(lambda: flocks.received >= messages * clients, show, LONG)
        # what comes twice would come now, and who is away is back soon
        _wait(lambda: flocks.live >= clients * (0.8 if options else 1), show, LONG)
        found = flocks.end()
    finally:
        for server in servers:
            server.stop()
    return _report(kind, clients, messages, found, publishing.acknowledged, began)


def _report(
    kind: str,
    clients: int,
    messages: int,
    found: Sequence[Found],
    acknowledged: Sequence[float],
    began: float,
) -> str:
    received = [count for one in found for count in one.received]
    dark = [seconds for one in found for seconds in one.dark]
    replay = [seconds for one in found for seconds in one.replay]
    times = [began, *acknowledged]
    gaps = [after - before for before, after in zip(times, times[1:], strict=False)]
    expected, total = clients * messages, sum(received)
    wrong = sum(one.lost + one.twice + one.unordered + one.told for one in found)
    away = sum(len(one.away) for one in found)
    good = total == expected and not wrong and (kind == "jitter" or not away)
    rows = [
        ("clients", f"{clients:,}"),
        ("  that have all messages", f"{sum(count == messages for count in received):,}"),
        ("  without a connection at the end", f"{away:,}"),
        ("messages", f"{messages:,}"),
        ("deliveries", f"{total:,} of {expected:,} ({100 * total / expected:.3f} %)"),
        ("  lost, twice, out of order, told", f"{wrong:,}"),
        ("times that a client came back", f"{len(dark):,}"),
        ("seconds, p50 / p99 / max", ""),
        ("  from connecting to all replayed", _shares(replay)),
        ("  without a connection", _shares(dark)),
        ("  between two publishes, at most", f"{max(gaps, default=0.0):.2f}"),
    ]
    lines = [f"{kind}:", *(f"  {name:<36}{value:>28}" for name, value in rows)]
    return "\n".join([*lines, "nothing lost" if good else "LOST"])


def _shares(values: Sequence[float]) -> str:
    return " / ".join(f"{share(values, part):.2f}" for part in (0.5, 0.99, 1))


def main() -> int:
    """Return 0 where nothing was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.storms", description=__doc__)
    parser.add_argument("kinds", nargs="*", default=["jitter", "deploy"])
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--messages", type=int, default=_MESSAGES)
    parser.add_argument("--broker", default="", help="the URL of a Valkey; without it: SQLite")
    asked = parser.parse_args()
    good = True
    for kind in asked.kinds:
        with tempfile.TemporaryDirectory() as folder:
            text = storm(kind, asked.clients, Path(folder), asked.broker, asked.messages)
        write(text)
        good = good and text.endswith("nothing lost")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
