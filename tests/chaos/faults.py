"""What goes wrong, each undone when its function returns.

What belongs here: one function for each kind of harm. What does not: when it happens (``run``), and
what must hold nevertheless (``verdict``). A new fault is a function and a line in ``FAULTS``.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

from .world import World

Fault = Callable[[World, float], None]  # the seconds are how long what is stopped stands still


def _stand_still(seconds: float) -> None:
    threading.Event().wait(seconds)


def kill_worker(world: World, seconds: float) -> None:
    """A worker is gone without a word; its master starts another."""
    os.kill(world.worker(), signal.SIGKILL)


def stop_worker(world: World, seconds: float) -> None:
    """A worker stands still, as on a machine that swaps; its clients hear nothing."""
    pid = world.worker()
    os.kill(pid, signal.SIGSTOP)
    _stand_still(seconds)
    os.kill(pid, signal.SIGCONT)


def restart_instance(world: World, seconds: float) -> None:
    """A deploy: SIGTERM, and it is started again."""
    world.instance().restart()


def reload_instance(world: World, seconds: float) -> None:
    """A reload: SIGHUP, new workers before the old ones go."""
    world.instance().signal(signal.SIGHUP)


def kill_instance(world: World, seconds: float) -> None:
    """All processes of an instance are gone at once."""
    server = world.instance()
    server.kill()
    server.start()


def lock_file(world: World, seconds: float) -> None:
    """Another process writes into SQLite's file for long."""
    with world.locked():
        _stand_still(seconds)


def kill_valkey(world: World, seconds: float) -> None:
    """Valkey crashes, is away for a moment, and comes back with what is on its disk."""
    assert world.trio is not None
    world.trio.valkey.kill()
    _stand_still(seconds / 5)
    world.trio.valkey.start()


def pause_valkey(world: World, seconds: float) -> None:
    """Valkey stands still: connections stay, nothing is answered."""
    assert world.trio is not None
    world.trio.valkey.pause()
    _stand_still(seconds)
    world.trio.valkey.resume()


def cut_pubsub(world: World, seconds: float) -> None:
    """Valkey ends the connections on which workers hear of what is new."""
    assert world.trio is not None
    world.trio.valkey.cut("pubsub")


def fail_over(world: World, seconds: float) -> None:
    """Valkey crashes and its replica takes over, with what had reached it."""
    assert world.trio is not None
    world.trio.fail_over()


_ANYWHERE: dict[str, Fault] = {
    "worker killed": kill_worker,
    "worker stopped": stop_worker,
    "instance restarted": restart_instance,
    "instance reloaded": reload_instance,
    "instance killed": kill_instance,
}
#: broker → name → what happens
FAULTS: dict[str, dict[str, Fault]] = {
    "sqlite": {**_ANYWHERE, "file locked": lock_file},
    "redis": {
        **_ANYWHERE,
        "valkey killed": kill_valkey,
        "valkey paused": pause_valkey,
        "pub/sub cut": cut_pubsub,
        "failover": fail_over,
    },
}
#: After these what was acknowledged may be gone; whoever lacks it must be told.
MAY_LOSE = {"failover"}
