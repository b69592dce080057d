"""What a worker of gunicorn does when it has loaded the app."""

from __future__ import annotations

import gc

from pushapp.worker import _keep_what_is_loaded


def test_the_collector_passes_over_what_is_loaded() -> None:
    """All that is there; what comes later is looked at as ever."""
    before = len(gc.get_objects())
    try:
        _keep_what_is_loaded()
        assert gc.get_freeze_count() > before / 2
        assert len(gc.get_objects()) < before / 10
    finally:
        gc.unfreeze()
