"""The console: a page for whoever runs the server, behind an api key.

What belongs here: its page and files, and the one route that starts its feed. What does not: the
figures (``figures``), what else the page asks for (``api``, ``people``, ``power``), what it does
with all of it (``static/console*.js``).

The page holds no secret and is given to anyone: what it shows, it asks for with the key that is
typed into it. It comes from the package alone, so that no app's own template or setting changes it.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request, send_file
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from . import figures
from .api import readiness
from .body import read_body
from .broker.roster import FIGURES
from .current import current_push
from .errors import NotFound, show
from .pages import folder, language
from .reply import json_reply
from .tally import METRICS

_SHARED = ("base.css", "icon.svg")  # with the lab; all other files are the console's own
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_BODY = 1024  # bytes; nothing is asked for in it
#: Nothing inline, nothing from elsewhere, in nobody's frame, and no text ever becomes markup.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def register(blueprint: Blueprint) -> None:
    """Put the routes under the prefix."""
    blueprint.add_url_rule("/console", "console_page", page)
    blueprint.add_url_rule("/console/<name>", "console_file", file)
    blueprint.add_url_rule("/console/watch", "console_watch", watch, methods=["POST"])


def page() -> Response:
    """Answer with the page, in the browser's language; the page itself can switch."""
    templates = Environment(
        loader=FileSystemLoader(folder("templates")), autoescape=True, undefined=StrictUndefined
    )
    text = templates.get_template("console.html").render(
        language=language(),
        scripts=sorted(path.name for path in folder("static").glob("console-*.js")),
        has_keys=bool(current_push().settings.api_keys),
    )
    return Response(text, headers=_HEADERS | {"Vary": "Accept-Language"})


def file(name: str) -> Response:
    """Answer with one of the page's files."""
    found = folder("static") / name
    if not (name.startswith("console") or name in _SHARED) or not found.is_file():
        raise NotFound(f"the console has no file {show(name)}")
    response = send_file(found, _KINDS[found.suffix])
    response.headers.update(_HEADERS)
    return response


def watch() -> Response:
    """Start the feed, or let it go on, and tell what does not change from second to second."""
    push = current_push()
    key = push.api_keys.require_look()
    read_body(request, _BODY)
    ready, checks = readiness(push)
    if checks["log"].ok:
        push.start().figures.watch()
    told: dict[str, Any] = {
        "channel": FIGURES,
        "seconds": figures.WATCHED,
        "may_publish": key.may_publish,
        "ready": ready,
        "checks": {name: check._asdict() for name, check in checks.items()},
        "limits": {
            "connections": push.settings.max_connections,
            "buffer": push.settings.buffer,
            "buffer_total": push.settings.buffer_total,
            "max_message": push.settings.max_message,
        },
        "bounds": {m.name: m.bounds for m in METRICS if m.bounds},
    }
    return json_reply(told)
