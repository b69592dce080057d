"""The one connection that a follower hears its wake-ups on.

What belongs here: keeping it, subscribing, noticing that it is gone or dead. What does not: what a
wake-up means (``follow``).
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Collection
from typing import Any, Protocol

from redis.exceptions import ConnectionError as BrokenConnection

from ...errors import LogUnavailable
from ...message import Cursor
from ..names import random_name
from .server import PATIENCE, TROUBLE, Server, unavailable

_CONTROL = "!control"  # no channel may have such a name: what wakes everybody
_LOOK = 1.0  # seconds
_SILENCE = 3.0  # seconds that a mark may take; a connection without it is dead
_FIRST_PAUSE, _LAST_PAUSE = 0.05, 1.0  # seconds between attempts
_AT_ONCE = 500  # names in one SUBSCRIBE

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who is told; see ``RedisFollower``."""

    def wanted(self) -> list[str]: ...
    def forget(self) -> None: ...
    def begin(self) -> None: ...
    def hear(self, channel: str | None, at: Cursor) -> None: ...
    def wake(self) -> None: ...


class Ear:
    """Listens in a thread of its own, and connects again for as long as it takes."""

    def __init__(self, server: Server, listener: Listener) -> None:
        self._server, self._listener = server, listener
        self._mark = f"!{random_name(12)}"  # under which our own looks come back to us
        self._marked: float | None = None  # since when one is on its way
        self._mark_came = 0.0
        self._state = threading.Condition()
        self._subscribed: set[str] = set()  # confirmed on this connection
        self._missing: set[str] = set()  # ... and what has to be, before it is of use
        self._connection: Any = None
        self._sending = threading.Lock()
        self._closed = False
        self.trouble: Exception | None = None  # why it hears nothing now
        self._thread = threading.Thread(target=self._run, name="pushapp-ear", daemon=True)
        self._thread.start()

    @property
    def mark(self) -> str:
        """The name under which a look's answer is to be sent here, too."""
        return self._mark

    def expect_mark(self, asked: float) -> None:
        """A look that was sent at ``asked`` (monotonic seconds) was answered: its mark is due."""
        if self._marked is None and self._mark_came < asked:
            self._marked = time.monotonic()

    def subscribe(self, channels: Collection[str]) -> list[str]:
        """Return when every wake-up of ``channels`` from now on is heard; which were waited for.

        Raises:
            LogUnavailable: that takes too long.
        """
        deadline = time.monotonic() + PATIENCE
        with self._state:
            missing = [channel for channel in channels if channel not in self._subscribed]
            if missing and self._connection is not None:  # else the next one asks for all of them
                self._send("SUBSCRIBE", missing)
            while missing and (self._missing or not self._subscribed.issuperset(missing)):
                if self._closed or not self._state.wait(deadline - time.monotonic()):
                    raise LogUnavailable(
                        f"Valkey/Redis: cannot listen: {self.trouble or 'silence'}"
                    )
        return missing

    def wait_until_it_hears(self, timeout: float) -> None:
        """Return when it does; after a lost connection that takes a moment.

        Raises:
            LogUnavailable: not within ``timeout`` seconds.
        """
        if self.trouble is None:
            return
        with self._state:
            self._state.wait_for(lambda: self.trouble is None or self._closed, timeout)
            if self.trouble is not None and not self._closed:
                raise LogUnavailable(str(self.trouble))

    def unsubscribe(self, channels: Collection[str]) -> None:
        """Hear of them no longer, but for those that are wanted again."""
        if not channels:
            return
        with self._state:
            known = self._subscribed.intersection(channels).difference(self._listener.wanted())
            self._subscribed.difference_update(known)
            self._send("UNSUBSCRIBE", known)

    def _send(self, command: str, channels: Collection[str]) -> None:
        names = [self._server.wakes + channel for channel in channels]
        connection = self._connection
        try:
            with self._sending:
                for i in range(0, len(names), _AT_ONCE):
                    if connection is not None and connection.is_connected:
                        connection.send_command(command, *names[i : i + _AT_ONCE])
        except TROUBLE as error:
            log.debug("subscribing has to wait: %s", error)  # whoever reads finds it broken, too

    # -- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._closed:
            try:
                self._attach()
                while not self._closed:
                    self._hear()
                    if self.trouble is None:  # not sooner: who may not listen would try for ever
                        pause = _FIRST_PAUSE
            except TROUBLE as error:
                self._detach(unavailable(error))
            except Exception as error:
                # Whoever closes a connection that is being read from makes redis-py fail somehow.
                if self._connection is not None and self._connection.is_connected:
                    log.exception("listening to the log failed; trying again")
                self._detach(error)
            if not self._closed:
                time.sleep(pause * random.uniform(0.5, 1))
                pause = min(2 * pause, _LAST_PAUSE)

    def _attach(self) -> None:
        connection = self._server.connect()
        with self._state:
            if self._closed:
                connection.disconnect()
                return
            self._listener.forget()
            names = {self._mark, _CONTROL, *self._listener.wanted()}
            self._connection, self._subscribed, self._missing = connection, set(), set(names)
            self._marked = None
            self._send("SUBSCRIBE", names)

    def _detach(self, error: Exception) -> None:
        with self._state:
            connection, self._connection = self._connection, None
            self._subscribed, self.trouble = set(), error
        if connection is not None:
            connection.disconnect()
        self._listener.wake()

    def _hear(self) -> None:
        connection = self._connection
        if connection is None or not connection.is_connected:  # it would connect by itself, unseen
            raise BrokenConnection("the connection for wake-ups ended")
        if not connection.can_read(_LOOK):
            if self._marked is not None and time.monotonic() - self._marked > _SILENCE:
                raise BrokenConnection("no answer on the connection for wake-ups")
            return
        kind, name, text = connection.read_response()
        channel = name.removeprefix(self._server.wakes)
        if kind == "message":
            self._take(channel, text)
        elif kind == "subscribe":
            self._confirm(channel)

    def _take(self, channel: str, text: str) -> None:
        if channel == _CONTROL:
            return self._listener.wake()
        if channel == self._mark:
            self._marked, self._mark_came = None, time.monotonic()
        at = Cursor.parse(text)
        self._server.saw(*at)
        if not self._missing:  # until then what is heard does not tell of everything before it
            self._listener.hear(None if channel == self._mark else channel, at)

    def _confirm(self, channel: str) -> None:
        with self._state:
            self._subscribed.add(channel)
            if self._missing:
                self._missing.discard(channel)
                if not self._missing:
                    if self.trouble is not None:
                        log.warning("listening to the log again")
                    self.trouble = None
                    self._listener.begin()
            self._state.notify_all()

    def close(self) -> None:
        """Stop listening; idempotent."""
        self._closed = True
        with self._state:
            connection, self._connection = self._connection, None
            self._state.notify_all()
        if connection is not None:
            connection.disconnect()
        if threading.current_thread() is not self._thread:
            self._thread.join(PATIENCE)
