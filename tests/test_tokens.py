"""What a token says, and when it holds.

What belongs here: tokens as such, and whose signature counts. What does not: what happens on a
transport (``transports/test_tokens``).
"""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from pushapp.errors import (
    InvalidInput,
    NotAuthenticated,
    SettingsError,
    TokenExpired,
)
from pushapp.settings import Settings
from pushapp.tokens import LEEWAY, LONGEST, Tokens

from .jwts import EC, PRIVATE, RSA, by_hand, claims, jwk, pem, token
from .server import SECRET

OTHER = "another-secret-of-the-tests-of-pushapp"
HS256 = {"alg": "HS256", "typ": "JWT"}


def known(**settings: Any) -> Tokens:
    return Tokens(Settings(**{"secret": SECRET, **settings}))


def refused(text: str, tokens: Tokens | None = None) -> str:
    """Check that it is refused, and not as one that has merely ended; return why."""
    with pytest.raises(NotAuthenticated) as error:
        (tokens or known()).verify(text)
    assert not isinstance(error.value, TokenExpired)
    assert text not in str(error.value) or not text
    return str(error.value)


# What it says


def test_what_a_token_says_is_known() -> None:
    """Whoever signed it: all claims of the contract."""
    more = {"publish": ["room:1"], "member": {"name": "Ann"}, "nbf": 0, "jti": "x", "iss": "me"}
    found = known().verify(token("room:*", "news:all", user="a.b@c", **more))
    assert found.user == "a.b@c"
    assert found.channels == ("room:*", "news:all")
    assert found.publish == ("room:1",)
    assert found.member == {"name": "Ann"}


def test_a_made_token_says_what_was_asked_for() -> None:
    tokens = known()
    found = tokens.verify(tokens.make("42", ["room:*"], ["room:1"], 60, {"name": "Ann"}))
    assert (found.user, found.channels, found.publish) == ("42", ("room:*",), ("room:1",))
    assert found.member == {"name": "Ann"}
    assert 59 < found.expires - time.time() <= 61


@pytest.mark.parametrize(
    ("pattern", "opens", "not_opened"),
    [
        ("room:1", "room:1", "room:12"),
        ("room:*", "room:1", "rooms:1"),
        ("room:a*", "room:abc", "room:b"),
        ("room*", "rooms:1", "roam:1"),
        ("*", "anything", "user:43"),
    ],
)
def test_patterns_open_what_they_name(pattern: str, opens: str, not_opened: str) -> None:
    """To read by ``channels``, to write by ``publish``, and never the one by the other."""
    reads = known().verify(token(pattern))
    assert reads.may_read(opens) and not reads.may_read(not_opened)
    assert not reads.may_publish(opens)
    writes = known().verify(token(publish=[pattern]))
    assert writes.may_publish(opens) and not writes.may_publish(not_opened)
    assert not writes.may_read(opens)


@pytest.mark.parametrize("pattern", ["*", "u*", "user*", "user:*", "user:4*", "user:43"])
def test_no_pattern_reaches_another_users_channel(pattern: str) -> None:
    """One's own is read without any, and written by nobody's token."""
    found = known().verify(token(pattern, publish=[pattern, "user:42"]))
    assert found.may_read("user:42")
    assert not found.may_read("user:43") and not found.may_read("user:") and found.user == "42"
    assert not found.may_publish("user:43") and not found.may_publish("user:42")


def test_everyone_reads_what_is_for_everyone_and_writes_it_nobody() -> None:
    """Any token, whatever it says."""
    for found in (known().verify(token()), known().verify(token("*", publish=["*", "everyone"]))):
        assert found.may_read("everyone") and not found.may_publish("everyone")
    assert not known().verify(token()).may_read("everyone2")


@pytest.mark.parametrize(
    "user",
    [
        "",
        ".",
        "..",
        "a b",
        "é",
        "ü42",
        "42\n",
        "４２",
        "u" * 124,
        "a/b",
        "a,b",
        42,
        None,
        True,
        ["42"],
    ],
)
def test_a_user_that_fits_no_channel_name_or_no_path_is_refused(user: Any) -> None:
    """Look-alikes and separators among them; a number is no string."""
    assert "sub" in refused(token(user=user) if isinstance(user, str) else _signed(sub=user))


@pytest.mark.parametrize("claim", ["channels", "publish"])
@pytest.mark.parametrize(
    "value", ["room:1", None, {}, [1], ["room:é"], ["a*b"], ["**"], [""], ["ro om"], ["x" * 129]]
)
def test_wrong_patterns_are_refused(claim: str, value: Any) -> None:
    """The whole token: what was meant is not guessed."""
    assert claim in refused(_signed(**{claim: value}))


