"""Taking a token apart."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_authorizer.errors import TokenRejected
from aws_authorizer.strict_json import TOKEN_BOUNDS, JsonBounds, parse_json_object
from aws_authorizer.token import (
    HEADER_BOUNDS,
    MAX_HEADER_CHARACTERS,
    MAX_KEY_ID_CHARACTERS,
    MAX_TOKEN_CHARACTERS,
    parse_token,
)
from shared.reasons import Reason
from tests.support.keys import KEY_ID, base64url
from tests.support.tokens import header, signed_token, to_json, valid_claims


def token_with_header(encoded: bytes) -> bytes:
    """A token with any header; its signature is of no interest here."""
    return f"{base64url(encoded)}.{base64url(to_json(valid_claims()))}.AAAA".encode()


def token_with_claims(encoded: bytes) -> bytes:
    """A token with any claims' segment."""
    return f"{base64url(to_json(header()))}.{base64url(encoded)}.AAAA".encode()


def rejection(encoded: bytes) -> Reason:
    """Why the token is rejected."""
    with pytest.raises(TokenRejected) as caught:
        parse_token(encoded)
    return caught.value.reason


def test_when_a_token_is_good_then_its_parts_come_out() -> None:
    """Key ID, claims, signing input as received, and signature."""
    encoded = signed_token().encode()

    token = parse_token(encoded)

    assert KEY_ID == token.unverified_key_id
    assert valid_claims() == token.unverified_claims
    assert encoded.rpartition(b".")[0] == token.signing_input
    assert 256 == len(token.signature)


@given(st.binary(max_size=80))
def test_when_octets_are_arbitrary_then_they_are_rejected(encoded: bytes) -> None:
    """No bytes raise anything but TokenRejected."""
    with pytest.raises(TokenRejected):
        parse_token(encoded)


@given(st.lists(st.text("AQgw-_=.", max_size=12), max_size=6))
def test_when_segments_are_arbitrary_then_they_are_rejected(segments: list[str]) -> None:
    """No number of segments raises anything but TokenRejected."""
    with pytest.raises(TokenRejected):
        parse_token(".".join(segments).encode())


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b".",
        b"..",
        b"a.b",
        b"eyJhbGciOiJSUzI1NiJ9",
        b"eyJhbGciOiJSUzI1NiJ9.e30",
        b"eyJhbGciOiJSUzI1NiJ9.e30.",
        b"eyJhbGciOiJSUzI1NiJ9..AAAA",
        b".e30.AAAA",
        b"eyJhbGciOiJSUzI1NiJ9.e30.AAAA.AAAA",
        b'{"payload":"e30","signatures":[]}',
        b'{"payload":"e30","protected":"e30","signature":"AAAA"}',
    ],
)
def test_when_there_are_not_three_segments_then_it_is_malformed(encoded: bytes) -> None:
    """Neither fewer, nor four, nor the JSON serialization, nor an empty segment."""
    assert rejection(encoded) in {Reason.MALFORMED_TOKEN, Reason.MALFORMED_HEADER}


def test_when_there_are_five_segments_then_it_is_encrypted() -> None:
    """A JWE is told apart, because the API's registration causes it."""
    assert Reason.ENCRYPTED_TOKEN == rejection(b"e30.AAAA.AAAA.AAAA.AAAA")


def test_when_there_are_six_segments_then_it_is_malformed() -> None:
    """Five make a JWE; more make nothing."""
    assert Reason.MALFORMED_TOKEN == rejection(b"e30.AAAA.AAAA.AAAA.AAAA.AAAA")


def test_when_bounds_are_declared_then_they_are_these() -> None:
    """The other tests take them from the code, so one says what they are."""
    assert (10_240, 2_048, 256) == (
        MAX_TOKEN_CHARACTERS,
        MAX_HEADER_CHARACTERS,
        MAX_KEY_ID_CHARACTERS,
    )


def test_when_a_token_is_at_the_bound_then_its_length_is_no_reason() -> None:
    """As long as API Gateway lets headers be."""
    assert Reason.MALFORMED_TOKEN == rejection(b"A" * MAX_TOKEN_CHARACTERS)


