"""gunicorn's settings for the standalone server; they are explained in pushapp/gunicorn_conf.py."""

from pushapp.gunicorn_conf import *  # noqa: F403
from pushapp.gunicorn_conf import checked

checked(embedded=False)
