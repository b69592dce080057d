"""A process that uses a log as a worker does, under gevent; it measures nothing itself.

Usage: log_client.py URL, with commands as JSON lines on stdin (see the functions below).
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import random  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from gevent.fileobject import FileObject  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from pushapp.broker import open_broker  # noqa: E402
from pushapp.broker.interface import Broker, Follower  # noqa: E402
from pushapp.message import Draft  # noqa: E402
from pushapp.retention import Retention  # noqa: E402
from pushapp.settings import Settings  # noqa: E402

SIZE = 128  # bytes of data
TURN = 0.5  # seconds that a follower waits for news

settings = Settings()


def draft(channel: int) -> Draft:
    return Draft(channel=f"bench:{channel}", data=json.dumps("x" * (SIZE - 2)))


class Client:
    """Brokers on one log, and what their followers have heard."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._brokers = [self._open()]
        self._heard = 0
        self._follower: Follower | None = None

    def _open(self) -> Broker:
        return open_broker(self._url, settings.retention)

    def append(self, seconds: float, batch: int, at_once: int, channels: int) -> dict[str, Any]:
        """Append as fast as it goes: `at_once` greenlets, each with a batch at a time."""
        log, count, until = self._brokers[0].log, 0, time.monotonic() + seconds

        def run() -> None:
            nonlocal count
            while time.monotonic() < until:
                log.append([draft(random.randrange(channels)) for _ in range(batch)])
                count += batch

        began = time.monotonic()
        gevent.joinall([gevent.spawn(run) for _ in range(at_once)], raise_error=True)
        return {"messages": count, "secs": time.monotonic() - began}

    def fill(self, seconds: float, count: int, channels: int) -> dict[str, Any]:
        """Append so many messages, in turn to each channel; all of them are kept."""
        broker = open_broker(self._url, lambda _: Retention(count, 3600.0))
        for i in range(0, count, 1000):
            broker.log.append([draft(n % channels) for n in range(i, i + 1000)])
        broker.close()
        return {}

    def lease(self, seconds: float, count: int) -> dict[str, Any]:
        """Let so many holders say something under one key each."""
        for n in range(count):
            self._brokers[0].leases.renew(f"holder-{n:08}", {f"bench:{n % 100}": "x" * 64}, 60.0)
        return {}

    def pace(self, seconds: float, rate: float, channels: int) -> dict[str, Any]:
        """Append one message at a time, `rate` a second."""
        log, began, count = self._brokers[0].log, time.monotonic(), 0
        while time.monotonic() < began + seconds:
            log.append([draft(random.randrange(channels))])
            count += 1
            gevent.sleep(max(0.0, began + count / rate - time.monotonic()))
        return {"messages": count, "secs": time.monotonic() - began}

    def follow(self, seconds: float, channels: int) -> dict[str, Any]:
        """Watch so many channels, in one follower."""
        follower = self._follower = self._brokers[0].log.follow()
        gevent.spawn(self._listen, follower)
        names = [f"bench:{n}" for n in range(channels)]
        for i in range(0, channels, 100):  # as many as one client may name
            follower.watch(*names[i : i + 100])
        return {}

    def more(self, seconds: float, followers: int) -> dict[str, Any]:
        """Open so many brokers, each with a follower of one channel, as so many workers would."""
        for _ in range(followers):
            self._brokers.append(self._open())
            follower = self._brokers[-1].log.follow()
            gevent.spawn(self._listen, follower)
            follower.watch("bench:0")
        return {}

    def _listen(self, follower: Follower) -> None:
        while True:
            news = len(follower.next(TURN).messages)
            self._heard += news  # not in one line: it would be read before waiting

    def heard(self, seconds: float, count: int) -> dict[str, Any]:
        """Wait until so many messages have been heard since the last call; tell how many were."""
        deadline = time.monotonic() + seconds
        while self._heard < count and time.monotonic() < deadline:
            gevent.sleep(0.01)
        heard, self._heard = self._heard, 0
        return {"heard": heard}

    def rest(self, seconds: float) -> dict[str, Any]:
        """Do nothing but what goes on by itself."""
        gevent.sleep(seconds)
        return {}


def main() -> None:
    client = Client(sys.argv[1])
    for line in FileObject(sys.stdin.buffer, "rb"):
        arguments = json.loads(line)
        answer = getattr(client, arguments.pop("command"))(**arguments)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
