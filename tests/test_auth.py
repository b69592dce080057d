"""Who may do what.

What belongs here: each decision, within a request of a bare Flask app. What does not: what a
refusal looks like on a transport.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import string
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import pytest
from flask import Flask, Response, request, session
from hypothesis import given
from hypothesis import strategies as st

from pushapp.address import Proxies
from pushapp.api_keys import ApiKeys, scope
from pushapp.auth import Gate, Grant
from pushapp.connection_ids import ConnectionIds
from pushapp.errors import InvalidInput, NotAllowed, NotAuthenticated
from pushapp.origins import check_origin, is_trusted
from pushapp.settings import ApiKey, Settings
from pushapp.tokens import Tokens

BOTH = ApiKey("both-key")
READ = ApiKey("read-key", may_publish=False)
PUBLISH = ApiKey("publish-key", may_look=False)
KEYS = ApiKeys((BOTH, READ, PUBLISH))
IDS = ConnectionIds("a secret")

Asking = Callable[..., AbstractContextManager[Any]]


@pytest.fixture
def asking() -> Asking:
    """Be within a request: ``with asking(Authorization="Bearer …"):``."""
    app = Flask(__name__)
    app.secret_key = "of these tests"

    def begin(host: str = "app.example", **headers: str) -> AbstractContextManager[Any]:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return app.test_request_context("/", base_url=f"http://{host}", headers=fields)

    return begin


def bearer(key: ApiKey) -> str:
    return f"Bearer {key.key}"


# Api keys


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_key_is_found_in_its_header(scheme: str) -> None:
    """The scheme's case does not count (RFC 9110 section 11.1)."""
    assert KEYS.find(f"{scheme} {READ.key}") is READ
    assert KEYS.find(f"{scheme}  {PUBLISH.key} ") is PUBLISH


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer both-key2",
        "Bearer both-ke",
        "Bearer BOTH-KEY",
        "Bearer both-key read-key",
        "Basic both-key",
        "both-key",
        "Bearer \xff\u20ac",
        "Bearer \ud800\udcff",
    ],
)
def test_what_is_no_key_of_ours_is_none(header: str | None) -> None:
    """Whatever it is."""
    assert KEYS.find(header) is None
    assert ApiKeys(()).find(header) is None


def test_every_key_is_compared_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """And in constant time, so that the time of an answer tells nothing about the keys."""
    compared: list[bool] = []
    compare = hmac.compare_digest

    def count(a: bytes, b: bytes) -> bool:
        compared.append(compare(a, b))
        return compared[-1]

    monkeypatch.setattr(hmac, "compare_digest", count)
    for key in (BOTH, READ, PUBLISH, ApiKey("wrong"), ApiKey("b")):
        compared.clear()
        KEYS.find(bearer(key))
        assert len(compared) == 3


def test_a_key_that_publishes_is_asked_for(asking: Asking) -> None:
    """None or a wrong one: 401; one that only looks: 403."""
    with asking(Authorization=bearer(PUBLISH)):
        assert KEYS.require_publish() is PUBLISH
    with asking(Authorization=bearer(READ)), pytest.raises(NotAllowed):
        KEYS.require_publish()
    with asking(Authorization="Bearer wrong"), pytest.raises(NotAuthenticated) as error:
        KEYS.require_publish()
    assert "wrong" not in str(error.value)
    with asking(), pytest.raises(NotAuthenticated):
        KEYS.require_publish()


def test_a_key_that_looks_is_asked_for(asking: Asking) -> None:
    """None or a wrong one: 401; one that only publishes: 403."""
    with asking(Authorization=bearer(READ)):
        assert KEYS.require_look() is READ
    with asking(Authorization=bearer(PUBLISH)), pytest.raises(NotAllowed):
        KEYS.require_look()
    with asking(), pytest.raises(NotAuthenticated):
        KEYS.require_look()


def test_a_scope_tells_keys_apart_and_does_not_tell_the_key() -> None:
    """It is written into the log."""
    assert len({scope(BOTH), scope(READ), scope(PUBLISH)}) == 3
    assert BOTH.key not in scope(BOTH)


