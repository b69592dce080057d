"""``Client``: publishing and reading from outside, with retries that never publish twice."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from typing import Any

import pytest

from pushapp.client import Client
from pushapp.errors import PublishFailed, RequestFailed

from .clients import Refused
from .jwts import token
from .server import API_KEY, Server
from .wire import TIMEOUT

OK = 200, {}, {"id": "e.1"}
CUT = None  # the connection ends before an answer


class ScriptedServer:
    """Answers requests as it is told to and remembers them: for what no real server does on order.

    A step is (status, headers, JSON), or CUT.
    """

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.ports: list[int] = []  # the client's, of each request
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                scripted.requests.append((self.command, self.path, dict(self.headers), body))
                scripted.ports.append(self.client_address[1])
                step = scripted.steps.pop(0)
                if step is CUT:
                    self.close_connection = True
                    return
                status, headers, answer = step
                text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(text)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_DELETE = do_POST

            def log_message(self, *args: object) -> None:
                """Print nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, _, _, body in self.requests]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.close()


@pytest.fixture
def make_client() -> Iterator[Callable[..., Client]]:
    clients = []

    def make(url: str, api_key: str | None = API_KEY, timeout: float = TIMEOUT) -> Client:
        clients.append(Client(url, api_key, timeout))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def problem(status: int, detail: str = "", **headers: str) -> Any:
    body = {"type": "about:blank", "title": "A Title", "status": status, "detail": detail}
    return status, {n.replace("_", "-"): v for n, v in headers.items()}, body


# Against a script: what goes over the wire


def test_importing_it_is_light() -> None:
    """A cron job pays for no Flask, gevent, click or psutil."""
    heavy = "{'flask', 'gevent', 'click', 'psutil', 'werkzeug', 'gunicorn'}"
    for line in ("from pushapp.client import Client", "from pushapp import Client"):
        code = f"{line}; import sys; print(*sorted({heavy} & set(sys.modules)))"
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert (ran.returncode, ran.stdout.strip()) == (0, ""), (line, ran.stderr)


def test_a_publish_says_what_was_asked(
    scripted: ScriptedServer, make_client: Callable[..., Client]
) -> None:
    """Options that were not given are not sent; the api key travels as a Bearer token."""
    scripted.steps = [OK, (200, {}, {"ids": ["e.2", "e.3"]}), (200, {}, {"scheduled": "s1"})]
    client = make_client(scripted.url)
    assert client.publish("a:1", {"x": "é"}, event="paid", ttl=5, idempotency_key="k") == "e.1"
    assert client.publish(channels=["a:1", "b:2"], data=None, retain=True) == ["e.2", "e.3"]
    assert client.publish(user="42", data=1, delay=60) == "s1"
    first, second, third = scripted.bodies
    assert first == {
        "channel": "a:1",
        "data": {"x": "é"},
        "event": "paid",
        "ttl": 5,
        "idempotency_key": "k",
    }
    assert second.pop("idempotency_key") != third.pop("idempotency_key")
    assert second == {"channels": ["a:1", "b:2"], "data": None, "retain": True}
    assert third == {"user": "42", "data": 1, "delay": 60}
    method, path, headers, _ = scripted.requests[0]
    assert (method, path) == ("POST", "/push/publish")
    assert headers["Authorization"] == f"Bearer {API_KEY}"


def test_a_batch_tells_scheduled_from_published(
    scripted: ScriptedServer, make_client: Callable[..., Client]
) -> None:
    """Each message's id stands at its place, whether it is out or only scheduled."""
    scripted.steps = [(200, {}, {"ids": ["e.1", {"scheduled": "s9", "at": 1.0}]})]
    messages = [{"channel": "a:1", "data": 1}, {"channel": "a:1", "data": 2, "delay": 9}]
    assert make_client(scripted.url).publish_batch(messages) == ["e.1", "s9"]


@pytest.mark.parametrize(
    "trouble",
    [CUT, problem(502), problem(503, Retry_After="0"), problem(504), problem(429)],
    ids=["cut", "502", "503", "504", "429"],
)
def test_what_may_pass_is_tried_again_under_one_key(
    scripted: ScriptedServer, make_client: Callable[..., Client], trouble: Any
) -> None:
    """The server can tell a repeated request, because the key and the body stay the same."""
    scripted.steps = [trouble, trouble, OK]
    assert make_client(scripted.url).publish("a:1", 1) == "e.1"
    assert len(scripted.bodies) == 3
    assert scripted.bodies[0]["idempotency_key"]
    assert scripted.bodies[0] == scripted.bodies[1] == scripted.bodies[2]


def test_a_refusal_is_not_repeated(
    scripted: ScriptedServer, make_client: Callable[..., Client]
) -> None:
    """A 400 stays a 400: it is raised at once, with what the server said."""
    scripted.steps = [problem(400, "channel: got 'a b', expected a name")]
    with pytest.raises(PublishFailed) as raised:
        make_client(scripted.url).publish("a b", 1, idempotency_key="mine")
    assert raised.value.status == 400
    assert raised.value.idempotency_key == "mine"
    assert str(raised.value) == "400 A Title: channel: got 'a b', expected a name"
    assert len(scripted.requests) == 1


