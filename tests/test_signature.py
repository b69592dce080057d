"""The signature of a webhook, as its receiver checks it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

import pushapp
from pushapp.errors import PushError, WebhookRefused
from pushapp.signature import SIGNATURE, TIMESTAMP, TOLERANCE, sign, verify_webhook

from .receiver import SECRET

OTHER = "another-secret-of-the-webhooks-of-the-tests"
NOW = 1_795_386_494
BODY = json.dumps({"events": [{"event": "connect"}], "cursor": "e.1"}).encode()


def headers(*secrets: str, at: object = NOW, body: bytes = BODY) -> dict[str, str]:
    return {TIMESTAMP: str(at), SIGNATURE: sign(secrets or (SECRET,), str(at), body)}


def refused(*args: Any, **options: Any) -> str:
    with pytest.raises(WebhookRefused) as error:
        verify_webhook(*args, **{"now": NOW, **options})
    assert isinstance(error.value, PushError)
    return str(error.value)


def test_what_was_signed_is_taken() -> None:
    """And what it says is returned; a header's name may be written in any way."""
    found = headers()
    assert verify_webhook(BODY, found, SECRET, now=NOW)["cursor"] == "e.1"
    assert pushapp.verify_webhook is verify_webhook
    for change in (str.lower, str.upper):
        assert verify_webhook(BODY, {change(n): v for n, v in found.items()}, SECRET, now=NOW)


def test_the_signature_is_what_the_documentation_says() -> None:
    """So that it can be checked in any language."""
    # printf '%s' '1795386494.{}' | openssl dgst -sha256 -hmac key
    expected = "v1=d2345a8cb1a6d8f9be1a6b793c8ae5b552ead99c95db70034e7cc814c7d4138f"
    assert sign(["key"], str(NOW), b"{}") == expected


def test_a_secret_may_change() -> None:
    """While it does, each of the two is enough."""
    both = headers(OTHER, SECRET)
    for secret in (SECRET, OTHER):
        assert verify_webhook(BODY, both, secret, now=NOW)
    assert "secret" in refused(BODY, both, SECRET + "x")


@pytest.mark.parametrize("late", [TOLERANCE + 1, -TOLERANCE - 1])
def test_an_old_one_is_refused(late: float) -> None:
    """Whoever has recorded one cannot send it again for ever."""
    assert "ago" in refused(BODY, headers(), SECRET, now=NOW + late)
    assert verify_webhook(BODY, headers(), SECRET, now=NOW + late, tolerance=1000)


def test_what_was_changed_is_refused() -> None:
    """Any byte of the body, the time, or the secret."""
    assert "secret" in refused(BODY + b" ", headers(), SECRET)
    assert "secret" in refused(BODY, headers(OTHER), SECRET)
    assert "secret" in refused(BODY, {**headers(), TIMESTAMP: str(NOW + 1)}, SECRET)
    for n in range(len("v1=") + 64):
        given = headers()[SIGNATURE]
        changed = given[:n] + ("0" if given[n] != "0" else "1") + given[n + 1 :]
        assert "secret" in refused(BODY, {**headers(), SIGNATURE: changed}, SECRET)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (TIMESTAMP, ""),
        (TIMESTAMP, "now"),
        (TIMESTAMP, "\u0661"),
        (TIMESTAMP, "-1"),
        (TIMESTAMP, "1" * 5000),
        (TIMESTAMP, "1.5"),
        (SIGNATURE, ""),
        (SIGNATURE, "v1="),
        (SIGNATURE, "\u00e9"),
        (SIGNATURE, "v0=" + "0" * 64),
    ],
)
def test_what_is_no_signature_is_refused(name: str, value: str) -> None:
    """With an error of one kind, whatever came."""
    assert refused(BODY, {**headers(), name: value}, SECRET)
    assert refused(BODY, {n: v for n, v in headers().items() if n != name}, SECRET)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"no", b"\xff", b"null"])
def test_what_is_signed_and_no_webhook_is_refused(body: bytes) -> None:
    assert "events" in refused(body, headers(body=body), SECRET)


def test_the_example_takes_each_event_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing that was not signed with its secret."""
    monkeypatch.setenv("PUSH_WEBHOOK_SECRET", SECRET)
    from examples import receive_webhooks

    client = receive_webhooks.app.test_client()
    came, went = (
        json.dumps({"events": [{"id": f"e.{n}.1", "event": kind, "connection": "c1"}]}).encode()
        for n, kind in ((1, "connect"), (2, "disconnect"))
    )
    for body, there in ((came, {"c1"}), (went, set()), (came, set())):
        signed = headers(at=int(time.time()), body=body)
        assert client.post("/hook", data=body, headers=signed).status_code == 204
        assert receive_webhooks.online == there
    wrong = headers(OTHER, at=int(time.time()), body=came)
    assert client.post("/hook", data=came, headers=wrong).status_code == 403
