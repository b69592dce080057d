"""Whatever comes as a request's parameters: what is asked for, or the field that is wrong."""

from __future__ import annotations

from urllib.parse import urlencode

from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from pushapp.errors import InvalidInput
from pushapp.message import CHANNEL_PATTERN, Cursor
from pushapp.transports.params import MAX_CHANNELS, MAX_HISTORY, MAX_HOLD, asked

NAMES = ("channels", "cursor", "history", "timeout", "connection", "presence", "_", "x")
FIELDS = {*NAMES, "Last-Event-ID", "If-None-Match"}

cursors = st.builds(Cursor, st.sampled_from(("a1", "b2")), st.integers(0, 10**18 - 1)).map(str)
values = st.one_of(
    st.text(max_size=40),
    st.text(alphabet='ab01.,:;*"W/-+e \t\r\n\x00é١', max_size=12),
    cursors,
    st.lists(st.sampled_from(("public:a", "room:7", "user:42")), max_size=4).map(",".join),
    st.sampled_from(("0", "1", "25", "-1", "1e3", "nan", "inf", "1_0", "٣", "0x10", "9" * 400)),
)
pairs = st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=8)
latin = st.text(alphabet=st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=40)


@given(
    pairs,
    st.none() | latin | cursors,
    st.none() | latin | cursors.map('"{}"'.format),
    st.booleans(),
)
@example([("channels", ",".join(f"a:{i}" for i in range(101)))], None, None, True)
@example([("channels", "a:1"), ("cursor", "a.1"), ("cursor", "b.1")], None, None, False)
def test_any_parameters_are_understood_or_refused_by_name(
    pairs: list[tuple[str, str]], last: str | None, match: str | None, stream: bool
) -> None:
    """As they come off the wire: percent-encoded, several times, with headers of any bytes."""
    builder = EnvironBuilder(query_string=urlencode(pairs, errors="surrogatepass"))
    for name, value in (("Last-Event-ID", last), ("If-None-Match", match)):
        if value is not None:
            builder.headers[name] = value
    request = Request(builder.get_environ())
    try:
        found = asked(request, MultiDict(request.args), stream=stream)  # type: ignore[arg-type]
    except InvalidInput as error:
        assert error.field in FIELDS
        assert len(str(error)) < 400, "it says what came, not all of it"
        return
    assert 1 <= len(found.channels) == len(set(found.channels)) <= MAX_CHANNELS
    assert all(CHANNEL_PATTERN.fullmatch(name) for name in found.channels)
    assert 0 <= found.history <= MAX_HISTORY and 0 <= found.hold <= MAX_HOLD
    assert found.cursor is None or Cursor.parse(str(found.cursor)) == found.cursor
    assert not (stream and found.conditional)


@given(st.lists(cursors, min_size=1, max_size=4))
def test_of_several_cursors_the_oldest_is_meant(given: list[str]) -> None:
    """Nothing that one of them lacks may be passed over."""
    request = Request(EnvironBuilder().get_environ())
    values = MultiDict([("channels", "public:a"), *(("cursor", text) for text in given)])
    found = asked(request, values, stream=False).cursor  # type: ignore[arg-type]
    assert found is not None
    for text in given:
        cursor = Cursor.parse(text)
        assert found.epoch not in ("a1", "b2") or (
            found.epoch == cursor.epoch and found.n <= cursor.n
        )
