"""NCRONTAB: what an expression means, and when it fires."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.functions_host.ncrontab import Ncrontab


def moment(text: str) -> datetime:
    """A moment without a time zone, as schedules are written."""
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("expression", "after", "due"),
    [
        # Microsoft's own examples.
        ("0 */5 * * * *", "2026-11-21T10:03:07", "2026-11-21T10:05:00"),
        ("0 0 * * * *", "2026-11-21T10:03:07", "2026-11-21T11:00:00"),
        ("0 0 9-17 * * *", "2026-11-21T17:00:00", "2026-11-22T09:00:00"),
        ("0 30 9 * * *", "2026-11-21T09:29:59", "2026-11-21T09:30:00"),
        ("0 30 9 * * 1-5", "2026-11-20T09:30:00", "2026-11-23T09:30:00"),
        ("0 30 9 * Jan Mon", "2026-11-21T00:00:00", "2027-01-04T09:30:00"),
        # Never the moment itself.
        ("* * * * * *", "2026-11-21T10:03:07", "2026-11-21T10:03:08"),
        ("* * * * * *", "2026-11-21T10:03:07.999999", "2026-11-21T10:03:08"),
        # Carries.
        ("59 59 23 31 12 *", "2026-12-31T23:59:58", "2026-12-31T23:59:59"),
        ("0 0 0 1 1 *", "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
        ("0 0 0 31 * *", "2026-11-21T00:00:00", "2026-12-31T00:00:00"),
        # Leap days, and the eight years without one.
        ("0 0 0 29 2 *", "2026-11-21T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 0 29 2 *", "2096-02-29T00:00:00", "2104-02-29T00:00:00"),
        # Day and day of week must both fit: a Friday the 13th.
        ("0 0 0 13 * 5", "2026-11-21T00:00:00", "2027-08-13T00:00:00"),
        # Sunday is 0.
        ("0 0 0 * * 0", "2026-11-21T00:00:00", "2026-11-22T00:00:00"),
    ],
)
def test_when_a_moment_has_passed_then_the_next_one_follows(
    expression: str, after: str, due: str
) -> None:
    """The schedule fires at the first second after the moment that fits all six fields."""
    assert moment(due) == Ncrontab.parse(expression).next_after(moment(after))


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("7", {7}),
        ("5,9,7", {5, 7, 9}),
        ("10-13", {10, 11, 12, 13}),
        ("13-10", {10, 11, 12, 13}),
        ("*/20", {0, 20, 40}),
        ("50/4", {50, 54, 58}),
        ("10-20/5", {10, 15, 20}),
        ("0-2,58/1", {0, 1, 2, 58, 59}),
    ],
)
def test_when_a_field_is_written_in_any_form_then_it_means_these_values(
    text: str, minutes: set[int]
) -> None:
    """Numbers, lists, ranges and steps combine."""
    assert minutes == Ncrontab.parse(f"0 {text} * * * *").minutes


@pytest.mark.parametrize(
    ("text", "months"),
    [("January", {1}), ("dec", {12}), ("J", {1}), ("May-jul", {5, 6, 7}), ("SEP,1", {1, 9})],
)
def test_when_months_are_named_then_any_beginning_of_the_name_serves(
    text: str, months: set[int]
) -> None:
    """Names count in any case; the first one with that beginning is meant."""
    assert months == Ncrontab.parse(f"0 0 0 * {text} *").months


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * * *",
        "* * * * * * *",
        "60 * * * * *",
        "* 60 * * * *",
        "* * 24 * * *",
        "* * * 0 * *",
        "* * * 32 * *",
        "* * * * 0 *",
        "* * * * 13 *",
        "* * * * * 7",
        "*/0 * * * * *",
        "*/ * * * * *",
        "1, * * * * *",
        "-1 * * * * *",
        "1- * * * * *",
        "1-2-3 * * * * *",
        "x * * * * *",
        "* * * * Smarch *",
        "² * * * * *",
        "00:00:05",
    ],
)
def test_when_an_expression_is_wrong_then_it_is_refused(expression: str) -> None:
    """Five fields, values out of range, unknown names and open ends are no schedule."""
    with pytest.raises(ValueError, match=r"fields instead of six|is not between|is no step"):
        Ncrontab.parse(expression)


def test_when_a_day_does_not_exist_then_the_schedule_never_fires() -> None:
    """February 30 is a well-formed expression that nothing satisfies."""
    with pytest.raises(ValueError, match="never fires"):
        Ncrontab.parse("0 0 0 30 2 *").next_after(moment("2026-11-21T00:00:00"))


def fires_at(schedule: Ncrontab, moment: datetime) -> bool:
    """Whether each of the six fields admits the moment, asked one by one."""
    return (
        moment.month in schedule.months
        and moment.day in schedule.days
        and moment.isoweekday() % 7 in schedule.weekdays
        and moment.hour in schedule.hours
        and moment.minute in schedule.minutes
        and moment.second in schedule.seconds
    )


@given(
    st.lists(st.integers(0, 59), min_size=1, max_size=4),
    st.lists(st.integers(0, 59), min_size=1, max_size=4),
    st.lists(st.integers(0, 23), min_size=1, max_size=3),
    st.datetimes(moment("2020-01-01T00:00:00"), moment("2040-01-01T00:00:00")),
)
def test_when_any_schedule_is_asked_then_nothing_before_the_answer_fits(
    seconds: list[int], minutes: list[int], hours: list[int], after: datetime
) -> None:
    """The answer fits, comes later than the moment, and no second in between fits."""
    fields = [",".join(map(str, values)) for values in (seconds, minutes, hours)]
    schedule = Ncrontab.parse(" ".join([*fields, "*", "*", "*"]))

    due = schedule.next_after(after)

    assert fires_at(schedule, due)
    assert due > after
    # Every second of a day would take too long: the candidates are the field values themselves.
    day = after.replace(hour=0, minute=0, second=0, microsecond=0)
    candidates = {
        day + timedelta(days=days, hours=hour, minutes=minute, seconds=second)
        for days in (0, 1)
        for hour in hours
        for minute in minutes
        for second in seconds
    }
    assert due == min(candidate for candidate in candidates if candidate > after)


@given(
    st.sampled_from(["* * * 31 * *", "0 0 0 * 2 1-5", "0 0 12 1-7 * Mon", "0 0 0 29 2 *"]),
    st.datetimes(moment("2020-01-01T00:00:00"), moment("2040-01-01T00:00:00")),
)
def test_when_days_are_chosen_then_no_day_in_between_fits(expression: str, after: datetime) -> None:
    """Between the moment and the answer no whole day satisfies day, month and weekday."""
    schedule = Ncrontab.parse(expression)

    due = schedule.next_after(after)

    assert fires_at(schedule, due)
    day = after.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    while day.date() < due.date():
        noon_or_so = day.replace(
            hour=min(schedule.hours), minute=min(schedule.minutes), second=min(schedule.seconds)
        )
        assert not fires_at(schedule, noon_or_so)
        day += timedelta(days=1)
