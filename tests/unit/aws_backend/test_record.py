"""Records, their IDs and their data."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_backend.errors import BodyTooLarge, InvalidRequest, MediaTypeUnsupported
from aws_backend.record import (
    MAX_DATA_BYTES,
    MAX_DEPTH,
    StoredRecord,
    check_media_type,
    parse_record_data,
    parse_record_id,
)

# What JSON can hold and a double too.
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**300), 10**300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
DATA = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.recursive(
        SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text("ab"), inner), max_leaves=9
    ),
)


def nested(levels: int) -> bytes:
    """An object with lists in it, that many levels in all."""
    return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


@pytest.mark.parametrize("text", ["a", "KJFK", "_AQT", "0", "a.b~c-d_e", "A" * 128, "a..", "0."])
def test_when_an_id_is_unreserved_characters_then_it_is_taken(text: str) -> None:
    """What needs no percent-encoding is an ID."""
    assert text == parse_record_id(text)


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", ".a", "-a", "~a", "A" * 129, "a/b", "a%2Fb", "a b", "a\n", "é", "a+b", "a:b"],
)
def test_when_an_id_would_need_encoding_then_it_is_refused(text: str) -> None:
    """Dot segments, separators, percent signs and anything beyond ASCII are no IDs."""
    with pytest.raises(InvalidRequest) as caught:
        parse_record_id(text)

    assert "id_invalid" == caught.value.code


@pytest.mark.parametrize(
    "value",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json ; charset="utf-8"',
        " application/json ",
    ],
)
def test_when_the_body_is_declared_as_json_then_it_passes(value: str) -> None:
    """JSON in UTF-8, in every spelling that RFC 9110 allows."""
    check_media_type((value,))


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("",),
        ("text/plain",),
        ("application/json; charset=latin-1",),
        ("application/json5",),
        ("application/x-www-form-urlencoded",),
        ("application/json", "application/json"),
        ("application/json, text/plain",),
    ],
)
def test_when_the_body_is_declared_as_anything_else_then_it_is_refused(
    values: tuple[str, ...],
) -> None:
    """Neither a missing declaration nor two of them is a guess worth making."""
    with pytest.raises(MediaTypeUnsupported, match="application/json"):
        check_media_type(values)


@given(DATA)
def test_when_data_is_a_json_object_then_it_is_kept(data: dict[str, object]) -> None:
    """What was sent is what is stored, in compact form."""
    text = parse_record_data(json.dumps(data, indent=1).encode())

    assert data == json.loads(text)
    assert text == json.dumps(data, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"1",
        b'"a"',
        b"null",
        b"{",
        b"{}{}",
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":1,"a":2}',
        b'{"o":{"a":1,"a":1}}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e400}',
        b'{"a":-1e400}',
        b'{"a":1' + b"0" * 400 + b"}",
        b'{"a":1' + b"0" * 5000 + b"}",
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        nested(MAX_DEPTH + 1),
        b'{"a":' + b"[" * 100_000,
        b'{"a":' * 40_000,
    ],
)
def test_when_the_body_is_not_one_strict_json_object_then_it_is_refused(body: bytes) -> None:
    """What two readers could read differently, or one could not read, is not stored."""
    with pytest.raises(InvalidRequest) as caught:
        parse_record_data(body)

    assert "body_invalid" == caught.value.code


def test_when_data_nests_as_deeply_as_allowed_then_it_is_taken() -> None:
    """The limit itself is allowed."""
    assert nested(MAX_DEPTH).decode() == parse_record_data(nested(MAX_DEPTH))


def test_when_a_body_is_as_large_as_allowed_then_it_is_taken() -> None:
    """The limit counts bytes, and is allowed itself; one byte more is not."""
    largest = b'{"a":"' + b"x" * (MAX_DATA_BYTES - 8) + b'"}'

    assert largest.decode() == parse_record_data(largest)
    with pytest.raises(BodyTooLarge):
        parse_record_data(largest + b" ")


def test_when_data_grows_beyond_the_limit_by_its_stored_form_then_it_is_refused() -> None:
    """A number may be longer in its usual form than as it was sent."""
    numbers = ",".join(["1e15"] * (MAX_DATA_BYTES // 5 - 10))

    with pytest.raises(BodyTooLarge):
        parse_record_data(f'{{"a":[{numbers}]}}'.encode())


def test_when_a_record_is_shown_then_it_has_the_five_members_of_the_api() -> None:
    """The sequence stays inside: callers have cursors."""
    record = StoredRecord("a", 3, 9, "2026-11-21T05:47:00.000Z", deleted=False, data='{"n":1.0}')

    assert (
        '{"id":"a","version":3,"updated_at":"2026-11-21T05:47:00.000Z","deleted":false,'
        '"data":{"n":1.0}}'
    ) == record.to_json()
    assert '"3"' == record.entity_tag
