"""A poll or a long poll that may come again: answered without the app, and just as the app would.

What belongs here: whether a request may be remembered, whether it still may be answered, and the
answer, out of the hub's window or the log. What does not: how a request is known again (``heads``,
``lane``), connections (``bay``).

The window stands for the log where the log's ``Tail``, looked at after the request has come, ends
where the window does. So whoever has seen a publish acknowledged and asks then, is never given less
than that, whichever process has acknowledged it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import flask
from flask import Flask, Request, request
from flask.sessions import SecureCookieSessionInterface

from .auth import Grant, current_token
from .broker.interface import PAGE_BYTES, PAGE_MESSAGES, Page, Tail
from .cutting import Cut
from .errors import PushError
from .handover import connection_of
from .message import Cursor
from .outlet import Lot
from .throttle import address_of
from .transports import poll
from .transports.longpoll import LongPoll
from .transports.params import Asked, match
from .window import after

if TYPE_CHECKING:
    from .extension import Push

#: Our views by their endpoints, and the functions around them.
Routes = tuple[dict[str, Callable[..., Any]], list[list[object]]]

_NOWHERE = Cursor("", 0)
_OURS = "push."  # the beginning of our endpoints' names
_SIGNALS = (
    flask.request_started,
    flask.request_finished,
    flask.request_tearing_down,
    flask.appcontext_pushed,
)


class Again:
    """What is known of one request."""

    __slots__ = (
        *(
            "_address",
            "_at",
            "_counted",
            "_cursor",
            "_empty",
            "_floor",
            "_hub",
            "_id",
            "_latest",
            "_match",
        ),
        *("_push", "_running", "_stamp", "_token", "_transport", "_until", "_user"),
        *("app", "asked", "turn", "waits"),
    )

    def __init__(
        self, push: Push, asked: Asked, grant: Grant, connection: str, waits: bool
    ) -> None:
        running = push.start()
        self.app = push.app
        self.waits = waits  # a long poll
        self._transport = "longpoll" if waits else "poll"
        self.asked = asked
        self._push, self._running, self._hub = push, running, running.hub
        self._user, self._token = grant.user, current_token()
        self._until = None if grant.seconds is None else time.monotonic() + grant.seconds
        self._id = connection if connection == asked.connection else None
        self._address = address_of(push)
        self._counted = self._address if push.api_keys.current() is None else None
        self._cursor, self._stamp = request.args.get("cursor"), request.args.get("_")
        self._match = request.headers.get("If-None-Match", "")
        self._latest: float | None = None  # see Page
        self._empty: Page | None = None  # which was at hand last
        self._at, self._floor = _NOWHERE, -1  # the point of the log at which it was so
        #: Where many ask alike: the log's tail in a turn of the loop, what was asked then, and
        #: that there was nothing. Who asks the same in the same turn is given the same.
        self.turn: tuple[Tail, Asked, Page] | None = None

    @property
    def lot(self) -> Lot:
        return self._running.lot

    # -- whether it may ------------------------------------------------------------------------

    def is_read_as(self, cut: Cut) -> bool:
        """Tell whether the app has found the values that were cut out, and no others."""
        return (cut.cursor, cut.stamp, cut.match) == (self._cursor, self._stamp, self._match)

    @property
    def keeps_id(self) -> bool:
        """Whether its connection has an id that it repeats."""
        return self._id is not None

    def id(self) -> str:
        """Return its connection's id: a new one for each request that does not repeat its own."""
        return self._id or self._push.ids.new(self._user)

    def asks(self, cursor: str | None, header: str) -> Asked:
        """Return what is asked for with another cursor, and ``header`` as If-None-Match.

        Raises:
            InvalidInput: one is no cursor.
        """
        at = None if cursor is None else Cursor.parse(cursor)
        at, etags, conditional = match(at, header)
        return self.asked._replace(cursor=at, etags=etags, conditional=conditional)

    def may(self, asked: Asked) -> bool:
        """Tell whether it may be answered now, and count it as a request; else the app says why
        not, or is asked anew."""
        if self._until is not None and time.monotonic() >= self._until:
            return False
        if asked.history and asked.cursor is None:
            return False  # a first answer has more in it
        if self._running.closed:
            return False  # the app opens the log again
        try:
            if self._token is not None:
                self._push.tokens.check(self._token)
            if self._id is not None:
                self._running.endings.check(self._id, self._user)
                if not self._running.presence.seen(self._id, asked.hold):
                    return False
            if self.waits:
                self._running.check_room(self._user, self._address)
            if self._counted is not None:
                self._push.limits.request(self._counted)
        except PushError:
            return False
        return True

    def leave_to_app(self) -> None:
        """Count as a request no longer what ``may`` has counted: the app does."""
        if self._counted is not None:
            self._push.limits.take_back(self._counted)

    # -- what there is -------------------------------------------------------------------------

    def at_hand(self, asked: Asked) -> Page | None:
        """Return what the log has for ``asked`` at this moment, out of the window; None where it
        has to be read. Never waits."""
        tail, turn = self._hub.glance.tail(), self.turn
        if turn is not None and turn[0] is tail and turn[1] is asked:
            return turn[2]
        if tail is None or tail.cursor != self._hub.window.cursor or tail.floor != self._floor:
            return None
        now, known = tail.cursor, self._at
        at = now if asked.cursor is None else asked.cursor
        recents = self._hub.window.look(asked.channels)
        if recents is None or at.epoch != now.epoch or not tail.floor <= at.n <= now.n:
            return None
        latest, news = self._latest, False
        for recent in recents:
            if recent.since > at.n or recent.begun > known.n:
                return None
            if recent.latest is not None and (latest is None or recent.latest > latest):
                latest = recent.latest
            news = news or recent.last > at.n
        if known.epoch != now.epoch:
            return None
        if not news:
            page = self._empty
            if page is None or page.cursor != now or page.latest != latest:
                page = self._empty = Page(now, latest=latest)
            if self._id is None:
                self.turn = tail, asked, page
            return page
        messages = after(recents, at.n)
        size = 4 * sum(len(message.data) for message in messages)  # bytes at most
        if tail.trimmed > at.n or len(messages) > PAGE_MESSAGES or size > PAGE_BYTES:
            return None
        return Page(now, messages, latest=latest)

    def read(self, asked: Asked) -> Page:
        """Return the same from the log; the next answer may come out of the window.

        Raises:
            LogUnavailable: the log does not answer.
        """
        window = self._hub.window
        window.keep(asked.channels)
        tail = window.tail()
        page = self._hub.log.read(asked.channels, asked.cursor)
        if tail is not None and not page.more:
            self._latest, self._at, self._floor = page.latest, page.cursor, tail.floor
        return page

    def answer(self, page: Page) -> poll.Answer:
        """Return the answer that hands ``page`` over."""
        reply = poll.answer(page, self.id())
        self.came(page)
        return reply

    def came(self, page: Page) -> None:
        """Say that a poller is there, and is due again when ``page`` tells it to come."""
        if self._id is not None and not self.waits:
            self._running.presence.seen(self._id, poll.interval(page))

    # -- waiting -------------------------------------------------------------------------------

    def must_wait(self, asked: Asked, page: Page) -> bool:
        """Tell whether a long poll waits, because there is nothing yet."""
        return self.waits and asked.cursor is not None and not (page.messages or page.lost)

    def waiting(self, asked: Asked) -> LongPoll:
        """Return the subscriber that is to wait."""
        lot, who = self._running.lot, self._running.presence
        waiting = LongPoll(self._hub, lot, who, asked, self.id(), parks=True)
        waiting.user, waiting.address = self._user, self._address
        waiting.way = self._push.tally.lane
        return waiting

    def go_on(self, waited: LongPoll, asked: Asked, cursor: Cursor) -> bool:
        """Have ``waited`` wait again, which this connection's last request had wait; False: it may
        not, as it rests no longer or is not who asks now."""
        if waited.hub is not self._hub or waited.channels != asked.channels:
            return False
        if waited.user != self._user or waited.address != self._address:
            return False
        waited.way = self._push.tally.lane
        return waited.go_on(self.hold(asked), cursor, asked, self.id())

    def count(self, page: Page) -> None:
        """Count an answer that did not have to be waited for."""
        tally = self._push.tally
        tally.answered(self._transport, len(page.messages), page.lost, tally.lane)

    def hold(self, asked: Asked) -> float:
        """Return for how many seconds it may wait."""
        if self._until is None:
            return asked.hold
        return min(asked.hold, self._until - time.monotonic())


