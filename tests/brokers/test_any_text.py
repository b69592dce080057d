"""Whatever text comes through the edge: each log gives it back as it was, and takes none of it for
its own (SQL, Lua, the names of keys, the separators of what it packs together)."""

from __future__ import annotations

import json
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pushapp.broker.interface import AppendKey
from pushapp.broker.roster import Entry, pseudonym
from pushapp.errors import KeyReused
from pushapp.message import CHANNEL_PATTERN, EVENT_PATTERN, Draft, dump

from .kinds import Kind
from .tools import Clock, append, cursor, now

SIGNS = "'\"\\`;-/*%{}[]()<>|: \t\r\n\x00\x1f\x7fé١😀\u2028\ud7ff"
texts = st.text(max_size=60) | st.text(alphabet=SIGNS, max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
sendable = values.map(dump).filter(lambda text: text.isascii() or _encodes(text))
channels = st.from_regex(CHANNEL_PATTERN, fullmatch=True)
events = st.from_regex(EVENT_PATTERN, fullmatch=True)
FEW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def _encodes(text: str) -> bool:
    """Tell whether it is UTF-8: the edge refuses what is not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def test_what_goes_in_comes_out(make_kind: Callable[[], Kind]) -> None:
    """By reading, as history and as the retained value, and only in its own channel."""
    with_log = make_kind()
    clock = Clock()
    tx, rx = with_log.open(clock), with_log.open(clock)

    @FEW
    @given(channels, events, sendable, st.booleans(), st.none() | st.floats(1, 1e6))
    def check(channel: str, event: str, data: str, retain: bool, ttl: float | None) -> None:
        before = now(tx)
        (id_,) = append(tx, Draft(channel, data, event, ttl, retain))
        (message,) = rx.log.read([channel], before).messages
        assert (message.id, message.channel, message.event) == (id_, channel, event)
        assert message.data == data
        assert json.loads(message.body())["data"] == json.loads(data)
        history, info = rx.log.history(channel, 1)
        assert [one.data for one in history] == [data] and info.last == id_
        if retain and data != "null":
            assert info.retained is not None and info.retained.data == data
        assert not rx.log.read([channel + "x"[: 128 - len(channel)]], cursor(id_)).messages

    try:
        check()
    finally:
        tx.close()
        rx.close()


def test_any_key_is_one_of_its_own(make_kind: Callable[[], Kind]) -> None:
    """Scope, key and fingerprint are never run together: ("a", "bc") is not ("ab", "c")."""
    broker = make_kind().open(Clock())
    seen: dict[tuple[str, str], tuple[str, str]] = {}  # scope, key → fingerprint, id

    @FEW
    @given(
        st.sampled_from(("a", "ab", "a b", "")),
        texts | st.sampled_from(("b", "", " b", "bc")),
        texts,
    )
    def check(scope: str, key: str, fingerprint: str) -> None:
        try:
            (id_,) = append(broker, Draft("public:a", "1"), key=AppendKey(scope, key, fingerprint))
        except KeyReused:
            assert seen[scope, key][0] != fingerprint
            return
        assert seen.setdefault((scope, key), (fingerprint, id_)) == (fingerprint, id_)

    try:
        check()
    finally:
        broker.close()


def test_any_user_and_member_are_who_they_are(make_kind: Callable[[], Kind]) -> None:
    """In a channel's list, and by name."""
    roster = (broker := make_kind().open(Clock())).roster
    users = st.text(alphabet="ab01.:@|+~=-_", min_size=1, max_size=30)

    @FEW
    @given(
        st.none() | users, st.none() | st.dictionaries(texts, texts, max_size=3).map(dump), channels
    )
    def check(user: str | None, member: str | None, channel: str) -> None:
        if member is not None and not _encodes(member):
            return
        entry = Entry("c1x", user, member if user else None, "sse", 1.5, (channel,))
        roster.sync("w", [entry], [], ttl=60.0)
        (there,) = roster.members(channel).members
        face = json.loads(there.face)
        if user is None:
            assert face == {"anonymous": pseudonym("c1x")}
        else:
            assert face["user"] == user
            assert face.get("member") == (None if member is None else json.loads(member))
            assert [found.entry for found in roster.connections(user)] == [entry]
        roster.sync("w", [], ["c1x"], ttl=60.0)
        assert not roster.members(channel).count

    try:
        check()
    finally:
        broker.close()
