"""Publish and read over HTTP, from a cron job, a Celery task or another service.

What belongs here: one class, on the standard library alone, so that importing it costs a job next
to nothing. What does not: publishing inside the app (``Push.publish``), and anything of the server.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypedDict, Unpack, overload
from urllib.parse import quote

from .caller import Caller
from .errors import PublishFailed, RequestFailed
from .message import dump

_HOLD = 25  # seconds that the server may hold a long poll

Item = dict[str, Any]


class Options(TypedDict, total=False):
    """What may be said with a message; None is the same as left out."""

    event: str | None  # its name for the application
    ttl: float | None  # seconds
    retain: bool | None  # also kept as the channel's value, until replaced
    delay: float | None  # seconds
    at: float | None  # Unix seconds


class Client:
    """Talks to one push server; may be shared by threads.

    ``url`` is where the server is; with a path where its PUSH_PREFIX is not ``/push``.
    ``timeout``: seconds for a call with all its retries. What may pass (no connection, 429, 502,
    503, 504) is tried again until then, a publish always under one idempotency key, so that it is
    published once, however often it was sent.

        Client("https://push.example.com", api_key="…").publish("orders:7", {"state": "paid"})
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        api_key: str | None = None,
        timeout: float = 10.0,
    ) -> None:
        self._caller = Caller(url, api_key, timeout)

    @overload
    def publish(
        self,
        channel: str,
        data: object,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[Options],
    ) -> str: ...
    @overload
    def publish(
        self,
        *,
        user: str,
        data: object,
        idempotency_key: str | None = None,
        **options: Unpack[Options],
    ) -> str: ...
    @overload
    def publish(
        self,
        *,
        users: Collection[str],
        data: object,
        idempotency_key: str | None = None,
        **options: Unpack[Options],
    ) -> list[str]: ...
    @overload
    def publish(
        self,
        *,
        channels: Collection[str],
        data: object,
        idempotency_key: str | None = None,
        **options: Unpack[Options],
    ) -> list[str]: ...

    def publish(
        self,
        channel: str | None = None,
        data: object = ...,
        *,
        channels: Collection[str] | None = None,
        user: str | None = None,
        users: Collection[str] | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[Options],
    ) -> str | list[str]:
        """Publish ``data`` (any JSON value) to a channel, several channels, a user, or several.

        Return the message's id; for ``channels`` and ``users`` a list of ids. With ``delay`` or
        ``at`` it is the id that ``cancel`` takes.

        Raises:
            PublishFailed: it was not acknowledged; see ``status`` and ``detail``.
            TypeError, ValueError: ``data`` is missing or cannot be JSON.
        """
        if data is ...:
            raise TypeError("publish: data is missing")
        targets = {
            "channel": channel,
            "channels": None if channels is None else list(channels),
            "user": user,
            "users": None if users is None else list(users),
        }
        given = {name: value for name, value in {**targets, **options}.items() if value is not None}
        ids = self._publish({**given, "data": data}, idempotency_key)
        return ids[0] if channels is users is None else ids

    def publish_batch(
        self, messages: Sequence[Mapping[str, Any]], idempotency_key: str | None = None
    ) -> list[str]:
        """Publish all of ``messages`` or none; return their ids in order.

        Each is a dict with ``channel`` (or ``user``), ``data`` and, if wanted, the options of
        ``publish``.

        Raises:
            PublishFailed: nothing was acknowledged.
            TypeError, ValueError: they cannot be JSON.
        """
        return self._publish({"messages": [dict(m) for m in messages]}, idempotency_key)

    def cancel(self, scheduled_id: str) -> bool:
        """Take a scheduled message out; False where it is not in the schedule (any more).

        Raises:
            RequestFailed: the server refused, or did not answer.
        """
        try:
            self._caller.ask("DELETE", f"/scheduled/{_quoted(scheduled_id)}")
        except RequestFailed as error:
            if error.status != 404:
                raise
            return False
        return True

    def disconnect(self, *, user: str | None = None, connection: str | None = None) -> None:
        """End all connections of ``user``, or one, on every worker and machine.

        Raises:
            RequestFailed: the server refused, or did not answer.
        """
        if user is not None and connection is None:
            self._caller.ask("DELETE", f"/users/{_quoted(user)}/connections")
        elif connection is not None and user is None:
            self._caller.ask("DELETE", f"/connections/{_quoted(connection)}")
        else:
            raise TypeError("disconnect: either user or connection")

    def revoke(
        self,
        user: str | None = None,
        *,
        everybody: bool = False,
        token: str | None = None,
        before: float | None = None,
    ) -> None:
        """Let the tokens of ``user``, or of everybody, that were issued before then (Unix seconds;
        None: now) count no longer, on every worker and machine; or one ``token`` alone.

        Raises:
            RequestFailed: the server refused, or did not answer.
        """
        given = {"user": user, "everybody": everybody or None, "token": token}
        body: dict[str, object] = {name: one for name, one in given.items() if one is not None}
        if len(body) != 1:
            raise TypeError("revoke: a user, everybody=True, or a token")
        if before is not None:
            body["before"] = before
        self._caller.ask("POST", "/revoke", body=dump(body).encode())

    def history(self, channel: str, limit: int = 100) -> list[Item]:
        """Return the last ``limit`` kept messages of ``channel``, oldest first.

        Raises:
            RequestFailed: the server refused, or did not answer.
        """
        path = f"/channels/{_quoted(channel)}/history?limit={limit}"
        messages: list[Item] = self._caller.ask("GET", path)["messages"]
        return messages

    def tail(
        self, channels: str | Collection[str], cursor: str | None = None, history: int = 0
    ) -> Iterator[Item]:
        """Return an endless iterator over the messages of ``channels`` from ``cursor``, or now, on.

        The place is taken when this returns; what is published afterwards will come. It goes on
        over restarts of the server and broken connections without missing or doubling anything.
        To go on another day, hand in the last message's ``cursor`` (its ``id`` where it has none).

        What is not a message has a ``type``, as on the WebSocket: ``history`` (first, one for
        each channel, when asked for) and ``live``, which says in ``lost`` what is missing there.

        Raises:
            RequestFailed: the server refused; here also: it did not answer within the timeout.
        """
        names = [channels] if isinstance(channels, str) else list(channels)
        form = {"channels": ",".join(names)}
        if cursor:
            form["cursor"] = cursor
        elif history:
            form["history"] = str(history)
        return self._follow(names, self._caller.ask("POST", "/poll", form=form))

    def close(self) -> None:
        """Close the connections that are kept open; the client may be used again."""
        self._caller.close()

    def _publish(self, body: Mapping[str, Any], idempotency_key: str | None) -> list[str]:
        key = idempotency_key or secrets.token_urlsafe(16)
        text = dump({**body, "idempotency_key": key})
        try:
            answer = self._caller.ask("POST", "/publish", body=text.encode())
        except RequestFailed as error:
            raise PublishFailed(error, key) from None
        receipts = answer["ids"] if "ids" in answer else [answer]
        return [r if isinstance(r, str) else r.get("id") or r["scheduled"] for r in receipts]

    def _follow(self, names: list[str], answer: Item) -> Iterator[Item]:
        for channel, messages in answer.get("history", {}).items():
            yield {"type": "history", "channel": channel, "messages": messages}
        while True:
            if not answer["recovered"]:
                yield {"type": "live", **{k: answer[k] for k in ("cursor", "recovered", "lost")}}
            yield from answer["messages"]
            time.sleep(answer.get("advice", {}).get("reconnect", 0) / 1000)
            form = {
                "channels": ",".join(names),
                "cursor": answer["cursor"],
                "connection": answer["connection"],
                "timeout": str(_HOLD),
            }
            answer = self._caller.ask(
                "POST", "/longpoll", form=form, hold=_HOLD, deadline=float("inf")
            )


def _quoted(name: str) -> str:
    return quote(name, safe="")
