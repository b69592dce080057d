"""Push messages from a synchronous Flask app to browsers, over every transport, with one cursor.

Importing this does nothing: names are looked up when they are used, so that a publisher in another
service loads neither Flask nor gevent, and gunicorn's master patches before anything is imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Client as Client
    from .errors import PushError as PushError
    from .extension import Push as Push
    from .factory import create_app as create_app
    from .signature import verify_webhook as verify_webhook

__all__ = ["Client", "Push", "PushError", "create_app", "verify_webhook"]

_HOMES = {
    "Client": "client",
    "Push": "extension",
    "PushError": "errors",
    "create_app": "factory",
    "verify_webhook": "signature",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
