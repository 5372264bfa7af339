"""If-Match and If-None-Match."""

import pytest

from aws_backend.errors import InvalidRequest, PreconditionFailed
from aws_backend.preconditions import Preconditions, parse_preconditions


def parsed(name: str, *lines: str) -> Preconditions:
    """The preconditions of a request with these lines of one field."""
    return parse_preconditions({name: lines})


@pytest.mark.parametrize(
    ("lines", "current"),
    [
        (('"3"',), '"3"'),
        (('"2", "3"',), '"3"'),
        (('"2"', '"3"'), '"3"'),
        ((' "3" ',), '"3"'),
        ((',"3",, ',), '"3"'),
        (("*",), '"3"'),
    ],
)
def test_when_if_match_names_the_state_then_it_passes(lines: tuple[str, ...], current: str) -> None:
    """One tag of the list is enough, over several lines too."""
    parsed("if-match", *lines).check_if_match(current)


@pytest.mark.parametrize(
    ("lines", "current"),
    [
        (('"2"',), '"3"'),
        (('W/"3"',), '"3"'),
        (('"3"',), None),
        (("*",), None),
        (('"33"',), '"3"'),
        (('""',), '"3"'),
        (('"*"',), '"3"'),
    ],
)
def test_when_if_match_names_another_state_then_it_fails(
    lines: tuple[str, ...], current: str | None
) -> None:
    """A weak tag never matches (RFC 9110 section 13.1.1), nor does anything without a record."""
    with pytest.raises(PreconditionFailed, match="If-Match"):
        parsed("if-match", *lines).check_if_match(current)


@pytest.mark.parametrize("value", ['"3"', 'W/"3"', '"2", W/"3"', "*"])
def test_when_if_none_match_names_the_state_then_it_is_known(value: str) -> None:
    """Weak tags match here (RFC 9110 section 13.1.2)."""
    preconditions = parsed("if-none-match", value)

    assert preconditions.is_known('"3"')
    with pytest.raises(PreconditionFailed, match="If-None-Match"):
        preconditions.check_if_none_match('"3"')


@pytest.mark.parametrize(
    ("value", "current"), [('"2"', '"3"'), ('W/"2"', '"3"'), ("*", None), ('"3"', None)]
)
def test_when_if_none_match_names_another_state_then_it_passes(
    value: str, current: str | None
) -> None:
    """Without a record even * passes: that is what creates one and nothing else."""
    preconditions = parsed("if-none-match", value)

    preconditions.check_if_none_match(current)
    assert not preconditions.is_known(current)


def test_when_there_is_no_precondition_then_any_state_passes() -> None:
    """Preconditions are the caller's choice."""
    preconditions = parse_preconditions({})

    preconditions.check_if_match(None)
    preconditions.check_if_none_match('"3"')
    assert not preconditions.is_known('"3"')


@pytest.mark.parametrize("name", ["if-match", "if-none-match"])
@pytest.mark.parametrize(
    "value",
    ["", "3", '"3', '3"', '"a"b"', 'w/"3"', '*, "3"', '"3", *', "**", '"3" "4"', '"a b"', ","],
)
def test_when_a_field_is_malformed_then_the_request_is_refused(name: str, value: str) -> None:
    """A precondition that cannot be read is not passed over: the write would go unguarded."""
    with pytest.raises(InvalidRequest, match=name) as caught:
        parsed(name, value)

    assert "precondition_invalid" == caught.value.code


def test_when_a_field_is_long_then_it_is_read_in_linear_time() -> None:
    """A hostile list ends quickly; the test's own time-out would show otherwise."""
    with pytest.raises(InvalidRequest):
        parsed("if-match", "," * 10_000 + " " * 10_000 + '"')
