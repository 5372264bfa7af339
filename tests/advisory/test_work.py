"""The measure itself: it tells linear work from quadratic work."""

import re

import pytest

from tests.support.work import Repetition, assert_linear, growth_of


def _rescanned(text: str) -> int:
    """Quadratic, all of it in C: at each `a` the rest is looked through in vain."""
    return len(re.findall(r"a[ab]*c", text))


def test_when_a_reader_is_linear_then_it_passes() -> None:
    """A scan that reads each character once passes, refusals included."""

    def read(text: str) -> None:
        if text.count("a") >= 0:
            raise ValueError(text[:1])

    assert_linear(read, Repetition("", "ab"), size=4_000, refusals=(ValueError,))


def test_when_a_reader_looks_again_from_each_place_then_it_is_found() -> None:
    """A pattern that starts over at each character fails, although it runs in C."""
    with pytest.raises(AssertionError, match="times as long"):
        assert_linear(_rescanned, Repetition("", "ab"), size=1_000)


def test_when_a_reader_copies_what_it_has_each_time_then_it_is_found() -> None:
    """Building a result by concatenation fails as well."""

    def read(text: str) -> tuple[str, ...]:
        result: tuple[str, ...] = ()
        for char in text:
            result = (*result, char)
        return result

    assert growth_of(read, Repetition("", "ab"), size=2_000).factor > 8


def test_when_a_reader_raises_what_it_should_not_then_the_error_is_seen() -> None:
    """Only what the caller names as a refusal is one."""
    with pytest.raises(ValueError, match="invalid literal"):
        assert_linear(int, Repetition("", "x"), size=10, refusals=(KeyError,))
