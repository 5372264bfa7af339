"""Values from logs, as the page may show them."""

import pytest

from bridge_cli.console.shown import number, short_id, shown, shown_or_none, what_to_change
from shared.reasons import Reason

TOKEN = f"eyJhbGciOiJSUzI1NiJ9.{'a' * 60}.{'b' * 60}"


def test_when_a_value_holds_a_token_then_it_is_taken_out() -> None:
    """Wherever in the value it stands."""
    assert "sent [redacted] twice" == shown(f"sent {TOKEN} twice")
    assert "a" * 20 not in shown(f"Authorization: Bearer {TOKEN}")


def test_when_a_value_would_steer_a_reader_then_it_is_made_visible() -> None:
    """Control characters, and those that turn the direction of writing."""
    assert "a\\x1b[31m\\nb\\u202ec" == shown("a\x1b[31m\nb\u202ec")


def test_when_a_value_is_long_then_it_is_cut() -> None:
    """However long: its end is not even looked at."""
    assert ("x" * 159 + "…") == shown("x" * 10_000_000)


def test_when_an_id_is_long_then_its_beginning_is_enough() -> None:
    """And a short one stays."""
    assert ("01234567…", "0123") == (short_id("0123456789"), short_id("0123"))


@pytest.mark.parametrize("value", [None, "", "-"])
def test_when_there_is_no_value_then_none_is_shown(value: object) -> None:
    """The gateway writes a dash for what it does not know."""
    assert shown_or_none(value) is None


@pytest.mark.parametrize(
    ("value", "expected"), [(1, 1.0), (2.5, 2.5), ("3", None), (True, None), (None, None)]
)
def test_when_a_member_is_no_number_then_none_is_returned(
    value: object, expected: float | None
) -> None:
    """A log line can be anybody's."""
    assert expected == number({"n": value}, "n")


def test_when_a_call_is_refused_then_each_reason_says_what_to_change() -> None:
    """And what is no reason of ours says nothing."""
    assert Reason.EXPIRED.what_to_change == what_to_change("expired")
    assert ("", "") == (what_to_change("made_up"), what_to_change(None))
