"""The files that browsers load of any app, over Flask's test client."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from .server import API_KEY, ROOT, SECRET

Client = Any  # Flask's FlaskClient


def test_push_js_is_kept_and_revalidated(client: Client) -> None:
    """Browsers keep push.js for a while, and then learn with a few bytes that it is the same."""
    with client.get("/push/push.js") as first:
        assert first.status_code == 200
        assert first.mimetype == "text/javascript"
        assert first.data == (ROOT / "static" / "push.js").read_bytes()
        assert first.cache_control.max_age == 3600
        assert first.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        known = {"If-None-Match": first.headers["ETag"]}
    with client.get("/push/push.js", headers=known) as again:
        assert (again.status_code, again.data) == (304, b"")


def test_push_js_travels_packed_to_whoever_takes_that(client: Client) -> None:
    """It is the same file, and a cache tells the two apart."""
    plain = client.get("/push/push.js", headers={"Accept-Encoding": "br, gzip;q=0"})
    packed = client.get("/push/push.js", headers={"Accept-Encoding": "gzip, deflate, br"})
    assert plain.content_encoding is None and packed.content_encoding == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < len(plain.data) / 3
    for reply, other in ((plain, packed), (packed, plain)):
        assert {"Accept-Encoding", "Origin"} <= set(reply.vary)
        assert reply.headers["ETag"] != other.headers["ETag"]
    known = {"Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]}
    assert client.get("/push/push.js", headers=known).status_code == 304


def test_jquery_comes_from_the_package(client: Client) -> None:
    """A page that has no jQuery of its own finds one beside push.js."""
    with client.get("/push/jquery.js") as reply:
        assert b"jQuery v3.7" in reply.data[:100]


def test_an_app_of_its_own_gets_the_client_but_no_lab() -> None:
    """Push(app) serves push.js under its prefix, and leaves / to the app."""
    from flask import Flask

    from pushapp import Push

    app = Flask("host")
    Push(app, PUSH_PREFIX="/live", PUSH_SECRET=SECRET)
    client = app.test_client()
    with client.get("/live/push.js") as reply:
        assert reply.status_code == 200
    assert client.get("/").status_code == 404
    assert client.post("/demo/publish", json={}).status_code == 404


def test_an_installed_package_finds_its_files(tmp_path: Path) -> None:
    """Installed by pip, static/ and templates/ are inside the package; the pages work there."""
    source, target = tmp_path / "source", tmp_path / "installed"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("pushapp", "static", "templates"):
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
    ]
    subprocess.run([*command, "--target", str(target), str(source)], check=True, timeout=120)
    script = (
        "from pushapp import create_app, pages\n"
        "client = create_app().test_client()\n"
        "assert pages.folder('static').parent.name == 'pushapp', pages.folder('static')\n"
        "for path in ('/', '/push/push.js', '/static/lab.css'):\n"
        "    assert client.get(path).status_code == 200, path\n"
    )
    environ = {"PYTHONPATH": str(target), "PUSH_API_KEYS": API_KEY, "PUSH_SECRET": SECRET}
    subprocess.run(
        [sys.executable, "-c", script], check=True, cwd=tmp_path, env=environ, timeout=60
    )