def _signed(**changes: Any) -> str:
    """Return a token with these claims changed."""
    return by_hand(HS256, {**claims(), **changes}, SECRET.encode())


# When it holds


@pytest.mark.parametrize("expires", ["soon", "1795386494", None, [], True, 1e999, float("nan"), -1])
def test_a_token_without_a_time_is_refused(expires: Any) -> None:
    """It must end, and say when in seconds."""
    assert "exp" in refused(_signed(exp=expires))
    without = {name: value for name, value in claims().items() if name != "exp"}
    assert "exp" in refused(by_hand(HS256, without, SECRET.encode()))


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
def test_milliseconds_are_refused(claim: str) -> None:
    """What JavaScript's clock gives: an ``exp`` like that would never end, and by its ``iat`` a
    token could never be revoked."""
    text = _signed(**{claim: time.time() * 1000})
    assert claim in refused(text) and "Unix seconds" in refused(text)


def test_a_token_may_end_in_the_year_9999() -> None:
    """What .NET and others give to one that never ends; in seconds."""
    text = _signed(exp=253402300799)
    assert Tokens(Settings(secret=SECRET)).verify(text).expires == 253402300799


def test_a_token_ends_with_a_few_seconds_of_leeway() -> None:
    """Seen anew or known already: the clock decides each time."""
    now = [1000.0]
    tokens = Tokens(Settings(secret=SECRET), clock=lambda: now[0])
    text = by_hand(HS256, {"sub": "42", "exp": 1060}, SECRET.encode())
    for now[0] in (1000.0, 1060.0, 1060 + LEEWAY - 0.1):
        assert tokens.verify(text).user == "42"
    now[0] = 1060 + LEEWAY
    for which in (tokens, Tokens(Settings(secret=SECRET), clock=lambda: now[0])):
        with pytest.raises(TokenExpired):
            which.verify(text)


def test_a_token_does_not_hold_before_its_time() -> None:
    """With the same leeway; a wrong ``nbf`` is refused."""
    now = [1000.0]
    tokens = Tokens(Settings(secret=SECRET), clock=lambda: now[0])
    text = by_hand(HS256, {"sub": "42", "exp": 9999, "nbf": 1060}, SECRET.encode())
    assert "nbf" in refused(text, tokens)
    now[0] = 1060 - LEEWAY
    assert tokens.verify(text).user == "42"
    assert "nbf" in refused(_signed(nbf="now"))


def test_a_token_of_the_future_is_refused() -> None:
    """It would outlast a revocation of all that were issued until now; an issuer's clock may run
    as fast as the leeway allows."""
    now = [1000.0]
    tokens = Tokens(Settings(secret=SECRET), clock=lambda: now[0])
    text = by_hand(HS256, {"sub": "42", "exp": 9999, "iat": 1060}, SECRET.encode())
    assert "iat" in refused(text, tokens)
    now[0] = 1060 - LEEWAY
    assert tokens.verify(text).issued == 1060


def test_the_same_token_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its exact bytes, and all who come with it share what it says."""
    verified: list[str] = []
    verify = jwt.decode

    def count(text: str, *args: Any, **options: Any) -> Any:
        verified.append(text)
        return verify(text, *args, **options)

    monkeypatch.setattr(jwt, "decode", count)
    tokens, first, second = known(), token("a:1"), token("a:2")
    found = [tokens.verify(text) for text in (first, second, first, first)]
    assert verified == [first, second]
    assert found[2] is found[0] and found[3] is found[0] and found[1] is not found[0]
    refused(first[:-1] + ("A" if first[-1] != "A" else "Q"), tokens)


def test_not_all_tokens_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a bound; whichever was used longest ago goes."""
    monkeypatch.setattr("pushapp.tokens._KNOWN", 2)
    tokens, texts = known(), [token(f"a:{n}") for n in range(3)]
    first = tokens.verify(texts[0])
    tokens.verify(texts[1])
    assert tokens.verify(texts[0]) is first
    tokens.verify(texts[2])
    assert tokens.verify(texts[0]) is first
    assert len(tokens._known) == 2


