"""The cursor law: whoever hands back the last cursor it was handed misses nothing.

Whatever the transport, whichever the worker, wherever the last reply was cut.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable

import pytest

from ..clients import CLIENTS, TRANSPORTS, Refused
from ..server import Server
from ..wire import TIMEOUT, Ended
from .cutter import CUTS, Cutter
from .publishing import open_publisher

MESSAGES = 10_000
READERS = 2  # each of them gets all of it
WINDOW = 6  # messages that the publisher is ahead of the slowest reader, at most

CHANNELS = [f"public:law.{n}" for n in range(3)]


class Reader(threading.Thread):
    """Changes transport and worker after every message or few, and believes what it is told.

    It drops nothing by id: a reply that was cut counts as far as it came whole.
    """

    def __init__(self, cutter: Cutter, start: str, chance: random.Random, progress: Progress):
        super().__init__(daemon=True)
        self._cutter, self._chance, self._progress = cutter, chance, progress
        self.cursor = start
        self.got: list[tuple[str, str | None, str, int]] = []  # id, prev, channel, data
        self.served: Counter[int] = Counter()  # worker → messages
        self.turns: Counter[str] = Counter()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while len(self.got) < MESSAGES:
                self._turn()
        except BaseException as error:
            self.error = error
            self._progress.stop()

    def _turn(self) -> None:
        transport = self._chance.choice(TRANSPORTS)
        client = CLIENTS[transport](self._cutter.port, CHANNELS, self.cursor)
        try:
            client.open()
            for _ in range(min(self._chance.choice((1, 1, 1, 2, 4)), MESSAGES - len(self.got))):
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


@pytest.mark.e2e
def test_every_message_comes_once_and_in_order_whatever_happens_to_the_replies(
    make_server: Callable[..., Server],
) -> None:
    """10,000 messages on three channels, two workers, four transports, and cut replies."""
    seed = int(os.environ.get("PUSH_TEST_SEED") or random.randrange(10**9))
    print(f"PUSH_TEST_SEED={seed}")
    chance = random.Random(seed)
    server = make_server(PUSH_HISTORY_SIZE=MESSAGES)
    start = server.ask("GET", "/push/poll?channels=public:law.0").json["cursor"]
    progress, cutter = Progress(), Cutter(server, random.Random(chance.random()), share=0.3)
    readers = [
        Reader(cutter, start, random.Random(chance.random()), progress) for _ in range(READERS)
    ]
    for reader in readers:
        reader.start()

    ids: list[str] = []
    with open_publisher(server) as publish:
        while len(ids) < MESSAGES and progress.wait_for(len(ids) - chance.randrange(WINDOW)):
            count = min(chance.choice((1, 1, 2, 3)), MESSAGES - len(ids))
            drafts = [
                {"channel": chance.choice(CHANNELS), "data": len(ids) + n} for n in range(count)
            ]
            ids += publish(drafts)

    for reader in readers:
        reader.join(12 * TIMEOUT)
        if reader.error is not None:
            raise reader.error
        assert not reader.is_alive(), f"it got {len(reader.got)} of {MESSAGES}"
    cutter.close()
    print("cuts", cutter.cuts, "turns", [r.turns for r in readers])

    for reader in readers:
        assert [got[0] for got in reader.got] == ids
        assert [got[3] for got in reader.got] == list(range(MESSAGES))
        last: dict[str, str] = {}
        for message_id, prev, channel, _ in reader.got:
            assert prev == last.get(channel), f"{message_id} does not follow on {channel}"
            last[channel] = message_id
        for pid in server.workers():
            assert reader.served[pid] >= MESSAGES / 5
        assert all(reader.turns[transport] > 100 for transport in TRANSPORTS)
    assert all(cutter.cuts[cut] > 50 for cut in CUTS), cutter.cuts
