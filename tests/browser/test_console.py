"""What the console promises to whoever opens it: each control, both languages, and what goes wrong.

What belongs here: the page in a real browser, on a real server with two workers. What does not:
arithmetic (``test_console_figures``), routes and the feed (``test_console``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from .. import axe, jwts
from ..clients import Client
from ..server import API_KEY, PUBLISH_KEY, READ_KEY, Server, until

pytestmark = pytest.mark.browser

Open = Callable[..., Page]
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"
VIEWS = {"overview": "总览", "channels": "频道", "people": "用户", "publish": "发布"}


@pytest.fixture(scope="module")
def console_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers, which this module's tests share."""
    server = Server(tmp_path_factory.mktemp("console")).start()
    yield server
    server.stop()


@pytest.fixture
def said() -> list[str]:
    """What the browser's console shows; it must stay empty, but for answers that were refused."""
    return []


@pytest.fixture
def open_console(
    new_page: Callable[..., Page], console_server: Server, said: list[str]
) -> Iterator[Open]:
    """Open the page and the door: ``open_console("#channels", key=READ_KEY, locale="zh-CN")``."""

    def open_one(view: str = "", key: str | None = API_KEY, **options: object) -> Page:
        page = new_page(**{"locale": "en-GB", **options})
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.goto(f"{console_server.url}/push/console{view}")
        if key is not None:
            enter(page, key)
            expect(page.locator("#inside")).to_be_visible()
        return page

    yield open_one
    assert [line for line in said if "Failed to load resource" not in line] == []


@pytest.fixture
def listen(connect: Callable[..., Client], console_server: Server) -> Callable[..., Client]:
    """Have a user listen: ``listen("room:1", user="42")``."""

    def one(channel: str, user: str = "42", transport: str = "sse") -> Client:
        token = jwts.token(channel, user=user, lasts=3600)
        headers = {"Authorization": f"Bearer {token}"}
        return connect(transport, console_server, [channel], headers=headers)

    return one


def enter(page: Page, key: str) -> None:
    page.locator("#key").fill(key)
    page.locator("#enter button").click()


def go(page: Page, view: str) -> None:
    page.locator(f'nav a[href="#{view}"]').click()
    expect(page.locator(f"#{view}")).to_be_visible()


def number(locator: Locator, least: float) -> None:
    """Wait until the first number in a text is at least so much."""
    locator.page.wait_for_function(
        "([node, least]) => parseFloat(node.textContent.replace(/,/g, '')) >= least",
        arg=[locator.element_handle(), least],
    )


# -- the door -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "locale", "answer"),
    [
        ("wrong", "en-GB", "not one of the server’s api keys"),
        ("wrong", "zh-CN", "不是服务器的 API key"),
        (PUBLISH_KEY, "en-GB", "may publish, and not look"),
        (PUBLISH_KEY, "zh-CN", "只能发布，不能查看"),
    ],
)
def test_a_key_that_does_not_fit_is_told_kindly(
    open_console: Open, key: str, locale: str, answer: str
) -> None:
    """In words, with the field ready for the next one; nothing is kept of it."""
    page = open_console(key=None, locale=locale)
    enter(page, key)
    expect(page.get_by_role("alert")).to_contain_text(answer)
    expect(page.locator("#key")).to_be_focused()
    expect(page.locator("#inside")).to_be_hidden()
    assert page.evaluate("sessionStorage.length") == 0


def test_the_key_stays_in_the_tab_until_signing_out(open_console: Open) -> None:
    """A reload does not ask for it; it is in no URL, and no other storage."""
    page = open_console()
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.reload()
    expect(page.locator("#inside")).to_be_visible()
    expect(page.locator("#line")).to_have_text("Live")
    assert urls and not [url for url in urls if API_KEY in url]
    kept = page.evaluate("JSON.stringify([{...localStorage}, document.cookie, location.href])")
    assert API_KEY not in kept
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#key")).to_be_focused()
    assert API_KEY not in page.evaluate("JSON.stringify({...sessionStorage})")
    page.reload()
    expect(page.locator("#inside")).to_be_hidden()


