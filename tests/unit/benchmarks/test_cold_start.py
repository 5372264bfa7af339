"""What an authorizer adds to its runtime client at cold start."""

import pytest

from benchmarks.authorizer.cold_start import added_cpu_ms, added_wall_ms
from benchmarks.authorizer.contenders import BARE_FUNCTIONS, OUR_FUNCTION, alternate
from benchmarks.authorizer.programs import Start


def _starts(*milliseconds: float) -> list[Start]:
    return [Start(wall_ms=2 * value, cpu_ms=value, peak_mib=1.0) for value in milliseconds]


def test_when_one_round_is_slow_for_both_then_what_is_added_stays() -> None:
    """The difference is taken within each round, so a slow round moves neither the median."""
    bare = BARE_FUNCTIONS[OUR_FUNCTION.language]
    starts = {bare: _starts(10, 90, 90), OUR_FUNCTION: _starts(14, 95, 96)}

    assert pytest.approx(5) == added_cpu_ms(starts, OUR_FUNCTION)
    assert pytest.approx(10) == added_wall_ms(starts, OUR_FUNCTION)


def test_when_the_next_round_begins_then_the_turns_are_reversed() -> None:
    """No contender always follows the same one, whose leftovers in the caches it would meet."""
    rounds = [tuple(alternate(("a", "b", "c"), number)) for number in (1, 2)]

    assert [("c", "b", "a"), ("a", "b", "c")] == rounds
