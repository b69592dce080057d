"""The ledger can turn red: made-up books with one thing wrong each."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .books import Got, Reader, Sent, Told, Turn
from .verdict import judge

A, B = "public:a", "public:b"
COUNT = 6


def books() -> tuple[list[Sent], list[Reader], dict[str, list[Got]]]:
    """Six messages on two channels, all acknowledged, in the log, and read in two turns."""
    sent = [Sent(n, (A, B)[n % 2], f"e.{n + 1}", float(n), 1) for n in range(COUNT)]
    got = [
        Got(
            f"e.{s.number + 1}",
            f"e.{s.number - 1}" if s.number > 1 else None,
            s.channel,
            s.number,
            9,
        )
        for s in sent
    ]
    log = {channel: [g for g in got if g.channel == channel] for channel in (A, B)}
    turns = [Turn("sse", 1, list(got[:3])), Turn("poll", 2, list(got[3:]))]
    return sent, [Reader("r1", [A, B], turns)], log


Books = tuple[list[Sent], list[Reader], dict[str, list[Got]]]


def lose(books: Books) -> None:
    del books[1][0].turns[1].entries[0]


def lose_the_last(books: Books) -> None:
    del books[1][0].turns[1].entries[-1]


def double(books: Books) -> None:
    turn = books[1][0].turns[1]
    turn.entries.insert(0, books[1][0].turns[0].entries[-1])


def swap(books: Books) -> None:
    entries = books[1][0].turns[1].entries
    entries[0], entries[2] = entries[2], entries[0]


def invent(books: Books) -> None:
    books[1][0].turns[1].entries.append(Got("e.99", "e.6", B, 99, 9))


def misplace(books: Books) -> None:
    books[1][0].turns[1].entries.append(Got("e.99", "e.6", B, 4, 9))


def rename(books: Books) -> None:
    books[0][5] = Sent(5, B, "e.7", 5, 1)


def cry(books: Books) -> None:
    books[1][0].turns[1].entries.insert(0, Told(A, "e.3", "e.5", "expired"))


def cry_epoch(books: Books) -> None:
    books[1][0].turns[1].entries.insert(0, Told(A, "e.3", "e.5", "epoch"))


def forget(books: Books) -> None:
    del books[2][B][-1]


def double_in_the_log(books: Books) -> None:
    books[2][B].append(Got("e.7", "e.6", B, 5, 9))


def stumble(books: Books) -> None:
    books[1][0].trouble.append("it was refused: 500")


@pytest.mark.parametrize(
    ("harm", "kind"),
    [
        (lose, "lost"),
        (lose, "unlinked"),
        (lose_the_last, "lost"),
        (double, "twice"),
        (swap, "out of order"),
        (invent, "unknown"),
        (misplace, "unknown"),
        (rename, "another id"),
        (cry, "told falsely"),
        (cry_epoch, "told falsely"),
        (forget, "not in the log"),
        (double_in_the_log, "twice in the log"),
        (stumble, "trouble"),
    ],
)
def test_one_wrong_thing_turns_it_red(harm: Callable[[Books], None], kind: str) -> None:
    """Nothing of what the ledger is about passes unseen."""
    entries = books()
    harm(entries)
    verdict = judge(*entries)
    assert verdict.wrong[kind] >= 1 and not verdict.is_good, verdict


def test_books_that_balance_are_good() -> None:
    verdict = judge(*books())
    assert verdict.is_good, verdict.examples
    assert (verdict.deliveries, verdict.told, verdict.repeated) == (COUNT, 0, 0)


def test_what_was_not_acknowledged_may_come_once_or_not_at_all() -> None:
    """And whoever reads its channel gets it if the log has it."""
    sent, readers, log = books()
    sent[5] = Sent(5, B, None, 5.0, 3)
    assert judge(sent, readers, log).is_good
    del readers[0].turns[1].entries[-1]
    assert judge(sent, readers, log).wrong["lost"] == 1
    del log[B][-1]
    assert judge(sent, readers, log).is_good


def test_what_is_missing_may_be_told_exactly() -> None:
    """Of a hole in a channel, by its bounds."""
    sent, readers, log = books()
    del readers[0].turns[1].entries[0]  # e.4 on B
    for told, good in (
        (Told(B, "e.3", "e.6", "expired"), True),
        (Told(B, "e.3", None, "limit"), True),
        (Told(B, "e.4", "e.6", "expired"), False),
        (Told(B, "e.1", "e.4", "expired"), False),
        (Told(A, "e.3", "e.6", "expired"), False),
    ):
        entries = readers[0].turns[1].entries
        entries.insert(0, told)
        verdict = judge(sent, readers, log)
        assert verdict.is_good == good, (told, verdict)
        assert verdict.told == good
        del entries[0]


def test_after_a_log_went_back_its_end_is_told_and_its_beginning_may_come_again() -> None:
    """The last two are gone from the log; the readers come back in a new epoch."""
    sent, readers, log = books()
    log = {
        channel: [
            Got(f"f{g.id[1:]}", g.prev and f"f{g.prev[1:]}", channel, g.number, 9) for g in own
        ]
        for channel, own in log.items()
    }
    del log[A][-1], log[B][-1]
    told = [Told(A, "e.4", "f.1", "epoch"), Told(B, "e.4", "f.2", "epoch")]
    again = sorted(log[A] + log[B], key=lambda got: got.number)
    del readers[0].turns[1].entries[1:]
    readers[0].turns.append(Turn("sse", 1, [*told, *again]))

    assert judge(sent, readers, log).wrong["not in the log"] == 2
    verdict = judge(sent, readers, log, may_lose=True)
    assert verdict.is_good, verdict.examples
    assert (verdict.told, verdict.repeated) == (2, 4)
    del readers[0].turns[-1].entries[:2]
    verdict = judge(sent, readers, log, may_lose=True)
    assert verdict.wrong["lost"] == 2 and verdict.wrong["twice"] == 4
