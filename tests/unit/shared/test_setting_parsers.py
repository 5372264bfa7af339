"""How the settings of both clouds spell numbers, switches and API keys."""

from collections.abc import Callable

import pytest

from shared.setting_parsers import api_key, lent_roles, seconds, share, switch, whole_number

NOT_PLAIN = [
    "",
    " ",
    "+5",
    "-5",
    " 5",
    "5 ",
    "1_0",
    "\u0665",  # an Arabic digit
    "\uff15",  # a full-width digit
    "\u00b2",
    "5,0",
    "0x5",
    "five",
    "nan",
    "inf",
    "1e1",
    ".",
    "1.2.3",
    "9" * 5_000,
]
"""Spellings that some readers of numbers take, and others do not."""


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("007", 7), ("10", 10)])
def test_when_a_whole_number_lies_within_its_bounds_then_it_is_read(text: str, number: int) -> None:
    """Both bounds belong to the range."""
    assert number == whole_number(0, 10)(text)


@pytest.mark.parametrize(
    ("text", "number"), [("0.5", 0.5), ("1", 1.0), ("1.25", 1.25), ("10.0", 10.0), (".5", 0.5)]
)
def test_when_seconds_lie_within_their_bounds_then_they_are_read(text: str, number: float) -> None:
    """A point and digits behind it may follow."""
    assert number == seconds(0.5, 10)(text)


@pytest.mark.parametrize(("text", "number"), [("0", 0.0), ("0.2", 0.2), (".5", 0.5), ("1", 1.0)])
def test_when_a_share_lies_within_a_whole_then_it_is_read(text: str, number: float) -> None:
    """Nothing, everything, and what is between."""
    assert number == share(text)


@pytest.mark.parametrize("parse", [whole_number(0, 10**9), seconds(0, 10**9), share])
@pytest.mark.parametrize("text", NOT_PLAIN)
def test_when_a_number_is_not_in_plain_digits_then_it_is_refused(
    parse: Callable[[str], float], text: str
) -> None:
    """A number has one spelling, whatever Python would take."""
    with pytest.raises(ValueError):  # noqa: PT011 - the reader of settings names what is wrong
        parse(text)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (whole_number(1, 10), "0"),
        (whole_number(1, 10), "11"),
        (whole_number(1, 10), "5.0"),
        (seconds(0.5, 10), "0.49"),
        (share, "1.01"),
        (share, "-0.1"),
        (share, "20%"),
        (seconds(0.5, 10), "10.01"),
    ],
)
def test_when_a_number_lies_outside_its_bounds_then_it_is_refused(
    parse: Callable[[str], float], text: str
) -> None:
    """Nothing is cut to fit."""
    with pytest.raises(ValueError):  # noqa: PT011 - the reader of settings names what is wrong
        parse(text)


@pytest.mark.parametrize(("text", "is_on"), [("true", True), ("false", False)])
def test_when_a_switch_is_spelled_out_then_it_is_read(text: str, is_on: bool) -> None:  # noqa: FBT001 - a case of the table
    """A switch has two words."""
    assert is_on is switch(text)


@pytest.mark.parametrize("text", ["", "True", "yes", "1", "0", "on", " true"])
def test_when_a_switch_says_anything_else_then_it_is_refused(text: str) -> None:
    """What is not false is not therefore true."""
    with pytest.raises(ValueError):  # noqa: PT011 - the reader of settings names what is wrong
        switch(text)


ROLES = frozenset({"Read", "Write"})


@pytest.mark.parametrize(
    ("text", "lent"),
    [
        ("", {}),
        ("a=Read", {"a": {"Read"}}),
        (" a = Read + Write , b=Write,", {"a": {"Read", "Write"}, "b": {"Write"}}),
    ],
)
def test_when_roles_are_lent_then_each_name_has_its_own(
    text: str, lent: dict[str, set[str]]
) -> None:
    """With or without blanks, and with nothing between two commas."""
    assert lent == lent_roles(ROLES)(text)


@pytest.mark.parametrize(
    "text",
    ["a", "a=", "=Read", "a=Delete", "a=Read+", "a=Read,a=Write", "a b=Read", "a=Read=Write"],
)
def test_when_what_is_lent_is_unclear_then_nothing_is(text: str) -> None:
    """A name that comes twice is unclear too."""
    with pytest.raises(ValueError, match=r"no role of this API|no name, or one twice"):
        lent_roles(ROLES)(text)


@pytest.mark.parametrize("text", ["k" * 20, "k" * 128, "Ab0!#$%&()*+-./:;<=>?@[]^_`{|}~"])
def test_when_an_api_key_is_as_long_as_api_gateways_then_it_is_taken(text: str) -> None:
    """From 20 to 128 characters, visible ones."""
    assert text == api_key(text)


@pytest.mark.parametrize("character", [" ", "\n", "\x00", "\x7f", "é", '"', "'", ",", "\\"])
def test_when_a_character_could_end_an_api_key_early_then_it_is_refused(character: str) -> None:
    """In a header, in a list of keys or in a log line."""
    with pytest.raises(ValueError, match="not an API key"):
        api_key("k" * 20 + character)


@pytest.mark.parametrize("text", ["", "k" * 19, "k" * 129])
def test_when_an_api_key_is_too_short_or_too_long_then_it_is_refused(text: str) -> None:
    """API Gateway has no such key."""
    with pytest.raises(ValueError, match="not an API key"):
        api_key(text)
