"""What all streams of a worker share.

What belongs here: what a stream is made with, once for all of them. What does not: what it does
with that (``granted``, ``stream``, ``conversation``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..auth import Grant, Sketch
from ..departures import Departures
from ..hub import Hub
from ..limits import Limits
from ..outlet import Lot
from ..presence import Presence
from ..quota import Quota


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of a worker that its streams use, and what is set for all of them."""

    hub: Hub
    lot: Lot
    presence: Presence
    heartbeat: float  # seconds
    may_still: Callable[[Sketch, Sequence[str]], Grant]
    departures: Departures
    limits: Limits = field(default_factory=lambda: Limits(Quota()))
    life: float = math.inf  # seconds that a stream lasts, more or less
    is_latest_only: Callable[[str], bool] = lambda channel: False  # the newest message is enough
