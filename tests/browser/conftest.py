"""Fixtures: a real Chromium, and pages that do not fail unseen."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from ..jquery import jquery_file
from ..needs import needs
from ..server import Server
from ..wire import TIMEOUT
from .tab import Tab

_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


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
def new_page(browser: Browser, page_errors: list[str]) -> Iterator[Callable[..., Page]]:
    """Open pages as browsers of their own: ``new_page(locale="zh-CN")``."""
    contexts = []

    def new(**options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        contexts.append(context)
        context.set_default_timeout(2000 * TIMEOUT)
        page = context.new_page()
        page.on("pageerror", lambda error: page_errors.append(str(error)))
        return page

    yield new
    for context in contexts:
        context.close()
    assert not page_errors


@pytest.fixture
def open_tab(new_page: Callable[..., Page], request: pytest.FixtureRequest) -> Callable[..., Tab]:
    """Open a page with push.js and some jQuery on a server: ``open_tab(server, "1.12.4")``."""

    cache = request.config.cache
    assert cache is not None

    def open_one(server: Server, jquery: str | None = None) -> Tab:
        return Tab(new_page(), server, jquery_file(cache, jquery) if jquery else None)

    return open_one


@pytest.fixture(scope="session")
def demo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the demo on, and with it the system feed."""
    server = Server(tmp_path_factory.mktemp("demo"), PUSH_DEMO=1).start()
    yield server
    server.stop()
