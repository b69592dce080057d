"""What the four clients have in common: parameters, what came, and where they stand.

What belongs here: what the contract says of any subscriber. What does not: bytes (``clients``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

from .wire import TIMEOUT, Reply, Wire

Json = dict[str, Any]


class Refused(Exception):
    """The server did not take the client: an HTTP reply, or an error and a close code."""

    def __init__(self, reply: Reply | None, error: Json, code: int | None = None) -> None:
        super().__init__(reply, error, code)
        self.reply, self.error, self.code = reply, error, code

    @property
    def status(self) -> int | None:
        """The HTTP status, or the one that the error frame names."""
        return self.reply.status if self.reply else self.error.get("status")

    @property
    def detail(self) -> str:
        detail: str = self.error["detail"]
        return detail


class Roll:
    """Who is in a channel, kept by the rule of docs/protocol.md."""

    def __init__(self) -> None:
        self.epoch, self.version = "", -1
        self.count = 0
        self.members: dict[str, Json] = {}  # by name
        self.changes: list[str] = []  # what was told, in order: "join 42", "occupied"

    def take(self, told: Json) -> None:
        """Take a list, or changes that are newer than what is known."""
        epoch, _, number = told["version"].partition(".")
        version = int(number)
        if "members" in told:
            self.members = {name_of(member): member for member in told["members"]}
        elif epoch == self.epoch and version <= self.version:
            return
        self.epoch, self.version, self.count = epoch, version, told["count"]
        for change in told["changes"]:
            if change["event"] == "join":
                member = {n: v for n, v in change.items() if n != "event"}
                self.members[name_of(change)] = member
            elif change["event"] == "leave":
                self.members.pop(name_of(change), None)
            self.changes.append(" ".join(filter(None, (change["event"], name_of(change)))))

    @property
    def names(self) -> set[str]:
        return set(self.members)


def name_of(member: Json) -> str:
    """Return a member's name: a user's id, or an anonymous one's."""
    name: str = member.get("user") or member.get("anonymous", "")
    return name


class Client:
    """One subscriber."""

    transport: ClassVar[str]
    path: ClassVar[str]
    host: ClassVar[str] = "127.0.0.1"  # the server's

    def __init__(
        self,
        port: int,
        channels: Iterable[str] = (),
        cursor: str | Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None,
        first: Json | None = None,
        **params: object,
    ) -> None:
        """``first``: what a WebSocket says to begin with; the others say nothing."""
        self.port, self.channels = port, list(channels)
        self.headers, self.params, self.first = dict(headers or {}), params, first
        self.cursor: Any = cursor  # a list stands for several; the server hands out one
        given = params.get("connection")
        self.connection: str | None = None if given is None else str(given)
        self.recovered: bool | None = None
        self.lost: list[Json] = []
        self.events: list[Json] = []  # everything that came, in order; messages have no "type"
        self.raw: list[bytes] = []  # the messages' own bytes
        self.local_ports: list[int] = []
        self._inbox: list[Json] = []
        self.there: dict[str, Roll] = {}  # channel → who is there, as far as it was told
        self.wire = self._dial()

    def open(self) -> None:
        """Ask for the channels; return when the server has told where the client stands.

        Raises:
            Refused: it did not take the client.
            Ended: the connection broke; what came before it is in ``events`` all the same.
        """
        try:
            self._open()
        except BaseException:
            self.wire.close()
            raise

    def _dial(self) -> Wire:
        wire = Wire(self.port, self.host)
        self.local_ports.append(wire.local_port)
        return wire

    def _open(self) -> None:
        raise NotImplementedError

    def _read(self) -> None:
        """Wait for something and file it."""
        raise NotImplementedError

    def target(self, **params: object) -> str:
        """Return the request target with this client's parameters and these; lists repeat one."""
        query = {"channels": self.channels, **self.params, **params}
        pairs = {name: value for name, value in query.items() if value not in (None, "")}
        return f"{self.path}?{urlencode(pairs, doseq=True, safe=':,')}"

    def receive(self, count: int = 1) -> list[Json]:
        """Wait for that many messages and return them."""
        deadline = time.monotonic() + TIMEOUT
        while len(self._inbox) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self._inbox)} of {count} messages: {self.events[-9:]}")
            self._read()
        taken, self._inbox = self._inbox[:count], self._inbox[count:]
        return taken

    def wait_for_change(self, channel: str, change: str) -> None:
        """Wait until this has been told of ``channel``."""
        deadline = time.monotonic() + TIMEOUT
        while channel not in self.there or change not in self.there[channel].changes:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not {change}: {self.events[-9:]}")
            self._read()

    def data(self, count: int = 1) -> list[Any]:
        """Wait for that many messages and return their data."""
        return [message["data"] for message in self.receive(count)]

    def wait_for(self, kind: str) -> Json:
        """Wait for the next event of this type and return it."""
        seen, deadline = len(self.events), time.monotonic() + TIMEOUT
        while True:
            for event in self.events[seen:]:
                if event.get("type") == kind:
                    return event
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {kind}: {self.events[seen:]}")
            seen = len(self.events)
            self._read()

    @property
    def waiting(self) -> list[Json]:
        """Messages that have come and were not received yet."""
        return list(self._inbox)

    @property
    def trail(self) -> list[str]:
        """The kinds of everything that came, in order."""
        return [event.get("type", "message") for event in self.events]

    def history(self, channel: str) -> list[Json]:
        """Return what came as this channel's history."""
        found = [e for e in self.events if e.get("type") == "history" and e["channel"] == channel]
        return [message for event in found for message in event["messages"]]

    def _file_message(self, raw: bytes) -> Json:
        message: Json = json.loads(raw)
        self.raw.append(raw)
        self.events.append(message)
        self._inbox.append(message)
        return message

    def _file_event(self, event: Json) -> None:
        self.events.append(event)
        if event["type"] == "welcome":
            self.connection = event["connection"]
        if event["type"] == "live":
            self.recovered, self.lost = event["recovered"], event.get("lost", [])
        if event["type"] in ("live", "heartbeat"):
            self.cursor = event["cursor"]
        if event["type"] == "presence":
            self.there.setdefault(event["channel"], Roll()).take(event)

    def wait_there(self, channel: str, *names: str) -> None:
        """Wait until these are the members of ``channel``, and no others."""
        deadline = time.monotonic() + TIMEOUT
        while channel not in self.there or self.there[channel].names != set(names):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not {names}: {self.events[-9:]}")
            self._read()

    def close(self) -> None:
        """Leave; idempotent."""
        self.wire.close()
