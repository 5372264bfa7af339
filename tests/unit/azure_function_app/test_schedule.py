"""The sync job's schedule."""

import pytest

from azure_function_app.schedule import parse_schedule


@pytest.mark.parametrize(
    "schedule",
    [
        "0 */5 * * * *",
        "0 0 9-17 * * 1-5",
        "30 0,15,30,45 * * Jan Mon,Wednesday",
        "*/10 * * 1-31/2 12 0",
    ],
)
def test_when_the_schedule_is_ncrontab_then_it_is_taken(schedule: str) -> None:
    """Lists, ranges, steps and names, however many blanks stand between the fields."""
    assert schedule == parse_schedule(schedule.replace(" ", "  "))


@pytest.mark.parametrize(
    "schedule",
    [
        "*/5 * * * *",
        "0 */5 * * * * *",
        "60 * * * * *",
        "0 60 * * * *",
        "0 0 24 * * *",
        "0 0 0 0 * *",
        "0 0 0 32 * *",
        "0 0 0 * 13 *",
        "0 0 0 * * 7",
        "0 0 17-9 * * *",
        "0 */0 * * * *",
        "0 five * * * *",
        "@hourly",
        "0 0 0 * * sunflower",
        "0 */\u0663 * * * *",
        "0 1_0 * * * *",
    ],
)
def test_when_the_schedule_is_not_ncrontab_then_it_is_refused(schedule: str) -> None:
    """Five fields, fields out of range and words that mean nothing are found before the start."""
    with pytest.raises(ValueError):  # noqa: PT011 - the reader of settings names what is wrong
        parse_schedule(schedule)
