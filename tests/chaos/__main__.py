"""``python -m tests.chaos``: break things on purpose, and print the ledger.

What belongs here: the command line. What does not: a run (``run``).
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
from pathlib import Path

from .faults import FAULTS
from .report import Bar, ledger, write
from .run import Order, Run


def main() -> int:
    """Return 0 where every ledger balances."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--broker", choices=FAULTS, help="one kind of log; without it: each")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--messages", type=int, default=26_000)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument(
        "--rate", type=float, default=90.0, help="messages a second; so that faults end among them"
    )
    parser.add_argument("--still", type=float, default=3.0, help="longest pause, in seconds")
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    parser.add_argument("--folder", type=Path, help="where the servers' logs and receipts stay")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # no server may stay behind
    good = True
    for broker in [asked.broker] if asked.broker else FAULTS:
        sizes = asked.clients, asked.messages, asked.faults, asked.seed, asked.rate, asked.still
        order = Order(broker, *sizes)
        print(f"{broker}: seed {order.seed}", flush=True)
        with tempfile.TemporaryDirectory() as temporary:
            folder = asked.folder / broker if asked.folder else Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            result = Run(order, folder, Bar().show).go()
        write(ledger(result))
        good = good and result.verdict.is_good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