def test_an_answer_that_comes_after_signing_out_says_nothing(
    open_console: Open, console_server: Server
) -> None:
    """Whatever it says of the key that was: the next visit has another one."""
    page = open_console(key=None)
    page.evaluate("""() => { const real = setInterval; window.setInterval =
      (act, ms, ...more) => real(act, ms > 20000 ? 200 : ms, ...more); }""")
    enter(page, API_KEY)
    expect(page.locator("#inside")).to_be_visible()
    held: list[Route] = []
    page.route("**/console/watch", lambda route: held.append(route), times=1)
    with page.expect_request("**/console/watch"):
        pass
    page.get_by_role("button", name="Sign out").click()
    enter(page, READ_KEY)
    expect(page.locator("#inside")).to_be_visible()
    refusals = page.expect_response(lambda reply: reply.status == 401)  # the new visit watches, too
    with refusals:
        held[0].fulfill(status=401, json={"status": 401, "detail": "too late"})
    expect(page.locator("#line")).to_have_text("Live")
    expect(page.locator("#door")).to_be_hidden()


# -- the overview ---------------------------------------------------------------------------------


def test_it_shows_all_workers_and_that_all_is_well(
    open_console: Open, console_server: Server, listen: Callable[..., Client]
) -> None:
    """Fed by push: connections of both workers, what is published, how long it takes."""
    for pid in console_server.workers():
        with console_server.only(pid):
            listen("seen:1")
    page = open_console()
    expect(page.locator("#health")).to_contain_text("All is well")
    expect(page.locator("#workers tbody tr")).to_have_count(2)
    sse = page.locator("#workers tbody tr td:nth-child(3)")
    expect(sse).to_have_text(["1", "1"])
    expect(page.locator("#tile-connections .legend .sse b")).to_have_text("2")
    expect(page.locator("#tile-connections .legend .websocket b")).to_have_text("1")
    for n in range(20):
        console_server.publish("seen:1", n)
    number(page.locator("#tile-in strong"), 0.5)
    number(page.locator("#tile-out strong"), 1)
    expect(page.locator("#tile-latency strong")).to_contain_text("ms")
    expect(page.locator("#tile-log strong")).to_contain_text("ms")
    expect(page.locator("#tile-out .plot path").first).to_be_attached()
    expect(page.locator("#broker")).to_contain_text("SQLite")


def test_a_refusal_is_counted(open_console: Open, console_server: Server) -> None:
    """What went wrong within the last minute."""
    page = open_console()
    expect(page.locator("#count-refused dd")).to_have_text(re.compile(r"\d"))
    before = int(page.locator("#count-refused dd").inner_text())
    for _ in range(50):  # more than other tests had refused, which a minute ago are none any more
        console_server.ask("GET", "/push/channels")
    number(page.locator("#count-refused dd"), before + 1)


def test_a_server_that_has_gone_is_told_and_comes_back(
    make_server: Callable[..., Server], new_page: Callable[..., Page]
) -> None:
    """The figures stay, and are said to be old; then it goes on by itself."""
    server = make_server(WEB_CONCURRENCY=1)
    page = new_page(locale="en-GB")
    page.goto(f"{server.url}/push/console")
    enter(page, API_KEY)
    expect(page.locator("#health")).to_contain_text("All is well")
    server.stop()
    expect(page.locator("#line")).to_have_text("Connection lost, trying again")
    expect(page.locator("#health")).to_contain_text("lost the server")
    expect(page.locator("#overview")).to_have_class(re.compile("old"))
    heard = page.locator("#workers tbody td").last
    expect(heard).to_have_text(re.compile(r"^([6-9]|\d\d+) s ago"))
    number(page.locator("#tile-connections strong"), 1)
    server.start()
    expect(page.locator("#line")).to_have_text("Live", timeout=60_000)
    expect(page.locator("#health")).to_contain_text("All is well", timeout=60_000)


# -- channels -------------------------------------------------------------------------------------


