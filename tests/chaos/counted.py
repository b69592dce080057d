"""The server of a soak: the real one, which also says how many greenlets it has."""

from __future__ import annotations

import gc

from greenlet import greenlet

from pushapp import create_app

app = create_app()


@app.get("/greenlets")
def greenlets() -> dict[str, int]:
    """Count those that have not ended."""
    gc.collect()
    found = [one for one in gc.get_objects() if isinstance(one, greenlet) and not one.dead]
    return {"greenlets": len(found)}
