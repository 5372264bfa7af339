"""How long the API takes to answer just now."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_function_app.aws_api.answer_times import AnswerTimes

SECONDS = st.floats(0.001, 100.0)


def answer_times(*answers: float) -> AnswerTimes:
    """After these answers, the oldest first."""
    times = AnswerTimes()
    for seconds in answers:
        times.answered(seconds)
    return times


def test_when_nothing_is_known_then_any_time_is_enough() -> None:
    """The first callers are not kept out by a guess."""
    times = AnswerTimes()

    assert 0.0 == times.enough()
    assert times.longest_answer() is None


def test_when_one_answer_in_sixteen_was_slow_then_it_is_left_out() -> None:
    """Nearly every one: a straggler does not keep everybody out."""
    times = answer_times(*[0.1] * 15, 9.0)

    assert 0.1 == times.enough()
    assert 0.1 == times.longest_answer()


@pytest.mark.parametrize(
    ("slow", "enough", "longest"), [(1, 0.1, 0.1), (2, 0.1, 9.0), (5, 9.0, 9.0)]
)
def test_when_some_answers_were_slow_then_fewer_of_them_hold_nobody_back_from_waiting(
    slow: int, enough: float, longest: float
) -> None:
    """Four of sixteen do not; to be a failure, a call must have had as long as two of them took."""
    times = answer_times(*[0.1] * (16 - slow), *[9.0] * slow)

    assert (enough, longest) == (times.enough(), times.longest_answer())


def test_when_four_answers_in_sixteen_were_slow_then_waiting_is_still_worth_it() -> None:
    """An API with two speeds is not judged by the slow one."""
    assert 0.1 == answer_times(*[0.1] * 12, *[9.0] * 4).enough()


def test_when_the_api_becomes_quicker_then_what_it_took_before_is_forgotten() -> None:
    """After sixteen answers nothing is left of it."""
    assert 0.1 == answer_times(*[9.0] * 16, *[0.1] * 16).enough()


def test_when_a_call_was_given_up_late_then_the_api_takes_at_least_that_long() -> None:
    """An answer would have taken longer yet. It is no answer, though."""
    times = answer_times(0.1, 0.1)
    times.unanswered(3.0)

    assert 3.0 == times.enough()
    assert 0.1 == times.longest_answer()


def test_when_a_call_was_given_up_early_then_it_says_nothing() -> None:
    """A caller who hangs up does not make the API look quick."""
    times = answer_times(2.0)
    for _ in range(15):
        times.unanswered(0.1)

    assert 2.0 == times.enough()


def test_when_no_answer_came_for_long_then_the_earlier_ones_are_forgotten() -> None:
    """A dead API is not taken for one that answers in two seconds, however short the calls are."""
    times = AnswerTimes()
    times.unanswered(0.1)
    times.answered(2.0)
    for _ in range(15):
        times.unanswered(0.1)
    assert 2.0 == times.longest_answer()

    times.unanswered(0.1)
    assert times.longest_answer() is None


@given(st.lists(st.tuples(st.booleans(), SECONDS), max_size=60))
def test_when_calls_end_in_any_way_then_what_is_enough_is_one_of_their_times(
    calls: list[tuple[bool, float]],
) -> None:
    """Never more than the longest, and never less than what nearly every late answer took."""
    times = AnswerTimes()
    for is_answered, seconds in calls:
        (times.answered if is_answered else times.unanswered)(seconds)

    assert times.enough() in {0.0, *(seconds for _, seconds in calls)}
    assert times.longest_answer() in {
        None,
        *(seconds for is_answered, seconds in calls if is_answered),
    }
