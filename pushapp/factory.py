"""The standalone server: a Flask app with nothing but Push in it.

What belongs here: putting it together. What does not: anything that an existing app needs, too.
"""

from __future__ import annotations

from typing import Any

from flask import Flask

from . import api, lab, metrics
from .extension import Push
from .problem import install_everywhere


def create_app(**settings: Any) -> Flask:
    """Return the app; ``settings`` go over those of the environment.

    Raises:
        SettingsError: a setting is wrong or missing.
    """
    app = Flask("pushapp", static_folder=None, template_folder=None)
    push = Push(**settings)
    push.init_app(app, embedded=False)
    api.register_health(app)
    metrics.register(app)
    lab.register(app)
    install_everywhere(app)
    return app
