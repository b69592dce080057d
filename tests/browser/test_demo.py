"""What the demo page promises to whoever opens it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from ..server import Server

pytestmark = pytest.mark.browser

NewPage = Callable[..., Page]
CHAT = "demo:chat"
TWO_POINTS = re.compile(r"^M.+L.+")


@pytest.fixture
def console() -> list[str]:
    """What the browser's console shows; it must stay empty."""
    return []


@pytest.fixture
def open_demo(new_page: NewPage, demo_server: Server, console: list[str]) -> Callable[..., Page]:
    """Open the demo page in a browser of its own, and wait for all four transports."""

    def open_one(**options: object) -> Page:
        page = new_page(**options)
        page.on("console", lambda message: console.append(f"{message.type}: {message.text}"))
        page.goto(demo_server.url)
        expect(page.locator(".card .state.open")).to_have_count(4)
        return page

    return open_one


def texts(page: Page, card: int) -> list[str]:
    """Return the messages that a card shows, oldest first."""
    return page.locator(".card").nth(card).locator(".log .text").all_inner_texts()[::-1]


def expect_last(page: Page, text: str) -> None:
    """Wait until the newest message of each card is ``text``."""
    for card in page.locator(".card").all():
        expect(card.locator(".log .text").first).to_have_text(text)


def test_all_four_show_the_same_messages_once(
    demo_server: Server, open_demo: Callable[..., Page], console: list[str]
) -> None:
    """The page loads without a complaint; all four cards get OPEN and show what is published."""
    page = open_demo(locale="en-GB")
    for text in ("first", "second", "third"):
        demo_server.publish(CHAT, text)
    expect_last(page, "third")
    for card in range(4):
        assert texts(page, card)[-3:] == ["first", "second", "third"]
    for state in page.locator(".card .state").all():
        expect(state).to_have_text("1 OPEN")
    expect(page.locator(".card.websocket .requests")).to_have_text("1")
    expect(page.locator(".card.poll .empty")).not_to_have_text("0")
    assert console == []


def test_the_form_publishes(open_demo: Callable[..., Page], console: list[str]) -> None:
    """What a visitor types arrives in all four cards, with the time of its round trip."""
    page = open_demo(locale="en-GB")
    page.get_by_label("Your message").fill("from the form")
    page.get_by_role("button", name="Publish").click()
    expect(page.locator("#published")).to_contain_text("Published as")
    expect_last(page, "from the form")
    for card in page.locator(".card").all():
        expect(card.locator(".messages")).to_have_text("1")
        expect(card.locator(".round-trip")).to_contain_text("s")
        expect(card.locator(".latency-number")).not_to_have_text("–")
    assert console == []


def test_what_a_message_holds_never_becomes_markup(
    demo_server: Server, open_demo: Callable[..., Page], console: list[str], page_errors: list[str]
) -> None:
    """Markup and scripts in a message are shown as the text that they are."""
    page = open_demo()
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    for data in (hostile, {"text": hostile}, {"key": "__proto__", "x": hostile}, None):
        demo_server.publish(CHAT, data)
    expect_last(page, "null")
    for card in range(4):
        shown = texts(page, card)[-4:]
        assert shown[:2] == [hostile, hostile]
        assert "<img" in shown[2]
    assert page.locator(".log img, .log script").count() == 0
    assert (console, page_errors) == ([], [])


def test_a_card_that_was_closed_misses_nothing(
    demo_server: Server, open_demo: Callable[..., Page]
) -> None:
    """Closed, it says so; connected again with its cursor, it gets what it missed, once."""
    page = open_demo(locale="en-GB")
    for card in page.locator(".card").all():
        card.get_by_role("button", name="Close").click()
        expect(card.locator(".state")).to_have_text("3 CLOSED")
    demo_server.publish(CHAT, "missed 1")
    demo_server.publish(CHAT, "missed 2")
    for card in page.locator(".card").all():
        card.get_by_role("button", name="Connect again").click()
    demo_server.publish(CHAT, "live")
    expect_last(page, "live")
    for card in range(4):
        assert texts(page, card)[-3:] == ["missed 1", "missed 2", "live"]
        expect(page.locator(".card").nth(card).locator(".note")).to_contain_text(
            "nothing was missed"
        )


def test_speaks_the_browsers_language_and_switches(
    new_page: NewPage, open_demo: Callable[..., Page]
) -> None:
    """Chinese to a Chinese browser; a switch holds over a reload, and nothing is left behind."""
    page = open_demo(locale="zh-CN")
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("一条消息，四种到达方式", use_inner_text=True)
    page.get_by_role("button", name="English").click()
    expect(heading).to_have_text("One message, four ways to get it", use_inner_text=True)
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.reload()
    expect(heading).to_have_text("One message, four ways to get it", use_inner_text=True)
    expect(page.locator("#feed-transport")).to_contain_text("It came by")
    others = page.locator('[lang="zh-CN"]:visible:not(button)')
    assert others.count() == 0
    page.get_by_role("button", name="中文").click()
    expect(page.locator("#feed-transport")).to_contain_text("传输方式")
    expect(page.get_by_role("button", name="发布")).to_be_visible()


def test_draws_the_system_feed(open_demo: Callable[..., Page]) -> None:
    """The figures of the real machine come in, second by second, and make a line."""
    page = open_demo()
    for name, unit in (("cpu", "%"), ("memory", "%")):
        plot = page.locator(f'[data-plot="{name}"]')
        expect(plot.locator(".value")).to_contain_text(unit)
        expect(plot.locator(".line")).to_have_attribute("d", TWO_POINTS)
    expect(page.locator("#feed-idle")).to_be_hidden()


def test_asks_nobody_else(demo_server: Server, new_page: NewPage) -> None:
    """Everything comes from the server itself."""
    page = new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(demo_server.url)
    expect(page.locator(".card .state.open")).to_have_count(4)
    assert len(asked) >= 6
    assert [url for url in asked if not url.startswith(demo_server.url)] == []


@pytest.mark.parametrize("width", [320, 768, 1280])
@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
def test_fits_the_screen(open_demo: Callable[..., Page], width: int, language: str) -> None:
    """Nothing sticks out sideways, on a phone or on a desk, in either language."""
    page = open_demo(viewport={"width": width, "height": 800}, locale=language)
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]


def test_every_control_has_a_name_and_takes_the_keyboard(open_demo: Callable[..., Page]) -> None:
    """Tab leads through all controls; each of them says what it is."""
    page = open_demo(locale="en-GB")
    page.keyboard.press("Tab")
    seen = []
    for _ in range(8):
        seen.append(
            page.evaluate("document.activeElement.innerText || document.activeElement.name")
        )
        page.keyboard.press("Tab")
    assert seen == ["English", "中文", "text", "Publish", "Close", "Close", "Close", "Close"]
    expect(page.get_by_role("textbox", name="Your message")).to_be_visible()
    names = ["WebSocket", "SSE", "Long polling", "Polling"]
    for name in names:
        expect(page.get_by_role("region", name=name, exact=True)).to_be_visible()


def test_without_the_form_it_says_how_to_publish(server: Server, new_page: NewPage) -> None:
    """Where the demo is off, there is a curl line with the page's own host, and it works."""
    page = new_page(locale="en-GB")
    page.goto(server.url)
    expect(page.locator("form")).to_have_count(0)
    expect(page.locator("#shell pre").first).to_contain_text(f"{server.url}/push/publish")
    expect(page.locator(".card .state.open")).to_have_count(4)
    server.publish(CHAT, "from a shell")
    expect_last(page, "from a shell")
