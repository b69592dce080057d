"""docs/migrate.md: the pages before and after show the same, and those after need less.

What belongs here: its blocks, in a browser. What does not: what the others do by themselves; their
blocks are read, and not run.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import esprima
import pytest
from playwright.sync_api import Page, expect

from ..jquery import jquery_file
from ..server import ROOT, SECRET, Server, until

pytestmark = pytest.mark.browser

NewPage = Callable[..., Page]
TEXT = (ROOT / "docs" / "migrate.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.M | re.S)
PYTHON, HTML = ([code for found, code in BLOCKS if found == name] for name in ("python", "html"))
OLD_POLL, NEW_POLL, OLD_SOCKET, NEW_SOCKET, OLD_STREAM, NEW_STREAM = PYTHON
OLD_POLL_PAGE, NEW_POLL_PAGE, OLD_SOCKET_PAGE, NEW_SOCKET_PAGE, OLD_STREAM_PAGE, *SSE_PAGES = HTML

#: What an app that migrates has already, and what a test needs.
BEFORE = """
import os, sqlite3
from flask import Flask, abort, jsonify, request, session
from pushapp import Push

app = Flask(__name__)
app.secret_key = os.environ["SECRET_KEY"]
push = Push(app)


def query(sql, *values):
    with sqlite3.connect(os.environ["SHOP"]) as db:
        db.execute("CREATE TABLE IF NOT EXISTS notice (id INTEGER PRIMARY KEY, text TEXT)")
        return db.execute(sql, values).fetchall()


def insert(sql, *values):
    query("SELECT 1 FROM notice")
    with sqlite3.connect(os.environ["SHOP"]) as db:
        return db.execute(sql, values).lastrowid
"""
AFTER = """
@app.post("/tell")
def told():
    tell({"title": request.form["title"]})
    return "", 204


@app.get("/login")
def login():
    session["name"] = "ann"
    return ""


@app.get("/healthz")
@app.get("/readyz")
def ready():
    return "ready"


for number, name in enumerate(sorted(os.listdir("pages"))):
    app.add_url_rule(f"/{name}", f"page{number}", lambda name=name: open(f"pages/{name}").read())
"""


@pytest.fixture(scope="module")
def migrated(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Server]:
    """An app with what is old and can stand beside what is new, and with all the pages."""
    folder = tmp_path_factory.mktemp("migrate")
    code = [BEFORE, OLD_POLL, NEW_POLL, NEW_SOCKET, NEW_STREAM, AFTER]
    (folder / "old_app.py").write_text("\n\n".join(code))
    (folder / "static").mkdir()
    shutil.copy(jquery_file(request.config.cache, "1.12.4"), folder / "static")
    (folder / "pages").mkdir()
    for n, html in enumerate(HTML):
        (folder / "pages" / str(n)).write_text(html)
    server = Server(
        folder,
        app="old_app:app",
        config="python:pushapp.gunicorn_conf",
        cwd=folder,
        PYTHONPATH=ROOT,
        SECRET_KEY=SECRET,
        SHOP=folder / "shop.db",
    ).start()
    yield server
    server.stop()


def post(server: Server, path: str, **fields: str) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = server.ask("POST", path, kind, urlencode(fields).encode())
    assert reply.status == 204, reply


def wait_for_listeners(server: Server, channel: str, count: int = 1) -> None:
    def are_there() -> bool:
        return bool(server.look(f"/push/channels/{channel}")["subscribers"] == count)

    until(are_there, f"{count} listen to {channel}")


def open_block(new_page: NewPage, server: Server, html: str) -> Page:
    page = new_page()
    page.goto(f"{server.url}/login")
    page.goto(f"{server.url}/{HTML.index(html)}")
    return page


def test_what_is_old_can_be_read_by_those_who_know_it() -> None:
    """The blocks of the others are Python and JavaScript."""
    for code in (OLD_SOCKET, OLD_STREAM):
        ast.parse(code)
    for html in (OLD_SOCKET_PAGE, OLD_STREAM_PAGE):
        for script in re.findall(r"<script>(.+?)</script>", html, re.S):
            esprima.parseScript(script)


def test_polling_becomes_being_told(migrated: Server, new_page: NewPage) -> None:
    """Both pages show the same; the new one asks once."""
    post(migrated, "/notices", text="before")
    old = open_block(new_page, migrated, OLD_POLL_PAGE)
    expect(old.locator("li").last).to_have_text("before")
    earlier = old.locator("li").all_inner_texts()  # of another test, too
    asked: list[str] = []
    new = new_page()
    new.on("request", lambda request: asked.append(request.url))
    new.goto(f"{migrated.url}/{HTML.index(NEW_POLL_PAGE)}")
    wait_for_listeners(migrated, "public:notices")
    for text in ("<b>one</b>", "two"):
        post(migrated, "/notices", text=text)
    for page in (new, old):
        expect(page.locator("li")).to_have_text([*earlier, "<b>one</b>", "two"])
    assert len([url for url in asked if url.endswith("/notices")]) == 1


def test_the_careful_beginning_polls_alone(migrated: Server, new_page: NewPage) -> None:
    """The options that the text names, in the place where it wants them."""
    (options,) = re.findall(r"adds `(transports: .+?)`", TEXT)
    page = new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{migrated.url}/healthz")
    html = NEW_POLL_PAGE.replace("cursor: it.cursor", f"cursor: it.cursor, {options}")
    assert html != NEW_POLL_PAGE
    with page.expect_request("**/push/poll*"):
        page.set_content(html)
    post(migrated, "/notices", text="carefully")
    expect(page.locator("li").last).to_have_text("carefully")
    ways = {url.split("/push/")[1].split("?")[0] for url in asked if "/push/" in url}
    assert ways == {"push.js", "poll"}


def test_a_room_becomes_a_channel(migrated: Server, new_page: NewPage) -> None:
    """Two people hear each other; who comes later sees what was said; a stranger hears nothing."""
    ann = open_block(new_page, migrated, NEW_SOCKET_PAGE)
    wait_for_listeners(migrated, "room:lobby")
    ann.fill("#text", "Hello")
    ann.keyboard.press("Enter")
    expect(ann.locator("li")).to_have_text(["Hello"])
    late = open_block(new_page, migrated, NEW_SOCKET_PAGE)
    expect(late.locator("li")).to_have_text(["Hello"])
    late.fill("#text", "Here I am")
    late.keyboard.press("Enter")
    for page in (ann, late):
        expect(page.locator("li")).to_have_text(["Hello", "Here I am"])
    assert migrated.ask("POST", "/rooms/lobby", {}, b"").status == 401
    assert migrated.ask("GET", "/push/poll?channels=room:lobby").status in (401, 403)


@pytest.mark.parametrize("html", SSE_PAGES, ids=["EventSource", "push.js"])
def test_a_stream_of_ones_own_becomes_ours(migrated: Server, new_page: NewPage, html: str) -> None:
    """The browser's own EventSource, and push.js, show what the app tells."""
    wait_for_listeners(migrated, "public:news", 0)  # the page before is gone
    page = open_block(new_page, migrated, html)
    wait_for_listeners(migrated, "public:news")
    post(migrated, "/tell", title="It works")
    expect(page.locator("li")).to_have_text(["It works"])


def test_nothing_on_the_page_is_left_untried() -> None:
    """Six blocks of Python and seven pages: another one wants its test."""
    assert (len(PYTHON), len(HTML), len(BLOCKS)) == (6, 7, 13)
    assert not [
        path for path in re.findall(r"\]\((\w+\.md)", TEXT) if not Path(ROOT, "docs", path).exists()
    ]
