"""What changes while the express lane knows a request: the app finds out, and the lane goes by it.

What belongs here: changes that no request brings. What does not: tokens that end, connections that
are ended (``test_lane``, ``test_posting``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from ..jwts import EC, RSA, claims, jwk
from ..server import Server, until
from ..wire import Wire, request
from .lane import answered_there, connected, raw_reply
from .test_posting import KEY, post, published_there, warm


def _keys(*keys: object) -> str:
    return json.dumps({"keys": keys})


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    path.write_text(_keys(jwk(RSA, kid="1"), jwk(EC, kid="2")))
    return path


@pytest.fixture(scope="module")
def changing(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("changing")
    settings = {"PUSH_JWKS": keys, "WEB_CONCURRENCY": 1}
    server = Server(directory, app="tests.apps.changing:visited", **settings).start()
    yield server
    server.stop()


def test_a_log_that_was_let_go_of_is_opened_by_the_next_publish(changing: Server) -> None:
    """And by the next poll; the lane goes on after that."""
    poll = request("GET", "/push/poll?channels=public:a", {})
    with connected(changing) as wire, connected(changing) as poller:
        warm(wire, "public:a")
        for _ in range(3):
            poller.send(poll)
            raw_reply(poller)
        assert changing.ask("POST", "/let-go").status == 200
        for n in range(6):
            wire.send(post({"channel": "public:a", "data": n}))
            assert wire.reply().status == 200
            poller.send(poll)
            assert poller.reply().status == 200
        published, answered = published_there(changing), answered_there(changing)
        wire.send(post({"channel": "public:a", "data": "after"}))
        poller.send(poll)
        assert wire.reply().status == poller.reply().status == 200
        assert published_there(changing) > published and answered_there(changing) > answered


def test_an_answer_that_sets_a_cookie_is_the_apps(changing: Server) -> None:
    """Each time anew: the next one's cookie is not this one's."""
    poll = request("GET", "/push/poll?channels=visits:a")
    with connected(changing) as wire:
        answered = answered_there(changing)
        for _ in range(5):
            wire.send(poll)
            assert "session=" in (wire.reply().header("Set-Cookie") or "")
        assert answered_there(changing) == answered


def test_a_key_that_was_taken_out_signs_for_nobody_in_the_lane(
    changing: Server, keys: Path
) -> None:
    """Whoever it has signed for, is refused there as by the app; the others go on."""
    with connected(changing) as old, connected(changing) as asks, connected(changing) as new:
        rights = claims(lasts=600, channels=["a"], publish=["a"])
        gone = {"Authorization": f"Bearer {jwt.encode(rights, RSA, 'RS256', headers={'kid': '1'})}"}
        kept = {"Authorization": f"Bearer {jwt.encode(rights, EC, 'ES256', headers={'kid': '2'})}"}
        poll = request("GET", "/push/poll?channels=a", gone)
        warm(old, "a", KEY | gone)
        warm(new, "a", KEY | kept)
        asks.send(poll)
        raw_reply(asks)
        published = published_there(changing)

        def goes_there() -> bool:
            old.send(post({"channel": "a", "data": 1}, KEY | gone))
            new.send(post({"channel": "a", "data": 1}, KEY | kept))
            assert old.reply().status == new.reply().status == 200
            return published_there(changing) > published

        until(goes_there, "a publish with a token in the lane")
        keys.write_text(_keys(jwk(EC, kid="2")))

        def refused(wire: Wire, asked: bytes) -> bool:
            wire.send(asked)
            return wire.reply().status == 401

        until(lambda: refused(old, post({"channel": "a", "data": 2}, KEY | gone)), "401")
        until(lambda: refused(asks, poll), "401 for a poll")
        for _ in range(3):
            new.send(post({"channel": "a", "data": 3}, KEY | kept))
            assert new.reply().status == 200
