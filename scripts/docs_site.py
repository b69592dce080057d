"""What mkdocs does not do by itself for the site of docs/.

The pages are written for a reader of the repository, too. So they link to its files, which become
pages of the site; and they are Markdown as GitHub reads it, which mkdocs does a little differently.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from pushapp.openapi import document

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = {
    ".js": "js",
    ".ts": "ts",
    ".yml": "yaml",
    ".cfg": "text",
    ".conf": "nginx",
    ".sh": "sh",
}
_OUT = re.compile(r"\]\(\.\./([\w./-]+)\)")
_FENCED = re.compile(r"^(```.*?^```)$", re.M | re.S)
_LIST_AFTER_TEXT = re.compile(r"^(?![-\s])(.+\n)(?=- )", re.M)
_BLOCK_IN_ITEM = re.compile(r"(?<=\n\n) {2,3}\S.*(?:\n {2,3}\S.*)*(?=\n)")
_WAYS = {"": "nothing", "apiKey": "an api key", "token": "a token", "ticket": "a ticket"}
_CHANGES = "CHANGELOG.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file of the repository that a page links to."""
    linked = {_CHANGES}
    for page in files.documentation_pages():
        linked |= set(_OUT.findall(page.content_string))
    for name in sorted(linked):
        files.append(File.generated(config, _page_of(name), content=_as_page(name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to such files lead to their pages, and lists be seen as lists."""
    markdown = markdown.replace("::: openapi", _paths())
    parts = _FENCED.split(_OUT.sub(lambda link: f"]({_page_of(link[1])})", markdown))
    return "".join(part if part.startswith("```") else _with_lists(part) for part in parts)


def _with_lists(markdown: str) -> str:
    """Put an empty line before a list, and four spaces before what belongs to an item."""
    markdown = _LIST_AFTER_TEXT.sub(r"\1\n", markdown)
    return _BLOCK_IN_ITEM.sub(lambda block: re.sub(r"(?m)^ +", "    ", block[0]) + "\n", markdown)


def _page_of(name: str) -> str:
    return "changes.md" if name == _CHANGES else f"files/{name}.md"


def _as_page(name: str) -> str:
    file = ROOT / name
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".md":
        return text
    language = LANGUAGES.get(file.suffix, file.suffix.removeprefix("."))
    fence = "`" * 5
    return f"# {name}\n\n{fence}{language}\n{text}\n{fence}\n"


def _paths() -> str:
    rows = ["| | what it does | with |", "|---|---|---|"]
    for path, operations in document("/push", standalone=True)["paths"].items():
        for method, operation in operations.items():
            ways = [_WAYS[name] for way in operation["security"] for name in way or ("",)]
            rows.append(
                f"| `{method.upper()} {path}` | {operation['summary']} | {', '.join(ways)} |"
            )
    return "\n".join(rows)
