"""The server with a page on it, as users have it: jQuery, push.js and a few lines of their own."""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402
from pathlib import Path  # noqa: E402

from flask import Response, request, send_file  # noqa: E402

from pushapp import create_app  # noqa: E402

app = create_app()

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>networks</title><link rel="icon" href="data:,">
%s<script src="/push/push.js"></script><script src="/record.js"></script>
"""
_JQUERY = '<script src="%s"></script>'


@app.get("/page")
def page() -> str:
    version = request.args.get("jquery")
    if version == "none":
        return _PAGE % ""
    return _PAGE % (_JQUERY % (f"/jquery.js?version={version}" if version else "/push/jquery.js"))


@app.get("/jquery.js")
def jquery() -> Response:
    return send_file(Path(os.environ["NETWORKS_JQUERY"]) / f"jquery-{request.args['version']}.js")


@app.get("/record.js")
def record() -> Response:
    return send_file(Path(__file__).parent / "record.js")
