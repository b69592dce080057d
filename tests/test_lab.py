"""The lab's page and its visitors' small rights, over Flask's test client."""

from __future__ import annotations

import re
from typing import Any

import pytest

from .server import API_KEY, ROOT

Client = Any  # Flask's FlaskClient

LOOK = {"Authorization": f"Bearer {API_KEY}"}


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Client:
    """A test client of an app whose demo is on."""
    monkeypatch.setenv("PUSH_DEMO", "1")
    return request.getfixturevalue("client")


def kept(client: Client, channel: str) -> list[Any]:
    """Return the data of the messages that the log has of a channel."""
    history = client.get(f"/push/channels/{channel}/history", headers=LOOK).json
    return [message["data"] for message in history["messages"]]


# -- the page


def test_the_page_can_run_nothing_but_its_own_files(demo: Client) -> None:
    """The policy allows no inline script or style, and no other origin; the page needs none."""
    reply = demo.get("/")
    policy = dict(
        p.strip().split(" ", 1) for p in reply.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'" and policy["trusted-types"] == "'none'"
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


def test_every_text_of_the_page_stands_in_both_languages() -> None:
    """Each t(…) of the templates, and each part made with one, has two texts: the second has
    Chinese characters or is a name."""
    names, found = {"WebSocket", "SSE"}, 0
    call = re.compile(r'\b(?:t|step|lane|meter|plot)\((?:"\w+", )?(?:\d, )?((?:"[^"]*",?\s*)+)')
    for path in (ROOT / "templates").glob("lab*.html"):
        for given in call.findall(path.read_text(encoding="utf-8")):
            pairs = iter(re.findall(r'"([^"]*)"', given))
            for en, zh in zip(pairs, pairs, strict=False):
                assert en and not re.search("[一-鿿]", en), en
                assert re.search("[一-鿿]", zh) or zh in names, zh
                found += 1
    assert found > 80


def test_every_word_of_the_scripts_stands_in_both_languages() -> None:
    """The two tables have the same keys; what scripts and templates ask for is in them."""
    text = (ROOT / "static" / "lab-words.js").read_text(encoding="utf-8")
    _, en, zh = re.split(r"\n    (?:en|'zh-CN'): \{\n", text)
    keys = [re.findall(r"(?<![\w'])(\w+): '", part) for part in (en, zh)]
    assert keys[0] == keys[1]
    assert len(keys[0]) == len(set(keys[0])) > 60
    asked = {"websocket", "sse", "longpoll", "poll", "offlineNow", "downNow"}
    for path in (ROOT / "static").glob("lab*.js"):
        source = path.read_text(encoding="utf-8")
        source = re.sub(r"//.*", "", source)
        for call in re.findall(r"(?:Lab\.word|\bpart|\.rest)\(([^()]*)", source):
            asked |= set(re.findall(r"'(\w+)'", call))
    for path in (ROOT / "templates").glob("lab*.html"):
        page = path.read_text(encoding="utf-8")
        asked |= set(re.findall(r'data-(?:label|hint|diagram)="(\w+)"', page))
    assert asked <= set(keys[0])


# -- publishing


def test_the_form_publishes_to_the_demo(demo: Client) -> None:
    """A message from the form is in the log, under the id that the answer names."""
    reply = demo.post("/demo/publish", json={"channel": "demo:chat", "data": {"text": "hi"}})
    assert reply.status_code == 200
    history = demo.get("/push/channels/demo:chat/history", headers=LOOK).json
    assert history["messages"][-1]["id"] == reply.json["id"]
    assert history["messages"][-1]["data"] == {"text": "hi"}


def test_the_form_publishes_a_burst(demo: Client) -> None:
    """A hundred messages in one request, all or nothing."""
    messages = [{"channel": "demo:lab-a", "data": n} for n in range(100)]
    reply = demo.post("/demo/publish", json={"messages": messages})
    assert len(reply.json["ids"]) == 100
    assert kept(demo, "demo:lab-a")[-1] == 99
    messages[50]["channel"] = "public:x"
    assert demo.post("/demo/publish", json={"messages": messages}).status_code == 403
    assert len(kept(demo, "demo:lab-a")) == 100


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"channel": "public:x", "data": 1}, 403),
        ({"user": "42", "data": 1}, 403),
        ({"channel": "demo:system", "data": 1}, 403),
        ({"channel": "demo:room", "data": 1}, 403),
        ({"messages": [{"channel": "demo:a", "data": 1}] * 101}, 400),
        ({"channel": "demo:chat"}, 400),
        ([], 400),
        ({"channel": "demo:chat", "data": "x" * 17000}, 413),
    ],
)
def test_the_form_publishes_nothing_else(demo: Client, body: object, status: int) -> None:
    """Small messages to the namespace demo, where nobody is impersonated: all else is refused."""
    reply = demo.post("/demo/publish", json=body)
    assert reply.status_code == status
    assert reply.mimetype == "application/problem+json"
    assert reply.json["detail"]


@pytest.mark.parametrize("path", ["publish", "enter", "say"])
def test_a_foreign_page_cannot_use_the_lab(demo: Client, path: str) -> None:
    """Neither with fetch, which names its origin, nor with a plain form, which cannot send JSON."""
    body = {"channel": "demo:chat", "data": 1, "name": "", "text": "hi"}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert demo.post(f"/demo/{path}", json=body, headers=headers).status_code == 403
        assert demo.get("/demo/mirror", headers=headers).status_code == 403
    text = '{"channel":"demo:chat","data":1}'
    reply = demo.post(f"/demo/{path}", data=text, content_type="text/plain")
    assert reply.status_code == 400


