"""The pages and scripts that the server serves.

What belongs here: the routes of static files and templates. What does not: what they show.
"""

from __future__ import annotations

from flask import Blueprint, Flask


def register(blueprint: Blueprint) -> None:
    """Put push.js and jQuery under the prefix."""


def register_demo(app: Flask) -> None:
    """Put the demo page at the root."""
