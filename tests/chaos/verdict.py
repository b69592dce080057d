"""What the books prove: acknowledged = delivered, once, in order, or told for exactly that.

What belongs here: comparing what was sent, what the log has and what each reader got. What does
not: how any of that came to be written down, and how it is printed (``report``).

The rules, for each reader and each of its channels:

* What is in the log has come, and nothing that nobody published.
* What was acknowledged is in the log (unless a fault was one that loses) or was told as lost.
* Nothing comes twice, nothing after what is younger, and ``prev`` links each to the one before.
  Only after ``lost`` with reason ``epoch`` the log may be handed out again from its beginning.
* ``lost`` is told only where something is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pushapp.message import Cursor

from .books import Got, Reader, Sent, Told

_EXAMPLES = 20  # shown; the rest is counted

WRONG = (
    "lost",  # it has not come, and nobody told
    "twice",
    "out of order",
    "unlinked",  # its prev is not what came before
    "unknown",  # nobody published it there
    "another id",  # than the one that was acknowledged
    "told falsely",  # lost, where nothing is missing
    "not in the log",  # acknowledged, and gone without a fault that explains it
    "twice in the log",
    "trouble",  # a reader or publisher met what no fault explains
)


@dataclass(slots=True)
class Verdict:
    """How the books balance."""

    deliveries: int = 0
    told: int = 0  # messages that did not come, of which the reader was told
    repeated: int = 0  # deliveries of what a reader had, after it was told of a new epoch
    wrong: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def blame(self, kind: str, what: object) -> None:
        assert kind in WRONG
        self.wrong[kind] += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"{kind}: {what}")

    @property
    def is_good(self) -> bool:
        return not self.wrong


def judge(
    sent: Sequence[Sent],
    readers: Sequence[Reader],
    log: Mapping[str, Sequence[Got]],
    *,
    may_lose: bool = False,
) -> Verdict:
    """Compare the books; ``log`` is what each channel has at the end, oldest first.

    ``may_lose``: there was a fault after which what was acknowledged may be gone, if it is told.
    """
    verdict = Verdict()
    book = {entry.number: entry for entry in sent}
    kept = {channel: _check_log(messages, book, verdict) for channel, messages in log.items()}
    acknowledged: dict[str, set[int]] = {channel: set() for channel in log}
    for entry in sent:
        if entry.id is not None:
            acknowledged[entry.channel].add(entry.number)
    gone = {channel: acknowledged[channel] - kept[channel] for channel in log}
    if not may_lose:
        for channel, numbers in gone.items():
            for number in numbers:
                verdict.blame("not in the log", f"{book[number]} of {channel}")
    for reader in readers:
        for trouble in reader.trouble:
            verdict.blame("trouble", f"{reader.name}: {trouble}")
        lines = {channel: _Line(reader.name, channel, book, verdict) for channel in reader.channels}
        for turn in reader.turns:
            _check_turn(turn.entries, reader.name, verdict)
            for entry in turn.entries:
                if entry.channel not in lines:
                    verdict.blame("unknown", f"{reader.name}: {entry}")
                elif isinstance(entry, Told):
                    lines[entry.channel].tell(entry)
                else:
                    lines[entry.channel].take(entry)
        for channel, line in lines.items():
            line.end(kept[channel], gone[channel], may_be_new_epoch=may_lose)
    return verdict


def _check_log(messages: Sequence[Got], book: Mapping[int, Sent], verdict: Verdict) -> set[int]:
    """Return the numbers that the log has of a channel."""
    numbers: set[int] = set()
    for before, message in zip([None, *messages], messages, strict=False):
        if message.number in numbers:
            verdict.blame("twice in the log", message)
        numbers.add(message.number)
        if before and (message.prev != before.id or not _is_after(message.id, before.id)):
            verdict.blame("unlinked", f"{message} follows {before} in the log")
    return numbers


def _check_turn(entries: Sequence[Got | Told], name: str, verdict: Verdict) -> None:
    """Within a connection ids grow over all of its channels, until a new epoch is told."""
    last: str | None = None
    for entry in entries:
        if isinstance(entry, Told):
            last = None if entry.reason == "epoch" else last
            continue
        if last is not None and not _is_after(entry.id, last):
            verdict.blame("out of order", f"{name}: {entry} after {last}")
        last = entry.id


def _is_after(one: str, other: str) -> bool:
    a, b = Cursor.parse(one), Cursor.parse(other)
    return a.epoch == b.epoch and a.n > b.n


class _Line:
    """One channel as one reader sees it."""

    def __init__(self, name: str, channel: str, book: Mapping[int, Sent], verdict: Verdict) -> None:
        self._who = f"{name} on {channel}"
        self._channel, self._book, self._verdict = channel, book, verdict
        self._have: set[int] = set()
        self._may_repeat: set[int] = set()  # numbers
        self._last: str | None = None
        self._linked = False  # what comes next must name ``_last`` as its ``prev``
        self._told: list[Told] = []

    def tell(self, told: Told) -> None:
        self._told.append(told)
        self._linked = False
        if told.reason == "epoch":
            self._last = None
            self._may_repeat = set(self._have)

    def take(self, got: Got) -> None:
        self._verdict.deliveries += 1
        sent = self._book.get(got.number)
        if sent is None or sent.channel != self._channel:
            self._blame("unknown", got)
            return
        if sent.id is not None and sent.id != got.id and _same_epoch(sent.id, got.id):
            self._blame("another id", f"{got}, not {sent}")
        if got.number in self._may_repeat:
            self._may_repeat.discard(got.number)
            self._verdict.repeated += 1
        elif got.number in self._have:
            self._blame("twice", got)
        elif self._last is not None and not _is_after(got.id, self._last):
            self._blame("out of order", f"{got} after {self._last}")
        elif self._linked and got.prev != self._last:
            self._blame("unlinked", f"{got} after {self._last}")
        self._have.add(got.number)
        self._last, self._linked = got.id, True

    def end(self, kept: set[int], gone: set[int], *, may_be_new_epoch: bool) -> None:
        """Look for what has not come."""
        missing = (kept | gone) - self._have
        named: set[int] = set()
        for told in self._told:
            covered = {number for number in missing if self._covers(told, number, number in gone)}
            named |= covered
            if not covered and not (told.reason == "epoch" and may_be_new_epoch):
                self._blame("told falsely", told)
        self._verdict.told += len(named)
        for number in sorted(missing - named):
            self._blame("lost", self._book.get(number, number))

    def _covers(self, told: Told, number: int, is_gone: bool) -> bool:
        """Tell whether ``told`` names this message, which has not come."""
        sent = self._book.get(number)
        if sent is None or sent.id is None:
            return is_gone
        message, after = Cursor.parse(sent.id), Cursor.parse(told.after)
        if message.epoch == after.epoch and message.n <= after.n:
            return False
        if told.reason == "epoch":
            return is_gone  # what is kept comes from the oldest on
        before = Cursor.parse(told.before) if told.before else None
        return message.epoch == after.epoch and (before is None or message.n < before.n)

    def _blame(self, kind: str, what: object) -> None:
        self._verdict.blame(kind, f"{self._who}: {what}")


def _same_epoch(one: str, other: str) -> bool:
    return Cursor.parse(one).epoch == Cursor.parse(other).epoch