def test_it_does_not_wait_longer_than_its_timeout(
    scripted: ScriptedServer, make_client: Callable[..., Client]
) -> None:
    """Asked to come back in an hour, it gives up at once: the time would be over by then."""
    scripted.steps = [problem(503, "full", Retry_After="3600")]
    with pytest.raises(PublishFailed) as raised:
        make_client(scripted.url).publish("a:1", 1)
    assert (raised.value.status, raised.value.detail) == (503, "full")
    assert len(scripted.requests) == 1


def test_no_server_at_all_is_told_in_one_line(make_client: Callable[..., Client]) -> None:
    """After its timeout it says whom it asked and why that failed."""
    with socket.socket() as held:  # bound and not listening: nobody else can take the port
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(PublishFailed) as raised:
            make_client(url, timeout=0.3).publish("a:1", 1)
    assert raised.value.status is None
    assert str(raised.value) == f"no answer from {url}: Connection refused"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ((200, {}, b"<html>"), "200 OK: this does not look like a push server's answer"),
        ((301, {"Location": "https://x/"}, b""), "it redirects to https://x/: use that address"),
    ],
    ids=["a page", "a redirect"],
)
def test_what_is_no_push_server_is_named(
    scripted: ScriptedServer, make_client: Callable[..., Client], step: Any, said: str
) -> None:
    """A wrong address is told as such, and never taken for an acknowledgement."""
    scripted.steps = [step]
    with pytest.raises(PublishFailed, match=said):
        make_client(scripted.url).publish("a:1", 1)


def test_a_connection_serves_several_publishes(
    scripted: ScriptedServer, make_client: Callable[..., Client]
) -> None:
    """A loop of publishes does not open a connection for each."""
    scripted.steps = [OK, OK, OK]
    client = make_client(scripted.url)
    for n in range(3):
        client.publish("a:1", n)
    assert len(scripted.ports) == 3
    assert len(set(scripted.ports)) == 1


def test_data_that_is_not_json_is_refused_here(make_client: Callable[..., Client]) -> None:
    """What cannot be JSON never leaves the process."""
    client = make_client("http://127.0.0.1:1")
    with pytest.raises(ValueError, match="JSON"):
        client.publish("a:1", float("nan"))
    with pytest.raises(TypeError):
        client.publish("a:1", object())
    with pytest.raises(TypeError, match="data is missing"):
        client.publish("a:1")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="expected http://"):
        Client("127.0.0.1:8000")


def test_a_path_in_the_url_is_the_prefix(
    scripted: ScriptedServer, make_client: Callable[..., Client]
) -> None:
    """A server with a PUSH_PREFIX of its own is named by its whole address."""
    scripted.steps = [OK]
    make_client(f"{scripted.url}/realtime/").publish("a:1", 1)
    assert scripted.requests[0][1] == "/realtime/publish"


FORKS = """
import os, sys
from pushapp.client import Client
client = Client(sys.argv[1], "key")
client.publish("a:1", "before")
if child := os.fork():
    os.waitpid(child, 0)
    client.publish("a:1", "parent")
else:
    client.publish("a:1", "child")
    os._exit(0)
"""


def test_a_fork_does_not_share_connections(scripted: ScriptedServer) -> None:
    """A forked worker (Celery's, say) leaves its parent's connection alone."""
    scripted.steps = [OK, OK, OK]
    subprocess.run([sys.executable, "-c", FORKS, scripted.url], check=True, timeout=TIMEOUT)
    before, child, parent = scripted.ports
    assert [body["data"] for body in scripted.bodies] == ["before", "child", "parent"]
    assert before == parent != child


def test_a_tail_carries_its_cursor_and_tells_of_losses(
    scripted: ScriptedServer, make_client: Callable[..., Client], caplog: pytest.LogCaptureFixture
) -> None:
    """It asks on from the last cursor it was handed, whatever happens; a loss has its place."""
    lost = [{"channel": "a:1", "after": "e.2", "before": "e.9", "reason": "expired"}]
    base = {"connection": "c1", "recovered": True, "messages": []}
    scripted.steps = [
        (200, {}, {**base, "cursor": "e.1", "history": {"a:1": [{"id": "e.1"}]}}),
        CUT,
        problem(503),
        (200, {}, {**base, "cursor": "e.2", "messages": [{"id": "e.2"}]}),
        (
            200,
            {},
            {
                **base,
                "cursor": "e.9",
                "recovered": False,
                "lost": lost,
                "messages": [{"id": "e.9"}],
            },
        ),
    ]
    items = list(islice(make_client(scripted.url).tail("a:1", history=5), 4))
    assert items == [
        {"type": "history", "channel": "a:1", "messages": [{"id": "e.1"}]},
        {"id": "e.2"},
        {"type": "live", "cursor": "e.9", "recovered": False, "lost": lost},
        {"id": "e.9"},
    ]
    forms = [body for _, _, _, body in scripted.requests]
    assert forms[0] == b"channels=a%3A1&history=5"
    again = b"channels=a%3A1&cursor=e.1&connection=c1&timeout=25"
    assert forms[1:4] == [again] * 3
    assert forms[4] == again.replace(b"e.1", b"e.2")
    assert [r.levelname for r in caplog.records] == ["WARNING"]  # once, not once per try


