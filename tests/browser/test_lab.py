"""What the lab promises to whoever opens it: four transports, live, and nothing lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from ..server import Server, until
from ..wire import TIMEOUT
from .lab import CHAT, LANES, expect_last, lab_page, meters, settle, steps, texts, wait_open

pytestmark = pytest.mark.browser

NewPage = Callable[..., Page]
#: Waits for nine pictures of the browser's.
FRAMES = """() => new Promise(done => {
  let left = 9;
  (function next() { if (left--) { requestAnimationFrame(next); } else { done(); } }());
})"""
#: Waits for five ticks of a timer like the one that publishes.
FIVE_TICKS = """() => new Promise(done => {
  let left = 5;
  const timer = setInterval(() => { if (!--left) { clearInterval(timer); done(); } }, 100);
})"""
TWO_POINTS = re.compile(r"^M.+L.+")


@pytest.fixture(scope="module")
def page(browser: Browser, demo_server: Server) -> Iterator[Page]:
    """The lab in English."""
    with lab_page(browser, demo_server.url, locale="en-GB") as page:
        yield page


def counts(page: Page, name: str) -> list[int]:
    """Return one figure of each of the four lanes."""
    return [meters(page, lane)[name] for lane in LANES]


def test_all_four_show_the_same_messages_once(demo_server: Server, page: Page) -> None:
    """All four lines get OPEN and show what is published; the cost of each differs."""
    settle(page, demo_server)
    before = counts(page, "messages")
    for text in ("first", "second"):
        demo_server.publish(CHAT, text)
    settle(page, demo_server, "third")
    assert counts(page, "messages") == [n + 3 for n in before]
    for lane in LANES:
        assert texts(page, lane) == ["first", "second", "third"]
        expect(page.locator(f"#{lane} .state")).to_have_text("1 OPEN")
        expect(page.locator(f"#{lane} [data-meter=middle]")).to_contain_text("s")
    poll, longpoll, sse, websocket = counts(page, "requests")
    assert min(poll, longpoll) > max(sse, websocket)
    assert counts(page, "empty")[2:] == [0, 0]
    up = counts(page, "up")
    assert up[0] > up[2] and up[1] > up[3]


def test_publishes_one_ten_a_second_and_a_burst(demo_server: Server, page: Page) -> None:
    """Each control does what it says, and every line gets all of it, once."""
    page.get_by_label("Your message").fill("from the form")
    page.get_by_role("button", name="Publish once").click()
    expect(page.locator("#published")).to_contain_text("Published as")
    expect_last(page, "from the form")

    settle(page, demo_server)
    before = counts(page, "messages")
    page.get_by_role("button", name="Burst of 100").click()
    expect(page.locator("#published")).to_have_text("100 published at once.")
    until(lambda: counts(page, "messages") == [n + 100 for n in before], "all", 4 * TIMEOUT)

    steady = page.get_by_role("button", name="Ten a second")
    steady.click()
    expect(steady).to_have_attribute("aria-pressed", "true")
    until(lambda: min(counts(page, "messages")) > max(before) + 110, "ten more", 4 * TIMEOUT)
    steady.click()
    expect(page.locator("#published")).to_have_text("Stopped.")
    numbers = [int(text[1:]) for text in texts(page, "websocket")]
    assert numbers == sorted(numbers)
    for name in ("lost", "repeated"):
        expect(page.locator(f"[data-sum={name}]")).to_have_text("0")


def test_what_is_published_beside_does_not_disturb_the_flow(page: Page) -> None:
    """Ten a second have one request at a time, or they would arrive in another order."""
    held: list[Route] = []
    asked = re.compile("/demo/publish$")

    def hold(route: Route) -> None:
        if "messages" in (route.request.post_data_json or {}):
            held.append(route)
        else:
            route.continue_()

    page.route(asked, hold)
    with page.expect_request(asked):
        page.get_by_role("button", name="Ten a second").click()
    page.get_by_label("Your message").fill("beside")
    with page.expect_response(asked):
        page.get_by_role("button", name="Publish once").click()
    page.evaluate(FIVE_TICKS)  # several fall due meanwhile
    assert len(held) == 1
    page.get_by_role("button", name="Ten a second").click()
    held[0].continue_()
    page.unroute(asked)


def test_the_diagrams_draw_what_travels(demo_server: Server, page: Page) -> None:
    """A poll that finds nothing is an empty answer, a message an arrow to the browser, in order."""
    settle(page, demo_server)
    settle(page, demo_server, "drawn")
    for lane in LANES:
        drawn = steps(page, lane)
        assert any(s["kind"] == "news" and "drawn" in s["labels"] for s in drawn), lane
        assert [s["y"] for s in drawn] == sorted(s["y"] for s in drawn)
    asked = [s["words"] for s in steps(page, "longpoll") if s["kind"] == "request"]
    assert asked and all(words.startswith("GET /longpoll") for words in asked)
    until(
        lambda: any(s["kind"] == "empty" for s in steps(page, "poll")),
        "a poll that finds nothing",
        4 * TIMEOUT,
    )
    assert page.locator("#longpoll .span.waits").count() >= 1
    expect(page.locator("#sse .span.open")).to_have_count(1)  # one that was before scrolls away
    assert page.locator("#poll .span.sleeps").count() >= 1


def test_an_arrow_shows_its_bytes(demo_server: Server, page: Page) -> None:
    """The list beside the diagram opens the same dialog; heads and sizes are those of the wire."""
    demo_server.publish(CHAT, "bytes")
    expect_last(page, "bytes")
    dialog = page.locator("#bytes")

    page.locator("#websocket .steps summary").click()
    page.locator("#websocket .step", has_text="bytes").first.click()
    payload = dialog.locator(".part").nth(1)
    expect(payload.locator("code")).to_contain_text('"data":"bytes"')
    size = len(payload.locator("code").inner_text().encode())
    head = f"81 7e {size >> 8:02x} {size & 255:02x}" if size > 125 else f"81 {size:02x}"
    expect(dialog.locator(".part").nth(0).locator("code")).to_have_text(head)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()

    page.locator("#poll .steps summary").click()
    page.locator("#poll .step", has_text="GET /poll").first.click()
    expect(dialog.locator("code").first).to_contain_text("GET /push/poll?")
    expect(dialog.locator("code").first).to_contain_text("User-Agent: Mozilla")
    dialog.get_by_role("button", name="Close").click()
    page.locator("#poll .step", has_text="nothing new").first.click()
    expect(dialog.locator("code").first).to_contain_text("HTTP/1.1 200 OK")
    expect(dialog.locator("code").nth(1)).to_contain_text('"messages":[]')
    page.keyboard.press("Escape")


def test_what_a_message_holds_never_becomes_markup(demo_server: Server, page: Page) -> None:
    """Markup and scripts in a message are shown as the text that they are."""
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    for data in (hostile, {"text": hostile}, {"key": "__proto__", "x": hostile}):
        demo_server.publish(CHAT, data)
        expect(page.locator("#poll .log .text").first).to_contain_text("<img")
    demo_server.publish(CHAT, None)
    expect_last(page, "null")
    for lane in LANES:
        assert "<img" in texts(page, lane)[0]
    assert page.locator(".log img, .log script, .diagram img, .diagram script").count() == 0


def test_a_line_that_was_closed_misses_nothing(demo_server: Server, page: Page) -> None:
    """Closed, it says so; connected again with its cursor, it gets what it missed, once."""
    for lane in LANES:
        page.locator(f"#{lane}").get_by_role("button", name="Close").click()
        expect(page.locator(f"#{lane} .state")).to_have_text("3 CLOSED")
    demo_server.publish(CHAT, "missed 1")
    demo_server.publish(CHAT, "missed 2")
    for lane in LANES:
        page.locator(f"#{lane}").get_by_role("button", name="Connect again").click()
    demo_server.publish(CHAT, "live")
    expect_last(page, "live")
    for lane in LANES:
        assert texts(page, lane) == ["missed 1", "missed 2", "live"]
        assert meters(page, lane)["lost"] == meters(page, lane)["repeated"] == 0


def test_the_slider_sets_how_often_it_asks(page: Page) -> None:
    """Moved, it takes the place of the server's advice; the line goes on where it was."""
    slider = page.get_by_label("Ask every")
    slider.fill("0.5")
    expect(page.locator("#poll output")).to_have_text("0.5 s")
    expect(page.locator("#poll .state")).to_have_text("1 OPEN")
    asked = meters(page, "poll")["requests"]
    until(lambda: meters(page, "poll")["requests"] >= asked + 6, "six more", 2 * TIMEOUT)