def test_when_a_token_is_over_the_bound_then_it_is_too_long() -> None:
    """One character more."""
    assert Reason.TOKEN_TOO_LONG == rejection(b"A" * (MAX_TOKEN_CHARACTERS + 1))


def test_when_a_header_is_at_the_bound_then_it_is_read() -> None:
    """Four characters stand for three encoded, so the bound can be met exactly."""
    room = MAX_HEADER_CHARACTERS // 4 * 3 - len(to_json(header(pad="")))
    encoded = token_with_header(to_json(header(pad="x" * room)))

    assert MAX_HEADER_CHARACTERS == encoded.index(b".")
    assert KEY_ID == parse_token(encoded).unverified_key_id


def test_when_a_header_is_over_the_bound_then_it_is_malformed() -> None:
    """A header is bounded on its own."""
    padding = "x" * MAX_HEADER_CHARACTERS

    assert Reason.MALFORMED_HEADER == rejection(token_with_header(to_json(header(pad=padding))))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("alg", None, Reason.WRONG_ALGORITHM),
        ("alg", "none", Reason.WRONG_ALGORITHM),
        ("alg", "HS256", Reason.WRONG_ALGORITHM),
        ("alg", "RS512", Reason.WRONG_ALGORITHM),
        ("alg", "PS256", Reason.WRONG_ALGORITHM),
        ("alg", "ES256", Reason.WRONG_ALGORITHM),
        ("alg", "rs256", Reason.WRONG_ALGORITHM),
        ("alg", "RS256 ", Reason.WRONG_ALGORITHM),
        ("alg", ["RS256"], Reason.WRONG_ALGORITHM),
        ("alg", True, Reason.WRONG_ALGORITHM),
        ("typ", "", Reason.WRONG_TYPE),
        ("typ", "id+jwt", Reason.WRONG_TYPE),
        ("typ", "dpop+jwt", Reason.WRONG_TYPE),
        ("typ", ["JWT"], Reason.WRONG_TYPE),
        ("typ", 1, Reason.WRONG_TYPE),
        ("crit", ["exp"], Reason.CRITICAL_HEADER),
        ("crit", [], Reason.CRITICAL_HEADER),
        ("crit", "b64", Reason.CRITICAL_HEADER),
        ("b64", False, Reason.CRITICAL_HEADER),
        ("kid", None, Reason.MISSING_KEY_ID),
        ("kid", "", Reason.MISSING_KEY_ID),
        ("kid", 1, Reason.MISSING_KEY_ID),
        ("kid", [KEY_ID], Reason.MISSING_KEY_ID),
        ("kid", "k" * (MAX_KEY_ID_CHARACTERS + 1), Reason.MISSING_KEY_ID),
    ],
)
def test_when_a_header_member_is_wrong_then_it_is_the_reason(
    name: str, value: object, reason: Reason
) -> None:
    """Each header member that is read has its own reason."""
    assert reason == rejection(token_with_header(to_json(header(**{name: value}))))


@pytest.mark.parametrize("name", ["crit", "typ"])
def test_when_a_header_member_is_null_then_it_is_not_absent(name: str) -> None:
    """A null is a wrong value, not a missing one."""
    encoded = json.dumps(header() | {name: None}).encode()

    assert rejection(token_with_header(encoded)) in {Reason.CRITICAL_HEADER, Reason.WRONG_TYPE}


@pytest.mark.parametrize(
    "typ", [None, "JWT", "jwt", "at+jwt", "AT+JWT", "application/jwt", "application/at+jwt"]
)
def test_when_the_type_is_that_of_an_access_token_then_it_is_read(typ: str | None) -> None:
    """RFC 7515 section 4.1.9: no case, and `application/` may stand before it."""
    token = parse_token(token_with_header(to_json(header(typ=typ))))

    assert KEY_ID == token.unverified_key_id


@pytest.mark.parametrize("length", [1, MAX_KEY_ID_CHARACTERS])
def test_when_a_key_id_is_at_a_bound_then_it_is_read(length: int) -> None:
    """One character is enough, and the bound itself is allowed."""
    key_id = "k" * length

    assert key_id == parse_token(token_with_header(to_json(header(kid=key_id)))).unverified_key_id


