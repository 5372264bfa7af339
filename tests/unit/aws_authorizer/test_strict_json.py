"""JSON that can be read in one way only."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_authorizer.strict_json import (
    MAX_DEPTH,
    MAX_FRACTION_CHARACTERS,
    MAX_INTEGER_CHARACTERS,
    TOKEN_BOUNDS,
    JsonBounds,
    JsonTooLarge,
    parse_json_object,
)

ROOMY = JsonBounds(brackets=1_000, colons=10_000, commas=10_000)
"""More than anything here holds."""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1)
    | st.integers(-10**9, 10**9).map(lambda number: number / 8) | st.text(),
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
        encoded = text.encode()
    except UnicodeEncodeError:
        return

    assert members == parse_json_object(encoded, ROOMY)


@given(st.binary(max_size=60))
def test_when_octets_are_arbitrary_then_they_are_an_object_or_refused(encoded: bytes) -> None:
    """No bytes raise anything but ValueError."""
    with suppress(ValueError):
        assert isinstance(parse_json_object(encoded), dict)


@given(st.text('{}[]":,\\ntruefalsn0123456789.eE+-INa ', max_size=40))
def test_when_text_looks_like_json_then_it_is_an_object_or_refused(text: str) -> None:
    """No mixture of JSON's own characters raises anything but ValueError."""
    with suppress(ValueError):
        assert json.loads(text) == parse_json_object(text.encode())


@pytest.mark.parametrize(
    "encoded",
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
def test_when_octets_are_not_one_plain_object_then_they_are_refused(encoded: bytes) -> None:
    """Whatever two readers could read differently is refused."""
    with pytest.raises(ValueError):  # noqa: PT011 - the message is nobody's contract
        parse_json_object(encoded)


def nested(depth: int) -> bytes:
    """An object with arrays in it, `depth` levels together."""
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_when_nesting_is_at_the_bound_then_it_is_read() -> None:
    """The bound itself is allowed."""
    assert "a" in parse_json_object(nested(MAX_DEPTH))


@pytest.mark.parametrize(
    ("depth", "why"),
    [
        (MAX_DEPTH + 1, "deep"),
        (TOKEN_BOUNDS.brackets, "deep"),
        (TOKEN_BOUNDS.brackets + 1, "bounds"),
        (100_000, "bounds"),
    ],
)
def test_when_nesting_is_over_the_bound_then_it_is_refused(depth: int, why: str) -> None:
    """Deeper nesting is refused, and costs no stack."""
    with pytest.raises(ValueError, match=why):
        parse_json_object(nested(depth))


def test_when_objects_nest_over_the_bound_then_they_are_refused() -> None:
    """Objects count like arrays."""
    with pytest.raises(ValueError, match="deep"):
        parse_json_object(b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1))


def test_when_there_are_many_brackets_side_by_side_then_they_are_read() -> None:
    """Of as many as there may be, only nesting counts."""
    members: dict[str, object] = {str(number): [[]] for number in range(11)}

    assert members == parse_json_object(json.dumps(members).encode())


def test_when_brackets_stand_in_strings_then_they_do_not_count() -> None:
    """A string's brackets nest nothing, even behind an escaped quote."""
    members = {"a": '\\"' + "[" * 14, "b": "{" * 8}

    assert members == parse_json_object(json.dumps(members).encode())


def test_when_bounds_are_declared_then_they_are_these() -> None:
    """The other tests take them from the code, so one says what they are."""
    assert (16, 20, 16) == (MAX_DEPTH, MAX_INTEGER_CHARACTERS, MAX_FRACTION_CHARACTERS)
    assert JsonBounds(24, 96, 224, roomy_characters=1_024) == TOKEN_BOUNDS


