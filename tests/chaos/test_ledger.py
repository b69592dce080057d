"""The ledger in its short form; ``make chaos`` runs the long one."""

from __future__ import annotations

import random
from contextlib import closing
from pathlib import Path

import pytest

from .faults import FAULTS
from .report import ledger
from .run import Order, Run
from .world import World

pytestmark = pytest.mark.e2e


def order(broker: str, **figures: int) -> Order:
    """Each kind of fault once, where nothing else is said."""
    seed = random.randrange(10**9)
    sizes = {"clients": 60, "messages": 1500, "faults": len(FAULTS[broker]), **figures}
    return Order(broker, **sizes, seed=seed, rate=150.0, still=3.0)


@pytest.mark.parametrize("broker", FAULTS)
def test_acknowledged_is_delivered_once_and_in_order_whatever_breaks(
    broker: str, tmp_path: Path
) -> None:
    """Readers hop between transports, workers and instances, while each kind of fault happens."""
    result = Run(order(broker), tmp_path).go()
    print(ledger(result))
    assert result.verdict.is_good
    assert result.verdict.deliveries > 15_000
    assert {fault.name for fault in result.faults} == set(FAULTS[broker])


def steal(world: World) -> None:
    """Take a message out of the log."""
    if world.trio is None:
        with closing(world.open_file()) as connection:
            connection.execute("DELETE FROM message WHERE n = (SELECT max(n) - 50 FROM message)")
    else:
        stream = "{push}:s:public:chaos.3"
        entries = world.trio.valkey.ask("XRANGE", stream, "-", "+", "COUNT", 3)
        assert world.trio.valkey.ask("XDEL", stream, entries[1][0]) == 1


@pytest.mark.parametrize("broker", FAULTS)
def test_a_message_that_is_taken_out_of_the_log_turns_it_red(broker: str, tmp_path: Path) -> None:
    """The ledger looks, and does not only say so."""
    result = Run(order(broker, clients=5, messages=150, faults=0), tmp_path, harm=steal).go()
    assert result.verdict.wrong["not in the log"] == 1
    assert result.verdict.wrong["unlinked"] >= 1