def test_channels_with_their_subscribers_and_rates(
    open_console: Open, console_server: Server, listen: Callable[..., Client]
) -> None:
    """Over both workers; the largest first; one that nobody listens to, by its publisher."""
    for pid in console_server.workers():
        with console_server.only(pid):
            listen("rates:big")
    listen("rates:small")
    page = open_console("#channels")
    big = page.locator("#channel-list tbody tr", has_text="rates:big")
    expect(big.locator("td").first).to_have_text("2")
    for _ in range(20):
        console_server.publish_all([{"channel": c, "data": 1} for c in ("rates:big", "rates:none")])
    number(big.locator("td").last, 0.5)
    number(page.locator("#channel-list tbody tr", has_text="rates:none").locator("td").last, 0.5)
    names = page.locator("#channel-list tbody th").all_inner_texts()
    assert names.index("rates:big") < names.index("rates:small") < names.index("rates:none")


def test_finding_opening_and_following_a_channel(
    open_console: Open, console_server: Server, listen: Callable[..., Client]
) -> None:
    """What is kept of it, then what comes; the operator who looks on is no member."""
    console_server.publish("find:me", "kept")
    console_server.publish("find:others", 1)
    listen("find:me", transport="websocket")
    page = open_console("#channels")
    page.get_by_label("A name, or how it begins").fill("find:")
    expect(page.locator("#channel-list tbody th")).to_have_text(["find:me", "find:others"])
    page.get_by_role("link", name="find:me").click()
    expect(page.get_by_role("heading", name="find:me")).to_be_visible()
    page.get_by_role("button", name="Follow").click()
    expect(page.locator(".messages pre")).to_have_text('"kept"')
    console_server.publish("find:me", {"n": 1}, event="fresh")
    expect(page.locator(".messages li").first).to_contain_text("fresh")
    expect(page.locator(".messages pre").first).to_have_text('{"n":1}')
    expect(fact(page, "Members")).to_have_text("1")
    expect(fact(page, "Subscribers")).to_have_text("2")
    page.get_by_role("button", name="Stop following").click()
    console_server.publish("find:me", "unseen")
    expect(fact(page, "Kept messages")).to_have_text("3")
    expect(page.locator(".messages li")).to_have_count(2)
    page.get_by_role("link", name="Publish here").click()
    expect(page.locator("#publish-to")).to_have_value("find:me")


def fact(page: Page, name: str) -> Locator:
    return page.locator("#channel .facts > div", has=page.get_by_text(name, exact=True)).locator(
        "dd"
    )


def test_a_channel_that_is_faster_than_an_eye(
    make_server: Callable[..., Server], new_page: Callable[..., Page]
) -> None:
    """A bounded list, and how many were left out.

    On a server of its own: who falls behind loses messages, and a console says so for a minute.
    """
    server = make_server(WEB_CONCURRENCY=1)
    page = new_page(locale="en-GB")
    page.goto(f"{server.url}/push/console#channels/fast:1")
    enter(page, API_KEY)
    page.get_by_role("button", name="Follow").click()
    expect(page.locator("#channel .note")).to_contain_text("Following")
    for _ in range(3):
        server.publish_all([{"channel": "fast:1", "data": n} for n in range(900)])
    expect(page.locator(".messages pre").first).to_have_text("899")
    expect(page.locator(".messages .skipped").first).to_contain_text("came too fast to be shown")
    assert page.locator(".messages li").count() <= 101