@pytest.mark.parametrize(
    ("at_bound", "over_bound"),
    [
        (b'{"a":[[],{},[]]}', b'{"a":[[],{},[],[]]}'),
        (b'{"a":["[","{","["]}', b'{"a":["[","{","[["]}'),
        (b'{"a":[1,2,3,4]}', b'{"a":[1,2,3,4,5]}'),
        (b'{"a":",,,"}', b'{"a":",,,,"}'),
        (b'{"a":1,"b":2,"c":3,"d":4}', b'{"a":1,"b":2,"c":3,"d":4,"e":5}'),
        (b'{"a":"b:c:d:e"}', b'{"a":"b:c:d:e:"}'),
    ],
)
def test_when_an_object_holds_more_than_its_bounds_then_it_is_too_large(
    at_bound: bytes, over_bound: bytes
) -> None:
    """What stands in strings counts as well; on both sides of each bound."""
    bounds = JsonBounds(brackets=5, colons=4, commas=3)

    assert parse_json_object(at_bound, bounds)
    with pytest.raises(JsonTooLarge):
        parse_json_object(over_bound, bounds)


def test_when_a_text_is_short_then_only_its_brackets_are_counted() -> None:
    """There is no room for many members; on both sides of what counts as short."""
    short = b'{"a":[1,2,3,4]}'
    bounds = JsonBounds(brackets=2, colons=0, commas=0, roomy_characters=len(short))

    assert parse_json_object(short, bounds)
    assert parse_json_object(short.replace(b",4", b""), bounds)
    for too_large in (short.replace(b"4", b"44"), b'{"a":[[],1]}'):
        with pytest.raises(JsonTooLarge):
            parse_json_object(too_large, bounds)


@pytest.mark.parametrize(
    ("number", "is_read"),
    [
        ("9" * 20, True),
        ("9" * 21, False),
        ("-" + "9" * 19, True),
        ("-" + "9" * 20, False),
        ("1700000000.12345", True),
        ("1700000000.123456", False),
        ("1e3", False),
        ("1E3", False),
        ("1.5e0", False),
        ("1e-300", False),
        ("-0.5", True),
    ],
)
def test_when_a_number_is_long_or_has_an_exponent_then_it_is_refused(
    number: str,
    is_read: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Two readers may round it differently, and each takes long over it."""
    encoded = b'{"a":%s}' % number.encode()
    if is_read:
        assert {"a": json.loads(number)} == parse_json_object(encoded)
    else:
        with pytest.raises(ValueError, match="too long"):
            parse_json_object(encoded)


@pytest.mark.parametrize(
    "text",
    [
        r"\ud800",
        r"\uDFFF",
        r"\udc00\ud800",
        r"\ud83d\ud83d\ude00",
        r"\ud83d\ude00\ude00",
        r"\ud83d \ude00",
        r"\\\ud800",
        r"\ud83d\\ude00",
    ],
)
def test_when_a_string_holds_half_a_pair_then_it_is_refused(text: str) -> None:
    """Half a surrogate pair is no character, and no two languages read it alike (RFC 8259, 8.2)."""
    for encoded in (f'{{"a":"{text}"}}', f'{{"{text}":1}}', f'{{"a":[{{"b":"x{text}x"}}]}}'):
        with pytest.raises(ValueError, match="surrogate"):
            parse_json_object(encoded.encode())


@pytest.mark.parametrize(
    "text", [r"\ud83d\ude00", r"\uD83D\uDE00", r"\\ud800", r"\u00e9", r"\ud7ff"]
)
def test_when_a_string_only_looks_like_that_then_it_is_read(text: str) -> None:
    """A whole pair, an escaped backslash, and characters beside the surrogates."""
    encoded = f'{{"a":"{text}"}}'.encode()

    assert json.loads(encoded) == parse_json_object(encoded)


@given(st.text('\\ud8fDc0"e', max_size=24))
def test_when_escapes_are_arbitrary_then_what_is_read_can_be_written(text: str) -> None:
    """Whatever comes out of the reader has a spelling in UTF-8."""
    with suppress(ValueError):
        members = parse_json_object(f'{{"a":"{text}"}}'.encode())
        assert json.dumps(members, ensure_ascii=False).encode()
