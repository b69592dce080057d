"""What is measured of the logs, side by side: each case runs on one fresh log, one flat record.

What does not belong here: which logs, how often, and what is made of the records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cases import Seconds
from logs import LOGS, PROMISES, VALKEY, Log, RunningLog, http_client, log_client
from measure import Record, timed
from processes import BenchError, Server, cores

BATCHES = (1, 10, 100, 1000)
TOGETHER = 16  # greenlets that publish at the same time
WATCHED = (1, 1000, 10_000)  # channels
RATE = 300.0  # messages a second, each to another channel
WORKERS = (1, 4, 16)  # that watch the same channel
IDLE = 20  # workers
FILL = 100_000  # messages
FILLED = (1, 1000, FILL)  # channels
LEASES = 2000


def _parts(name: str, record: Record) -> Record:
    return {f"{name}_{key}": value for key, value in record.items()}


def _append(log: RunningLog, seconds: Seconds, batches: Sequence[int]) -> Record:
    """Append in a process as a worker is one, with no HTTP around it and nobody listening."""
    record: Record = {}
    with log_client(log, core=cores()[0]) as client:
        client.ask("append", 0.3, batch=1, at_once=1, channels=1)
        phases = [(f"b{batch}", batch, 1) for batch in batches] + [("together", 1, TOGETHER)]
        for name, batch, at_once in phases:
            found = timed(
                {"cpu": [client.pid], "log_cpu": log.pids()},
                lambda b=batch, n=at_once: client.ask(
                    "append", seconds.busy, batch=b, at_once=n, channels=1
                ),
            )
            record |= _parts(name, found)
    return record


def _promise(log: RunningLog, seconds: Seconds) -> Record:
    return _append(log, seconds, (1, 100))


def _publish(log: RunningLog, seconds: Seconds) -> Record:
    """Publish over HTTP at one worker, with nobody listening."""
    record: Record = {}
    with Server(log.peer()) as server, http_client() as client:
        client.ask("post", 0.3, port=server.port, batch=1, connections=1)
        phases = [(f"b{batch}", batch, 1) for batch in BATCHES] + [("together", 1, TOGETHER)]
        for name, batch, connections in phases:
            found = timed(
                {"cpu": server.pids(), "log_cpu": log.pids(), "own_cpu": [client.pid]},
                lambda b=batch, n=connections: client.ask(
                    "post", seconds.busy, port=server.port, batch=b, connections=n
                ),
            )
            record |= _parts(name, found)
    return record


def _across(log: RunningLog, seconds: Seconds) -> Record:
    """Publish at one server and listen at another over the same log."""
    with Server(log.peer()) as one, Server(log.peer()) as other, http_client() as client:
        client.ask("across", 0.3, port=one.port, other=other.port)
        roles = {
            "cpu": one.pids(),
            "listening_cpu": other.pids(),
            "log_cpu": log.pids(),
            "own_cpu": [client.pid],
        }
        found = timed(
            roles,
            lambda: client.ask("across", 3 * seconds.paced, port=one.port, other=other.port),
        )
    return _parts("across", found)


def _channels(log: RunningLog, seconds: Seconds) -> Record:
    """Listen to few or many channels, of which each message is in another one."""
    record: Record = {}
    for watched in WATCHED:
        with (
            log_client(log, core=cores()[0]) as listener,
            log_client(log, core=cores()[1]) as publisher,
        ):
            listener.ask("follow", 60.0, channels=watched)
            warm = publisher.ask("pace", 0.3, rate=RATE, channels=watched)
            listener.ask("heard", 5.0, count=warm["messages"])
            roles = {"cpu": [listener.pid], "log_cpu": log.pids(), "own_cpu": [publisher.pid]}

            def run(watched: int = watched) -> Record:
                sent = publisher.ask("pace", seconds.paced, rate=RATE, channels=watched)
                heard = listener.ask("heard", 5.0, count=sent["messages"])
                if heard["heard"] != sent["messages"]:
                    raise BenchError(f"{heard['heard']} of {sent['messages']} were heard")
                return sent

            record |= _parts(f"watch{watched}", timed(roles, run))
            idle = timed(
                {"cpu": [listener.pid], "log_cpu": log.pids()},
                lambda: listener.ask("rest", seconds.paced),
            )
            record |= _parts(f"idle{watched}", idle)
    return record


def _workers(log: RunningLog, seconds: Seconds) -> Record:
    """Publish to one channel that one or more workers watch, all on one core."""
    record: Record = {}
    for workers in WORKERS:
        with (
            log_client(log, core=cores()[0]) as listener,
            log_client(log, core=cores()[1]) as publisher,
        ):
            listener.ask("more", 30.0, followers=workers)
            warm = publisher.ask("pace", 0.3, rate=RATE, channels=1)
            listener.ask("heard", 5.0, count=workers * warm["messages"])
            roles = {"cpu": [listener.pid], "log_cpu": log.pids(), "own_cpu": [publisher.pid]}

            def run(workers: int = workers) -> Record:
                sent = publisher.ask("pace", seconds.paced, rate=RATE, channels=1)
                listener.ask("heard", 5.0, count=workers * sent["messages"])
                return sent

            record |= _parts(f"workers{workers}", timed(roles, run))
    return record


def _memory(log: RunningLog, seconds: Seconds) -> Record:
    """Fill it: what its server holds afterwards, less what it held before."""
    record: Record = {}
    for channels in FILLED:
        with RunningLog(log.log) as fresh, log_client(fresh, core=cores()[0]) as client:
            before = fresh.memory()
            client.ask("fill", 60.0, count=FILL, channels=channels)
            record[f"fill{channels}_bytes"] = (fresh.memory() - before) / FILL
    with log_client(log, core=cores()[0]) as client:
        before = log.memory()
        client.ask("lease", 30.0, count=LEASES)
        record["lease_bytes"] = (log.memory() - before) / LEASES
        before = log.memory()
        sent = client.ask("append", 1.0, batch=1, at_once=TOGETHER, channels=1)
        # The channel keeps a thousand: what grows further is the appends' keys.
        record["append_bytes"] = (log.memory() - before) / sent["messages"]
    return record


def _idle(log: RunningLog, seconds: Seconds) -> Record:
    """What many workers cost that do nothing: with them, less without them."""
    with log_client(log, core=cores()[0]) as client:
        client.ask("rest")  # until it has started
        roles = {"cpu": [client.pid], "log_cpu": log.pids()}
        alone = timed(roles, lambda: client.ask("rest", seconds.paced))
        client.ask("more", 30.0, followers=IDLE)
        many = timed(roles, lambda: client.ask("rest", seconds.paced))
    return _parts("alone", alone) | _parts("many", many)


@dataclass(frozen=True, slots=True)
class LogCase:
    """One thing to measure, on some logs in turn."""

    name: str
    measure: Callable[[RunningLog, Seconds], Record]
    peers: Sequence[Log] = LOGS

    def run(self, log: Log, seconds: Seconds) -> Record:
        """Start the log, measure, end it.

        Raises:
            BenchError: it could not be measured.
        """
        with RunningLog(log) as running:
            return self.measure(running, seconds)


LOG_CASES = (
    LogCase("log-append", lambda log, seconds: _append(log, seconds, BATCHES)),
    LogCase("log-publish", _publish),
    LogCase("log-across", _across),
    LogCase("log-channels", _channels),
    LogCase("log-workers", _workers),
    LogCase("log-idle", _idle),
    LogCase("log-promises", _promise, PROMISES),
    LogCase("log-memory", _memory, (VALKEY,)),
)
