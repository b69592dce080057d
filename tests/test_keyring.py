"""Where the keys are that a token may be signed with.

What belongs here: reading them, and how they change. What does not: what a key is good for
(``test_tokens``).
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pushapp import key_set
from pushapp.errors import NotAuthenticated, SettingsError, Unavailable

from .jwts import EC, ED, PRIVATE, RSA, by_hand, claims, jwk, pem, token
from .test_tokens import known, refused
from .wire import TIMEOUT


@pytest.mark.parametrize(
    "setting",
    [
        "no-such-file.pem",
        "-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----",
        pem(PRIVATE["RS256"])[:200],
    ],
)
def test_a_public_key_that_cannot_be_read_stops_the_start(setting: str) -> None:
    """With one line."""
    with pytest.raises(SettingsError) as error:
        known(public_key=setting)
    assert error.value.name == "PUSH_PUBLIC_KEY" and "\n" not in str(error.value)


def test_a_key_of_a_kind_that_does_not_count_stops_the_start() -> None:
    """A short RSA key, a curve of another size."""
    for private in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 1024)):
        with pytest.raises(SettingsError, match="PUSH_PUBLIC_KEY"):
            known(public_key=pem(private))


def signed_by(algorithm: str, **header: Any) -> str:
    return jwt.encode(claims(), PRIVATE[algorithm], algorithm, headers=header)


def test_a_set_of_keys_in_a_file(tmp_path: Path) -> None:
    """Each for its own algorithm, by its id where the token names one; others are left alone."""
    path = tmp_path / "keys.json"
    keys = [
        jwk(PRIVATE["RS256"], kid="r"),
        jwk(PRIVATE["ES256"], kid="e", use="sig", key_ops=["verify"], alg="ES256"),
        jwk(PRIVATE["EdDSA"]),
        {"kty": "oct", "k": "c2VjcmV0LXRoYXQtaXMtbG9uZy1lbm91Z2gtZm9yLWFsbA", "kid": "o"},
        {"kty": "new", "kid": "n"},
        {"kty": "RSA", "kid": "n", "n": 1},
        {"kty": "EC", "crv": "P-256", "x": "", "y": []},
        "nonsense",
    ]
    path.write_text(json.dumps({"keys": keys}))
    tokens = known(jwks=str(path))
    for text in (
        signed_by("RS256", kid="r"),
        signed_by("RS256"),
        signed_by("ES256", kid="e"),
        signed_by("EdDSA"),
        signed_by("EdDSA", kid="any"),
    ):
        assert tokens.verify(text).user == "42"
    refused(signed_by("RS256", kid="e"), tokens)
    refused(signed_by("ES256", kid="unknown"), tokens)
    shared = b"secret-that-is-long-enough-for-all"
    refused(by_hand({"alg": "HS256", "kid": "o"}, claims(), shared), tokens)


@pytest.mark.parametrize(
    "key",
    [
        jwk(PRIVATE["RS256"], use="enc"),
        jwk(PRIVATE["RS256"], key_ops=["encrypt"]),
        jwk(PRIVATE["RS256"], alg="RS512"),
        {"kty": "oct", "k": "eA"},
    ],
)
def test_a_set_without_a_key_that_counts_stops_the_start(key: Any, tmp_path: Path) -> None:
    """One for encryption or another algorithm is none; so are no keys, and no file."""
    path = tmp_path / "keys.json"
    for text in (json.dumps({"keys": [key]}), '{"keys": []}', "[]", "nonsense"):
        path.write_text(text)
        with pytest.raises(SettingsError, match="PUSH_JWKS"):
            known(jwks=str(path))
    with pytest.raises(SettingsError, match="PUSH_JWKS"):
        known(jwks=str(tmp_path / "none.json"))


@pytest.mark.parametrize("url", ["http://keys.example/jwks", "http://127.0.0.1.evil.example/jwks"])
def test_keys_do_not_come_over_plain_http(url: str) -> None:
    """Whoever can change the answer on its way would sign tokens."""
    with pytest.raises(SettingsError, match="PUSH_JWKS"):
        known(jwks=url)


@pytest.mark.parametrize(
    "url", ["https://", "https://h:x/", "https://[::1/", "https://h/a b", "https://u:secret@h/"]
)
def test_a_url_that_leads_nowhere_stops_the_start(url: str) -> None:
    """Nor does one with a password, which would end up in logs."""
    with pytest.raises(SettingsError, match="PUSH_JWKS") as error:
        known(jwks=url)
    assert "secret" not in str(error.value)


class Issuer:
    """Somebody who hands out a JWK Set, and counts how often."""

    def __init__(self) -> None:
        self.asked = 0
        self.status, self.body, self.location = 200, "", ""
        self.is_asked, self.may_answer = threading.Event(), threading.Event()
        self.may_answer.set()
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                issuer.is_asked.set()
                assert issuer.may_answer.wait(TIMEOUT)
                issuer.is_asked.clear()
                self.send_response(issuer.status)
                if issuer.location:
                    self.send_header("Location", issuer.location)
                self.end_headers()
                self.wfile.write(issuer.body.encode())

            def log_message(self, *_: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def has(self, *keys: dict[str, Any]) -> None:
        self.body = json.dumps({"keys": keys})

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.close()


@pytest.fixture
def forward(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let that many monotonic seconds pass for the keys."""
    passed = [0.0]

    class Time:
        @staticmethod
        def monotonic() -> float:
            return time.monotonic() + passed[0]

    monkeypatch.setattr(key_set, "time", Time)

    def forward(seconds: float) -> None:
        passed[0] += seconds

    return forward


