"""The Push of the app that is answering the current request."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import flask

if TYPE_CHECKING:
    from .extension import Push


def current_push() -> Push:
    """Return the Push that was put into the current app."""
    return cast("Push", flask.current_app.extensions["push"])