def test_what_others_choose_never_becomes_markup(
    open_console: Open,
    console_server: Server,
    connect: Callable[..., Client],
    page_errors: list[str],
) -> None:
    """Data, events, names of channels and users, and what stands behind the # of a URL."""
    channel, user = "bad:__proto__", "constructor"
    member = jwts.token(channel, user=user, lasts=3600, member={"name": HOSTILE})
    connect("sse", console_server, [channel], headers={"Authorization": f"Bearer {member}"})
    page = open_console(f"#channels/{channel}")
    page.get_by_role("button", name="Follow").click()
    expect(page.locator("#channel .note")).to_contain_text("Following")
    for data in (HOSTILE, {HOSTILE: HOSTILE}, {"__proto__": {"x": HOSTILE}}):
        console_server.publish(channel, data, retain=True)
    expect(page.locator(".messages li")).to_have_count(3)
    expect(page.locator(".messages pre").last).to_contain_text("<img src=x")
    expect(page.locator("#channel-list")).to_contain_text("bad:__proto__")
    for view in (
        f"people/{HOSTILE}",
        f"channels/{HOSTILE}",
        f"publish/{HOSTILE}",
        "people/%E0%A4%A",
    ):
        page.goto(f"{console_server.url}/push/console#{view}")
        expect(page.locator(f"#{view.split('/')[0]}")).to_be_visible()
    page.goto(f"{console_server.url}/push/console#people/{user}")
    expect(page.locator("#connections")).to_contain_text(channel)
    assert page.locator("main img, main script").count() == 0
    assert page_errors == []


# -- people ---------------------------------------------------------------------------------------


def test_looking_up_a_user_and_ending_connections(
    open_console: Open, listen: Callable[..., Client]
) -> None:
    """The second press ends one; then all of them."""
    for transport in ("sse", "websocket", "sse"):
        listen("home:1", user="guest-7", transport=transport)
    page = open_console("#people")
    expect(page.locator("#person")).to_contain_text("Everybody")
    page.get_by_label("A user's id").fill("guest-7")
    page.get_by_role("button", name="Look up").click()
    expect(page.locator("#person")).to_contain_text("by SSE, WebSocket")
    rows = page.locator("#connections tbody tr")
    expect(rows).to_have_count(3)
    end = rows.first.get_by_role("button")
    end.click()
    expect(end).to_have_text("Really end it?")
    end.click()
    expect(rows).to_have_count(2)
    page.get_by_role("button", name="End all connections of guest-7").click()
    page.get_by_role("button", name="Really end all of them?").click()
    expect(page.locator("#person")).to_contain_text("not connected")
    expect(rows).to_have_count(0)


def test_who_ends_their_own_line_gets_another(open_console: Open, console_server: Server) -> None:
    """The key is still good: the console goes on by itself, and follows what it followed."""
    page = open_console("#channels/own:1")
    page.get_by_role("button", name="Follow").click()
    expect(page.locator("#channel .note")).to_contain_text("Following")

    def own() -> list[str]:
        found = console_server.look("/push/connections?limit=1000")["connections"]
        return [one["id"] for one in found if one["channels"] == ["own:1"]]

    (before,) = until(own, "it is listed")
    ended = console_server.ask(
        "DELETE", f"/push/connections/{before}", {"Authorization": f"Bearer {API_KEY}"}
    )
    assert ended.status == 200
    until(lambda: own() and own() != [before], "there is another one", 60)
    expect(page.locator("#line")).to_have_text("Live")
    console_server.publish("own:1", "still")
    expect(page.locator(".messages pre").first).to_have_text('"still"')


def test_a_list_has_pages(open_console: Open, listen: Callable[..., Client]) -> None:
    """Fifty connections at a time."""
    for _ in range(52):
        listen("many:1", user="busy")
    page = open_console("#people/busy")
    rows = page.locator("#connections tbody tr")
    page.wait_for_function(
        "() => { const more = document.querySelector('#more'); if (more.hidden)"
        " document.querySelector('#find-user button').click(); return !more.hidden; }",
        polling=1000,
    )
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="More").click()
    expect(rows).to_have_count(52)
    expect(page.locator("#more")).to_be_hidden()


def test_a_key_that_looks_alone_changes_nothing(
    open_console: Open, listen: Callable[..., Client]
) -> None:
    """What it may not do is not offered, and said."""
    listen("home:2", user="guest-8")
    page = open_console("#people", key=READ_KEY)
    expect(page.locator("#person")).to_contain_text("not end connections")
    expect(page.locator("#connections button:visible")).to_have_count(0)
    go(page, "publish")
    expect(page.get_by_text("This api key may look, and not publish.")).to_be_visible()
    expect(page.get_by_role("button", name="Publish")).to_be_disabled()


# -- publishing -----------------------------------------------------------------------------------