def test_keys_of_a_url_are_fetched_when_they_are_needed(issuer: Issuer) -> None:
    """Not at the start; then once, for all tokens."""
    issuer.has(jwk(RSA, kid="1"))
    tokens = known(jwks=issuer.url)
    assert tokens.verify(token()).user == "42" and issuer.asked == 0
    for n in range(3):
        text = jwt.encode(claims(channels=[f"a:{n}"]), RSA, "RS256", headers={"kid": "1"})
        assert tokens.verify(text).user == "42"
    assert issuer.asked == 1


def test_a_new_key_is_looked_for_once_a_minute(
    issuer: Issuer, forward: Callable[[float], None]
) -> None:
    """However many tokens name one: strangers must not make us ask the issuer."""
    issuer.has(jwk(RSA, kid="1"))
    tokens = known(jwks=issuer.url)
    for n in range(5):
        refused(signed_by("ES256", kid=f"unknown-{n}"), tokens)
    assert issuer.asked == 1
    issuer.has(jwk(RSA, kid="1"), jwk(EC, kid="2"))
    refused(signed_by("ES256", kid="2"), tokens)
    forward(key_set.JWKS_PAUSE + 1)
    assert tokens.verify(signed_by("ES256", kid="2")).user == "42"
    assert issuer.asked == 2


def test_a_key_that_was_taken_out_counts_no_longer(
    issuer: Issuer, forward: Callable[[float], None]
) -> None:
    """Within the hour, and for tokens that were known, too."""
    issuer.has(jwk(RSA, kid="1"))
    tokens = known(jwks=issuer.url)
    old = signed_by("RS256", kid="1")
    assert tokens.verify(old).user == "42"
    issuer.has(jwk(EC, kid="2"))
    forward(key_set.JWKS_AGE + 1)
    assert tokens.verify(signed_by("ES256", kid="2")).user == "42"
    refused(old, tokens)


@pytest.mark.parametrize("page", ['{"message":"down for maintenance"}', "[]", '{"keys":null}'])
def test_an_answer_that_is_no_set_takes_no_keys_out(
    issuer: Issuer, forward: Callable[[float], None], page: str
) -> None:
    """What a proxy in front of the issuer says, with a 200, must not end everybody."""
    issuer.has(jwk(RSA, kid="1"))
    tokens = known(jwks=issuer.url)
    text = signed_by("RS256", kid="1")
    assert tokens.verify(text).user == "42"
    issuer.body = page
    forward(key_set.JWKS_AGE + 1)
    assert tokens.verify(text).user == "42"
    assert issuer.asked == 2 and tokens.keys.taken_out == 0


def test_a_key_that_was_taken_out_counts_no_longer_where_nobody_else_comes(
    issuer: Issuer, forward: Callable[[float], None]
) -> None:
    """The one whom it signed finds it out; where the issuer fails, a minute later once more."""
    issuer.has(jwk(RSA, kid="1"))
    tokens = known(jwks=issuer.url)
    old = signed_by("RS256", kid="1")
    assert tokens.verify(old).user == "42"
    issuer.status = 500
    forward(key_set.JWKS_AGE + 1)
    assert tokens.verify(old) is tokens.verify(old) and issuer.asked == 2
    issuer.status = 200
    issuer.has(jwk(EC, kid="2"))
    forward(key_set.JWKS_PAUSE + 1)
    refused(old, tokens)