def test_the_form_is_limited(demo: Client) -> None:
    """Who publishes too fast is told when to go on; others are not."""
    batch = {"messages": [{"channel": "demo:chat", "data": 1}] * 100}
    replies = [demo.post("/demo/publish", json=batch) for _ in range(6)]
    assert replies[0].status_code == 200
    refused = next(reply for reply in replies if reply.status_code == 429)
    assert int(refused.headers["Retry-After"]) >= 1
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert demo.post("/demo/publish", json=batch, environ_base=elsewhere).status_code == 200


# -- the room


def enter(client: Client, name: str = "", **headers: str) -> dict[str, str]:
    """Enter the room; return the guest and their token."""
    told: dict[str, str] = client.post("/demo/enter", json={"name": name}, headers=headers).json
    return told


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_guest_speaks_under_their_own_name(demo: Client) -> None:
    """The server writes who speaks, whatever the body says."""
    ann = enter(demo, " Ann ")
    body = {"text": "hello", "from": "guest-00000000", "name": "Bob"}
    assert demo.post("/demo/say", json=body, headers=bearer(ann["token"])).status_code == 200
    assert kept(demo, "demo:room") == [{"from": ann["user"], "name": "Ann", "text": "hello"}]


def test_what_is_said_to_one_goes_to_them_alone(demo: Client) -> None:
    """It is in the user's own channel, which nobody else may read."""
    ann, bob = enter(demo, "Ann"), enter(demo, "Bob")
    say = {"text": "psst", "to": bob["user"]}
    assert demo.post("/demo/say", json=say, headers=bearer(ann["token"])).status_code == 200
    assert kept(demo, "demo:room") == []
    url = f"/push/poll?channels=user:{bob['user']}&history=9"
    assert demo.get(url, headers=bearer(ann["token"])).status_code == 403
    told = demo.get(url, headers=bearer(bob["token"])).json["history"]
    assert told[f"user:{bob['user']}"][0]["data"]["text"] == "psst"


def test_a_guest_stays_the_same_over_tokens(demo: Client) -> None:
    """The old token says who wants a new one; without it somebody else comes in."""
    ann = enter(demo, "Ann")
    assert enter(demo, "Anna", **bearer(ann["token"]))["user"] == ann["user"]
    assert enter(demo, "Ann")["user"] != ann["user"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("enter", {"name": "x" * 25}, 400),
        ("enter", {"name": 1}, 400),
        ("enter", {}, 400),
        ("enter", {"name": "Ann\u202e"}, 400),
        ("say", {"text": "hi\nAnn: no"}, 400),
        ("say", {"text": " "}, 400),
        ("say", {"text": "x" * 501}, 400),
        ("say", {"text": "hi", "to": "42"}, 400),
        ("say", {"text": "hi", "to": ["guest-1"]}, 400),
        ("say", {"text": "hi", "to": "guest-,x"}, 400),
    ],
)
def test_the_room_says_what_does_not_fit(
    demo: Client, path: str, body: object, status: int
) -> None:
    """A name, a text or an addressee that cannot be is refused, and named."""
    headers = bearer(enter(demo)["token"]) if path == "say" else {}
    reply = demo.post(f"/demo/{path}", json=body, headers=headers)
    assert (reply.status_code, reply.mimetype) == (status, "application/problem+json")


def test_nobody_speaks_without_a_guests_token(demo: Client) -> None:
    """Neither without one, nor with the api key, nor with one that was made up."""
    for headers, status in (({}, 403), (LOOK, 403), (bearer("made.up.token"), 401)):
        reply = demo.post("/demo/say", json={"text": "hi"}, headers=headers)
        assert reply.status_code == status


# -- the mirror


def test_the_mirror_shows_the_request_and_no_secret(demo: Client) -> None:
    """What the browser sent, line by line; cookies as stars, and nothing that a proxy added."""
    demo.set_cookie("session", "secret")
    headers = {"X-Internal": "1", "User-Agent": "me", **LOOK}
    told = demo.get("/demo/mirror", headers=headers).json
    assert told["head"][0] == "GET /demo/mirror HTTP/1.1"
    assert "User-Agent: me" in told["head"]
    assert f"Cookie: {'*' * len('session=secret')}" in told["head"]
    assert not [line for line in told["head"] if "X-Internal" in line or "Authoriz" in line]
    assert isinstance(told["time"], float)


# -- off


@pytest.mark.parametrize("path", ["publish", "enter", "say", "mirror"])
def test_all_of_it_is_off_unless_the_demo_is_on(client: Client, path: str) -> None:
    """Without PUSH_DEMO nobody publishes without an api key, and nobody gets a token."""
    ask = client.get if path == "mirror" else client.post
    more = {} if path == "mirror" else {"json": {"channel": "demo:chat", "data": 1, "name": ""}}
    assert ask(f"/demo/{path}", **more).status_code == 404
    page = client.get("/").text
    assert "<form" not in page
    assert "http://localhost/push/publish" in page.replace('<span class="host">', "").replace(
        "</span>", ""
    )
