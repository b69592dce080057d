"""What makes an append happen once: its receipts, kept under its key.

What belongs here: keeping and finding them. What does not: appending (``log``), removing what is
too old (``upkeep``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from ...errors import KeyReused
from ..interface import AppendKey, Published, Receipt, Scheduled
from .tx import Tx

TTL = 300.0  # seconds that an idempotency key is remembered (docs/protocol.md)


def remembered(tx: Tx, key: AppendKey) -> list[Receipt] | None:
    """Return the receipts of an append under the same key.

    Raises:
        KeyReused: it was another request.
    """
    row = tx.execute(
        "SELECT fingerprint, answer FROM receipt WHERE scope = ? AND key = ? AND expires > ?",
        (key.scope, key.key, tx.now),
    ).fetchone()
    if row is None:
        return None
    if row[0] != key.fingerprint:
        raise KeyReused
    return [Published(r[0]) if len(r) == 1 else Scheduled(*r) for r in json.loads(row[1])]


def remember(tx: Tx, key: AppendKey, receipts: Sequence[Receipt]) -> None:
    """Keep ``receipts`` for a while."""
    answer = [[r.id] if isinstance(r, Published) else [r.id, r.at] for r in receipts]
    tx.execute(
        "INSERT OR REPLACE INTO receipt VALUES (?, ?, ?, ?, ?)",
        (key.scope, key.key, key.fingerprint, json.dumps(answer), tx.now + TTL),
    )