def test_a_token_is_told_when_its_key_was_taken_out(
    issuer: Issuer, forward: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Also one that came by another worker's ticket, which has a newer set than this one: it holds
    until this one has looked. A key that comes back counts again. The log says so."""
    issuer.has(jwk(RSA, kid="1"))
    here = known(jwks=issuer.url)
    old = here.verify(signed_by("RS256", kid="1"))
    issuer.has(jwk(RSA, kid="1"), jwk(EC, kid="2"))
    by_ticket = known(jwks=issuer.url).verify(signed_by("ES256", kid="2"))
    assert here.share(by_ticket) is by_ticket and here.keys.taken_out == 0
    issuer.has(jwk(ED, kid="3"))
    forward(key_set.JWKS_AGE + 1)
    assert here.keys.is_old
    here.keys.refresh()
    assert here.keys.taken_out == 1 and not here.keys.is_old
    assert "fewer keys" in caplog.text
    for token_ in (old, by_ticket):
        with pytest.raises(NotAuthenticated, match="revoked"):
            here.left(token_)
        with pytest.raises(NotAuthenticated, match="revoked"):
            here.share(token_)
    issuer.has(jwk(RSA, kid="1"))
    forward(key_set.JWKS_AGE + 1)
    assert here.verify(signed_by("RS256", kid="1")).user == "42"
    assert here.left(old) > 0


def test_a_file_is_read_again_each_minute(tmp_path: Path, forward: Callable[[float], None]) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [jwk(RSA), jwk(EC)]}))
    tokens = known(jwks=str(path))
    old = signed_by("RS256")
    assert tokens.verify(old).user == "42"
    path.write_text(json.dumps({"keys": [jwk(EC)]}))
    forward(key_set.JWKS_PAUSE + 1)
    refused(old, tokens)


def test_nobody_is_refused_for_a_key_that_is_being_fetched(
    issuer: Issuer, forward: Callable[[float], None]
) -> None:
    """503, come again; and whoever's key is known does not wait."""
    issuer.has(jwk(RSA, kid="1"))
    tokens = known(jwks=issuer.url)
    tokens.verify(signed_by("RS256", kid="1"))
    issuer.has(jwk(RSA, kid="1"), jwk(EC, kid="2"))
    forward(key_set.JWKS_PAUSE + 1)
    issuer.may_answer.clear()
    found: list[str] = []
    new = threading.Thread(
        target=lambda: found.append(tokens.verify(signed_by("ES256", kid="2")).user)
    )
    new.start()
    assert issuer.is_asked.wait(TIMEOUT)
    with pytest.raises(Unavailable):
        tokens.verify(signed_by("ES256", kid="2"))
    assert tokens.verify(jwt.encode(claims("43"), RSA, "RS256", headers={"kid": "1"})).user == "43"
    issuer.may_answer.set()
    new.join(TIMEOUT)
    assert found == ["42"]


@pytest.mark.parametrize(
    "answer",
    [
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\ncut",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000,
        b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (2 << 20),
    ],
)
def test_whatever_an_issuer_answers_it_is_told_as_keys_that_cannot_be_fetched(
    answer: bytes,
) -> None:
    """503, and no failure of ours."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                with suppress(ConnectionError):  # too much of it is not read to its end
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        tokens = known(jwks=f"http://127.0.0.1:{listener.getsockname()[1]}/")
        with pytest.raises(Unavailable):
            tokens.verify(signed_by("RS256", kid="1"))
        thread.join(TIMEOUT)


def test_an_issuer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """However soon its next byte comes."""
    monkeypatch.setattr(key_set, "_FETCH", 0.2)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(ConnectionError):
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while not over.wait(0.01):
                    connection.sendall(b" ")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        tokens = known(jwks=f"http://127.0.0.1:{listener.getsockname()[1]}/")
        with pytest.raises(Unavailable):
            tokens.verify(signed_by("RS256", kid="1"))
        over.set()
        thread.join(TIMEOUT)


@pytest.mark.parametrize("secret", [pem(RSA), "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ0000000"])
def test_a_public_key_as_the_secret_stops_the_start(secret: str) -> None:
    """Everybody has it."""
    with pytest.raises(SettingsError, match="PUSH_PUBLIC_KEY") as error:
        known(secret=secret)
    assert error.value.name == "PUSH_SECRET" and secret[:40] not in str(error.value)


def test_keys_that_cannot_be_fetched_refuse_nobody_for_good(
    issuer: Issuer, forward: Callable[[float], None]
) -> None:
    """503 before there are any; later, those that are there go on to count."""
    issuer.status = 500
    tokens = known(jwks=issuer.url)
    with pytest.raises(Unavailable):
        tokens.verify(signed_by("RS256", kid="1"))
    issuer.status = 200
    issuer.has(jwk(RSA, kid="1"))
    with pytest.raises(Unavailable) as refusal:
        tokens.verify(signed_by("RS256", kid="1"))
    assert issuer.asked == 1
    forward(refusal.value.retry_after + 1)  # who comes again then finds them
    assert tokens.verify(signed_by("RS256", kid="1")).user == "42"
    issuer.body = "nonsense"
    forward(key_set.JWKS_AGE + 1)
    assert tokens.verify(jwt.encode(claims("43"), RSA, "RS256", headers={"kid": "1"})).user == "43"
    assert issuer.asked == 3


def test_a_redirect_leads_to_no_keys(issuer: Issuer) -> None:
    """Who may send us elsewhere could send us to other keys."""
    elsewhere = Issuer()
    try:
        elsewhere.has(jwk(RSA, kid="1"))
        issuer.status, issuer.location = 302, elsewhere.url
        with pytest.raises(Unavailable):
            known(jwks=issuer.url).verify(signed_by("RS256", kid="1"))
        assert elsewhere.asked == 0
    finally:
        elsewhere.close()