@pytest.mark.parametrize(
    "encoded", [b"[]", b"null", b'{"alg":"none","alg":"RS256","kid":"k"}', b"\xff", b"{}garbage"]
)
def test_when_a_header_is_no_plain_object_then_it_is_malformed(encoded: bytes) -> None:
    """The header is read as strictly as the claims."""
    assert Reason.MALFORMED_HEADER == rejection(token_with_header(encoded))


@pytest.mark.parametrize("encoded", [b"[]", b"null", b'{"a":1,"a":2}', b"\xff", b'{"exp":NaN}'])
def test_when_claims_are_no_plain_object_then_they_are_malformed(encoded: bytes) -> None:
    """Claims are one JSON object that can be read in one way only."""
    assert Reason.MALFORMED_CLAIMS == rejection(token_with_claims(encoded))


def test_when_a_header_names_an_encryption_then_the_token_is_encrypted() -> None:
    """RFC 7516 section 4.1.2: only a JWE has `enc`, whatever number of parts the token has."""
    encoded = to_json(header(enc="A256GCM"))

    assert Reason.ENCRYPTED_TOKEN == rejection(token_with_header(encoded))


@pytest.mark.parametrize("value", [None, "", 0, []])
def test_when_a_header_has_an_empty_enc_then_it_is_encrypted_all_the_same(value: object) -> None:
    """The member's presence decides (RFC 7516 section 4.1.2), not what it says."""
    encoded = to_json(header() | {"enc": value})

    assert Reason.ENCRYPTED_TOKEN == rejection(token_with_header(encoded))


@pytest.mark.parametrize(
    "odd", ['"kid":"\\ud800"', '"x":"\\udc00"', '"\\ud800":1'], ids=["kid", "value", "name"]
)
def test_when_a_header_holds_half_a_character_then_it_is_malformed(odd: str) -> None:
    """A lone surrogate is no text."""
    encoded = b'{"alg":"RS256",%s}' % odd.encode()

    assert Reason.MALFORMED_HEADER == rejection(token_with_header(encoded))


def test_when_claims_hold_half_a_character_then_they_are_malformed() -> None:
    """The same in the claims."""
    encoded = to_json(valid_claims())[:-1] + b',"name":"\\udfff"}'

    assert Reason.MALFORMED_CLAIMS == rejection(token_with_claims(encoded))


def test_when_claims_hold_a_long_list_then_the_token_is_too_long() -> None:
    """The reason tells what to do about it; on both sides of the bound."""
    claims = valid_claims()
    room = TOKEN_BOUNDS.commas - len(claims)
    for extra, is_read in ((0, True), (1, False)):
        encoded = to_json(claims | {"groups": ["g"] * (room + 1 + extra)})
        if is_read:
            assert parse_token(token_with_claims(encoded))
        else:
            assert Reason.TOKEN_TOO_LONG == rejection(token_with_claims(encoded))


def test_when_the_bounds_of_a_header_are_declared_then_they_are_these() -> None:
    """The next test takes one from the code, so this one says what they are."""
    assert JsonBounds(brackets=16, colons=32, commas=32) == HEADER_BOUNDS


def test_when_a_header_holds_a_long_list_then_it_is_malformed() -> None:
    """A header of Entra ID's has four members."""
    at_bound = header() | {"x5c": [0] * (HEADER_BOUNDS.commas - len(header()) + 1)}
    assert parse_token(token_with_header(to_json(at_bound)))

    over_bound = to_json(at_bound | {"x": 0})
    assert Reason.MALFORMED_HEADER == rejection(token_with_header(over_bound))


def test_when_a_header_comes_again_then_it_is_not_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One tenant's tokens share a handful of headers; each token's claims are its own."""
    read: list[bytes] = []

    def count(encoded: bytes, *bounds: JsonBounds) -> dict[str, object]:
        read.append(encoded)
        return parse_json_object(encoded, *bounds)

    monkeypatch.setattr("aws_authorizer.token.parse_json_object", count)
    encoded = to_json(header(kid="a key that no other test names"))
    for _ in range(2):
        parse_token(token_with_header(encoded))

    assert [encoded, to_json(valid_claims()), to_json(valid_claims())] == read
