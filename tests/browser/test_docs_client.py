"""The pages and the hand-written clients of docs/client.md do what it says of them.

What belongs here: its blocks of HTML, JavaScript and Python. What does not: those for a shell
(``other_clients``), and what push.js promises (``test_client``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from ..docs_client import BLOCKS, TEXT, blocks
from ..other_clients.line import Line
from ..server import ROOT, SECRET, Server, until
from .tab import TRANSPORTS

pytestmark = pytest.mark.browser

NewPage = Callable[..., Page]

RECIPES = {
    "A notification bell": "bell.html",
    "A live table": "table.html",
    "A chat": "chat.html",
}
BY_HAND = {
    "By hand: polling": "poll",
    "By hand: long polling": "longpoll",
    "By hand: SSE": "sse",
    "By hand: WebSocket": "websocket",
}
OTHERS = {"Start", "The recipes' app", "Tokens", "Another origin", "When something is wrong"}
WAIT = "1000 + 4000 * Math.random()"  # ms until a client by hand comes back
IN_A_SHELL = {"By hand: curl"}
KEPT = 5  # messages of a public channel
READY = """
@app.get("/healthz")
@app.get("/readyz")
def ready():
    return "ready"
"""


def test_every_block_has_its_test() -> None:
    """A block under a heading that no test knows would be one that nobody has run."""
    assert set(BLOCKS) == {*RECIPES, *BY_HAND, *OTHERS, *IN_A_SHELL}


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The recipes' app as the document has it. One worker: its "database" is a dict."""
    folder = tmp_path_factory.mktemp("recipes")
    code = [*blocks("The recipes' app", "python")]
    for heading, template in RECIPES.items():
        code += blocks(heading, "python")
        (html,) = blocks(heading, "html")
        (folder / template).write_text(html, encoding="utf-8")
    code += [*blocks("Tokens", "python"), READY]
    (folder / "recipes.py").write_text("\n\n".join(code), encoding="utf-8")
    server = Server(
        folder,
        app="recipes:app",
        config="python:pushapp.gunicorn_conf",
        cwd=folder,
        PYTHONPATH=ROOT,
        SECRET_KEY=SECRET,
        WEB_CONCURRENCY=1,
        PUSH_NAMESPACES=json.dumps({"public": {"size": KEPT}}),
    ).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def elsewhere(recipes: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A push server that lets the recipes' pages in, and knows the secret of their app."""
    folder = tmp_path_factory.mktemp("elsewhere")
    server = Server(folder, PUSH_ALLOWED_ORIGINS=recipes.url, WEB_CONCURRENCY=1).start()
    yield server
    server.stop()


@pytest.fixture
def line(recipes: Server) -> Iterator[Line]:
    """A line to the recipes' app."""
    line = Line(recipes.port)
    yield line
    line.cut()


def wait_for_subscribers(server: Server, channel: str, count: int) -> None:
    def are_there() -> bool:
        return bool(server.look(f"/push/channels/{channel}")["subscribers"] >= count)

    until(are_there, f"{count} subscribers of {channel}")


def change(server: Server, method: str, name: str, rate: float | None = None) -> None:
    body = json.dumps(rate).encode()
    reply = server.ask(method, f"/rates/{name}", {"Content-Type": "application/json"}, body)
    assert reply.status == 204, reply


def remind(server: Server, user: str, text: str) -> None:
    body = json.dumps(text).encode()
    reply = server.ask("POST", f"/remind/{user}", {"Content-Type": "application/json"}, body)
    assert reply.status == 204, reply


# -- the interface


@pytest.mark.parametrize("n", [0, 1])
def test_start(server: Server, new_page: NewPage, channel: str, n: int) -> None:
    """The shortest page, with jQuery and without."""
    page = new_page()
    page.goto(f"{server.url}/healthz")
    page.set_content(blocks("Start", "html")[n].replace("public:news", channel))
    wait_for_subscribers(server, channel, 1)
    server.publish(channel, {"title": "<b>First</b>"})
    server.publish(channel, {"title": "Second"})
    expect(page.locator("#news li")).to_have_text(["<b>First</b>", "Second"])


def test_inspect(server: Server, new_page: NewPage, channel: str) -> None:
    """What to send to support holds what the document says, the names of roles among it."""
    page = new_page()
    page.goto(f"{server.url}/healthz")
    page.add_script_tag(url="/push/push.js")
    page.evaluate("channel => { window.push = Push.connect({channels: channel}); }", channel)
    page.wait_for_function("push.readyState === push.OPEN")
    (code,) = blocks("When something is wrong", "js")
    told = json.loads(page.evaluate(code))
    assert told["transport"] in TRANSPORTS and told["channels"] == [channel]
    assert f"`{told['role']}`" in TEXT
    assert [step["transport"] for step in told["ladder"]] == list(TRANSPORTS)
    assert {"version", "cursor", "stats", "log"} <= set(told)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_another_origin(
    recipes: Server, elsewhere: Server, new_page: NewPage, transport: str
) -> None:
    """A page gets its token from its app, and with it messages from a server elsewhere."""
    page = new_page()
    page.goto(f"{recipes.url}/login/ada?to=/healthz")
    page.set_content('<script src="/push/jquery.js"></script><script src="/push/push.js"></script>')
    (code,) = blocks("Another origin", "js")
    assert "https://push.example.com" in code
    code = code.replace("https://push.example.com", elsewhere.url)
    code = code.replace("channels:", f"transport: '{transport}', channels:")
    listen = "window.heard = []; push.on('message', m => heard.push(m.data))"
    page.evaluate(f"() => {{ {code} {listen}; window.push = push; }}")
    page.wait_for_function("push.readyState === push.OPEN && push.cursor")
    elsewhere.publish("room:lobby", "hello")
    page.wait_for_function("heard.length")
    assert page.evaluate("[push.transport, heard]") == [transport, ["hello"]]


# -- the recipes


def test_bell(recipes: Server, new_page: NewPage) -> None:
    """Each person gets their own notices, on every page, and what was read stays read."""
    remind(recipes, "ada", "from before")
    ada, bob = new_page(), new_page()
    ada.goto(f"{recipes.url}/login/ada")
    bob.goto(f"{recipes.url}/login/bob")
    expect(ada.locator("#unread")).to_have_text("1")
    wait_for_subscribers(recipes, "user:bob", 1)
    remind(recipes, "ada", "for <i>Ada</i>")
    remind(recipes, "bob", "for Bob")
    expect(ada.locator("#notices li")).to_have_text(["for <i>Ada</i>", "from before"])
    expect(bob.locator("#notices li")).to_have_text(["for Bob"])
    expect(ada.locator("#unread")).to_have_text("2")
    ada.locator("#bell").click()
    expect(ada.locator("#unread")).to_have_text("0")
    ada.reload()
    expect(ada.locator("#notices li")).to_have_count(2)
    expect(ada.locator("#unread")).to_have_text("0")
    remind(recipes, "ada", "again")
    expect(ada.locator("#unread")).to_have_text("1")


def test_table(recipes: Server, new_page: NewPage, line: Line) -> None:
    """What changes while the page loads is seen, and what is lost is loaded anew."""
    page = new_page()

    def while_it_loads(route: Route) -> None:
        change(recipes, "PUT", "EUR", 1.09)
        route.continue_()

    page.route("**/push/push.js", while_it_loads)
    page.goto(f"http://127.0.0.1:{line.port}/table")
    expect(page.locator("#EUR td")).to_have_text("1.09")
    page.unroute("**/push/push.js")
    change(recipes, "PUT", "JPY", 0.0066)
    expect(page.locator("#JPY td")).to_have_text("0.0066")
    change(recipes, "DELETE", "JPY")
    expect(page.locator("#JPY")).to_have_count(0)
    page.evaluate("window.isFirst = true")
    line.cut()
    for rate in range(2 * KEPT):
        change(recipes, "PUT", "CHF", rate)
    change(recipes, "DELETE", "GBP")
    line.mend()
    page.wait_for_function("!window.isFirst")
    expect(page.locator("#CHF td")).to_have_text(str(2 * KEPT - 1))
    expect(page.locator("#GBP")).to_have_count(0)


def test_chat(recipes: Server, new_page: NewPage, line: Line) -> None:
    """People read each other, see each other type, and speak for nobody else."""
    ada, bob = new_page(), new_page()
    ada.goto(f"{recipes.url}/login/ada?to=/chat")
    bob.goto(f"http://127.0.0.1:{line.port}/login/bob?to=/chat")
    wait_for_subscribers(recipes, "room:lobby", 2)
    bob.locator("input").press_sequentially("<u>Hi</u>")
    expect(ada.locator("#typing")).to_have_text("bob is typing …")
    bob.locator("input").press("Enter")
    expect(ada.locator("#talk li")).to_have_text(["bob: <u>Hi</u>"])
    expect(ada.locator("#typing")).to_have_text("")
    expect(bob.locator("input")).to_have_value("")
    forged = "push.publish(room, {from: 'ada', text: 'no'}).then(() => 0, error => error.status)"
    assert bob.evaluate(forged) == 403
    line.cut()
    expect(bob.locator("#state")).to_have_text("connecting …")
    ada.locator("input").fill("Hello")
    ada.locator("input").press("Enter")
    expect(ada.locator("#talk li")).to_have_count(2)
    line.mend()
    expect(bob.locator("#talk li")).to_have_text(["bob: <u>Hi</u>", "ada: Hello"])
    expect(bob.locator("#state")).to_have_text("")
    late = new_page()
    late.goto(f"{recipes.url}/login/cy?to=/chat")
    expect(late.locator("#talk li")).to_have_text(["bob: <u>Hi</u>", "ada: Hello"])


# -- by hand


def test_by_hand(recipes: Server, new_page: NewPage, line: Line) -> None:
    """Ten lines for each transport: all messages, once and in order, over a cut."""
    channel = "demo:by-hand"
    page = new_page()
    page.goto(f"http://127.0.0.1:{line.port}/healthz")
    page.evaluate("window.heard = {}")
    for heading, name in BY_HAND.items():
        (code,) = blocks(heading, "js")
        assert WAIT in code
        page.add_script_tag(content=code.replace(WAIT, "100 * Math.random()"))
        start = "heard.NAME = []; NAME([channel], message => heard.NAME.push(message.data));"
        page.evaluate(f"channel => {{ {start.replace('NAME', name)} }}", channel)
    # Where it begins is not told, so what counts begins when it has heard something.
    wait_for_subscribers(recipes, channel, 3)

    def hear(first: int, last: int) -> None:
        recipes.publish_all([{"channel": channel, "data": n} for n in range(first, last + 1)])

    def wait(n: int) -> None:
        everyone = "n => Object.values(heard).every(data => data.includes(n))"
        page.wait_for_function(everyone, arg=n)

    with_cursor = (
        "performance.getEntriesByType('resource').some(e => /poll.*cursor=./.test(e.name))"
    )
    page.wait_for_function(with_cursor)
    hear(0, 9)
    wait(9)
    line.cut()
    hear(10, 19)
    line.mend()
    wait(19)
    hear(20, 29)
    wait(29)
    assert page.evaluate("heard") == dict.fromkeys(BY_HAND.values(), list(range(30)))