# Connection ids


@pytest.mark.parametrize("user", [None, "", "42", "é"])
def test_an_id_is_known_again_for_its_user_alone(user: str | None) -> None:
    """Another user's, and no user's, are not."""
    connection = IDS.new(user)
    assert IDS.check(connection, user)
    for other in (None, "", "42", "é", "-", "43"):
        assert IDS.check(connection, other) is (other == user)


def test_ids_are_short_safe_in_urls_and_never_the_same() -> None:
    """At most 48 characters, beginning with c1."""
    made = {IDS.new("42") for _ in range(1000)}
    assert len(made) == 1000
    for connection in made:
        assert connection.startswith("c1")
        assert len(connection) <= 48
        assert set(connection) <= set(string.ascii_letters + string.digits + "_-")


@pytest.mark.parametrize("secret", ["a secret", "é" * 32, "x" * 65, ""])
@pytest.mark.parametrize("user", [None, "42", "é"])
def test_an_id_is_signed(secret: str, user: str | None) -> None:
    """With BLAKE2s in one go: other releases of ours know it again."""
    made = ConnectionIds(secret).new(user)
    whose = "-" if user is None else f"={user}"
    mac = hashlib.blake2s(
        base64.urlsafe_b64decode(made[2:18]) + whose.encode(),
        key=hashlib.sha256(secret.encode()).digest(),
        digest_size=16,
        person=b"connecti",
    )
    assert made[18:] == base64.urlsafe_b64encode(mac.digest()).decode().rstrip("=")


def test_processes_that_were_forked_give_out_different_ids() -> None:
    """Where an app is loaded before the fork, too."""
    code = """if True:
        import os
        from pushapp.connection_ids import ConnectionIds
        ids = ConnectionIds("a secret", clock=lambda: 1.8e9)
        ids.new(None)
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        print(ids.new(None), flush=True)
        os._exit(0)
    """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert len(set(done.stdout.split())) == 2


def test_an_id_of_another_secret_is_not_known() -> None:
    """Nobody else can make one."""
    assert not IDS.check(ConnectionIds("another secret").new("42"), "42")


@given(st.text())
def test_garbage_is_not_known(text: str) -> None:
    """And raises nothing."""
    assert not IDS.check(text, None)
    assert not IDS.check(f"c1{text}", None)


def test_an_id_with_one_character_changed_is_not_known() -> None:
    """Any of them; the last one of its mac has spare bits, which do not count as another id."""
    connection = IDS.new(None)
    for place in range(len(connection)):
        changed = "A" if connection[place] != "A" else "B"
        assert not IDS.check(connection[:place] + changed + connection[place + 1 :], None)


# Origins

FOREIGN = "https://evil.example"
FRIEND = "https://friend.example"


