"""Presence on the wire: who is in a channel, and who comes and goes.

What belongs here: how it looks, on streams and in answers. What does not: who is there
(``presence``), framing (the transports).

Changes are messages of internal channels, in the order of the log with all others: a subscriber
that asked for presence listens to these, too, and they move its cursor as any message does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from ..broker.roster import Members, Roster, is_presence
from ..message import Cursor, Loss, Message, dump

PAGE = 100  # members in one list


def fields(message: Message) -> str:
    """Return a change as JSON fields, without the braces."""
    channel = channel_of(message.channel)
    return f'"channel":"{channel}","version":"{message.id}",{message.data[1:-1]}'


def frame(message: Message) -> bytes:
    """Return a change as a JSON object of its own."""
    return f'{{"type":"presence",{fields(message)}}}'.encode()


def list_fields(found: Members) -> str:
    """Return a list of members as JSON fields, without the braces."""
    faces = ",".join(member.face for member in found.members)
    text = f'"version":"{found.version}","count":{found.count},"changes":[],"members":[{faces}]'
    if found.more:
        text += f',"more":true,"next":{dump(found.members[-1].key)}'
    return text


def channel_of(internal: str) -> str:
    """Return whose members an internal channel tells of."""
    return internal.partition("/")[2]


def lost_lists(lost: Sequence[Loss]) -> list[str]:
    """Return the channels whose changes are not complete: their members have to be told anew."""
    return [channel_of(loss.channel) for loss in lost if is_presence(loss.channel)]


def lost_messages(lost: Iterable[Loss]) -> list[Loss]:
    """Return what is missing of the client's own channels."""
    return [loss for loss in lost if not is_presence(loss.channel)]


def begin_anew(messages: Iterable[Message]) -> list[str]:
    """Return the channels whose changes begin within ``messages``: what was before was not told."""
    return [
        channel_of(m.channel)
        for m in messages
        if is_presence(m.channel) and '"anew"' in m.data and json.loads(m.data).get("anew")
    ]


def since(messages: Sequence[Message], told: Cursor | None) -> Sequence[Message]:
    """Return ``messages`` without the changes that a list as of ``told`` has in it."""
    if told is None:
        return messages
    return [
        m for m in messages if not is_presence(m.channel) or m.n > told.n or m.epoch != told.epoch
    ]


def changes(messages: Iterable[Message]) -> dict[str, str]:
    """Return channel → its changes as a JSON object, those of several messages in one."""
    found: dict[str, list[Message]] = {}
    for message in messages:
        if is_presence(message.channel):
            found.setdefault(channel_of(message.channel), []).append(message)
    return {channel: _merged(parts) for channel, parts in found.items()}


def _merged(parts: Sequence[Message]) -> str:
    last = parts[-1]
    if len(parts) == 1:
        return f'{{"version":"{last.id}",{last.data[1:-1]}}}'
    read = [json.loads(part.data) for part in parts]
    whole = [change for data in read for change in data["changes"]]
    told = {"version": last.id, "count": read[-1]["count"], "changes": whole}
    return dump(told)


def lists(roster: Roster, channels: Iterable[str]) -> Mapping[str, str]:
    """Return channel → the first page of its members as a JSON object.

    Raises:
        LogUnavailable: nobody can say.
    """
    return {name: f"{{{list_fields(roster.members(name, limit=PAGE))}}}" for name in channels}
