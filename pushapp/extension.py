"""``Push``: what a Flask developer puts into an app.

What belongs here: the one object that holds settings, log, hub and gate together, and its routes.
What does not: what any of them does.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

from flask import Blueprint, Flask

from . import api, console, metrics, pages, people, power, subscribe
from .again import Routes, are_changed, is_watched, routes
from .api_keys import ApiKeys
from .auth import Gate
from .background import spread
from .broker.interface import Broker
from .calls import Calls
from .connection_ids import ConnectionIds
from .cors import allow_pages
from .errors import SettingsError
from .hub import Hub
from .limits import Limits
from .outlet import Lot
from .presence import Presence
from .problem import install
from .running import Running
from .settings import Settings, load
from .tally import Tally
from .throttle import count_request
from .tickets import Tickets
from .tokens import Tokens

_pushes: weakref.WeakSet[Push] = weakref.WeakSet()


def live_pushes() -> list[Push]:
    """Return every Push of this process that was put into an app."""
    return list(_pushes)


class Push(Calls):
    """Messages from a Flask app to browsers: ``push = Push(app)``.

    Settings come from the environment, over it from ``app.config``, over it from the keywords
    here, all under the names of the table in docs/protocol.md.
    """

    def __init__(self, app: Flask | None = None, **settings: Any) -> None:
        self._given = settings
        self._lock = threading.Lock()
        self._running: Running | None = None
        self._app: Flask | None = None
        self._routes: Routes = {}, []  # as we have made them
        self.settings = Settings()
        self.api_keys = ApiKeys(())
        self.tokens = Tokens(self.settings)
        self.gate = Gate(self.settings, self.api_keys, self.tokens)
        self.ids, self.tickets = ConnectionIds(), Tickets()
        self.limits = Limits(self.settings.quota)
        self.tally = Tally()
        self.reporter: metrics.Reporter | None = None  # in a worker of gunicorn that has our hooks
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, *, embedded: bool = True) -> None:
        """Put the routes into ``app``; nothing is opened before the first use.

        Raises:
            SettingsError: a setting is wrong or missing.
        """
        found: dict[str, object] = dict(os.environ)
        found |= {k: v for k, v in app.config.items() if k.startswith(("PUSH_", "SECRET_KEY"))}
        found |= self._given
        self.settings = load(found, embedded=embedded)
        if not self.settings.secret:
            raise SettingsError("PUSH_SECRET", None, "it, or the app's SECRET_KEY")
        self.api_keys = ApiKeys(self.settings.api_keys)
        self.tokens = Tokens(self.settings)
        self.gate.use(self.settings, self.api_keys, self.tokens)
        secrets = (self.settings.secret, *self.settings.old_secrets)
        self.ids, self.tickets = ConnectionIds(*secrets), Tickets(*secrets)
        self.limits = Limits(self.settings.quota)
        self.tally.is_latest_only = self.settings.is_latest_only
        self._app = app
        app.extensions["push"] = self
        blueprint = Blueprint("push", __name__, url_prefix=self.settings.prefix)
        install(blueprint, self.settings.prefix)
        blueprint.before_request(count_request)
        subscribe.register(blueprint)
        api.register(blueprint)
        people.register(blueprint)
        power.register(blueprint)
        pages.register(blueprint)
        console.register(blueprint)
        blueprint.add_url_rule("/metrics", view_func=metrics.view)
        blueprint.after_request(lambda response: allow_pages(response, self.settings))
        app.register_blueprint(blueprint)
        self._routes = routes(app)
        _pushes.add(self)

    @property
    def app(self) -> Flask:
        """The app that it was put into."""
        assert self._app is not None, "Push() has no app yet: call init_app(app)"
        return self._app

    @property
    def is_watched(self) -> bool:
        """Whether the app looks at requests itself, or has put something before one of our routes:
        both must see them all."""
        return is_watched(self.app) or are_changed(self.app, self._routes)

    # -- what is open --------------------------------------------------------------------------

    def start(self) -> Running:
        """Open the log and follow it, once per process.

        Raises:
            LogUnavailable: it cannot be opened.
        """
        if running := self.running:
            return running
        with self._lock:
            running = self.running
            if running is None:
                running = self._running = Running(self, self.app)
        return running

    def close(self) -> None:
        """Let go of the log; the next use opens it again."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None and running.pid == os.getpid():
            running.close()

    @property
    def broker(self) -> Broker:
        return self.start().broker

    @property
    def hub(self) -> Hub:
        return self.start().hub

    @property
    def presence(self) -> Presence:
        return self.start().presence

    @property
    def lot(self) -> Lot:
        return self.start().lot

    def connection_id(self, given: str | None, user: str | None) -> str:
        """Return ``given`` where it is this user's, else a new id.

        Raises:
            ConnectionEnded: it was theirs.
        """
        if not given or not self.ids.check(given, user):
            return self.ids.new(user)
        self.start().endings.check(given, user)
        return given

    @property
    def running(self) -> Running | None:
        """What this process has open, None where it has not been used yet."""
        running = self._running
        return running if running is not None and running.pid == os.getpid() else None

    def drain(self) -> None:
        """Let all clients go, spread so that their return does not storm the other workers."""
        if running := self.running:
            running.hub.drain(spread(len(running.hub)))

    @property
    def unsent(self) -> int:
        """Bytes that clients have still to take."""
        return running.lot.unsent if (running := self.running) else 0
