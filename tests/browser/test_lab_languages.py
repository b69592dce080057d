"""The lab's controls, in both languages: breaking the network, the handshake, the room."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from ..server import Server, until
from ..wire import TIMEOUT
from .lab import CHAT, free, lab_page, meters, settle, texts

pytestmark = pytest.mark.browser

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#: Keeps what is told for a moment only.
NOTES = """() => {
  window.notes = [];
  document.querySelectorAll('#network, #sse .state-name').forEach(told => {
    new MutationObserver(() => notes.push(told.textContent)).observe(told, {childList: true});
  });
}"""
NETWORK = {
    "en-GB": ("Offline 5 s", "Offline for 5 seconds", "The network is back",
              "Server restarts", "The server is gone", "Carried by"),
    "zh-CN": ("断网 5 秒", "断网 5 秒。", "网络已恢复",
              "服务器重启", "服务器离线 2 秒", "当前方式"),
}  # fmt: skip


HANDSHAKE = {
    "en-GB": ("Close the socket", "Open one", "The same as in the answer", "A valid key",
              "No server would take this key", "A new one", "The real one"),
    "zh-CN": ("关闭连接", "打开连接", "与应答中的一致", "有效的 key",
              "服务器不会接受", "换一个", "真实的那个"),
}  # fmt: skip


@pytest.fixture(scope="module")
def pages(browser: Browser, demo_server: Server) -> Iterator[dict[str, Page]]:
    """The lab in two browsers, English and Chinese."""
    with lab_page(browser, demo_server.url, locale="en-GB") as english:
        with lab_page(browser, demo_server.url, locale="zh-CN") as chinese:
            yield {"en-GB": english, "zh-CN": chinese}


def accept(key: str) -> str:
    """Return what RFC 6455 section 4.2.2 has a server answer."""
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


@pytest.mark.parametrize("language", NETWORK)
def test_away_and_back_loses_and_repeats_nothing(
    pages: dict[str, Page], demo_server: Server, language: str
) -> None:
    """Offline, then without a server: what is published meanwhile arrives once, on every line."""
    offline, is_offline, back, down, is_down, _ = NETWORK[language]
    page = pages[language]
    page.evaluate(NOTES)
    before = settle(page, demo_server)
    for button, said, text in ((offline, is_offline, "one"), (down, is_down, "two")):
        page.get_by_role("button", name=button, exact=True).click()
        for n in range(2):
            demo_server.publish(CHAT, f"{text} {n}")
        after = settle(page, demo_server, f"{text} 2")
        expect(page.get_by_role("button", name=button, exact=True)).to_be_enabled()
        notes = page.evaluate("notes.splice(0)")
        assert any(note.startswith(said) for note in notes), notes
        assert any(note.startswith(back) for note in notes), notes
        assert any(note == "CONNECTING" for note in notes), notes
    for lane, count in after.items():
        assert count == before[lane] + 6, lane
        assert meters(page, lane)["lost"] == meters(page, lane)["repeated"] == 0, lane
    assert texts(page, "sse") == ["two 0", "two 1", "two 2"]


@pytest.mark.parametrize("language", NETWORK)
def test_the_client_that_chooses_falls_and_climbs(
    pages: dict[str, Page], demo_server: Server, language: str
) -> None:
    """A way that is blocked makes it fall to the next; all given back, it climbs to the best."""
    page = pages[language]
    page.locator("#free input[value=poll]").uncheck()
    page.locator("#free input[value=poll]").check()  # tries all again, whatever failed before
    expect(page.locator("[data-rung=websocket].carries")).to_be_visible()
    before = settle(page, demo_server)["free"]
    rungs = ("websocket", "sse", "longpoll", "poll")
    for n, (rung, lower) in enumerate(zip(rungs, rungs[1:], strict=False)):
        page.locator(f"#free input[value={rung}]").uncheck()
        demo_server.publish(CHAT, f"without {rung}")
        expect(page.locator(f"[data-rung={lower}].carries")).to_be_visible()
        until(lambda n=n: free(page)["messages"] == before + n + 1, "it is there", TIMEOUT * 2)
    for rung in rungs[:3]:
        page.locator(f"#free input[value={rung}]").check()
    expect(page.locator("[data-rung=websocket].carries")).to_be_visible()
    expect(page.locator("#free .carrier")).to_contain_text(NETWORK[language][5])
    demo_server.publish(CHAT, "again")
    until(lambda: free(page)["messages"] == before + 4, "it is there", TIMEOUT * 2)
    assert (free(page)["lost"], free(page)["repeated"]) == (0, 0)


@pytest.mark.parametrize("language", HANDSHAKE)
def test_the_handshake_is_the_pages_own(pages: dict[str, Page], language: str) -> None:
    """Both heads as they were, the sum step by step, and readyState from 0 to 3 and back."""
    close, again, same, good, bad, new, real = HANDSHAKE[language]
    page = pages[language]
    box = page.locator("#handshake")
    box.scroll_into_view_if_needed()
    now = box.locator("[data-state].now")
    expect(now).to_have_attribute("data-state", "1")
    expect(box.locator(".asked")).to_contain_text("GET /demo/mirror/socket HTTP/1.1")
    expect(box.locator(".asked")).to_contain_text("Sec-WebSocket-Extensions: permessage-deflate")
    expect(box.locator(".told")).to_contain_text("HTTP/1.1 101 Switching Protocols")
    field = page.get_by_label("Sec-WebSocket-Key")
    key = field.input_value()
    expect(box.locator(".told")).to_contain_text(f"Sec-WebSocket-Accept: {accept(key)}")
    expect(box.locator(".verdict")).to_contain_text(same)

    for text in (*(base64.b64encode(os.urandom(16)).decode() for _ in range(3)), "", "x" * 80):
        field.fill(text)
        expect(box.locator(".accept")).to_have_text(accept(text))
        valid = len(text) == 24
        expect(box.locator(".verdict")).to_contain_text(good if valid else bad)
    box.get_by_role("button", name=new).click()
    expect(box.locator(".verdict")).to_contain_text(good)
    box.get_by_role("button", name=real).click()
    expect(field).to_have_value(key)

    box.get_by_role("button", name=close).click()
    expect(now).to_have_attribute("data-state", "3")
    expect(now).to_contain_text("1000")
    box.get_by_role("button", name=again).click()
    expect(now).to_have_attribute("data-state", "1")
    expect(field).not_to_have_value(key)


def test_two_windows_meet_and_talk(pages: dict[str, Page]) -> None:
    """Who is there, what is said to all, and what is said to one: in English and in Chinese."""
    names = {"en-GB": ("Ann", "Come in"), "zh-CN": ("小明", "进入")}
    for language, (name, enter) in names.items():
        pages[language].locator("#name").fill(name)
        pages[language].get_by_role("button", name=enter).click()
    ann, ming = pages.values()
    expect(ann.locator(".people")).to_contain_text("(you)")
    expect(ming.locator(".people")).to_contain_text("（您）")
    expect(ann.locator(".person")).to_contain_text("小明")
    expect(ming.locator(".person")).to_contain_text("Ann")

    ann.locator("#say").fill("<b>hello</b> all")
    ann.get_by_role("button", name="Say it").click()
    for page in (ann, ming):
        expect(page.locator(".said .words").last).to_have_text("<b>hello</b> all")
    expect(ming.locator(".said .who").last).to_contain_text("Ann")

    ming.locator(".person").click()
    ming.locator("#say").fill("只对你说")
    ming.get_by_role("button", name="发送").click()
    expect(ann.locator(".said .alone .words")).to_have_text("只对你说")
    expect(ann.locator(".said .alone .who")).to_contain_text("only between you two")
    expect(ming.locator(".said .alone .who")).to_contain_text("您对 Ann")

    ming.get_by_role("button", name="离开").click()
    expect(ann.locator(".person")).to_have_count(0)
    expect(ming.locator("#name")).to_be_visible()
    assert ann.locator(".said b, .people b").count() == 0


def test_who_comes_in_twice_at_once_is_one_guest(browser: Browser, demo_server: Server) -> None:
    """A second press on the way in would be a guest whom nobody could send away."""
    with lab_page(browser, demo_server.url, locale="en-GB") as page:
        asked: list[str] = []
        page.on("request", lambda r: asked.append(r.url) if r.url.endswith("/enter") else None)
        press = "form => { form.requestSubmit(); form.requestSubmit(); }"
        page.locator("#room .door form").evaluate(press)
        expect(page.locator("#room .people .me")).to_be_visible()
        assert len(asked) == 1
