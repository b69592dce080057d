"""The one rule that tells whether something is missing.

What belongs here: the rule, as a pure function, and how a loss is written down. What does not:
where the numbers come from. Every broker and every follower checks by it.
"""

from __future__ import annotations


def is_complete(after: int, first_prev: int | None, last: int) -> bool:
    """Tell whether a channel lacks nothing after the number ``after``.

    ``first_prev`` is the ``prev`` of its first kept message after that point, None where there is
    no such message; ``last`` is the number of its last message, kept or not. For a channel that
    was forgotten, and for the first message of one that was born again, the floor stands in for
    the number that nobody remembers: messages up to it may have existed.
    """
    return (last if first_prev is None else first_prev) <= after
