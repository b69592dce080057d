"""What goes wrong, each undone when its function returns.

What belongs here: one function for each kind of harm. What does not: when it happens (``run``), and
what must hold nevertheless (``verdict``). A new fault is a function and a line in ``FAULTS``.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable

import psutil

from ..server import LONG, tell, until
from .world import World

Fault = Callable[[World, float], None]  # the seconds are how long what is stopped stands still

#: Seconds that the wall clock goes wrong by. Not by 300 forwards: for so long a publish may be
#: repeated with its key.
_MOVES = (-3600.0, -60.0, -1.0, 1.0, 60.0, 200.0)


def _stand_still(seconds: float) -> None:
    threading.Event().wait(seconds)


def _stop(pids: Iterable[int], seconds: float) -> None:
    """Have processes stand still, as on a machine that swaps; their clients hear nothing."""
    pids = list(pids)
    for pid in pids:
        tell(pid, signal.SIGSTOP)
    _stand_still(seconds)
    for pid in pids:
        tell(pid, signal.SIGCONT)


# -- the server ------------------------------------------------------------------------------------


def kill_worker(world: World, seconds: float) -> None:
    """A worker is gone without a word; its master starts another."""
    tell(world.worker(), signal.SIGKILL)


def end_worker(world: World, seconds: float) -> None:
    """A worker is told to end, as a process manager may; its master starts another."""
    tell(world.worker(), signal.SIGTERM)


def hang_up_worker(world: World, seconds: float) -> None:
    """A worker gets SIGHUP, which only the master knows what to do with."""
    tell(world.worker(), signal.SIGHUP)


def stop_worker(world: World, seconds: float) -> None:
    _stop([world.worker()], seconds)


def kill_master(world: World, seconds: float) -> None:
    """The master alone is gone; its workers see it and leave; it is started again."""
    with world.instance() as server:
        group = [server.pid, *server.workers()]
        tell(server.pid, signal.SIGKILL)
        server.wait()
        until(lambda: not any(map(_lives, group)), "the workers leave", LONG)
        server.launch()


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stop_master(world: World, seconds: float) -> None:
    """The master stands still, and a worker dies: nobody starts another meanwhile."""
    with world.instance() as server:
        workers = server.workers()
        tell(server.pid, signal.SIGSTOP)
        if workers:
            tell(world.chance.choice(workers), signal.SIGKILL)
        _stand_still(seconds)
        tell(server.pid, signal.SIGCONT)


def restart_instance(world: World, seconds: float) -> None:
    """A deploy: SIGTERM, and it is started again."""
    with world.instance() as server:
        server.stop()
        server.launch()


def reload_instance(world: World, seconds: float) -> None:
    """A reload: SIGHUP, new workers before the old ones go."""
    with world.instance() as server:
        server.signal(signal.SIGHUP)


def kill_instance(world: World, seconds: float) -> None:
    """All processes of an instance are gone at once."""
    with world.instance() as server:
        server.kill()
        server.launch()


def stop_instance(world: World, seconds: float) -> None:
    """All processes of an instance stand still, as in a virtual machine that is moved."""
    with world.instance() as server:
        _stop([server.pid, *server.workers()], seconds)


# -- the lines to it -------------------------------------------------------------------------------


def reset_line(world: World, seconds: float) -> None:
    """All connections of a line are reset."""
    world.way().do("reset")


def silence_line(world: World, seconds: float) -> None:
    """The connections of a line are half open from now on: neither side hears that it is over."""
    world.way().do("silence")
    _stand_still(seconds)


def cut_line(world: World, seconds: float) -> None:
    """For a while replies end after some bytes: their publishers and readers know half of them."""
    world.way().do(f"cut {seconds}")
    _stand_still(seconds)


# -- the log ---------------------------------------------------------------------------------------


def move_clock(world: World, seconds: float) -> None:
    """The wall clock of the servers, and of the log, is moved, and moved back."""
    with world.clock.moved(world.chance.choice(_MOVES)):
        _stand_still(seconds)


def fill_disk(world: World, seconds: float) -> None:
    """The disk of SQLite's file is full."""
    with world.disk.full(world.workers):
        _stand_still(seconds)


def lock_file(world: World, seconds: float) -> None:
    """Another process writes into SQLite's file for long."""
    with world.locked():
        _stand_still(seconds)


def fill_valkeys_disk(world: World, seconds: float) -> None:
    """Valkey's disk is full: it ends rather than break its word, and is started again."""
    assert world.trio is not None
    valkey = world.trio.valkey
    with world.disk.full(lambda: [valkey.pid] if valkey.pid else []):
        _stand_still(seconds)
    if valkey.pid is None:
        valkey.restart()


def restart_valkey(world: World, seconds: float) -> None:
    """Valkey ends in order and comes back."""
    assert world.trio is not None
    world.trio.valkey.stop()
    world.trio.valkey.start()


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
    "worker ended (SIGTERM)": end_worker,
    "worker hung up (SIGHUP)": hang_up_worker,
    "worker stopped": stop_worker,
    "master killed": kill_master,
    "master stopped, worker killed": stop_master,
    "instance restarted (SIGTERM)": restart_instance,
    "instance reloaded (SIGHUP)": reload_instance,
    "instance killed": kill_instance,
    "instance stopped": stop_instance,
    "connections reset": reset_line,
    "connections half open": silence_line,
    "replies cut": cut_line,
    "clock moved": move_clock,
}
#: broker → name → what happens
FAULTS: dict[str, dict[str, Fault]] = {
    "sqlite": {**_ANYWHERE, "file locked": lock_file, "disk full": fill_disk},
    "redis": {
        **_ANYWHERE,
        "valkey killed": kill_valkey,
        "valkey restarted": restart_valkey,
        "valkey paused": pause_valkey,
        "valkey's disk full": fill_valkeys_disk,
        "pub/sub cut": cut_pubsub,
        "failover": fail_over,
    },
}
#: After these what was acknowledged may be gone; whoever lacks it must be told.
MAY_LOSE = {"failover"}
#: These take their time, and others happen meanwhile.
BESIDE = {"master killed", "instance restarted (SIGTERM)", "instance killed"}