def test_draws_the_system_feed(page: Page) -> None:
    """The figures of the real machine come in, second by second, and make a line."""
    for name, unit in (("cpu", "%"), ("memory", "%"), ("load", ".")):
        plot = page.locator(f'[data-plot="{name}"]')
        expect(plot.locator(".value")).to_contain_text(unit)
        expect(plot.locator(".line")).to_have_attribute("d", TWO_POINTS)
    expect(page.locator("#feed-idle")).to_be_hidden()


def test_freezes_the_picture(page: Page) -> None:
    """Frozen, the diagrams stand still, so that an arrow can be clicked; then they go on."""
    freeze = page.get_by_role("button", name="Freeze")
    page.locator("#sse .diagram").scroll_into_view_if_needed()
    freeze.click()
    expect(freeze).to_have_attribute("aria-pressed", "true")
    paper = "document.querySelector('#sse .diagram > g:nth-child(2)').getAttribute('transform')"
    before = page.evaluate(paper)
    page.evaluate(FRAMES)
    assert page.evaluate(paper) == before
    page.locator("#poll .arrow .hit").last.dispatch_event("click")
    expect(page.locator("#bytes")).to_be_visible()
    page.keyboard.press("Escape")
    freeze.click()
    until(lambda: page.evaluate(paper) != before, "it goes on")


