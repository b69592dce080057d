"""What a ticket stands for, and how often.

What belongs here: tickets as such, over two workers' brokers. What does not: how they travel
(``transports/test_tokens``).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from itsdangerous import URLSafeSerializer

from pushapp.broker.interface import Leases
from pushapp.errors import NotAuthenticated, SettingsError, TokenExpired
from pushapp.tickets import HOLDS, Tickets
from pushapp.tokens import LEEWAY, Token

from .brokers.tools import opened, together
from .jwts import token
from .server import SECRET
from .test_tokens import OTHER, known, refused

NOW = 1_800_000_000.0
ANN = Token("ann", NOW + 3600, ("room:*",), ("room:1",), {"name": "Ann"}, NOW, b"digest")


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tickets(clock: Clock) -> Tickets:
    return Tickets(SECRET, clock=clock)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Leases]:
    with opened(tmp_path / "push.db") as broker:
        yield broker.leases


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Leases]:
    """Another worker's."""
    with opened(tmp_path / "push.db") as broker:
        yield broker.leases


def test_a_ticket_stands_for_all_that_the_token_says(tickets: Tickets, here: Leases) -> None:
    """To the last claim."""
    ticket = tickets.make(ANN)
    assert ticket.seconds == HOLDS
    assert tickets.redeem(ticket.text, here) == ANN


def test_a_ticket_is_good_once(tickets: Tickets, here: Leases, there: Leases) -> None:
    """On whichever worker comes first; its twin from the same token is another ticket."""
    first, second = tickets.make(ANN).text, tickets.make(ANN).text
    assert tickets.redeem(first, here) == ANN
    for leases in (there, here):
        with pytest.raises(NotAuthenticated, match="used"):
            tickets.redeem(first, leases)
    assert tickets.redeem(second, there) == ANN


def test_of_a_race_for_a_ticket_one_wins(tickets: Tickets, here: Leases, there: Leases) -> None:
    """Whoever copies it comes too late, or the copy is noticed."""
    for _ in range(10):
        text, won = tickets.make(ANN).text, list[str]()

        def redeem(leases: Leases, text: str = text, won: list[str] = won) -> None:
            try:
                won.append(tickets.redeem(text, leases).user)
            except NotAuthenticated as error:
                assert "used" in str(error)

        together(*(lambda leases=leases: redeem(leases) for leases in (here, there, here, there)))
        assert won == ["ann"]


def test_a_ticket_ends(tickets: Tickets, here: Leases, clock: Clock) -> None:
    """After 30 seconds, with the clocks' leeway, used or not."""
    texts = [tickets.make(ANN).text for _ in range(2)]
    clock.now += HOLDS + LEEWAY - 0.1
    assert tickets.redeem(texts[0], here) == ANN
    clock.now += 0.1
    for text in texts:
        with pytest.raises(NotAuthenticated, match="30 s"):
            tickets.redeem(text, here)


def test_a_ticket_ends_with_its_token(tickets: Tickets, clock: Clock) -> None:
    """And tells so; an expired token gives none."""
    clock.now = ANN.expires + LEEWAY - 10
    assert tickets.make(ANN).seconds == 10
    clock.now += 10
    with pytest.raises(TokenExpired):
        tickets.make(ANN)


def test_a_ticket_is_safe_in_a_url_and_holds_no_token(tickets: Tickets) -> None:
    """A token that came out of a log would be good for an hour."""
    text = token("room:*", lasts=1e9)
    ticket = tickets.make(known().verify(text)).text
    assert text not in ticket and text.rpartition(".")[2] not in ticket
    assert set(ticket) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@pytest.mark.parametrize("text", ["", "x", "a.b", ".", "é", "\ud800", "x" * 9000, "\x00"])
def test_what_is_no_ticket_is_refused(tickets: Tickets, here: Leases, text: str) -> None:
    with pytest.raises(NotAuthenticated):
        tickets.redeem(text, here)


def test_nobody_else_makes_tickets(tickets: Tickets, here: Leases, clock: Clock) -> None:
    """Not with another secret, not by changing one; and a token is none, nor a ticket a token."""
    other = Tickets(OTHER, clock=clock).make(ANN).text
    content, _, signature = tickets.make(ANN).text.rpartition(".")
    padded = content + "=" * (-len(content) % 4)
    changed = json.loads(base64.urlsafe_b64decode(padded)) if not content.startswith(".") else []
    changed_text = base64.urlsafe_b64encode(json.dumps(changed).replace("ann", "bob").encode())
    for text in (other, f"{changed_text.decode().rstrip('=')}.{signature}", token()):
        with pytest.raises(NotAuthenticated):
            tickets.redeem(text, here)
    refused(tickets.make(ANN).text)


def test_tickets_outlive_a_change_of_the_secret(here: Leases, clock: Clock) -> None:
    """As tokens do."""
    before, after = Tickets(OTHER, clock=clock), Tickets(SECRET, OTHER, clock=clock)
    assert after.redeem(before.make(ANN).text, here) == ANN
    with pytest.raises(NotAuthenticated):
        before.redeem(after.make(ANN).text, here)


def test_a_secret_that_can_be_guessed_signs_no_ticket(here: Leases, clock: Clock) -> None:
    """A host app's short SECRET_KEY: whoever guesses it would say what the ticket opens."""
    content = ("nonce", NOW + 30, ("ann", NOW + 60, ["*"], ["*"], None, NOW), "00")
    signer = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    forged = URLSafeSerializer("dev", salt="pushapp ticket", signer_kwargs=signer).dumps(content)
    for tickets in (Tickets("dev", clock=clock), Tickets(SECRET, "dev", clock=clock)):
        with pytest.raises(NotAuthenticated):
            tickets.redeem(str(forged), here)
    with pytest.raises(SettingsError, match="PUSH_SECRET"):
        Tickets("dev", clock=clock).make(ANN)


def test_a_ticket_makes_no_token_known(here: Leases) -> None:
    """What signed the token may count no longer: its text is verified all the same."""
    issuer, tickets, tokens = known(secret=OTHER), Tickets(SECRET), known()
    text = issuer.make("ann", ["room:*"], [], 60, None)
    redeemed = tickets.redeem(tickets.make(issuer.verify(text)).text, here)
    assert tokens.share(redeemed) == redeemed
    refused(text, tokens)
