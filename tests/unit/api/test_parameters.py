"""Cursors and times in requests."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from api.errors import ParameterError
from api.parameters import Instant, decode_cursor, encode_cursor

INSTANT = TypeAdapter(Instant)
times = st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001  # hypothesis wants naive bounds
plain_texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]))


@given(times, st.integers(-(2**63) + 1, 2**63 - 1), plain_texts)
def test_a_cursor_comes_back_as_it_went(time, number, text):
    assert decode_cursor(encode_cursor(time, number, text), datetime, int, str) == (time, number, text)


@given(st.text(max_size=60))
def test_any_other_text_is_refused_or_of_the_right_types(text):
    try:
        parts = decode_cursor(text, str, int)
    except ParameterError:
        return
    assert parts is not None
    assert [type(part) for part in parts] == [str, int]


def test_another_lists_cursor_is_refused():
    for cursor in (encode_cursor(1), encode_cursor("a", 2**70), encode_cursor(1, "a"), encode_cursor("\0", 1)):
        with pytest.raises(ParameterError) as caught:
            decode_cursor(cursor, str, int)
        assert caught.value.problem.parameter == "query.cursor"


@pytest.mark.parametrize("text", ["2026-03-01T08:00:00+08:00", "2026-03-01t00:00:00z", "2026-03-01T00:00Z"])
def test_times_with_an_offset_are_taken(text):
    assert INSTANT.validate_python(text) == datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["2026-03-01", "2026-03-01T00:00:00", "1772323200", "", "2026-13-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "now"],
)
def test_other_times_are_refused_with_the_remedy(text):
    with pytest.raises(ValidationError, match=r"RFC 3339|1970 to 2199"):
        INSTANT.validate_python(text)
