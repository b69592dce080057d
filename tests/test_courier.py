"""One POST of a webhook, to receivers of all kinds."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pushapp import courier
from pushapp.courier import HttpCourier

from .receiver import SECRET, Receiver
from .server import ROOT, free_port
from .wire import TIMEOUT

BODY = b'{"events":[],"cursor":"e.1"}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def post(url: str) -> str | None:
    return HttpCourier(url, (SECRET,)).deliver(BODY)


def test_it_is_signed_and_posted_where_the_operator_says(receiver: Receiver) -> None:
    """With the URL's query; 2xx is an acknowledgement."""
    for status in (200, 204, 299):
        receiver.answer = lambda status=status: status
        assert post(receiver.url) is None
    assert receiver.paths == ["/hook?who=tests"] * 3
    assert receiver.batches.get(timeout=TIMEOUT)["cursor"] == "e.1"


@pytest.mark.parametrize("status", [199, 300, 301, 302, 307, 400, 404, 410, 429, 500, 503])
def test_whatever_else_it_answers_is_none(receiver: Receiver, status: int) -> None:
    """A redirect is not followed: it could lead into the operator's own network."""
    receiver.answer = lambda: status
    receiver.headers = {"Location": receiver.url}
    assert str(status) in str(post(receiver.url))
    assert len(receiver.paths) == 1


def test_a_receiver_has_to_prove_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By https, with a certificate that this machine believes; what it believes is read once."""
    read: list[None] = []
    make = courier.create_default_context
    monkeypatch.setattr(courier, "create_default_context", lambda: read.append(None) or make())
    certificate = tmp_path / "receiver.pem"
    certificate.write_bytes(self_signed("127.0.0.1"))
    receiver = Receiver(certificate)
    try:
        assert "certificate" in str(post(receiver.url))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        believes = HttpCourier(receiver.url, (SECRET,))
        read.clear()
        assert [believes.deliver(BODY) for _ in range(3)] == [None] * 3
        assert len(read) == 1 and len(receiver.paths) == 3
    finally:
        receiver.close()


def self_signed(address: str) -> bytes:
    """Return a certificate for an address, and its key, as PEM."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.public_bytes(Encoding.PEM) + private


def test_one_that_is_not_there_is_told(receiver: Receiver) -> None:
    """In words: no connection, no such name, no HTTP, cut off."""
    assert "refused" in str(post(f"http://127.0.0.1:{free_port()}"))
    assert post("http://name.invalid/") is not None
    receiver.answer = lambda: None
    assert post(receiver.url) is not None


@pytest.mark.parametrize("sent", [b"%b HTTP/9", b"HTTP/1.1 500 %b"])
def test_what_it_answers_writes_nothing_of_its_own_into_the_log(
    receiver: Receiver, sent: bytes
) -> None:
    """No colours, no lines, no megabytes."""
    receiver.answer = lambda: sent % (b"\x1b[31m\xff\x00" + b"x" * 5000) + b"\r\n\r\n"
    trouble = str(post(receiver.url))
    assert trouble.isascii() and trouble.isprintable() and len(trouble) <= 100
    assert "x1b" in trouble


def silent(drips: bool) -> Iterator[int]:
    """Accept, and say nothing, or a byte now and then; yields the port."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):  # it has left, or was given up before it came
                client, _ = server.accept()
                with client:
                    while not ended.wait(0.05):
                        if drips:
                            client.sendall(b"H")

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        ended.set()
        server.shutdown(socket.SHUT_RDWR)
        thread.join(TIMEOUT)


def test_a_silent_one_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "DEADLINE", 0.2)
    for port in silent(drips=False):
        assert "timed out" in str(post(f"http://127.0.0.1:{port}/"))


def test_one_that_drips_is_not_waited_for_either() -> None:
    """In a worker: a byte now and then would hold a socket's own timeout off for ever."""
    for port in silent(drips=True):
        code = (
            "from gevent import monkey; monkey.patch_all();"
            "from pushapp import courier; courier.DEADLINE = 0.5;"
            f"print(courier.HttpCourier('http://127.0.0.1:{port}/', ('x',)).deliver(b''))"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT
        )
        assert (ran.stdout.strip(), ran.stderr) == ("no answer within 0.5 s", "")
