"""The console's arithmetic: from what workers say to what is shown.

What belongs here: ``static/console-figures.js``, in a real browser, with a clock of the test's own.
What does not: the page (``test_console``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from ..server import Server

pytestmark = pytest.mark.browser

_ADD = """async ([messages, now, bounds, ask]) => {
  const { Figures } = await import('/push/console/console-figures.js');
  let clock = 0;
  const figures = new Figures(() => clock);
  figures.bounds = bounds;
  for (const message of JSON.parse(messages)) { clock = message.time; figures.take(message); }
  clock = now;
  return eval(ask);
}"""
BOUNDS = {"delivery_seconds": [0.001, 0.01, 0.1], "log_seconds": [0.001, 0.01]}


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page of the server's own, from which the module can be loaded."""
    server = Server(tmp_path_factory.mktemp("figures"), WEB_CONCURRENCY=1).start()
    page = browser.new_page()
    page.goto(f"{server.url}/healthz")
    yield page
    page.close()
    server.stop()


def said(
    time: float,
    worker: str = "a",
    label: str | None = None,
    since: float = 0,
    channels: dict[str, list[int]] | None = None,
    at: float | None = None,
    **numbers: Any,
) -> dict[str, Any]:
    """Return a worker's message: ``numbers`` beside those that every one has."""
    gauges = {"connections": {}, "connections_limit": 100, "unsent_bytes": 0}
    counters = {"published": 0, "deliveries": {}, "cpu_seconds": 0, "log_seconds": {}}
    rest = {"unsent_connections": 0, "resident_bytes": 1, "follow_age_seconds": 0, "draining": 0}
    return {
        "time": time,
        "data": {
            "worker": {
                "id": worker,
                "host": "h",
                "pid": 1,
                "label": label or worker,
                "since": since,
            },
            "at": time if at is None else at,
            "seconds": 1,
            "numbers": {**gauges, **counters, **rest, **numbers},
            "channels": channels or {},
        },
    }


def add(page: Page, messages: list[dict[str, Any]], ask: str, now: float | None = None) -> Any:
    """Return what ``ask``, an expression, says of the messages at ``now``."""
    now = messages[-1]["time"] if now is None else now
    return page.evaluate(_ADD, [json.dumps(messages), now, BOUNDS, ask])


def test_a_rate_is_the_growth_of_a_counter_by_the_workers_own_clock(page: Page) -> None:
    """Over five seconds, and over all workers; the clock of the log may be another one."""
    messages = [said(100, at=7, published=10), said(100, "b", at=1, published=500)]
    messages += [said(102, at=9, published=30), said(102, "b", at=3, published=506)]
    assert add(page, messages, "figures.at(figures.now).in") == 13
    messages += [said(110, at=17, published=30), said(110, "b", at=11, published=506)]
    assert add(page, messages, "figures.at(figures.now).in") == 0


def test_a_worker_that_begins_anew_does_not_count_backwards(page: Page) -> None:
    """It has another id; the old one is soon no part of it."""
    messages = [said(100, published=900), said(101, published=910)]
    messages += [said(108, "new", published=0), said(109, "new", published=5)]
    assert add(page, messages, "figures.at(figures.now).in") == 5
    assert add(page, messages, "figures.list().map(worker => worker.id)") == ["a", "new"]
    messages += [said(165, "new", published=5)]
    assert add(page, messages, "figures.list().map(worker => worker.id)") == ["new"]


def test_a_worker_in_the_place_of_another_is_not_a_second_one(page: Page) -> None:
    """One that died is not told to be silent for a minute where the next one has its place; two
    servers of one machine count their places alike, and are two."""
    ids = "figures.list().map(worker => worker.id)"
    messages = [said(100, "a", "0"), said(106, "b", "0", since=105)]
    assert add(page, messages, ids) == ["b"]
    both = [said(100, "a", "0"), said(101, "b", "0", since=99), said(102, "a", "0")]
    assert sorted(add(page, both, ids)) == ["a", "b"]


def test_a_silent_line_forgets_nobody(page: Page) -> None:
    """What was last known stays, and can be told from nothing."""
    messages = [said(100, connections={"sse": 7}), said(101, connections={"sse": 7})]
    ask = "[figures.list().map(worker => worker.silence), figures.at(figures.newest).connections]"
    assert add(page, messages, ask, now=500) == [[399], {"sse": 7}]


def test_gauges_are_those_of_now_and_of_who_still_speaks(page: Page) -> None:
    """One that has been silent for a few seconds counts no longer, and is shown as silent."""
    messages = [said(100, connections={"sse": 3}), said(100, "b", connections={"sse": 4})]
    total = "figures.at(figures.now).connections.sse"
    assert add(page, messages, total) == 7
    messages += [said(106, connections={"sse": 2})]
    assert add(page, messages, total) == 2
    assert add(page, messages, "figures.list().map(worker => worker.silence)") == [0, 6]
    assert add(page, messages, "figures.silence", now=111) == 5


def test_percentiles_are_of_what_has_come_lately(page: Page) -> None:
    """Within a bucket by its share; above all bounds the highest; nothing where nothing came."""
    latency = "figures.at(figures.now).latency"
    before = said(100, delivery_seconds=[50, 0, 0, 9, 1.5])
    assert add(page, [before], latency) is None
    after = said(101, delivery_seconds=[50, 100, 0, 9, 2.5])
    found = add(page, [before, after], latency)
    assert found["half"] == pytest.approx(0.0055) and found["slowest"] == pytest.approx(0.00991)
    worst = said(101, delivery_seconds=[50, 0, 0, 19, 9.5])
    assert add(page, [before, worst], latency) == {"half": 0.1, "slowest": 0.1}


def test_the_last_minute_is_no_longer(page: Page) -> None:
    """Losses, ends and refusals by what they are."""
    start = said(0, refusals={"invalid": 5}, ended={"sse.slow": 1, "sse.error": 7})
    middle = said(50, refusals={"invalid": 6}, ended={"sse.slow": 1, "sse.error": 7})
    end = said(
        100,
        refusals={"invalid": 8, "other": 1},
        ended={"sse.slow": 3, "sse.error": 8, "sse.gone": 40},
        recoveries={"sse.recovered": 2, "sse.skipped": 9, "poll.expired": 1, "sse.epoch": 1},
    )
    minute = add(page, [start, middle, end], "figures.minute()")
    assert minute["refused"] == 4  # since 40 s, of which the message at 0 s tells
    assert (minute["slow"], minute["error"], minute["recovered"], minute["lost"]) == (2, 1, 2, 2)


def test_a_channel_over_all_workers(page: Page) -> None:
    """Subscribers add up; each message once, whoever published it and however many follow."""
    messages = [
        said(100, channels={"a:1": [2, 4, 4], "__proto__": [1, 0, 0]}),
        said(100, "b", channels={"a:1": [3, 4, 0], "quiet:1": [0, 0, 6]}),
        said(100, "c", channels={"quiet:1": [0, 0, 1]}),
    ]
    found = add(page, messages, "[...figures.channels().values()]")
    told = {one["name"]: (one["subscribers"], one["rate"]) for one in found}
    assert told == {"a:1": (5, 4), "quiet:1": (0, 7), "__proto__": (1, 0)}
