"""A page in a real browser, as a visitor has it open.

What belongs here: the test's hands in the page. What does not: what is right or wrong.
"""

from __future__ import annotations

from typing import Any

from playwright.sync_api import BrowserContext, Error, TimeoutError

_TRIES = 20  # that a visitor takes to load a page on a bad line
_LOADED = """() => document.readyState === 'complete' && 'connect' in window && 'Push' in window
  && (!document.querySelector('[src*=jquery]') || '$' in window)"""


class Visitor:
    """One tab."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page = context.new_page()
        self.errors: list[str] = []  # of scripts
        self._load(url)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _load(self, url: str) -> None:
        """Load the page; try again where the network breaks it, as visitors do."""
        for _ in range(_TRIES):
            try:
                self.page.goto(url)
                if self.page.evaluate(_LOADED):
                    return
            except Error as error:
                failure = str(error)
            else:
                failure = "a script of it is missing"
        raise AssertionError(f"{url} does not load: {failure}")

    def connect(self, moment: float, channel: str, **options: Any) -> None:
        """Begin to listen at this Unix time, with no other options than these."""
        arguments = [{"channels": [channel], **options}, 1000 * moment]
        self.page.evaluate("([options, moment]) => connect(options, moment)", arguments)

    def hears(self, number: int, seconds: float) -> bool:
        """Wait until this message or a later one has come; tell whether it has within a time."""
        try:
            self.page.wait_for_function(
                "number => record.heard.some(n => n >= number)",
                arg=number,
                timeout=1000 * seconds,
                polling=50,
            )
        except TimeoutError:
            return False
        return True

    def result(self) -> dict[str, Any]:
        result: dict[str, Any] = self.page.evaluate("result()")
        return result
