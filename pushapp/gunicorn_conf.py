"""Settings of gunicorn for pushapp: ``gunicorn -c python:pushapp.gunicorn_conf wsgi:app``.

What belongs here: gunicorn's settings and where its hooks lead. What does not: the hooks themselves
(``worker``), which are imported within the workers only: gunicorn's master must import nothing of
ours before they have patched.
"""

from __future__ import annotations

import os
from typing import Any

bind = f"{os.environ.get('BIND', '0.0.0.0')}:{os.environ.get('PORT', '8000')}"
workers = int(os.environ.get("WEB_CONCURRENCY") or min(4, os.cpu_count() or 1))
worker_class = "gevent"
worker_connections = 20000  # above our own cap: gunicorn hangs silently at its limit
keepalive = 65  # seconds; longer than nginx's 60, so that it is not us who close under a request
timeout = 30  # seconds without a sign of a worker
graceful_timeout = 20  # seconds; Heroku kills after 30
backlog = 4096
limit_request_line = 8190  # bytes; 100 channel names fit
reuse_port = False  # an exiting worker would strand what its own queue has accepted
preload_app = False
control_socket_disable = True  # several servers of one user share its default path


def post_worker_init(worker: Any) -> None:
    from .worker import post_worker_init as hook

    hook(worker)


def pre_request(worker: Any, request: Any) -> None:
    from .worker import pre_request as hook

    hook(worker, request)


def post_request(worker: Any, request: Any, environ: Any, response: Any) -> None:
    from .worker import post_request as hook

    hook(worker, request, environ, response)


def worker_exit(server: Any, worker: Any) -> None:
    from .worker import worker_exit as hook

    hook(server, worker)
