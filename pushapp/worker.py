"""gunicorn's hooks: where a worker of it becomes one of ours.

What belongs here: what gunicorn calls, and when. What does not: what is then done with connections
(``yard``), settings of gunicorn (``gunicorn_conf``).
"""

from __future__ import annotations

import gc
import logging
import sys
from typing import Any

import gevent
from gevent.monkey import is_module_patched
from gunicorn.workers.ggevent import GeventWorker

from . import metrics
from .errors import LogUnavailable
from .extension import live_pushes
from .yard import Yard

_PATCHED = ("socket", "ssl", "select", "threading", "time")


def post_worker_init(worker: Any) -> None:
    """Check that the worker fits, and take its connections in hand."""
    missing = [name for name in _PATCHED if not is_module_patched(name)]
    if missing or not isinstance(worker, GeventWorker):
        worker.log.error(
            "pushapp needs gunicorn's gevent worker, started before anything else is imported"
            " (worker_class = 'gevent'); not patched here: %s",
            ", ".join(missing) or "nothing, but the worker is no gevent worker",
        )
        sys.exit(4)  # gunicorn's APP_LOAD_ERROR: the master stops, too
    worker.pushapp_yard = Yard(worker)
    _log_as_gunicorn_does(worker)
    for push in live_pushes():
        try:
            push.start()
        except LogUnavailable as error:  # each request tries again; /readyz is red until then
            worker.log.error("pushapp starts without its log (see pushapp doctor): %s", error)
    _report(worker)
    _keep_what_is_loaded()


def _keep_what_is_loaded() -> None:
    """Let the collector pass over what is there for good: modules, the app and its libraries.

    Each full collection looked at all of it again, 56,000 objects, and held everybody up for most
    of its time: with 9,000 clients beside them 85 ms of CPU before, 13 ms after.
    """
    gc.collect()  # what is garbage now would stay
    gc.freeze()


def _report(worker: Any) -> None:
    """Say each second where all workers look what this one has counted."""
    place = getattr(worker, "pushapp_place", None)
    if place is None:
        return  # the server's own configuration has a pre_fork that is not ours
    worker.pushapp_reporter = metrics.Reporter(place[0], place[1], _measure_all)
    gevent.spawn(worker.pushapp_reporter.run)
    for push in live_pushes():
        push.reporter = worker.pushapp_reporter


def _measure_all() -> list[float]:
    return metrics.measure(live_pushes())


def _log_as_gunicorn_does(worker: Any) -> None:
    """Send our lines where gunicorn's go, unless the app has set up logging itself."""
    ours = logging.getLogger(__package__)
    if not ours.handlers and not logging.getLogger().handlers:
        ours.handlers = list(worker.log.error_log.handlers)
        ours.setLevel(worker.log.error_log.level)


def pre_request(worker: Any, request: Any) -> None:
    """Note that a request is in progress on this connection."""
    worker.pushapp_yard.request_begins()


def post_request(worker: Any, request: Any, environ: Any, response: Any) -> None:
    """Note that it is no longer."""
    worker.pushapp_yard.request_ends()


def worker_exit(server: Any, worker: Any) -> None:
    """Wait for the drain, and let go of the log."""
    yard = getattr(worker, "pushapp_yard", None)
    if yard is not None and not worker.alive and not worker.aborted:
        yard.drain.wait()
    for push in live_pushes():
        push.close()
    reporter = getattr(worker, "pushapp_reporter", None)
    if reporter is not None:
        reporter.write()  # what the last second brought
