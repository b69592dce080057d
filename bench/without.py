"""pushapp with parts taken out, to measure what they cost: gunicorn … without:app

What belongs here: what a part does while clients come, wait and are served. BENCH_WITHOUT names the
parts, with commas. Plain additions to integers stay: they cannot be taken out from here.
"""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402

from pushapp import create_app  # noqa: E402
from pushapp.metrics import Reporter  # noqa: E402
from pushapp.presence import Presence  # noqa: E402
from pushapp.tally import Histogram, Tally  # noqa: E402

PARTS: dict[str, tuple[tuple[type, str], ...]] = {
    "presence": ((Presence, "came"), (Presence, "left"), (Presence, "polled")),
    "metrics": (
        *((Histogram, "observe"), (Reporter, "write")),
        *((Tally, "answered"), (Tally, "recovered"), (Tally, "lost")),
    ),
}


def _take_out(part: str) -> None:
    for owner, name in PARTS[part]:
        getattr(owner, name)  # what is no longer there has to be noticed
        setattr(owner, name, lambda *_, **__: None)


for part in filter(None, os.environ["BENCH_WITHOUT"].split(",")):
    _take_out(part)

app = create_app()
