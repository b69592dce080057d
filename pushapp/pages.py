"""What browsers load of any app: ``push.js``, a jQuery, and the document for programs.

What belongs here: finding and serving files. What does not: the standalone server's own page
(``lab``).
"""

from __future__ import annotations

import gzip
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import distribution
from pathlib import Path
from typing import NamedTuple

from flask import Blueprint, Response, current_app, request

from .current import current_push
from .openapi import document
from .reply import json_reply

_LANGUAGES = {"en": "en", "zh": "zh-CN"}  # a browser's -> the page's
_FILE_AGE = 3600  # seconds that browsers keep push.js; then its ETag tells whether it is the same


def language() -> str:
    """Return which of a page's languages the browser of the current request prefers."""
    return _LANGUAGES[request.accept_languages.best_match(_LANGUAGES, "en")]


def folder(name: str) -> Path:
    """Return ``static`` or ``templates``: inside the package where it is installed, beside it in
    the repository."""
    package = Path(__file__).resolve().parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


def register(blueprint: Blueprint) -> None:
    """Serve ``push.js``, a jQuery for pages that have none, and what describes the interface to
    programs, under the prefix."""
    jquery = distribution("XStatic-jQuery").locate_file("xstatic/pkg/jquery/data/jquery.min.js")
    _serve(blueprint, "push.js", folder("static") / "push.js")
    _serve(blueprint, "jquery.js", Path(str(jquery)))
    blueprint.add_url_rule("/openapi.json", view_func=openapi)


def _serve(blueprint: Blueprint, name: str, path: Path) -> None:
    def view() -> Response:
        file = _read(path, path.stat().st_mtime_ns)
        packs = request.accept_encodings.quality("gzip") > 0
        response = Response(file.packed if packs else file.plain, mimetype="text/javascript")
        response.set_etag(f"{file.digest}-gzip" if packs else file.digest)
        if packs:
            response.content_encoding = "gzip"
        # "Origin": what was loaded without one has no CORS headers, and serves no script with one
        response.vary.update(("Accept-Encoding", "Origin"))
        response.cache_control.public, response.cache_control.max_age = True, _FILE_AGE
        # a page of another origin may load the client: CORS guards the messages, not the code
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        response.make_conditional(request)
        return response

    blueprint.add_url_rule(f"/{name}", name.replace(".", "_"), view)


class _File(NamedTuple):
    plain: bytes
    packed: bytes  # gzip
    digest: str  # the same on every machine


@lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> _File:
    """Return a file; ``changed``: when it was, so that an edited one is read again."""
    data = path.read_bytes()
    return _File(data, gzip.compress(data), sha256(data).hexdigest()[:20])


def openapi() -> Response:
    """Answer with the document that describes this server's interface."""
    standalone = "healthz" in current_app.view_functions
    return json_reply(document(current_push().settings.prefix, standalone=standalone))
