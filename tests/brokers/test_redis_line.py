"""The connection that many share: nobody is overtaken for ever, and nobody's end stops the rest."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
from gevent.monkey import is_module_patched

from pushapp.broker.redis import RedisBroker
from pushapp.errors import LogUnavailable

from ..server import until
from ..valkey import Valkey
from ..wire import TIMEOUT
from .tools import publish, retention


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path / "valkey").start()
    yield server
    server.stop()


@pytest.fixture
def broker(server: Valkey) -> Iterator[RedisBroker]:
    broker = RedisBroker(server.url, retention)
    yield broker
    broker.close()


def test_nobody_is_overtaken_for_ever(broker: RedisBroker) -> None:
    """Eight that publish without a pause: by the time that one has done 300, all have done
    many."""
    done: Counter[int] = Counter()
    seen: list[Counter[int]] = []
    together = threading.Barrier(8)

    def run(who: int) -> None:
        together.wait(TIMEOUT)
        for _ in range(300):
            publish(broker, "public:a")
            done[who] += 1
        seen.append(done.copy())

    threads = [threading.Thread(target=run, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert len(seen) == 8
    assert min(seen[0][who] for who in range(8)) >= 75, seen[0]


def test_a_closed_broker_refuses_who_comes_and_lets_who_is_there_end(
    broker: RedisBroker, server: Valkey
) -> None:
    """Closing waits for the connection, which nobody takes afterwards."""
    server.pause()
    answered = threading.Event()

    def run() -> None:
        publish(broker, "public:a")
        answered.set()

    publisher = threading.Thread(target=run)
    publisher.start()
    until(lambda: broker._writes._leader is not None, "it has the connection")
    closing = threading.Thread(target=broker.close)
    closing.start()
    server.resume()
    closing.join(TIMEOUT)
    assert answered.wait(TIMEOUT)
    publisher.join(TIMEOUT)
    with pytest.raises(LogUnavailable):
        publish(broker, "public:a")


@pytest.mark.skipif(not is_module_patched("threading"), reason="only a greenlet can be killed")
@pytest.mark.parametrize("which", [0, 1])
def test_a_publisher_that_is_killed_stops_nobody(
    broker: RedisBroker, server: Valkey, which: int
) -> None:
    """The one that has the connection, or one that waits for it."""
    publish(broker, "public:a")
    server.pause()
    publishers = [gevent.spawn(publish, broker, "public:a") for _ in range(4)]
    gevent.idle()
    publishers[which].kill()
    server.resume()
    gevent.joinall(publishers, timeout=TIMEOUT)
    assert all(publisher.successful() for publisher in publishers)
    publish(broker, "public:a")
