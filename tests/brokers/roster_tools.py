"""What the tests of the roster use: connections to bring, and what was told of them."""

from __future__ import annotations

import json
from typing import Any

from pushapp.broker.interface import Broker
from pushapp.broker.roster import EVENTS, Entry, Members, presence_of

TTL = 15.0  # seconds


def entry(id: str, user: str | None, *channels: str, **more: Any) -> Entry:
    """Return a connection that came a moment ago."""
    return Entry(
        id, user, more.pop("member", None), "sse", more.pop("since", 1.0), channels, **more
    )


def bring(broker: Broker, worker: str, *came: Entry, **more: Any) -> bool:
    return broker.roster.sync(worker, came, (), ttl=TTL, **more)


def drop(broker: Broker, worker: str, *gone: str, **more: Any) -> bool:
    return broker.roster.sync(worker, (), gone, ttl=TTL, **more)


def count(broker: Broker, worker: str, waiting: dict[str, int]) -> bool:
    """Have a worker say how many wait in it."""
    return broker.roster.sync(worker, (), (), waiting, ttl=TTL)


def waiting(broker: Broker, *channels: str) -> list[int]:
    """Return how many wait for each channel, over all workers."""
    return [broker.roster.members(channel, limit=0).waiting for channel in channels]


def watch(broker: Broker, *channels: str) -> None:
    """Have a key's own subscriber watch, as a worker of its own that lives for long."""
    watcher = entry("watcher", None, *channels, watches=True, observer=True)
    broker.roster.sync("watching", [watcher], (), ttl=1e6)


def told(broker: Broker, channel: str) -> list[dict[str, Any]]:
    """Return what was told of a channel's members, one after another."""
    messages, _ = broker.log.history(presence_of(channel), 1000)
    assert all(message.event == "presence" for message in messages)
    return [json.loads(message.data) for message in messages]


def changes(broker: Broker, channel: str) -> list[str]:
    """Return the same in words: "join 42", "occupied"."""
    return [say(change) for news in told(broker, channel) for change in news["changes"]]


def say(change: dict[str, Any]) -> str:
    return " ".join([change["event"], *filter(None, [change.get("user")])])


def recorded(broker: Broker) -> list[dict[str, Any]]:
    """Return the events that were recorded."""
    messages, _ = broker.log.history(EVENTS, 10_000)
    return [event for message in messages for event in json.loads(message.data)]


def keys(page: Members) -> list[str]:
    return [member.key for member in page.members]


def everybody(broker: Broker, channel: str) -> list[str]:
    """Return the keys of all members, page by page, and check them against the figures."""
    found: list[str] = []
    while True:
        page = broker.roster.members(channel, found[-1] if found else "", 3)
        found += keys(page)
        if not page.more:
            assert len(found) == page.count and found == sorted(set(found))
            return found