@pytest.mark.parametrize(
    ("headers", "allowed", "ok"),
    [
        ({}, "", True),  # not a browser
        ({"Sec-Fetch-Site": "same-origin"}, "", True),
        ({"Sec-Fetch-Site": "none"}, "", True),
        ({"Sec-Fetch-Site": "same-site"}, "", False),
        ({"Sec-Fetch-Site": "cross-site"}, "", False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": FOREIGN}, FRIEND, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": FRIEND}, FRIEND, True),
        ({"Sec-Fetch-Site": "same-site", "Origin": FRIEND}, FRIEND, True),
        ({"Sec-Fetch-Site": "cross-site", "Origin": FOREIGN}, "*", True),
        ({"Sec-Fetch-Site": "cross-site"}, "*", True),
        ({"Sec-Fetch-Site": "nonsense"}, "", False),
        # a browser cannot be made to say same-origin: it beats what a proxy did to Host
        ({"Sec-Fetch-Site": "same-origin", "Origin": FOREIGN}, "", True),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://app.example"}, "", False),
        ({"Origin": "http://app.example"}, "", True),
        ({"Origin": "https://app.example"}, "", True),  # TLS ends at a proxy
        ({"Origin": "https://APP.example:443"}, "", True),
        ({"Origin": "http://app.example:80"}, "", True),
        ({"Origin": "http://app.example:443"}, "", False),
        ({"Origin": "http://app.example:8000"}, "", False),
        ({"Origin": "http://app.example.evil.example"}, "", False),
        ({"Origin": "http://evil.example/app.example"}, "", False),
        ({"Origin": "http://user@app.example"}, "", False),
        ({"Origin": FOREIGN}, "", False),
        ({"Origin": FOREIGN}, FRIEND, False),
        ({"Origin": FRIEND}, FRIEND, True),
        ({"Origin": FRIEND.upper()}, FRIEND, True),
        ({"Origin": "null"}, "", False),
        ({"Origin": "null"}, FRIEND, False),
        ({"Origin": "null"}, "*", True),
        ({"Origin": ""}, "", False),
        ({"Origin": "http://[broken"}, "", False),
        ({"Origin": "garbage"}, "", False),
    ],
)
def test_a_request_of_a_foreign_page_is_refused(
    asking: Asking, headers: Mapping[str, str], allowed: str, ok: bool
) -> None:
    """Unless the settings name its origin; ``null`` is everybody's, so it needs ``*``."""
    settings = Settings(allowed_origins=frozenset(allowed.split()))
    with asking(**headers):
        if ok:
            check_origin(request, settings)
        else:
            with pytest.raises(NotAllowed):
                check_origin(request, settings)


def test_a_port_belongs_to_the_origin(asking: Asking) -> None:
    """On one machine each port is an app of its own."""
    with asking(host="localhost:8000", Origin="http://localhost:8000"):
        check_origin(request, Settings())
    with asking(host="localhost:8000", Origin="http://localhost:9000"), pytest.raises(NotAllowed):
        check_origin(request, Settings())


@pytest.mark.parametrize(
    ("host", "headers", "ok"),
    [
        # the proxy asked us at another host; what the client asked is in its header
        ("backend:8000", {"X-Forwarded-Host": "app.example"}, True),
        ("backend:8000", {"X-Forwarded-Host": "evil.example, app.example"}, True),
        ("backend:8000", {"X-Forwarded-Host": "app.example, evil.example"}, False),
        ("backend:8000", {}, False),
        ("app.example", {}, True),
        # by https, a page that came by http may be anybody's on the way
        ("app.example", {"X-Forwarded-Proto": "https"}, True),
        ("app.example", {"X-Forwarded-Proto": "https", "Origin": "http://app.example"}, False),
        ("app.example", {"X-Forwarded-Proto": "http", "Origin": "http://app.example"}, True),
    ],
)
def test_a_trusted_proxy_says_which_host_was_asked(
    asking: Asking, host: str, headers: dict[str, str], ok: bool
) -> None:
    """Nobody else does: without the setting the Host that came to us counts, whatever is said."""
    headers = {"Origin": "https://app.example", **headers}
    for proxies, expected in (
        (Proxies.parse("1"), ok),
        (Proxies.parse("10.0.0.0/8"), host == "app.example"),
        (Proxies(), host == "app.example"),
    ):
        with asking(host=host, **headers):
            request.environ["REMOTE_ADDR"] = "192.0.2.1"
            assert is_trusted(request, Settings(trusted_proxies=proxies)) is expected


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("app.example@evil.example", "https://evil.example"),
        ("evil.example#app.example", "https://evil.example"),
        ("app.example/evil.example", "https://app.example"),
        ("app.example, evil.example", "https://evil.example"),
        ("app.example:80:443", "https://app.example"),
        ("", "https://"),
        ("", "null"),
    ],
)
def test_a_host_that_is_none_is_nobodys(asking: Asking, host: str, origin: str) -> None:
    """No trick with the Host header makes a foreign page ours."""
    with asking(Host=host, Origin=origin):
        assert request.headers["Host"] == host
        assert not is_trusted(request, Settings())


# The gate


@pytest.fixture
def gate() -> Gate:
    return Gate(Settings(), KEYS, Tokens(Settings()))