def may_come_again(push: Push, asked: Asked, grant: Grant, connection: str, waits: bool) -> None:
    """Note on the connection that the current request may come again, where nothing but its head
    and the log decides about its answer."""
    berth = connection_of(request.environ)
    if berth is None or not push.settings.park or request.method != "GET":
        return
    values = request.args
    if asked.presence or "ticket" in values or any(len(given) > 1 for _, given in values.lists()):
        return  # lists of members are read anew, and a ticket is good once
    if push.is_watched:
        return
    berth.again = Again(push, asked, grant, connection, waits)


def is_watched(app: Flask) -> bool:
    """Tell whether ``app`` looks at requests with functions of its own, which must see them all.

    ``@authorize`` is none of those: it has said for how long its answer holds.
    """
    ours = type(app) is Flask and app.wsgi_app == Flask.wsgi_app.__get__(app)
    plain = type(app.session_interface) is SecureCookieSessionInterface
    plain = plain and app.request_class is Request
    listens = any(signal.receivers for signal in _SIGNALS)
    return not (ours and plain) or listens or any(found.get(None) for found in _functions(app))


def routes(app: Flask) -> Routes:
    """Return what is called for our own routes."""
    views = {name: view for name, view in app.view_functions.items() if name.startswith(_OURS)}
    return views, _around(app)


def are_changed(app: Flask, made: Routes) -> bool:
    """Tell whether they are not as they were ``made``: an app may wrap a view, or have a function
    called before it."""
    views, functions = made
    if list(map(app.view_functions.get, views)) != list(views.values()):
        return True
    return functions != _around(app)


def _around(app: Flask) -> list[list[object]]:
    return [list(found.get("push", ())) for found in _functions(app)]


def _functions(app: Flask) -> tuple[Mapping[str | None, Sequence[object]], ...]:
    return (
        app.before_request_funcs,
        app.after_request_funcs,
        app.teardown_request_funcs,
        app.url_value_preprocessors,
    )
