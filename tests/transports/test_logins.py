"""The examples with logins: who is logged in listens, on each transport, until they log out.

What belongs here: ``@push.user`` and ``@push.authorize`` with the app's own session. What does not:
publishing with one (``test_session``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from ..clients import Client, Refused
from ..jwts import token
from ..server import API_KEY, Server, until
from ..wire import Wire
from .conftest import Connect
from .test_tokens import until_refused
from .waiting import ask

CONFIG = "python:pushapp.gunicorn_conf"
KEY = "a secret key of the examples, long enough"


@pytest.fixture(scope="module", params=["flask_login", "session"])
def host(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server of each example in turn."""
    directory, app = tmp_path_factory.mktemp("login"), f"tests.apps.logins:{request.param}"
    server = Server(directory, app=app, config=CONFIG, SECRET_KEY=KEY).start()
    yield server
    server.stop()


def log_in(server: Server, user: str) -> dict[str, str]:
    """Return the headers of a browser in which ``user`` is logged in."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = server.ask("POST", "/login", form, f"user={user}".encode())
    assert reply.status == 200, reply
    return {"Cookie": reply.header("Set-Cookie").partition(";")[0]}


@pytest.fixture
def listen(host: Server, transport: str, connect: Connect) -> Connect:
    return partial(connect, transport, host)


def test_who_is_logged_in_listens_to_their_rooms(listen: Connect, host: Server) -> None:
    """To what is for them alone, too, and to what is for everyone."""
    client = listen(["room:1", "user:ann", "everyone"], headers=log_in(host, "ann"))
    host.publish("room:1", 1)
    host.post({"users": ["ann", "bob"], "data": 2})
    host.publish("everyone", 3)
    assert client.data(3) == [1, 2, 3]


@pytest.mark.parametrize(
    ("user", "channel", "status"),
    [
        ("ann", "room:2", 403),
        ("ann", "user:bob", 403),
        ("ann", "orders:7", 403),
        (None, "room:1", 401),
        (None, "user:ann", 401),
        (None, "everyone", 401),
    ],
)
def test_others_rooms_are_denied(
    listen: Connect, host: Server, user: str | None, channel: str, status: int
) -> None:
    """401 where it is not known who asks, or a token might do."""
    headers = log_in(host, user) if user else {}
    with pytest.raises(Refused) as refused:
        listen([channel], headers=headers, first={"op": "ping"})
    assert refused.value.status == status
    assert refused.value.code in (None, 1008)


def test_who_logs_out_hears_no_more(listen: Connect, host: Server) -> None:
    """On this transport, at once; another person's client goes on."""
    headers = log_in(host, "ann")
    client, other = (
        listen(["room:1"], headers=headers),
        listen(["room:2"], headers=log_in(host, "bob")),
    )
    assert host.ask("POST", "/logout", headers).status == 200
    assert until_refused(client).status == 403
    host.publish("room:2", "on")
    assert other.data() == ["on"]


def test_a_connection_is_theirs_who_is_logged_in(host: Server) -> None:
    """It is known again for them, and for nobody else: a stolen id is of no use."""
    ann, bob = log_in(host, "ann"), log_in(host, "bob")
    wire = Wire(host.port)

    def connection(headers: dict[str, str], given: str = "") -> str:
        reply = ask(wire, "/push/poll", "public:a", headers, connection=given)
        assert reply.status == 200
        return str(reply.json["connection"])

    theirs = connection(ann)
    assert connection(ann, theirs) == theirs
    assert connection(bob, theirs) != theirs
    assert connection({}, theirs) != theirs
    wire.close()


def test_a_foreign_page_is_nobody(host: Server) -> None:
    """The cookie that it makes a visitor's browser send does not say who asks."""
    headers = {**log_in(host, "ann"), "Origin": "https://evil.example"}
    for channel in ("user:ann", "everyone", "room:1"):
        wire = Wire(host.port)
        assert ask(wire, "/push/poll", channel, headers).status == 401
        wire.close()


def test_a_sessions_stream_takes_no_other_users_token(host: Server, connect: Connect) -> None:
    """It goes on as theirs; their own token is taken."""
    client: Any = connect("websocket", host, ["room:1"], headers=log_in(host, "ann"))
    for user, ok in (("bob", False), ("ann", True)):
        reply = client.ask("refresh", token=token("room:*", user=user))
        assert reply["ok"] is ok
        assert ok or (reply["error"]["status"] == 403 and "another" in reply["error"]["detail"])
    assert connected_as(host, client) == "ann"


def connected_as(host: Server, client: Client) -> str | None:
    """Return whose connection an api key sees, once it is listed."""

    def found() -> list[str | None]:
        listed = host.look("/push/connections?limit=1000", API_KEY)["connections"]
        return [one["user"] for one in listed if one["id"] == client.connection]

    (user,) = until(found, "it is listed")
    return str(user)


def test_a_stream_ends_when_somebody_else_is_logged_in(
    make_server: Callable[..., Server], connect: Connect
) -> None:
    """It was another person's, also where both may listen."""
    app = "tests.apps.logins:changing"
    server = make_server(app=app, config=CONFIG, SECRET_KEY=KEY, WEB_CONCURRENCY=1)
    clients: list[Client] = [connect(how, server, ["room:1"]) for how in ("sse", "websocket")]
    server.publish("room:1", "before")
    assert [client.data() for client in clients] == [["before"]] * 2
    for user in ("bob", ""):
        assert server.ask("POST", f"/become?user={user}").status == 200
        for client in clients:
            end = until_refused(client)
            assert end.status == 401 and "known" in end.detail
        clients = [connect("sse", server, ["room:1"])]