def test_what_has_left_the_picture_is_let_go(page: Page) -> None:
    """A diagram that nobody sees is not drawn, and gathers nothing all the same."""
    left = page.evaluate(
        """async () => {
          const diagram = new Lab.Diagram(document.createElement('div')), hour = 3600e3;
          for (let at = performance.now() - hour; at < performance.now() - hour / 2; at += 1000) {
            diagram.mark(at);
            diagram.span({side: 'dwell', kind: 'late', from: at}).end(at + 500);
          }
          const open = diagram.span({side: 'line', kind: 'open', from: performance.now() - hour});
          const until = performance.now() + 60e3;
          while (diagram.ticks.length + diagram.spans.length > 1 && performance.now() < until) {
            await new Promise(done => setTimeout(done, 100));
          }
          return [diagram.ticks.length, diagram.spans.length, diagram.spans.includes(open),
            diagram.under.childElementCount];
        }"""
    )
    assert left == [0, 1, True, 1]


def test_says_that_the_server_does_not_answer(page: Page) -> None:
    """In words, where there is no status to tell; a real one would stand in the console, too."""
    assert page.evaluate("Lab.trouble({status: 0})") == "The server does not answer. Is it running?"


def test_a_server_that_has_gone_is_drawn_as_no_answer(
    make_server: Callable[..., Server], new_page: NewPage
) -> None:
    """Nobody has closed these connections: they were never there."""
    server = make_server()
    page = new_page(locale="en-GB")
    page.goto(server.url)
    wait_open(page)
    server.stop()
    for lane in LANES:
        arrows = page.locator(f"#{lane} .arrow.failed text", has_text="no answer")
        expect(arrows.first).to_be_attached()


def test_without_the_demo_it_says_how_to_publish(server: Server, new_page: NewPage) -> None:
    """Where the demo is off, there is a curl line with the page's own host, and it works."""
    page = new_page(locale="en-GB")
    page.goto(server.url)
    expect(page.locator("form")).to_have_count(0)
    expect(page.locator("#shell pre").first).to_contain_text(f"{server.url}/push/publish")
    wait_open(page)
    server.publish(CHAT, "from a shell")
    expect_last(page, "from a shell")
