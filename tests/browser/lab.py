"""The lab in a browser: opening it, and reading what its lines say.

What belongs here: the test's hands in the page. What does not: what is right or wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, expect

from ..server import Server, until
from ..wire import TIMEOUT

CHAT = "demo:chat"
LANES = ("poll", "longpoll", "sse", "websocket")


@contextmanager
def lab_page(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """Open the lab in a browser of its own, for several tests: a load costs seconds of CPU. All of
    them together must leave its console empty, and ask nobody but the server."""
    context = browser.new_context(**options)
    context.set_default_timeout(2000 * TIMEOUT)
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("request", lambda request: asked.append(request.url))
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    page.goto(url, timeout=6000 * TIMEOUT)  # twenty files, and all that they start
    wait_open(page)
    yield page
    context.close()
    assert complaints == []
    assert len(asked) > 20
    assert [one for one in asked if not one.startswith((url, url.replace("http", "ws")))] == []


def wait_open(page: Page) -> None:
    """Wait until all five lines are open."""
    locator = page.locator(".lane .state.is-1")
    expect(locator).to_have_count(len(LANES) + 1, timeout=6000 * TIMEOUT)


def texts(page: Page, lane: str) -> list[str]:
    """Return the messages that a lane shows, oldest first."""
    return page.locator(f"#{lane} .log .text").all_inner_texts()[::-1]


def expect_last(page: Page, text: str) -> None:
    """Wait until the newest message of each lane is ``text``."""
    for lane in LANES:
        expect(page.locator(f"#{lane} .log .text").first).to_have_text(text)


def settle(page: Page, server: Server, text: str = "settled") -> dict[str, int]:
    """Publish, and wait until each line has it; return how many messages each has had by then."""
    last = str(server.publish(CHAT, text))
    here = "last => Lab.lanes.every(lane => lane.meters.last.get('demo:chat') === last)"
    until(lambda: page.evaluate(here, last), f"{text} on every line", 4 * TIMEOUT)
    return {lane: meters(page, lane)["messages"] for lane in (*LANES, "free")}


def meters(page: Page, lane: str) -> dict[str, Any]:
    """Return what a lane has counted."""
    script = """lane => { const m = Lab.lanes.find(l => l.box.id === lane).meters;
      return Object.fromEntries(Object.entries(m).filter(([, v]) => typeof v === 'number')); }"""
    counted: dict[str, Any] = page.evaluate(script, lane)
    return counted


def steps(page: Page, lane: str) -> list[dict[str, Any]]:
    """Return the arrows of a lane's diagram, oldest first."""
    script = """lane => Lab.lanes.find(l => l.box.id === lane).diagram.items.map(
      i => ({kind: i.kind, to: i.to, words: i.words(), y: i.y,
        labels: i.steps.map(step => step.label())}))"""
    found: list[dict[str, Any]] = page.evaluate(script, lane)
    return found


def free(page: Page) -> dict[str, Any]:
    """Return what the client that chooses has counted."""
    return meters(page, "free")