def test_public_channels_need_nothing_and_for_good(asking: Asking, gate: Gate) -> None:
    """Nobody is asked."""
    with asking():
        assert gate.may_subscribe(["public:a", "demo:b"]) == Grant(None, None)
        assert gate.may_subscribe([]) == Grant(None, None)


@pytest.mark.parametrize("name", ["public", "publics:a", "orders:7", "user:42", "nameless"])
def test_all_else_needs_credentials(asking: Asking, gate: Gate, name: str) -> None:
    """One such channel among public ones refuses them all."""
    with asking(), pytest.raises(NotAuthenticated) as error:
        gate.may_subscribe(["public:a", name])
    assert name in str(error.value)


def test_an_api_key_that_looks_reads_everything(asking: Asking, gate: Gate) -> None:
    """One that only publishes is known, and refused."""
    for key in (BOTH, READ):
        with asking(Authorization=bearer(key)):
            assert gate.may_subscribe(["orders:7", "user:42"]) == Grant(None, None, observer=True)
    with asking(Authorization=bearer(PUBLISH)), pytest.raises(NotAllowed):
        gate.may_subscribe(["orders:7"])
    with asking(Authorization="Bearer wrong"), pytest.raises(NotAuthenticated):
        gate.may_subscribe(["orders:7"])


@pytest.mark.parametrize(
    ("decision", "seconds"), [(True, 60.0), (5, 5.0), (0.5, 0.5), (1, 1.0), (3600, 3600.0)]
)
def test_a_function_grants_for_a_time(
    asking: Asking, gate: Gate, decision: Any, seconds: float
) -> None:
    """A bare True holds for a minute."""
    gate.authorize(lambda channel: decision)
    with asking():
        assert gate.may_subscribe(["orders:7"]).seconds == seconds


@pytest.mark.parametrize("decision", [False, None, 0, -1, float("nan")])
def test_a_function_refuses(asking: Asking, gate: Gate, decision: Any) -> None:
    """403: it knows who asks."""
    gate.authorize(lambda channel: decision)
    with asking(), pytest.raises(NotAllowed):
        gate.may_subscribe(["orders:7"])


def test_what_is_no_decision_is_no_yes(asking: Asking, gate: Gate) -> None:
    """A login decorator returns its page, which must not open the channel."""
    gate.authorize(lambda channel: Response("log in"))  # type: ignore[arg-type, return-value]
    with asking(), pytest.raises(TypeError):
        gate.may_subscribe(["orders:7"])


def test_the_shortest_grant_counts(asking: Asking, gate: Gate) -> None:
    """Of several channels; public ones have no end."""
    gate.authorize(lambda channel: {"a:1": 30, "b:1": 10}[channel])
    with asking():
        assert gate.may_subscribe(["a:1", "b:1", "public:a"]) == Grant(None, 10.0)


def test_the_first_function_whose_pattern_fits_decides(asking: Asking, gate: Gate) -> None:
    """In the order in which they were registered."""

    @gate.authorize("room:secret")
    def secret(channel: str) -> bool:
        return False

    @gate.authorize("room:*")
    def room(channel: str) -> int:
        return 7

    @gate.authorize
    def rest(channel: str) -> int:
        return 9

    with asking():
        assert gate.may_subscribe(["room:open"]).seconds == 7
        assert gate.may_subscribe(["room:secret2"]).seconds == 7
        assert gate.may_subscribe(["room"]).seconds == 9
        with pytest.raises(NotAllowed):
            gate.may_subscribe(["room:secret"])


def test_a_decorated_function_stays_itself(gate: Gate) -> None:
    """Both ways to register return it."""

    def function(channel: str) -> bool:
        return True

    assert gate.authorize(function) is function
    assert gate.authorize("a:*")(function) is function


def test_a_channel_that_no_pattern_fits_needs_credentials(asking: Asking, gate: Gate) -> None:
    """As if there were no function."""
    gate.authorize("room:*")(lambda channel: True)
    with asking(), pytest.raises(NotAuthenticated):
        gate.may_subscribe(["orders:7"])


