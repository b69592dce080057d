"""The examples with pages do what they say, in a browser.

What belongs here: a person at each page. What does not: logins on each transport
(``transports/test_logins``), examples without a page (``tests/examples``).
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from ..server import ROOT, SECRET, Server

pytestmark = pytest.mark.browser

NewPage = Callable[..., Page]
CONFIG = "python:pushapp.gunicorn_conf"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The shop with its two people, served by two workers."""
    folder = tmp_path_factory.mktemp("shop")
    server = Server(
        folder,
        app="tests.apps.examples:orders",
        config=CONFIG,
        SECRET_KEY=SECRET,
        DATABASE_URL=f"sqlite:///{folder}/shop.db",
    )
    command = [sys.executable, "-m", "flask", "--app", "examples.orders.app", "init"]
    subprocess.run(command, cwd=ROOT, env=server.environ, check=True, timeout=60)
    server.start()
    yield server
    server.stop()


def log_in(page: Page, server: Server, name: str) -> None:
    page.goto(f"{server.url}/login")
    page.locator("[name=name]").fill(name)
    page.locator("[name=password]").fill(name)
    page.locator("button").click()
    expect(page.locator("h1")).to_have_text("Orders")


def buy(page: Page, item: str) -> None:
    page.locator("[name=item]").fill(item)
    page.locator("button", has_text="Order").click()
    expect(page.locator("tr", has_text=item)).to_be_visible()


def test_an_order_goes_on_its_way_before_their_eyes(shop: Server, new_page: NewPage) -> None:
    """The customer sees what the staff does, the staff what is ordered, without a reload."""
    ann, sam = new_page(), new_page()
    log_in(sam, shop, "sam")
    log_in(ann, shop, "ann")
    buy(ann, "<b>lamp</b>")
    for page in (ann, sam):
        page.evaluate("window.isFirst = true")
    theirs, his = (page.locator("tr", has_text="<b>lamp</b>") for page in (ann, sam))
    expect(his.locator(".state")).to_have_text("ordered")
    for state in ("packed", "shipped", "delivered"):
        his.locator("button").click()
        expect(theirs.locator(".state")).to_have_text(state)
        expect(his.locator(".state")).to_have_text(state)
    assert ann.evaluate("window.isFirst") and sam.evaluate("window.isFirst")


def test_nothing_falls_between_page_and_stream(shop: Server, new_page: NewPage) -> None:
    """What happens while the page is on its way is on it, or is told when the stream begins."""
    ann, sam = new_page(), new_page()
    log_in(ann, shop, "ann")
    buy(ann, "chair")
    log_in(sam, shop, "sam")

    def meanwhile(route: Route) -> None:
        sam.locator("tr", has_text="chair").locator("button").click()
        expect(sam.locator("tr", has_text="chair").locator(".state")).to_have_text("packed")
        route.continue_()

    ann.route("**/push/push.js", meanwhile)
    ann.goto(f"{shop.url}/")
    expect(ann.locator("tr", has_text="chair").locator(".state")).to_have_text("packed")


def test_others_hear_nothing(shop: Server, new_page: NewPage) -> None:
    """A customer may not listen to the staff; who has logged out hears no more."""
    ann = new_page()
    log_in(ann, shop, "ann")
    poll = "channel => fetch('/push/poll?channels=' + channel).then(answer => answer.status)"
    assert ann.evaluate(poll, "staff:orders") == 403
    assert ann.evaluate(poll, "user:1") == 200
    ann.locator("button", has_text="Log ann out").click()
    expect(ann.locator("[name=password]")).to_be_visible()
    assert ann.evaluate(poll, "user:1") == 401


def test_an_older_state_does_not_come_back(shop: Server, new_page: NewPage) -> None:
    """Two workers may tell of two changes in the other order."""
    ann = new_page()
    log_in(ann, shop, "ann")
    buy(ann, "shelf")
    row = ann.locator("tr", has_text="shelf")
    number = int((row.get_attribute("id") or "").removeprefix("order-"))
    told = {"id": number, "item": "shelf"}
    shop.publish("user:1", told | {"state": "shipped", "version": 3}, event="order")
    shop.publish("user:1", told | {"state": "packed", "version": 2}, event="order")
    shop.publish(
        "user:1", {"id": 0, "item": "the last", "state": "ordered", "version": 1}, event="order"
    )
    expect(ann.locator("#order-0")).to_be_visible()
    expect(row.locator(".state")).to_have_text("shipped")


@pytest.fixture(scope="module")
def bell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("bell")
    server = Server(
        folder, app="tests.apps.examples:bell", config=CONFIG, SECRET_KEY=SECRET,
        DATABASE_URL="sqlite://", WEB_CONCURRENCY=1,
    )  # fmt: skip
    yield server.start()
    server.stop()


def test_the_bell(bell: Server, new_page: NewPage) -> None:
    """Notices from before and from now, each person's own."""

    def notify(user: str, text: str) -> None:
        command = ["curl", "-sSf", "-d", text, f"{bell.url}/notify/{user}"]
        subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)

    notify("ann", "from before")
    notify("bob", "not for Ann")
    page = new_page()
    page.goto(f"{bell.url}/as/ann")
    expect(page.locator("li")).to_have_text(["from before"])
    notify("ann", "<i>now</i>")
    expect(page.locator("li")).to_have_text(["<i>now</i>", "from before"])
    expect(page.locator("b")).to_have_text("2")


def test_the_bell_has_twenty_lines() -> None:
    """As its first line says; empty lines and that text are not counted."""
    source = (ROOT / "examples" / "bell.py").read_text()
    code = source.splitlines()[ast.parse(source).body[0].end_lineno :]
    assert len([line for line in code if line.strip()]) == 20
