"""RFC 3339."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.formats.rfc3339 import format_rfc3339, parse_rfc3339


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000.1239, "2023-11-14T22:13:20.123Z"),
        (1_700_000_000.0, "2023-11-14T22:13:20.000Z"),
        (1_795_240_020.5, "2026-11-21T05:47:00.500Z"),
    ],
)
def test_when_a_time_is_written_then_it_has_milliseconds_and_utc(seconds: float, text: str) -> None:
    """RFC 3339, always of the same length, so that it sorts as text."""
    assert text == format_rfc3339(seconds)


@given(st.integers(0, 253_402_300_799_999))
def test_when_a_time_was_written_then_it_is_read_as_the_same(milliseconds: int) -> None:
    """Up to the end of the year 9999."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)

    read = parse_rfc3339(format_rfc3339(milliseconds / 1000))

    assert abs(moment - read) <= timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-21T05:47:00Z", datetime(2026, 11, 21, 5, 47, tzinfo=UTC)),
        ("2026-11-21t05:47:00.5z", datetime(2026, 11, 21, 5, 47, 0, 500_000, tzinfo=UTC)),
        ("2026-11-21T05:47:00.1234567Z", datetime(2026, 11, 21, 5, 47, 0, 123_456, tzinfo=UTC)),
        (
            "2026-11-21T05:47:00+01:30",
            datetime(2026, 11, 21, 5, 47, tzinfo=timezone(timedelta(minutes=90))),
        ),
        ("2026-11-21T05:47:00-00:00", datetime(2026, 11, 21, 5, 47, tzinfo=UTC)),
    ],
)
def test_when_a_text_is_an_rfc_3339_time_then_it_is_read(text: str, moment: datetime) -> None:
    """With and without fractions, in both cases, with any offset."""
    assert (moment, moment.utcoffset()) == (
        parse_rfc3339(text),
        parse_rfc3339(text).utcoffset(),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-11-21",
        "2026-11-21T05:47:00",
        "2026-11-21T05:47Z",
        "2026-11-21 05:47:00Z",
        "20261121T054700Z",
        "2026-W47-6T05:47:00Z",
        "2026-11-21T05:47:00,5Z",
        "2026-11-21T05:47:00+0100",
        "2026-11-21T05:47:00+01:00:30",
        "2026-11-31T05:47:00Z",
        "2026-11-21T25:47:00Z",
        "2026-11-21T05:47:60Z",
        "2026-11-21T05:47:00Z\n",
        "2026-11-21T05:47:0\u0660Z",
    ],
)
def test_when_a_text_is_no_rfc_3339_time_then_it_is_refused(text: str) -> None:
    """ISO 8601 has more spellings, which other readers do not know."""
    with pytest.raises(ValueError):  # noqa: PT011 - the message is nobody's contract
        parse_rfc3339(text)