@pytest.mark.parametrize("pattern", ["*", "us*", "user*"])
def test_no_pattern_opens_a_users_channel_by_the_way(
    asking: Asking, gate: Gate, pattern: str
) -> None:
    """Only one that begins with ``user:``, or a function that was registered for everything."""
    gate.authorize(pattern)(lambda channel: True)
    with asking(), pytest.raises(NotAuthenticated):
        gate.may_subscribe(["user:42"])
    gate.authorize("user:*")(lambda channel: channel == "user:42")
    with asking():
        assert gate.may_subscribe(["user:42"]).seconds == 60
        with pytest.raises(NotAllowed):
            gate.may_subscribe(["user:43"])


@pytest.mark.parametrize("pattern", ["", "a b", "a*b", "**", "é", "x" * 129])
def test_a_wrong_pattern_is_refused_when_it_is_registered(gate: Gate, pattern: str) -> None:
    """One that could never fit would refuse everybody in silence."""
    with pytest.raises(InvalidInput):
        gate.authorize(pattern)


def test_functions_see_the_request(asking: Asking, gate: Gate) -> None:
    """The app's own session is there."""
    gate.authorize(lambda channel: channel == f"user:{session.get('id')}")
    with asking():
        session["id"] = "42"
        assert gate.may_subscribe(["user:42"])
        with pytest.raises(NotAllowed):
            gate.may_subscribe(["user:43"])


# Publishing as a client


def test_an_api_key_that_publishes_publishes_anywhere(asking: Asking, gate: Gate) -> None:
    """One that only looks is known, and refused."""
    with asking(Authorization=bearer(PUBLISH)):
        gate.may_publish("orders:7")
        gate.may_publish("public:a")
        gate.may_publish("user:42")
    with asking(Authorization=bearer(READ)), pytest.raises(NotAllowed):
        gate.may_publish("orders:7")


def test_public_channels_are_read_and_not_written(asking: Asking, gate: Gate) -> None:
    """Without credentials nobody publishes."""
    with asking(), pytest.raises(NotAuthenticated):
        gate.may_publish("public:a")


def test_a_function_of_the_channel_alone_is_asked_about_subscribing_alone(
    asking: Asking, gate: Gate
) -> None:
    """Its yes is no yes to publishing."""
    gate.authorize(lambda channel: True)
    assert not gate.publishes
    with asking(), pytest.raises(NotAuthenticated):
        gate.may_publish("orders:7")


def test_a_function_of_two_hears_the_action(asking: Asking, gate: Gate) -> None:
    """And decides about both."""
    asked = []

    @gate.authorize
    def decide(channel: str, action: str) -> bool:
        asked.append((channel, action))
        return action == "subscribe" or channel == "chat:1"

    assert gate.publishes
    with asking():
        gate.may_subscribe(["orders:7"])
        gate.may_publish("chat:1")
        with pytest.raises(NotAllowed):
            gate.may_publish("orders:7")
    assert asked == [("orders:7", "subscribe"), ("chat:1", "publish"), ("orders:7", "publish")]


def test_methods_and_defaults_are_counted_rightly(asking: Asking, gate: Gate) -> None:
    """Bound methods have no self to give; a second argument with a default is one."""

    class Rules:
        def one(self, channel: str) -> bool:
            return True

        def two(self, channel: str, action: str = "subscribe") -> bool:
            return action == "publish"

    gate.authorize("one:*")(Rules().one)
    assert not gate.publishes
    gate.authorize("two:*")(Rules().two)
    with asking():
        gate.may_subscribe(["one:a"])
        gate.may_publish("two:a")
        with pytest.raises(NotAllowed):
            gate.may_subscribe(["two:a"])


def test_what_was_registered_before_there_was_an_app_stays(asking: Asking, gate: Gate) -> None:
    """``push = Push()``, ``@push.authorize``, and only then ``init_app``."""
    gate.authorize(lambda channel: True)
    gate.use(Settings(public_namespaces=frozenset({"open"})), ApiKeys(()), Tokens(Settings()))
    with asking():
        assert gate.may_subscribe(["open:a"]).seconds is None
        assert gate.may_subscribe(["public:a"]).seconds == 60
