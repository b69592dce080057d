"""The files that browsers load, and the demo page's form, over Flask's test client."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .server import API_KEY, ROOT, SECRET

Client = Any  # Flask's FlaskClient


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Client:
    """A test client of an app whose demo is on."""
    monkeypatch.setenv("PUSH_DEMO", "1")
    return request.getfixturevalue("client")


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


def test_jquery_comes_from_the_package(client: Client) -> None:
    """A page that has no jQuery of its own finds one beside push.js."""
    with client.get("/push/jquery.js") as reply:
        assert b"jQuery v3.7" in reply.data[:100]


def test_an_app_of_its_own_gets_the_client_but_no_demo() -> None:
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


def test_the_page_can_run_nothing_but_its_own_files(demo: Client) -> None:
    """The policy allows no inline script or style, and no other origin; the page needs none."""
    reply = demo.get("/")
    policy = dict(
        p.strip().split(" ", 1) for p in reply.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert " style=" not in reply.text
    assert reply.text.count("<script") == reply.text.count("<script defer src=")
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Referrer-Policy"] == "no-referrer", "nobody is told its URL"


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("zh-TW", "zh-CN"),
        ("en-US", "en"),
        ("fr", "en"),
        ("", "en"),
    ],
)
def test_the_page_speaks_the_browsers_language(demo: Client, accepted: str, language: str) -> None:
    """Chinese to whoever prefers it, English to everyone else."""
    reply = demo.get("/", headers={"Accept-Language": accepted})
    assert f'<html lang="{language}">' in reply.text
    assert "Accept-Language" in reply.headers["Vary"]


def test_the_form_publishes_to_the_demo(demo: Client) -> None:
    """A message from the form is in the log, under the id that the answer names."""
    reply = demo.post("/demo/publish", json={"channel": "demo:chat", "data": {"text": "hi"}})
    assert reply.status_code == 200
    headers = {"Authorization": f"Bearer {API_KEY}"}
    history = demo.get("/push/channels/demo:chat/history", headers=headers).json
    assert history["messages"][-1]["id"] == reply.json["id"]
    assert history["messages"][-1]["data"] == {"text": "hi"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"channel": "public:x", "data": 1}, 403),
        ({"user": "42", "data": 1}, 403),
        ({"channels": ["demo:a", "demo:b"], "data": 1}, 400),
        ({"messages": [{"channel": "demo:a", "data": 1}] * 2}, 400),
        ({"channel": "demo:chat"}, 400),
        ({"channel": "demo:chat", "data": "x" * 9000}, 413),
    ],
)
def test_the_form_publishes_nothing_else(demo: Client, body: object, status: int) -> None:
    """One small message to the namespace demo: all else is refused, and told why."""
    reply = demo.post("/demo/publish", json=body)
    assert reply.status_code == status
    assert reply.mimetype == "application/problem+json"
    assert reply.json["detail"]


def test_a_foreign_page_cannot_use_the_form(demo: Client) -> None:
    """Neither with fetch, which names its origin, nor with a plain form, which cannot send JSON."""
    body = {"channel": "demo:chat", "data": 1}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert demo.post("/demo/publish", json=body, headers=headers).status_code == 403
    text = '{"channel":"demo:chat","data":1}'
    assert demo.post("/demo/publish", data=text, content_type="text/plain").status_code == 400


def test_the_form_is_limited(demo: Client) -> None:
    """Who publishes too fast is told when to go on."""
    body = {"channel": "demo:chat", "data": 1}
    replies = [demo.post("/demo/publish", json=body) for _ in range(40)]
    refused = next(reply for reply in replies if reply.status_code == 429)
    assert int(refused.headers["Retry-After"]) >= 1
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert demo.post("/demo/publish", json=body, environ_base=elsewhere).status_code == 200


def test_the_form_is_off_unless_the_demo_is_on(client: Client) -> None:
    """Without PUSH_DEMO nobody publishes without an api key, and the page has no form."""
    reply = client.post("/demo/publish", json={"channel": "demo:chat", "data": 1})
    assert reply.status_code == 404
    page = client.get("/").text
    assert "<form" not in page
    assert "http://localhost/push/publish" in page.replace('<span class="host">', "").replace(
        "</span>", ""
    )


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
        "for path in ('/', '/push/push.js', '/static/demo.css'):\n"
        "    assert client.get(path).status_code == 200, path\n"
    )
    environ = {"PYTHONPATH": str(target), "PUSH_API_KEYS": API_KEY, "PUSH_SECRET": SECRET}
    subprocess.run(
        [sys.executable, "-c", script], check=True, cwd=tmp_path, env=environ, timeout=60
    )
