"""An empty page with push.js in it, and what its clients heard.

What belongs here: the test's hands in the page. What does not: what is right or wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from ..server import Server
from ..wire import TIMEOUT

TRANSPORTS = ("websocket", "sse", "longpoll", "poll")

_LISTEN = """() => {
  window.clients = {};
  window.listen = (name, options) => {
    const push = (window.$ ? $.push : Push.connect)(options);
    const client = clients[name] = {push: push, heard: [], said: [], there: []};
    push.on('message', message => { client.heard.push(message.data); });
    push.on('presence', told => { client.there.push(told); });
    for (const event of ['open', 'state', 'history', 'recovered', 'lost', 'error', 'close']) {
      push.on(event, value => { client.said.push([event, value]); });
    }
  };
}"""


class Tab:
    """One page, on the server's own origin."""

    def __init__(self, page: Page, server: Server, jquery: Path | None = None) -> None:
        self.page = page
        # a real answer of the server's, because Chromium lets no other page connect to this machine
        self.url, self._jquery = f"{server.url}/healthz", jquery
        self.load()

    def load(self) -> None:
        """Load the page anew."""
        self.page.goto(self.url)
        if self._jquery is not None:
            self.page.add_script_tag(path=self._jquery)
        self.page.add_script_tag(url="/push/push.js")
        self.page.evaluate(_LISTEN)

    def listen(self, name: str, channels: Sequence[str], **options: Any) -> None:
        """Start a client. Without other words ``name`` is its transport, too."""
        if "transports" not in options:
            options.setdefault("transport", name)
        options = {"channels": list(channels), "interval": 200, **options}
        self.page.evaluate("([name, options]) => listen(name, options)", [name, options])

    def do(self, name: str, script: str, argument: Any = None) -> Any:
        """Run ``script`` with ``push``, ``client`` and ``argument``; return what it returns."""
        return self.page.evaluate(_function(script), [name, argument])

    def wait(self, name: str, condition: str, argument: Any = None) -> None:
        """Wait until ``condition``, an expression, is true."""
        function = _function(f"return {condition}")
        self.page.wait_for_function(
            function, arg=[name, argument], timeout=2000 * TIMEOUT, polling=20
        )

    def wait_open(self, *names: str) -> None:
        for name in names:
            self.wait(name, "push.readyState === push.OPEN && push.cursor")

    def hear(self, name: str, last: Any) -> list[Any]:
        """Return all that a client heard, once it has heard ``last``."""
        self.wait(name, "client.heard.indexOf(argument) >= 0", last)
        heard: list[Any] = self.do(name, "return client.heard")
        return heard

    def said(self, name: str, event: str) -> list[Any]:
        """Return what came with each event of that name."""
        all_events: list[tuple[str, Any]] = self.do(name, "return client.said")
        return [value for kind, value in all_events if kind == event]

    def stats(self, name: str) -> dict[str, int]:
        stats: dict[str, int] = self.do(name, "return push.stats")
        return stats


def _function(body: str) -> str:
    return f"([n, argument]) => {{ const client = clients[n], push = client.push; {body} }}"
