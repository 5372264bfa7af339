"""Retry-After in both of its forms."""

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_function_app.aws_api.retry_after import parse_retry_after

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 5 ", 5.0),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("Tuesday, 14-Nov-23 22:13:30 GMT", 10.0),
        ("Tue Nov 14 22:13:30 2023", 10.0),
        ("Tue, 14 Nov 2023 22:13:10 GMT", 0.0),
    ],
)
def test_when_the_server_says_when_then_it_is_understood(value: str, expected: float) -> None:
    """Seconds, and the three forms of an HTTP date; a past one means now."""
    assert expected == parse_retry_after(value, NOW)


@pytest.fixture(params=["UTC0", "EST5", "IST-5:30", "<+14>-14"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process's time zone: UTC, behind it, ahead of it by no whole hour, a day ahead."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize(
    "value",
    [
        "Tue, 14 Nov 2023 22:13:30 GMT",
        "Tue, 14 Nov 2023 22:13:30 +0000",
        "Tue, 14 Nov 2023 22:13:30 -0000",
        "Tue, 14 Nov 2023 22:13:30",
        "Tue, 14 Nov 2023 17:13:30 -0500",
        "Tuesday, 14-Nov-23 22:13:30 GMT",
        "Tue Nov 14 22:13:30 2023",
        "Tue Nov 14 22:13:30 2023 GMT",
    ],
)
def test_when_the_process_has_another_time_zone_then_a_date_means_the_same(
    value: str,
) -> None:
    """An HTTP date is in UTC, and one without a zone, or of `-0000`, is no local time."""
    assert 10.0 == parse_retry_after(value, NOW)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Tue Nov  7 22:13:30 2023", 0.0),
        ("Fri Dec  1 22:13:20 2023", 17 * 86_400.0),
        ("Friday, 01-Dec-23 22:13:20 GMT", 17 * 86_400.0),
    ],
)
def test_when_an_obsolete_form_pads_the_day_then_it_is_understood(
    value: str, expected: float
) -> None:
    """By a space in asctime's form, by a zero in RFC 850's (RFC 9110 section 5.6.7)."""
    assert expected == parse_retry_after(value, NOW)


@pytest.mark.parametrize(
    "value",
    ["", "-1", "+1", "1.5", "1e3", "soon", "9999999999", "٣", "Tue, 99 Nov 2023 22:13:30 GMT"],
)
def test_when_it_is_neither_then_it_says_nothing(value: str) -> None:
    """Signs, fractions and words are no Retry-After."""
    assert parse_retry_after(value, NOW) is None


@given(st.text(max_size=80))
def test_when_anything_is_sent_then_nothing_is_raised(value: str) -> None:
    """The header is the server's, and so is what stands in it."""
    seconds = parse_retry_after(value, NOW)

    assert seconds is None or seconds >= 0