def test_publishing_with_all_its_fields(open_console: Open, console_server: Server) -> None:
    """JSON as it is, anything else as a text; retained, with an event of its own."""
    page = open_console("#publish")
    page.get_by_label("Its name, or their id").fill("form:1")
    page.get_by_label("Data").fill("no json")
    expect(page.locator("#data-kind")).to_contain_text("sent as a text")
    page.get_by_role("button", name="Publish").click()
    expect(page.locator("#published")).to_contain_text("Published as")
    page.get_by_label("Data").fill('{"a": 1}')
    expect(page.locator("#data-kind")).to_contain_text("It is JSON")
    page.get_by_text("Event, time to live").click()
    page.get_by_role("textbox", name="Event").fill("note")
    page.get_by_label("Time to live, seconds").fill("60")
    page.get_by_label("Keep it as the channel's value").check()
    page.get_by_role("button", name="Publish").click()
    channel = console_server.url and "/push/channels/form:1"
    page.wait_for_function("() => /\\.\\d/.test(document.querySelector('#published').textContent)")
    found = console_server.look(f"{channel}/history")["messages"]
    assert [message["data"] for message in found] == ["no json", {"a": 1}]
    assert found[1]["event"] == "note"
    assert console_server.look(channel)["retained"]["data"] == {"a": 1}
    page.get_by_label("Not before so many seconds").fill("3600")
    page.get_by_role("button", name="Publish").click()
    expect(page.locator("#published")).to_contain_text("Scheduled as s")
    page.get_by_label("a person, on every device").check()
    page.get_by_label("Its name, or their id").fill("no user")
    page.get_by_role("button", name="Publish").click()
    expect(page.locator("#published")).to_contain_text("user: got 'no user', expected 1 to 123 of")


def test_a_refusal_is_told_in_the_pages_language(open_console: Open) -> None:
    """In its words, with the server's own behind; and a name that cannot be is not asked for."""
    page = open_console("#people", locale="zh-CN")
    for name in ("..", "a/b", "a b"):
        page.locator("#user-name").fill(name)
        page.locator("#find-user button").click()
        expect(page.locator("#person")).to_contain_text("名称只能含字母")
    page.get_by_role("button", name="English").click()
    expect(page.locator("#person")).to_contain_text("No channel and no user can be called so")
    go(page, "channels")
    page.get_by_label("A name, or how it begins").fill("x/y")
    page.locator("#find-channel button").click()
    expect(page.locator("#channel .note")).to_contain_text("can be called so")
    page.get_by_role("button", name="中文").click()
    go(page, "publish")
    page.locator("#publish-to").fill("x/y")
    page.locator("#publish-data").fill("1")
    page.locator("#publisher button").click()
    expect(page.locator("#published")).to_contain_text("服务器无法接受：channel: got 'x/y'")
    page.get_by_role("button", name="English").click()
    expect(page.locator("#published")).to_contain_text("The server cannot take this: channel: got")


# -- for everybody --------------------------------------------------------------------------------


def test_it_speaks_both_languages_everywhere(
    open_console: Open, listen: Callable[..., Client]
) -> None:
    """Every view in Chinese, then in English, with nothing left of the other."""
    listen("both:1", user="guest-9")
    page = open_console(locale="zh-CN")
    expect(page.locator("#health")).to_contain_text("一切正常")
    for view, name in VIEWS.items():
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.locator(f"#{view}")).to_be_visible()
        assert left_over(page, "en") == []
    page.get_by_role("button", name="English").click()
    for view in VIEWS:
        go(page, view)
        assert left_over(page, "zh-CN") == []
    assert not re.search(r"[\u4e00-\u9fff]", page.locator("#inside").inner_text())
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.get_by_role("button", name="中文").click()
    expect(page.locator("#line")).to_have_text("实时")


def left_over(page: Page, language: str) -> list[str]:
    """Return the texts of this language that can be seen, but for what the server itself says."""
    other = page.locator(f'[lang="{language}"]:visible:not(button, .as-it-came)')
    return other.all_inner_texts()


