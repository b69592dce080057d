"""The lab in a browser: opening it, and reading what its lines say.

What belongs here: the test's hands in the page. What does not: what is right or wrong.
"""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

CHAT = "demo:chat"
LANES = ("poll", "longpoll", "sse", "websocket")


def wait_open(page: Page) -> None:
    """Wait until all five lines are open."""
    expect(page.locator(".lane .state.is-1")).to_have_count(len(LANES) + 1)


def texts(page: Page, lane: str) -> list[str]:
    """Return the messages that a lane shows, oldest first."""
    return page.locator(f"#{lane} .log .text").all_inner_texts()[::-1]


def expect_last(page: Page, text: str) -> None:
    """Wait until the newest message of each lane is ``text``."""
    for lane in LANES:
        expect(page.locator(f"#{lane} .log .text").first).to_have_text(text)


def meters(page: Page, lane: str) -> dict[str, Any]:
    """Return what a lane has counted."""
    script = """lane => { const m = Lab.lanes.find(l => l.box.id === lane).meters;
      return Object.fromEntries(Object.entries(m).filter(([, v]) => typeof v === 'number')); }"""
    counted: dict[str, Any] = page.evaluate(script, lane)
    return counted


def steps(page: Page, lane: str) -> list[dict[str, Any]]:
    """Return the arrows of a lane's diagram, oldest first: kind, way, words."""
    script = """lane => Lab.lanes.find(l => l.box.id === lane).diagram.items.map(
      i => ({kind: i.kind, to: i.to, words: i.words(), y: i.y, count: i.steps.length}))"""
    found: list[dict[str, Any]] = page.evaluate(script, lane)
    return found
