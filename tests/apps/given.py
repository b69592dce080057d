"""gunicorn's settings, and a line in its log for each request that gunicorn itself handles.

What belongs here: telling who has handled a request. What does not: who should
(``transports/test_porter``).
"""

from __future__ import annotations

from typing import Any

from pushapp.gunicorn_conf import *  # noqa: F403

workers = 1


def post_worker_init(worker: Any) -> None:
    """Have it told; the worker's hook comes first, as always."""
    from pushapp.worker import post_worker_init as hook

    hook(worker)
    handle = worker.handle_request

    def told(listener: Any, request: Any, *more: Any) -> None:
        worker.log.info("given %s after %d answers", request.path, worker.nr)
        handle(listener, request, *more)

    worker.handle_request = told
