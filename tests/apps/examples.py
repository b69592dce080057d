"""Examples that are apps, as they are, ready to be started by the tests.

Settings come from the environment, as everywhere.
"""

from __future__ import annotations

from examples.bell import app as bell
from examples.orders.app import app as orders

for each in (bell, orders):
    for path in ("/readyz", "/healthz"):
        each.add_url_rule(path, path, lambda: "ready")
