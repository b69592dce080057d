"""What browsers load: ``push.js`` for any app, and the standalone server's demo page.

What belongs here: finding and serving the files of ``static/`` and ``templates/``, and the demo
page's own publish form. What does not: what the page does, which is in those files.
"""

from __future__ import annotations

import math
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, current_app, render_template, request, send_file
from werkzeug.exceptions import HTTPException

from .address import client_address
from .body import read_body
from .current import current_push
from .errors import InvalidInput, NotAllowed, NotFound, PushError
from .limits import TokenBuckets
from .openapi import document
from .origins import check_origin
from .problem import problem, secure
from .publish import load_json
from .reply import json_reply

LANGUAGES = {"en": "en", "zh": "zh-CN"}  # a browser's -> the page's
_FILE_AGE = 3600  # seconds that browsers keep push.js; then its ETag tells whether it is the same
_FORM_BODY = 8192  # bytes of one publish from the form
_FORM_RATE = 5.0  # publishes a second from one address
_FORM_BURST = 20  # ... and at once

#: Nothing inline, nothing from elsewhere: whatever a channel's messages hold, it cannot run.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


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
        response = send_file(path, "text/javascript", max_age=_FILE_AGE)
        # a page of another origin may load the client: CORS guards the messages, not the code
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return response

    blueprint.add_url_rule(f"/{name}", name.replace(".", "_"), view)


def openapi() -> Response:
    """Answer with the document that describes this server's interface."""
    standalone = "healthz" in current_app.view_functions
    return json_reply(document(current_push().settings.prefix, standalone=standalone))


def register_demo(app: Flask) -> None:
    """Serve the demo page at ``/``, its files, and its publish form."""
    demo = Blueprint(
        "demo",
        __name__,
        static_folder=folder("static"),
        static_url_path="/static",
        template_folder=str(folder("templates")),
    )
    limits = TokenBuckets(_FORM_RATE, _FORM_BURST)
    demo.add_url_rule("/", view_func=page)
    demo.add_url_rule("/demo/publish", "publish", lambda: publish(limits), methods=["POST"])
    demo.register_error_handler(PushError, problem)
    demo.register_error_handler(HTTPException, problem)
    demo.after_request(_protect)
    app.register_blueprint(demo)


def page() -> Response:
    """Answer with the demo page in the browser's language; the page itself can switch."""
    settings = current_push().settings
    text = render_template(
        "demo.html",
        language=LANGUAGES[request.accept_languages.best_match(LANGUAGES, "en")],
        prefix=settings.prefix,
        demo=settings.demo,
        host=request.host_url.rstrip("/"),
    )
    return Response(text, headers={"Cache-Control": "no-cache", "Vary": "Accept-Language"})


def publish(limits: TokenBuckets) -> dict[str, Any] | Response:
    """Publish one message of the page's form: to the namespace ``demo``, and without an api key.

    Raises:
        NotFound: the demo is switched off.
        NotAllowed: the request comes from a foreign page, or wants another namespace.
        InvalidInput: something does not fit.
        LogUnavailable: the log did not take it.
    """
    push = current_push()
    if not push.settings.demo:
        raise NotFound("the demo's form is switched off; PUSH_DEMO=1 switches it on")
    check_origin(request, push.settings)
    if request.mimetype != "application/json":  # what a foreign page can send has another type
        raise InvalidInput("Content-Type", request.mimetype, "application/json")
    wanted = push.parse(load_json(read_body(request, _FORM_BODY)))
    if len(wanted.drafts) > 1:
        raise InvalidInput("messages", f"{len(wanted.drafts)} of them", "one")
    if not wanted.drafts[0].channel.startswith("demo:"):
        raise NotAllowed("this form publishes to channels that begin with demo:, and to no others")
    wait = limits.take(client_address(request.environ, push.settings.trusted_proxies) or "")
    if wait > 0:
        detail = f"not more than {_FORM_RATE:g} messages a second"
        return problem(429, detail, {"Retry-After": str(math.ceil(wait))})
    return push.append(wanted, "demo")


def _protect(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return secure(response)