def test_words_are_the_same_in_both_languages(open_console: Open) -> None:
    """None is missing in one of them."""
    page = open_console(key=None)
    missing = page.evaluate(
        "import('/push/console/console-words.js').then(({WORDS}) => { const [a, b] ="
        " Object.values(WORDS).map(Object.keys); return a.filter(w => !b.includes(w))"
        ".concat(b.filter(w => !a.includes(w))); })"
    )
    assert missing == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    open_console: Open,
    console_server: Server,
    listen: Callable[..., Client],
    pytestconfig: pytest.Config,
    scheme: str,
) -> None:
    """At the door, refused, and in each view with something in it."""
    file = axe.axe_file(pytestconfig.cache)
    channel = f"axe:{scheme}"
    listen(channel, user="guest-10")
    page = open_console(key=None, color_scheme=scheme)
    assert axe.serious(page, file) == []
    enter(page, "wrong")
    expect(page.get_by_role("alert")).not_to_be_empty()
    assert axe.serious(page, file) == []
    enter(page, API_KEY)
    expect(page.locator("#workers tbody tr")).to_have_count(2)
    assert axe.serious(page, file) == []
    page.goto(f"{console_server.url}/push/console#channels/{channel}")
    page.get_by_role("button", name="Follow").click()
    console_server.publish(channel, "hello")
    expect(page.locator(".messages li")).to_have_count(1)
    assert axe.serious(page, file) == []
    for view in ("people", "publish"):
        go(page, view)
        if view == "people":
            expect(page.locator("#connections tbody tr").first).to_be_visible()
        assert axe.serious(page, file) == []


def test_every_control_has_a_name_and_takes_the_keyboard(open_console: Open) -> None:
    """Tab leads from the top to the views; Enter opens them."""
    page = open_console(key=None)
    page.keyboard.press("Tab")
    seen = []
    for _ in range(4):
        seen.append(page.evaluate("document.activeElement.innerText || document.activeElement.id"))
        page.keyboard.press("Tab")
    assert seen == ["English", "中文", "key", "Open"]
    page.get_by_label("Api key").fill(API_KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#inside")).to_be_visible()
    page.get_by_role("link", name="People").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="People")).to_be_visible()
    expect(page.get_by_role("link", name="People")).to_have_attribute("aria-current", "page")


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_it_fits_the_screen(
    open_console: Open, console_server: Server, width: int, locale: str
) -> None:
    """Nothing sticks out sideways in any view: wide tables scroll by themselves."""
    console_server.publish(f"wide:{'x' * 120}", "x" * 500)
    page = open_console(locale=locale, viewport={"width": width, "height": 844})
    expect(page.locator("#workers tbody tr")).to_have_count(2)
    for view in ("overview", f"channels/wide:{'x' * 120}", "people", "publish"):
        page.goto(f"{console_server.url}/push/console#{view}")
        expect(page.locator(f"#{view.split('/')[0]}")).to_be_visible()
        widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1], view
        tabs = page.evaluate("(n => [n.scrollWidth, n.clientWidth])(document.querySelector('nav'))")
        assert tabs[0] <= tabs[1], view


def test_it_asks_nobody_else(open_console: Open, console_server: Server) -> None:
    """Everything comes from the server itself."""
    page = open_console(key=None)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    enter(page, API_KEY)
    expect(page.locator("#line")).to_have_text("Live")
    assert len(asked) >= 12
    assert [url for url in asked if not url.startswith(console_server.url)] == []


def test_it_works_in_an_app_of_others_under_its_prefix(
    make_server: Callable[..., Server], new_page: Callable[..., Page], tmp_path: Path
) -> None:
    """Whatever the prefix; without our hooks of gunicorn a worker has no label, and is there."""
    server = make_server(app="tests.apps.host:app", PUSH_PREFIX="/live/feed", WEB_CONCURRENCY=1)
    page = new_page(locale="en-GB")
    page.goto(f"{server.url}/live/feed/console#channels")
    enter(page, API_KEY)
    expect(page.locator("#line")).to_have_text("Live")
    go(page, "overview")
    expect(page.locator("#health")).to_contain_text("All is well")
