"""Every network: the page ends on a transport that works, gets all of it once, and the truth."""

from __future__ import annotations

import os

import pytest

from .matrix import Matrix, Row
from .networks import NETWORKS
from .report import OTHERS, TRANSPORTS
from .visit import OWN_JQUERY, Form

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

FULL = os.environ.get("NETWORKS") == "full"  # make networks


def rows() -> list[Row]:
    """Return what this run is made of: all of it, or the short form with one jQuery."""
    if not FULL:
        return [(Form(False, OWN_JQUERY), network) for network in NETWORKS]
    found = [(Form(True, OWN_JQUERY), network) for network in NETWORKS]
    found += [(Form(False, version), n) for version in OTHERS for n in NETWORKS]
    found += [
        (Form(False, OWN_JQUERY, transport), network)
        for network in NETWORKS
        for transport in TRANSPORTS
        if network.alone and network.tabs == 1 and transport not in network.never
    ]
    return found


def name(row: Row) -> str:
    form, network = row
    return f"{form.name} {network.number:02}"


@pytest.mark.parametrize("row", rows(), ids=name)
def test_nothing_is_missed_and_nothing_comes_twice(matrix: Matrix, row: Row) -> None:
    """Within the promised time, numbered messages arrive once and in order; no false word."""
    result = matrix.result(*row)
    print(f"\n{row[1].number} {row[1].name}: {result}")
    assert result.problems == []
