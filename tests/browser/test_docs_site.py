"""docs/ as a site: it builds without a warning, shows what GitHub shows, and asks nobody else.

What belongs here: the site, and links of pages that are not in it. What does not: whether what the
pages say is true (each has its own test).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from playwright.sync_api import Page, expect

from ..server import ROOT

pytestmark = pytest.mark.browser

DOCS = ROOT / "docs"
SHOWN = {"h1", "h2", "h3", "li", "pre", "table", "th", "td", "img"}
MADE = re.compile(r"^::: ", re.M)  # pages that say little before they are built
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#[^)]*)?\)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. A broken link, or one to a heading that there is not, is a warning."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert built.returncode == 0, built.stderr
    return folder


class _Elements(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in SHOWN:
            self.counts[tag] += 1


def pages() -> Iterator[Path]:
    yield from sorted(page for page in DOCS.glob("*.md") if not MADE.search(page.read_text()))


def test_a_page_is_what_the_repository_shows(site: Path) -> None:
    """Two readings of Markdown agree: no list has become a paragraph, no table a line of bars."""
    github = MarkdownIt("commonmark").enable("table")
    for page in pages():
        (article,) = re.findall(
            r"<article.*?</article>", (site / f"{page.stem}.html").read_text(), re.S
        )
        expected = _Elements(github.render(page.read_text())).counts
        assert _Elements(article).counts == expected, page.name


def test_the_site_asks_nobody_else(site: Path, new_page: Callable[..., Page]) -> None:
    """Read from the disk, it loads what is there and nothing more, and its scripts run."""
    page = new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for name in ("index", "index.zh", "python", "benchmarks"):
        page.goto((site / f"{name}.html").as_uri())
        page.wait_for_load_state()
    assert asked and all(url.startswith((site.as_uri(), "data:", "blob:")) for url in asked)


def test_made_pages_have_something_in_them(site: Path, new_page: Callable[..., Page]) -> None:
    """What is made from the code: each command, what Push can, each path."""
    page = new_page()
    for name, words in {
        "cli": ["pushapp publish", "--ttl"],
        "python": ["idempotency_key", "LogUnavailable"],
        "http": ["POST /push/publish", "GET /readyz"],
    }.items():
        page.goto((site / f"{name}.html").as_uri())
        for word in words:
            expect(page.locator("article")).to_contain_text(word)


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_a_readme_leads_somewhere(name: str) -> None:
    """Each relative link is a file or folder of the repository."""
    for link in LINK.findall((ROOT / name).read_text()):
        assert (ROOT / link).exists(), link
