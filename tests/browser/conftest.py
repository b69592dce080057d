"""Fixtures: a real Chromium, pages that do not fail unseen, and the jQuerys of four ages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from .. import jquery
from ..axe import axe_file
from ..needs import needs
from ..server import Server
from ..wire import TIMEOUT
from .tab import Tab

_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

#: A stream may be silent for a minute instead of 3 s: a busy machine takes long for what stands
#: between its beginning and what becomes of it.
_PATIENT = """() => {
  const real = setTimeout;
  window.setTimeout = (act, ms, ...more) => real(act, ms === 3000 ? 60000 : ms, ...more);
}"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium with a profile of its own."""
    path = needs("chromium")
    expect.set_options(timeout=2000 * TIMEOUT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page_errors() -> list[str]:
    """What scripts failed with in the pages of this test; a test that wants errors empties it."""
    return []


@pytest.fixture
def new_browser(
    browser: Browser, page_errors: list[str]
) -> Iterator[Callable[..., BrowserContext]]:
    """Start browsers of their own, whose tabs share storage: ``new_browser(locale="zh-CN")``."""
    contexts = []

    def new(**options: object) -> BrowserContext:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        contexts.append(context)
        context.set_default_timeout(2000 * TIMEOUT)
        context.on("weberror", lambda error: page_errors.append(str(error.error)))
        return context

    yield new
    for context in contexts:
        context.close()
    assert not page_errors


@pytest.fixture
def new_page(new_browser: Callable[..., BrowserContext]) -> Callable[..., Page]:
    """Open pages in browsers of their own: ``new_page(locale="zh-CN")``."""
    return lambda **options: new_browser(**options).new_page()


@pytest.fixture
def jquery_file(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Return a build of jQuery; other versions than ours come from npm, once."""
    assert request.config.cache is not None
    return partial(jquery.jquery_file, request.config.cache)


@pytest.fixture
def axe(request: pytest.FixtureRequest) -> Path:
    """The file of axe-core, from npm, once."""
    assert request.config.cache is not None
    return axe_file(request.config.cache)


@pytest.fixture
def open_tab(
    new_page: Callable[..., Page], jquery_file: Callable[[str], Path]
) -> Callable[..., Tab]:
    """Open a page with push.js and a jQuery, or without one: ``open_tab(server, "1.12.4")``."""

    def open_one(server: Server, jquery: str | None = None) -> Tab:
        return Tab(new_page(), server, jquery_file(jquery) if jquery else None)

    return open_one


@pytest.fixture
def open_patient(open_tab: Callable[..., Tab]) -> Callable[..., Tab]:
    """Open a page whose streams are given up late: for a test that stands between."""

    def open_one(server: Server) -> Tab:
        tab = open_tab(server)
        tab.page.evaluate(_PATIENT)
        return tab

    return open_one


@pytest.fixture
def open_tabs(new_browser: Callable[..., BrowserContext]) -> Callable[..., list[Tab]]:
    """Open several tabs of one browser, after a script in each: ``open_tabs(server, 8)``."""

    def open_several(server: Server, count: int, script: str = "") -> list[Tab]:
        context = new_browser()
        context.add_init_script(script)
        return [Tab(context.new_page(), server) for _ in range(count)]

    return open_several


@pytest.fixture(scope="session")
def demo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the demo on, and with it the system feed."""
    server = Server(tmp_path_factory.mktemp("demo"), PUSH_DEMO=1).start()
    yield server
    server.stop()