def test_what_was_issued_before_a_revocation_counts_no_longer() -> None:
    """Of one user, or of all; seen anew or known already. What is issued later counts."""
    now = [1000.0]
    tokens = Tokens(Settings(secret=SECRET), clock=lambda: now[0])
    ann, bob = (tokens.make(user, [], [], 60, None) for user in ("ann", "bob"))
    silent = by_hand(HS256, {"sub": "ann", "exp": 1060}, SECRET.encode())
    held = [tokens.verify(text) for text in (ann, bob, silent)]
    assert tokens.revoke("ann", 1000.5) and not tokens.revoke("ann", 1000.2)
    assert "revoked" in refused(ann, tokens) and "revoked" in refused(silent, tokens)
    assert tokens.verify(bob) is held[1]
    with pytest.raises(NotAuthenticated):
        tokens.left(held[0])
    now[0] = 1000.6
    later = tokens.make("ann", [], [], 60, None)
    assert tokens.verify(later).user == "ann"
    assert tokens.revoke(None, 1000.7)
    for text in (bob, later):
        assert "revoked" in refused(text, tokens)


def test_a_token_that_was_revoked_counts_in_no_other_spelling(tmp_path: Path) -> None:
    """Padding, unused bits, what a lenient decoder skips; and another signature by the same key of
    the same text, which anybody can make out of one of ES256."""
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [jwk(key) for key in PRIVATE.values()]}))
    tokens = known(jwks=str(path))
    for algorithm, key in {"HS256": SECRET, **PRIVATE}.items():
        text = jwt.encode(claims(), key, algorithm)
        revoked = tokens.verify(text)
        assert tokens.withdraw(revoked.digest, revoked.expires)
        signed, _, signature = text.rpartition(".")
        spellings = [signature + end for end in ("=", "==", "\n", " ")]
        spellings += [signature[:-1] + chr(ord(signature[-1]) ^ bit) for bit in (1, 2, 3)]
        spellings += [signature[:9] + junk + signature[9:] for junk in "!=\n"]
        if algorithm == "ES256":
            r, s = (n.to_bytes(32, "big") for n in _mirrored(signature))
            spellings.append(base64.urlsafe_b64encode(r + s).decode().rstrip("="))
        for other in (signature, *spellings):
            refused(f"{signed}.{other}", tokens)


def _mirrored(signature: str) -> tuple[int, int]:
    """Return the other one of the two ES256 signatures that are as good."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
    came = base64.urlsafe_b64decode(signature + "==")
    return int.from_bytes(came[:32], "big"), order - int.from_bytes(came[32:], "big")


def test_of_withdrawn_tokens_those_are_kept_that_have_not_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There is a bound: what has ended opens nothing anyway."""
    monkeypatch.setattr("pushapp.tokens._FEW", 10)
    now = [1000.0]
    tokens = Tokens(Settings(secret=SECRET), clock=lambda: now[0])
    lasting = [tokens.verify(tokens.make(f"u{n}", [], [], 1e6, None)) for n in range(8)]
    for token_ in lasting:
        assert tokens.withdraw(token_.digest, token_.expires)
        assert not tokens.withdraw(token_.digest, token_.expires)
    for n in range(1000):
        now[0] += 10
        assert tokens.withdraw(n.to_bytes(32, "big"), now[0] + 1)
    assert len(tokens._withdrawn) <= 20
    for token_ in lasting:
        with pytest.raises(NotAuthenticated, match="revoked"):
            tokens.left(token_)


# Whose signature counts


@pytest.mark.parametrize(
    "text",
    ["", "x", "a.b.c", "..", "e30.e30.", "é.b.c", "\ud800", "a" * (LONGEST + 1), "a b", "\x00"],
)
def test_what_is_no_token_is_refused(text: str) -> None:
    """Whatever it is, and in plain words."""
    assert refused(text).startswith("the token is not")


def test_nothing_is_read_of_what_nobody_signed() -> None:
    """Long ones of strangers would cost more than all else of a request."""
    head, _, signature = token().split(".")
    assert "not signed" in refused(f"{head}.{'?' * 7000}.{signature}")


def test_another_secret_signs_nothing() -> None:
    assert "signed" in refused(jwt.encode(claims(), OTHER, "HS256"))


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", None, 0])
@pytest.mark.parametrize("secret", [None, SECRET.encode()])
def test_without_an_algorithm_nothing_is_signed(name: Any, secret: bytes | None) -> None:
    """``alg: none``, with and without a signature."""
    refused(by_hand({"alg": name, "typ": "JWT"}, claims(), secret))


