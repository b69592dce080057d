"""Looking at who is there: members page by page, a user, connections; over both kinds of log.

What belongs here: the routes and the op. What does not: what subscribers are told
(``test_presence``).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from ..clients import TRANSPORTS, Client
from ..jwts import by_hand, claims, token
from ..server import PUBLISH_KEY, READ_KEY, SECRET, Server, until
from ..subscriber import name_of
from .conftest import Connect, Open


@pytest.fixture
def room() -> str:
    """A channel that only tokens open, and no other test knows."""
    return f"room:{uuid.uuid4().hex}"


@pytest.fixture
def user() -> str:
    """A user that no other test knows."""
    return uuid.uuid4().hex


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def wait_for(server: Server, target: str, condition: Callable[[Any], bool]) -> Any:
    """Return what an api key sees at ``target``, once it is as it shall be."""
    seen: list[Any] = []

    def look() -> bool:
        seen.append(server.look(target))
        return condition(seen[-1])

    until(look, f"{target} is as it shall be: {seen[-1:]}")
    return seen[-1]


def test_a_user_and_their_connections(
    server: Server, connect: Connect, room: str, user: str
) -> None:
    """Whether they are there, by what, since when, and in which channels."""
    nobody = server.look(f"/push/users/{user}")
    assert nobody == {
        **{"user": user, "online": False, "since": None},
        **{"transports": [], "connections": [], "more": False},
    }
    clients: list[Client] = []
    for transport in TRANSPORTS:
        client = connect(transport, server, [room], headers=bearer(token(room, user=user)))
        if transport in ("poll", "longpoll"):
            client._read()
        clients.append(client)

    seen = wait_for(server, f"/push/users/{user}", lambda it: len(it["connections"]) == 4)

    assert seen["online"] and seen["transports"] == sorted(TRANSPORTS)
    assert {c["id"]: c["transport"] for c in seen["connections"]} == {
        client.connection: client.transport for client in clients
    }
    assert all(c["channels"] == [room] for c in seen["connections"])
    assert seen["since"] == min(c["since"] for c in seen["connections"])
    last = seen["connections"][-1]["id"]
    pages = [("limit=1", [0], True), (f"limit=1&after={last}", [], False)]
    for query, shown, more in pages:  # the figures are of all, and not of a page
        page = server.look(f"/push/users/{user}?{query}")
        assert page == {
            **seen,
            **{"connections": [seen["connections"][n] for n in shown], "more": more},
        }
    about = server.look(f"/push/channels/{room}")
    assert about["online"] == 1


def test_connections_page_by_page(server: Server, connect: Connect, room: str, user: str) -> None:
    """All of them, in one order, each once; or those of a user."""
    mine = [
        connect("websocket", server, [room], headers=bearer(token(room, user=user)))
        for _ in range(5)
    ]
    wait_for(server, f"/push/users/{user}", lambda it: len(it["connections"]) == 5)

    found: list[str] = []
    after, more = "", True
    while more:
        page = server.look(f"/push/connections?user={user}&limit=2&after={after}")
        assert all(c["user"] == user for c in page["connections"])
        found += [c["id"] for c in page["connections"]]
        after, more = found[-1], page["more"]

    assert found == sorted(found) and set(found) == {client.connection for client in mine}
    everybody = {c["id"] for c in server.look("/push/connections?limit=1000")["connections"]}
    assert set(found) <= everybody


def test_members_page_by_page(server: Server, connect: Connect, open_ws: Open, room: str) -> None:
    """Over HTTP and on a WebSocket, in the same order; whoever may subscribe may ask."""
    users = [f"user-{n}" for n in range(5)]
    for name in users:
        connect("websocket", server, [room], headers=bearer(token(room, user=name)))
    path = f"/push/channels/{room}/presence"
    whole = wait_for(server, path, lambda it: it["count"] == 5)
    assert list(map(name_of, whole["members"])) == users and "more" not in whole

    mine = bearer(token(room))
    first = server.ask("GET", f"{path}?limit=3", mine).json
    assert (first["count"], first["more"], len(first["members"])) == (5, True, 3)
    rest = server.ask("GET", f"{path}?limit=3&after={first['next']}", mine).json
    assert list(map(name_of, first["members"] + rest["members"])) == users

    asker = open_ws([], headers=mine)
    reply = asker.ask("presence", channel=room, after=first["next"])
    assert reply["ok"] and reply["members"] == rest["members"] and reply["channel"] == room
    refused = asker.ask("presence", channel="room:other")
    assert not refused["ok"] and refused["error"]["status"] == 403


@pytest.mark.parametrize(
    ("fields", "blamed"),
    [({}, "channel"), ({"channel": "a/b"}, "channel"), ({"channel": 1}, "channel")]
    + [({"channel": "public:a", "after": 1}, "after"), ({"channel": "public:a", "x": 1}, "x")],
)
def test_a_wrong_op_names_its_field(
    open_ws: Open, channel: str, fields: dict[str, object], blamed: str
) -> None:
    """The connection goes on."""
    client = open_ws([channel])
    reply = client.ask("presence", **fields)
    assert not reply["ok"] and reply["error"]["field"] == blamed
    assert client.ask("ping")["ok"]


@pytest.mark.parametrize("target", ["/push/users/42", "/push/connections"])
def test_looking_needs_a_key_that_may(server: Server, target: str) -> None:
    """Not a token, and not a key that publishes alone."""
    assert server.ask("GET", target).status == 401
    assert server.ask("GET", target, bearer(token("a:*"))).status == 401
    assert server.ask("GET", target, bearer(PUBLISH_KEY)).status == 403
    assert server.ask("GET", target, bearer(READ_KEY)).status == 200


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ("/push/connections?limit=0", "limit"),
        ("/push/channels/public:a/presence?limit=1001", "limit"),
        ("/push/users/a%20b", "user"),
        ("/push/users/..", "user"),  # as it stands there: most clients ask for /push/
        ("/push/connections?user=", "user"),
        ("/push/connections?user=a%20b", "user"),
        ("/push/connections?user=%C3%A9", "user"),
        ("/push/poll?channels=public:a&presence=yes", "presence"),
    ],
)
def test_wrong_parameters_are_named(server: Server, target: str, field: str) -> None:
    """With what came and what was expected."""
    reply = server.ask("GET", target, bearer(READ_KEY))
    assert reply.status == 400 and reply.json["field"] == field


def test_what_no_browser_could_read_is_no_member(server: Server, room: str) -> None:
    """Infinity, and half of a surrogate pair: such a token is refused, and disturbs nobody."""
    for member in (float("inf"), "\ud800"):
        payload = claims(channels=[room], member=member)
        wrong = by_hand({"alg": "HS256"}, payload, SECRET.encode())
        reply = server.ask("GET", f"/push/poll?channels={room}", bearer(wrong))
        assert reply.status == 401 and "member" in reply.json["detail"]
