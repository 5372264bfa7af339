"""A flood of callers, and one examination."""

import asyncio

import pytest

from azure_function_app.doctor.reception import FRESH_SECONDS, Reception
from azure_function_app.doctor.report import Report
from tests.support.fake_clock import FakeClock


class Examinations:
    """Makes empty reports, and counts them."""

    def __init__(self) -> None:
        """Nothing was examined yet, and nothing fails."""
        self.count = 0
        self.failure: Exception | None = None

    async def make(self) -> Report:
        """One report."""
        self.count += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        return Report("1", "function_app", 0.1, ())


async def test_when_many_ask_at_once_then_one_examination_answers_all() -> None:
    """All get the same report."""
    made = Examinations()
    reception = Reception(made.make, FakeClock())

    reports = await asyncio.gather(*(reception.report() for _ in range(50)))

    assert 1 == made.count
    assert 1 == len({id(report) for report in reports})


async def test_when_a_report_is_fresh_then_it_is_served_again_and_not_afterwards() -> None:
    """Both sides of the boundary."""
    made, clock = Examinations(), FakeClock()
    reception = Reception(made.make, clock)

    await reception.report()
    clock.advance(FRESH_SECONDS)
    await reception.report()

    assert 1 == made.count
    clock.advance(0.001)
    await reception.report()
    assert 2 == made.count


async def test_when_the_first_caller_leaves_then_the_others_get_the_report() -> None:
    """A connection that breaks ends no examination."""
    made = Examinations()
    reception = Reception(made.make, FakeClock())
    first = asyncio.create_task(reception.report())
    second = asyncio.create_task(reception.report())
    await asyncio.sleep(0)

    first.cancel()

    assert "1" == (await second).version
    assert 1 == made.count


async def test_when_an_examination_fails_then_the_next_caller_begins_another() -> None:
    """A failure is not served again."""
    made = Examinations()
    made.failure = KeyError("x")
    reception = Reception(made.make, FakeClock())

    with pytest.raises(KeyError):
        await reception.report()
    made.failure = None

    assert "1" == (await reception.report()).version


def test_when_another_loop_asks_then_it_has_an_examination_of_its_own() -> None:
    """A task belongs to the loop that began it."""
    made = Examinations()
    reception = Reception(made.make, FakeClock())

    for _ in range(2):
        assert "1" == asyncio.run(reception.report()).version

    assert 2 == made.count