# Against the real server


def test_publish_history_and_tail_on_a_real_server(
    server: Server, make_client: Callable[..., Client]
) -> None:
    """What is published in its several ways is what the history and a tail then show."""
    client = make_client(server.url)
    tail = client.tail(["public:client-a", "public:client-b"])
    one = client.publish("public:client-a", {"n": 1}, event="first")
    two = client.publish(channels=["public:client-a", "public:client-b"], data="both")
    three = client.publish_batch([{"channel": "public:client-b", "data": [3]}])
    came = list(islice(tail, 4))
    assert [m["id"] for m in came] == [one, *two, *three]
    assert came[0]["event"] == "first"
    assert came[0]["data"] == {"n": 1}
    assert client.history("public:client-b", limit=1) == [came[3]]
    assert list(islice(client.tail("public:client-b", cursor=two[1]), 1)) == [came[3]]


def test_users_are_written_to_and_let_go(
    server: Server, make_client: Callable[..., Client], connect: Callable[..., Any], channel: str
) -> None:
    """Several at once; all of one's connections, and all of one's tokens."""
    ids = make_client(server.url).publish(users=["ann", "bob"], data=channel)
    for user, id in zip(("ann", "bob"), ids, strict=True):
        assert make_client(server.url).history(f"user:{user}", 1)[0]["id"] == id
    user = channel.replace(":", "-")
    for end, status in (("disconnect", 403), ("revoke", 401)):
        headers = {"Authorization": f"Bearer {token(user=user, iat=time.time() - 9)}"}
        waiting = connect("sse", server, [f"user:{user}"], headers=headers)
        getattr(make_client(server.url), end)(user=user)
        with pytest.raises(Refused) as refused:
            waiting.receive()
        assert refused.value.status == status


def test_whom_to_let_go_has_to_be_said(scripted: ScriptedServer, make_client: Any) -> None:
    """Nobody is guessed, and nothing is sent; paths are quoted."""
    client = make_client(scripted.url)
    for call in (client.revoke, client.disconnect):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(TypeError):
        client.revoke("42", everybody=True)
    with pytest.raises(TypeError):
        client.revoke("42", token="x")
    with pytest.raises(TypeError):
        client.disconnect(user="42", connection="c1")
    assert scripted.requests == []
    scripted.steps = [OK, OK, OK]
    client.disconnect(user="a/b")
    client.disconnect(connection="c1?")
    client.revoke(everybody=True, before=5)
    paths = [path for _, path, _, _ in scripted.requests]
    assert paths == ["/push/users/a%2Fb/connections", "/push/connections/c1%3F", "/push/revoke"]
    assert json.loads(scripted.requests[-1][3]) == {"everybody": True, "before": 5}


def test_the_same_key_publishes_once(server: Server, make_client: Callable[..., Client]) -> None:
    """Repeating a publish with its key gives the first id back."""
    client = make_client(server.url)
    first = client.publish("public:client-once", 1, idempotency_key="once-1")
    assert client.publish("public:client-once", 1, idempotency_key="once-1") == first
    assert len(client.history("public:client-once")) == 1
    with pytest.raises(PublishFailed) as raised:
        client.publish("public:client-once", 2, idempotency_key="once-1")
    assert raised.value.status == 409


def test_a_scheduled_message_can_be_cancelled(
    server: Server, make_client: Callable[..., Client]
) -> None:
    """Cancelling says whether there was something to cancel."""
    client = make_client(server.url)
    scheduled = client.publish("public:client-later", 1, delay=3600)
    assert client.cancel(scheduled) is True
    assert client.cancel(scheduled) is False


def test_a_wrong_key_is_told(server: Server, make_client: Callable[..., Client]) -> None:
    """401, at once, from publishing and from reading."""
    client = make_client(server.url, api_key="wrong")
    with pytest.raises(PublishFailed) as failed:
        client.publish("public:x", 1)
    assert failed.value.status == 401
    with pytest.raises(RequestFailed) as refused:
        client.history("public:x")
    assert refused.value.status == 401


@pytest.mark.e2e
def test_a_tail_goes_on_over_a_restart(
    make_server: Callable[..., Server], make_client: Callable[..., Client]
) -> None:
    """It misses nothing and doubles nothing while the server is away and comes back."""
    server = make_server()
    client = make_client(server.url, timeout=60)
    tail = client.tail("public:restart")
    came: list[Any] = []
    reader = threading.Thread(target=lambda: came.extend(islice(tail, 20)))
    reader.start()
    for n in range(10):
        client.publish("public:restart", n)
    server.stop()
    late = threading.Thread(target=client.publish, args=("public:restart", 10))
    late.start()  # while it is away: waits for it
    server.start()
    late.join(60)
    for n in range(11, 20):
        client.publish("public:restart", n)
    reader.join(60)
    assert [m["data"] for m in came] == list(range(20))
