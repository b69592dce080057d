"""The cursor law: whoever hands back the last cursor it was handed misses nothing.

Whatever the transport, whichever the worker of whichever machine, wherever the last reply was cut.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from ..clients import CLIENTS, TRANSPORTS, Refused
from ..server import Server
from ..valkey import Valkey
from ..wire import TIMEOUT, Ended
from .cutter import CUTS, Cutter
from .publishing import open_publisher

READERS = 2  # each of them gets all of it
WINDOW = 6  # messages that the publisher is ahead of the slowest reader, at most

CHANNELS = [f"public:law.{n}" for n in range(3)]


class Reader(threading.Thread):
    """Changes transport and worker after every message or few, and believes what it is told.

    It drops nothing by id: a reply that was cut counts as far as it came whole.
    """

    def __init__(
        self, cutter: Cutter, start: str, count: int, chance: random.Random, progress: Progress
    ) -> None:
        super().__init__(daemon=True)
        self._cutter, self._count = cutter, count
        self._chance, self._progress = chance, progress
        self.cursor = start
        self.got: list[tuple[str, str | None, str, int]] = []  # id, prev, channel, data
        self.served: Counter[int] = Counter()  # worker → messages
        self.turns: Counter[str] = Counter()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while len(self.got) < self._count:
                self._turn()
        except BaseException as error:
            self.error = error
            self._progress.stop()

    def _turn(self) -> None:
        transport = self._chance.choice(TRANSPORTS)
        client = CLIENTS[transport](self._cutter.port, CHANNELS, self.cursor)
        try:
            client.open()
            for _ in range(min(self._chance.choice((1, 1, 1, 2, 4)), self._count - len(self.got))):
                client.receive()
                self._progress.reached(self, len(self.got) + client.trail.count("message"))
        except Ended:
            pass  # cut; what came whole before it counts
        except Refused as refused:
            assert refused.reply is None and refused.code is None, refused
        finally:
            client.close()
        assert client.recovered in (None, True) and not client.lost, (transport, client.lost)
        messages = [event for event in client.events if "type" not in event]
        self.got += [(m["id"], m["prev"], m["channel"], m["data"]) for m in messages]
        self.cursor = client.cursor or self.cursor
        self.turns[transport] += 1
        for port in client.local_ports[-1:]:
            self.served[self._cutter.pids[port]] += len(messages)
        self._progress.reached(self, len(self.got))


class Progress:
    """How far everybody is: the publisher waits here for the slowest reader."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._at: dict[Reader, int] = {}
        self._stopped = False

    def reached(self, reader: Reader, count: int) -> None:
        with self._changed:
            self._at[reader] = count
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def wait_for(self, count: int) -> bool:
        """Wait until every reader has that many; False when one of them has failed."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._stopped
                    or count <= 0
                    or (len(self._at) == READERS and min(self._at.values()) >= count)
                ),
                6 * TIMEOUT,
            )
            return not self._stopped


def check_law(servers: list[Server], count: int) -> None:
    """``count`` messages on three channels, all workers, four transports, and cut replies."""
    seed = int(os.environ.get("PUSH_TEST_SEED") or random.randrange(10**9))
    print(f"PUSH_TEST_SEED={seed}")
    chance = random.Random(seed)
    start = servers[0].ask("GET", "/push/poll?channels=public:law.0").json["cursor"]
    progress, cutter = Progress(), Cutter(servers, random.Random(chance.random()), share=0.3)
    readers = [
        Reader(cutter, start, count, random.Random(chance.random()), progress)
        for _ in range(READERS)
    ]
    for reader in readers:
        reader.start()

    ids: list[str] = []
    with ExitStack() as stack:
        publishers = [stack.enter_context(open_publisher(server)) for server in servers]
        while len(ids) < count and progress.wait_for(len(ids) - chance.randrange(WINDOW)):
            some = min(chance.choice((1, 1, 2, 3)), count - len(ids))
            drafts = [
                {"channel": chance.choice(CHANNELS), "data": len(ids) + n} for n in range(some)
            ]
            ids += chance.choice(publishers)(drafts)

    for reader in readers:
        reader.join(12 * TIMEOUT)
        if reader.error is not None:
            raise reader.error
        assert not reader.is_alive(), f"it got {len(reader.got)} of {count}"
    cutter.close()
    print("cuts", cutter.cuts, "turns", [r.turns for r in readers])

    workers = [pid for server in servers for pid in server.workers()]
    for reader in readers:
        assert [got[0] for got in reader.got] == ids
        assert [got[3] for got in reader.got] == list(range(count))
        last: dict[str, str] = {}
        for message_id, prev, channel, _ in reader.got:
            assert prev == last.get(channel), f"{message_id} does not follow on {channel}"
            last[channel] = message_id
        for pid in workers:
            assert reader.served[pid] >= 0.4 * count / len(workers)
        assert all(reader.turns[transport] > count / 100 for transport in TRANSPORTS)
    assert all(cutter.cuts[cut] > count / 200 for cut in CUTS), cutter.cuts


@pytest.mark.e2e
def test_every_message_comes_once_and_in_order_whatever_happens_to_the_replies(
    make_server: Callable[..., Server],
) -> None:
    """On one machine, over SQLite."""
    check_law([make_server(PUSH_HISTORY_SIZE=10_000)], 10_000)


@pytest.mark.e2e
def test_and_so_it_is_across_machines(make_server: Callable[..., Server], valkey: Valkey) -> None:
    """On two of them over one Valkey, with a cursor that came from either."""
    where = {"PUSH_BROKER_URL": valkey.url, "PUSH_KEY_PREFIX": "law", "PUSH_HISTORY_SIZE": 10_000}
    check_law([make_server(**where), make_server(**where)], 3_000)
