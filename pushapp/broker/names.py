"""Random names: of epochs, scheduled messages, and whatever a broker must tell apart.

What belongs here: making them. What does not: what they name.
"""

from __future__ import annotations

import secrets
import string

_ALPHABET = string.digits + string.ascii_lowercase


def random_name(length: int) -> str:
    """Return ``length`` random characters that may stand in an id."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