@pytest.mark.parametrize("name", ["HS384", "HS512"])
def test_a_secret_is_for_one_algorithm(name: str) -> None:
    """Its own."""
    refused(jwt.encode(claims(), SECRET * 2, name), known(secret=SECRET * 2))


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_a_public_key_is_no_secret(algorithm: str) -> None:
    """Key confusion: everybody has the public key, in any of its forms."""
    private = PRIVATE[algorithm]
    tokens = known(public_key=pem(private))
    key = jwk(private)
    for secret in (
        pem(private).encode(),
        pem(private).strip().encode(),
        json.dumps(key).encode(),
        str(key.get("n", key.get("x"))).encode(),
    ):
        for name in ("HS256", algorithm):
            refused(by_hand({"alg": name, "typ": "JWT"}, claims(), secret), tokens)


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_a_public_key_is_enough_to_verify(algorithm: str, tmp_path: Path) -> None:
    """As PEM, in one line, or the path of it; the secret signs beside it."""
    text = jwt.encode(claims(channels=["a:*"]), PRIVATE[algorithm], algorithm)
    path = tmp_path / "key.pem"
    path.write_text(pem(PRIVATE[algorithm]))
    one_line = pem(PRIVATE[algorithm]).replace("\n", "\\n")
    for setting in (pem(PRIVATE[algorithm]), one_line, str(path)):
        tokens = known(public_key=setting)
        assert tokens.verify(text).channels == ("a:*",)
        assert tokens.verify(token()).user == "42"
    refused(text)
    others = [name for name in PRIVATE if name != algorithm]
    for name in others:
        refused(jwt.encode(claims(), PRIVATE[name], name), tokens)


@pytest.mark.parametrize(
    "header", [{"jku": "https://evil.example"}, {"jwk": jwk(RSA)}, {"x5c": []}]
)
def test_a_key_that_comes_with_the_token_means_nothing(header: dict[str, Any]) -> None:
    """Nor where it says one can be found."""
    refused(jwt.encode(claims(), RSA, "RS256", headers=header), known(public_key=pem(EC)))


def test_what_a_token_declares_critical_has_to_be_understood() -> None:
    """RFC 7515 section 4.1.11."""
    for header in ({"crit": ["b64"], "b64": False}, {"crit": ["new"], "new": 1}, {"crit": ["new"]}):
        refused(by_hand({**HS256, **header}, claims(), SECRET.encode()))


def test_secrets_rotate() -> None:
    """The new one signs; what the old ones signed still counts until they are taken out."""
    before, after = known(secret=OTHER), known(old_secrets=(OTHER,))
    old = before.make("42", [], [], 60, None)
    assert after.verify(old).user == "42"
    new = after.make("42", [], [], 60, None)
    assert known().verify(new).user == "42"
    refused(new, before)
    refused(old)


def test_a_secret_that_can_be_guessed_signs_nothing() -> None:
    """A host app's SECRET_KEY may be "dev"."""
    with pytest.raises(SettingsError, match="PUSH_SECRET"):
        known(secret="dev").make("42", [], [], 60, None)
    refused(by_hand(HS256, claims(), b"dev"), known(secret="dev"))
    refused(by_hand(HS256, claims(), b""), known(secret=""))


@pytest.mark.parametrize(
    ("audience", "came", "holds"),
    [
        ("", None, True),
        ("", "push", False),
        ("", ["push"], False),
        ("push", "push", True),
        ("push", ["other", "push"], True),
        ("push", "other", False),
        ("push", ["other"], False),
        ("push", "pushy", False),
        ("push", None, False),
        ("push", {"push": 1}, False),
    ],
)
def test_a_token_for_another_audience_is_refused(audience: str, came: Any, holds: bool) -> None:
    """Without PUSH_AUDIENCE, one for any (RFC 7519 section 4.1.3); with it, one for none."""
    tokens, more = known(audience=audience), {} if came is None else {"aud": came}
    if holds:
        assert tokens.verify(_signed(**more)).user == "42"
    else:
        assert "audience" in refused(_signed(**more), tokens)
    made = tokens.make("42", [], [], 60, None)
    assert tokens.verify(made).user == "42"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("user", ("a b", [], [], 60)),
        ("user", ("", [], [], 60)),
        ("channels", ("42", ["a b"], [], 60)),
        ("channels", ("42", "room:*", [], 60)),
        ("publish", ("42", [], ["**"], 60)),
        ("expires", ("42", [], [], 0)),
        ("expires", ("42", [], [], float("inf"))),
        ("token", ("42", ["a:" + "x" * 90] * 100, [], 60)),
    ],
)
def test_what_would_be_refused_is_not_made(name: str, arguments: Any) -> None:
    """The mistake is told where it is made."""
    with pytest.raises(InvalidInput) as error:
        known().make(*arguments, None)
    assert error.value.field == name
