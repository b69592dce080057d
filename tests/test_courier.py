"""One POST of a webhook, to receivers of all kinds."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

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


def test_one_that_is_not_there_is_told(receiver: Receiver) -> None:
    """In words: no connection, no such name, no HTTP, cut off."""
    assert "refused" in str(post(f"http://127.0.0.1:{free_port()}"))
    assert post("http://name.invalid/") is not None
    receiver.answer = lambda: None
    assert post(receiver.url) is not None


def silent(drips: bool) -> Iterator[int]:
    """Accept, and say nothing, or a byte now and then; yields the port."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                try:
                    while not ended.wait(0.05):
                        if drips:
                            client.sendall(b"H")
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        ended.set()
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
