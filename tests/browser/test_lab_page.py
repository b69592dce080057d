"""The lab as a page: both languages, any screen, keyboard and screen reader, and quick."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from ..axe import serious
from ..server import Server
from .lab import lab_page, wait_open

pytestmark = pytest.mark.browser

NewPage = Callable[..., Page]
#: What Lighthouse takes for a phone on a slow 4G network: seconds, and bytes a second.
ROUND_TRIP, BANDWIDTH = 0.15, 204_800


@pytest.fixture(scope="module")
def page(browser: Browser, demo_server: Server) -> Iterator[Page]:
    """The lab, as a Chinese browser opens it."""
    with lab_page(browser, demo_server.url, locale="zh-CN") as page:
        yield page


@pytest.fixture(autouse=True)
def in_english(page: Page) -> None:
    """The lab in English, at its top, as a visitor finds it."""
    page.set_viewport_size({"width": 1280, "height": 800})
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")
    page.get_by_role("button", name="English").click()


def visible_texts(page: Page) -> list[str]:
    """Return every text, name and hint that a visitor can meet in the page as it is."""
    script = """() => {
      const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (walk.nextNode()) {
        const parent = walk.currentNode.parentElement;
        if (parent.closest('pre, code, script, .languages, .state, .walk .name, .diagram')) {
          continue;
        }
        if (parent.checkVisibility()) { found.push(walk.currentNode.textContent.trim()); }
      }
      document.querySelectorAll('[aria-label]').forEach(e => found.push(e.ariaLabel));
      document.querySelectorAll('[placeholder]').forEach(e => found.push(e.placeholder));
      return found.filter(Boolean);
    }"""
    found: list[str] = page.evaluate(script)
    return found


def test_speaks_the_browsers_language_and_switches(page: Page) -> None:
    """Chinese to a Chinese browser; a switch holds over a reload, and nothing is left behind."""
    heading = page.get_by_role("heading", level=1)
    page.evaluate("localStorage.removeItem('language')")
    page.reload()
    wait_open(page)
    expect(heading).to_have_text("服务器究竟怎样推送？", use_inner_text=True)
    page.get_by_role("button", name="发布一条").click()
    expect(page.locator("#published")).to_contain_text("已发布")
    names = re.compile(r"WebSocket|SSE|curl|Hello!|Sec-WebSocket-Key|pushapp")
    english = [
        text
        for text in visible_texts(page)
        if re.search("[a-z]{3}", text)
        and not re.search("[一-鿿]", text)
        and not names.fullmatch(text)
    ]
    assert english == []

    page.get_by_role("button", name="English").click()
    expect(heading).to_have_text("How can a server push at all?", use_inner_text=True)
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("#published")).to_contain_text("Published as")
    page.reload()
    wait_open(page)
    expect(heading).to_have_text("How can a server push at all?", use_inner_text=True)
    chinese = [text for text in visible_texts(page) if re.search("[一-鿿]", text)]
    assert chinese == []


@pytest.mark.parametrize("language", ["English", "中文"])
def test_fits_the_screen(page: Page, language: str) -> None:
    """Nothing sticks out sideways, on a phone or on a desk, in either language."""
    page.get_by_role("button", name=language).click()
    for width in (320, 390, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1]


def test_a_phone_shows_two_beside_two_with_the_buttons_at_hand(page: Page) -> None:
    """What is published is seen where it arrives: nobody scrolls between a button and a lane."""
    page.set_viewport_size({"width": 390, "height": 844})
    boxes = [page.locator(f"#{lane}").bounding_box() for lane in ("poll", "longpoll", "sse")]
    poll, longpoll, sse = (box for box in boxes if box)
    assert poll["y"] == longpoll["y"] < sse["y"] and poll["x"] == sse["x"] < longpoll["x"]
    for lane in ("poll", "websocket"):
        page.locator(f"#{lane} .paper").evaluate("paper => paper.scrollIntoView()")
        for name in ("Publish once", "Ten a second"):
            expect(page.get_by_role("button", name=name)).to_be_in_viewport()
        expect(page.locator(f"#{lane} .paper")).to_be_in_viewport(ratio=0.9)


def test_axe_finds_nothing_serious(page: Page, axe: Path) -> None:
    """Contrast, names, roles: with the lists open, somebody in the room, and a dialog shown."""
    for summary in page.locator(".steps summary").all():
        summary.click()
    page.get_by_role("button", name="Publish once").click()
    expect(page.locator("#poll .log .text").first).to_have_text("Hello!")
    page.locator("#handshake").scroll_into_view_if_needed()
    expect(page.locator("#handshake .asked li")).not_to_have_count(1)
    page.get_by_role("button", name="Come in").click()
    expect(page.locator("#room .count")).not_to_have_text("0")
    page.locator("#say").fill("Hello, room!")
    page.get_by_role("button", name="Say it").click()
    expect(page.locator(".said .words").last).to_have_text("Hello, room!")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert serious(page, axe) == []
    page.locator("#poll .step").first.click()
    assert serious(page, axe) == []
    page.keyboard.press("Escape")


def test_every_control_takes_the_keyboard(page: Page) -> None:
    """Tab leads through all controls in their order; each of them says what it is."""
    page.reload()
    wait_open(page)
    seen = []
    for _ in range(20):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate("(document.activeElement.innerText || document.activeElement.type)")
        )
    flat = [re.sub(r"\s+", " ", text).strip() for text in seen]
    assert flat == [
        "Skip to the diagrams", "English", "中文",
        "2 Ask again and again", "3 Ask and wait", "4 One stream", "5 One socket, both ways",
        "6 Which one should I use?",
        "text", "Publish once", "Ten a second", "Burst of 100",
        "Offline 5 s", "Server restarts", "Freeze",
        "range", "As a list", "Close", "As a list", "Close",
    ]  # fmt: skip
    for lane in ("Polling", "Long polling", "SSE", "WebSocket"):
        expect(page.get_by_role("region", name=lane, exact=True)).to_be_visible()


def test_moves_once_a_second_for_who_wants_it_calm(page: Page) -> None:
    """With reduced motion the diagrams stand still between two steps of a second."""
    page.emulate_media(reduced_motion="reduce")
    page.locator("#sse .diagram").scroll_into_view_if_needed()
    moves = page.evaluate("""() => new Promise(done => {
      const paper = document.querySelector('#sse .diagram > g:nth-child(2)'), seen = [];
      const watch = new MutationObserver(() => {
        seen.push(performance.now());
        if (seen.length === 3) { watch.disconnect(); done(seen[2] - seen[0]); }
      });
      watch.observe(paper, {attributes: true, attributeFilter: ['transform']});
    })""")
    assert moves > 1900


def test_little_stands_before_the_first_paint(new_page: NewPage, demo_server: Server) -> None:
    """On a slow 4G network it takes less than a second: three round trips (connect, page, style),
    and the bytes of what the paint waits for. ``scripts/screenshots`` measures it."""
    page = new_page()
    page.goto(demo_server.url, wait_until="domcontentloaded")
    blocking = page.evaluate("""() => performance.getEntriesByType('resource')
      .filter(entry => entry.renderBlockingStatus === 'blocking')
      .concat(performance.getEntriesByType('navigation')).map(e => [e.name, e.transferSize])""")
    names = sorted(name.rsplit("/", 1)[1] for name, _ in blocking)
    assert names == ["", "base.css", "lab.css"]
    size = sum(size for _, size in blocking)
    print(f"before the first paint: {size} bytes")
    assert 3 * ROUND_TRIP + size / BANDWIDTH < 1
