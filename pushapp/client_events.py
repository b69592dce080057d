"""What webhooks tell of a client's publish.

What belongs here: whose publish is a client's, and the event. What does not: sending it
(``webhooks``).
"""

from __future__ import annotations

from collections.abc import Sequence

from .broker.roster import EVENTS
from .message import Draft, dump

#: Under whose name clients' idempotency keys are kept; what stands for an api key has no colon.
CLIENT, USERS = "client", "user:"


def told(drafts: Sequence[Draft], whose: str, now: float) -> list[Draft]:
    """Return what is to be appended together with ``drafts``, which ``whose`` publishes at ``now``
    (Unix seconds), so that webhooks tell of them: nothing unless that is a client."""
    if whose != CLIENT and not whose.startswith(USERS):
        return []
    user = whose.removeprefix(USERS) if whose != CLIENT else None
    head = f'{{"event":"publish","user":{dump(user)},"time":{round(now, 3)!r},"message":'
    events = [f"{head}{_message(draft)}}}" for draft in drafts]
    return [Draft(EVENTS, f"[{','.join(events)}]", "events")]


def _message(draft: Draft) -> str:
    due = "" if draft.at is None else f'"at":{draft.at!r},'
    return f'{{"channel":"{draft.channel}","event":"{draft.event}",{due}"data":{draft.data}}}'
