"""What ``gunicorn wsgi:app`` reads here by itself."""

from pushapp.gunicorn_conf import *  # noqa: F403
