"""Base64url."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.formats.base64url import decode_base64url, encode_base64url
from tests.support.keys import base64url

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(st.binary(min_size=1, max_size=100))
def test_when_octets_are_encoded_then_they_come_back(encoded: bytes) -> None:
    """Every canonical spelling decodes to what it spells."""
    assert encoded == decode_base64url(base64url(encoded).encode())


@given(st.binary(max_size=100))
def test_when_bytes_are_encoded_then_it_is_the_canonical_spelling(raw: bytes) -> None:
    """As the standard library spells it, without the padding."""
    assert base64.urlsafe_b64encode(raw).decode().rstrip("=") == encode_base64url(raw)


@given(st.binary(max_size=40))
def test_when_anything_decodes_then_it_was_the_canonical_spelling(segment: bytes) -> None:
    """Whatever bytes are accepted, encoding the result gives the same bytes again."""
    try:
        decoded = decode_base64url(segment)
    except ValueError:
        return

    assert segment == base64url(decoded).encode()


@given(st.text(ALPHABET, min_size=1, max_size=12))
def test_when_only_the_alphabet_is_used_then_exactly_canonical_spellings_pass(text: str) -> None:
    """One character left over never passes, nor do unused bits that are not zero."""
    padded = text + "=" * (-len(text) % 4)
    is_canonical = len(text) % 4 != 1 and base64url(base64.urlsafe_b64decode(padded)) == text

    try:
        decode_base64url(text.encode())
    except ValueError:
        assert not is_canonical
    else:
        assert is_canonical


@pytest.mark.parametrize(
    "segment",
    [
        b"",
        b"A",
        b"AAAAA",
        b"AA=",
        b"AA==",
        b"AAA=",
        b"AAAA====",
        b"AB",
        b"AAB",
        b"A+AA",
        b"A/AA",
        b" AAAA",
        b"AAAA ",
        b"AA\nAA",
        b"AAAA\n",
        b"AAAA\x00",
        b"AA.A",
        b"\xff\xff\xff\xff",
        "\uff21\uff21".encode(),
    ],
)
def test_when_a_segment_is_not_canonical_then_it_is_refused(segment: bytes) -> None:
    """Padding, whitespace, the other alphabet, loose bits and empty segments are refused."""
    with pytest.raises(ValueError):  # noqa: PT011 - the message is nobody's contract
        decode_base64url(segment)
