"""JSON that can be read in one way only."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_authorizer.strict_json import MAX_DEPTH, parse_json_object

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.text(), VALUES, max_size=5), st.booleans())
def test_when_an_object_is_written_then_it_is_read_back(
    members: dict[str, object],
    ensure_ascii: bool,  # noqa: FBT001 - hypothesis hands it over
) -> None:
    """Every JSON object, compact or not, escaped or not, is read as what it says."""
    text = json.dumps(members, ensure_ascii=ensure_ascii)
    try:
        octets = text.encode()
    except UnicodeEncodeError:
        return

    assert members == parse_json_object(octets)


@given(st.binary(max_size=60))
def test_when_octets_are_arbitrary_then_they_are_an_object_or_refused(octets: bytes) -> None:
    """No octets raise anything but ValueError."""
    with suppress(ValueError):
        assert isinstance(parse_json_object(octets), dict)


@given(st.text('{}[]":,\\ntruefalsn0123456789.eE+-INa ', max_size=40))
def test_when_text_looks_like_json_then_it_is_an_object_or_refused(text: str) -> None:
    """No mixture of JSON's own characters raises anything but ValueError."""
    with suppress(ValueError):
        assert json.loads(text) == parse_json_object(text.encode())


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"{",
        b"{}{}",
        b"{} ",
        b" {}",
        b"\n{}",
        b"[]",
        b'"text"',
        b"1",
        b"null",
        b"{'a':1}",
        b'{"a":}',
        b'{"a":1,}',
        b'{"a" 1}',
        b'{"a":01}',
        b'{"a":"\n"}',
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":2}',
        b'{"o":{"a":1,"a":2}}',
        b'{"o":[{"a":1,"a":2}]}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e400}',
        b'{"a":-1e400}',
        b'{"a":' + b"9" * 5000 + b"}",
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        "{}".encode("utf-16-le"),
        "{}".encode("utf-32"),
        b'{"a":"\xff"}',
        b'{"a":"\xc0\x80"}',
        b'{"a":"\xed\xa0\x80"}',
    ],
)
def test_when_octets_are_not_one_plain_object_then_they_are_refused(octets: bytes) -> None:
    """Whatever two readers could read differently is refused."""
    with pytest.raises(ValueError):  # noqa: PT011 - the message is nobody's contract
        parse_json_object(octets)


def nested(depth: int) -> bytes:
    """An object with arrays in it, `depth` levels together."""
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_when_nesting_is_at_the_bound_then_it_is_read() -> None:
    """The bound itself is allowed."""
    assert "a" in parse_json_object(nested(MAX_DEPTH))


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 1_000, 100_000])
def test_when_nesting_is_over_the_bound_then_it_is_refused(depth: int) -> None:
    """Deeper nesting is refused, and costs no stack."""
    with pytest.raises(ValueError, match="bounded depth"):
        parse_json_object(nested(depth))


def test_when_objects_nest_over_the_bound_then_they_are_refused() -> None:
    """Objects count like arrays."""
    with pytest.raises(ValueError, match="bounded depth"):
        parse_json_object(b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1))


def test_when_there_are_many_brackets_side_by_side_then_they_are_read() -> None:
    """Only nesting counts, not number."""
    members: dict[str, object] = {str(number): [[]] for number in range(50)}

    assert members == parse_json_object(json.dumps(members).encode())


def test_when_brackets_stand_in_strings_then_they_do_not_count() -> None:
    """A string's brackets nest nothing, even behind an escaped quote."""
    members = {"a": '\\"' + "[" * 50, "b": "{" * 50, "c": ['"]']}

    assert members == parse_json_object(json.dumps(members).encode())
