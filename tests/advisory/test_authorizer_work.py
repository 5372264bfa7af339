"""Nobody makes the authorizer work more than in proportion to what they send.

All of this is read before any signature is checked, so whoever can reach the API can send it.
"""

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings

from aws_authorizer.authorizer_event import parse_authorizer_event, parse_bearer_token
from aws_authorizer.errors import TokenRejected, Undecided
from aws_authorizer.explanation.explained_token import explain_token
from aws_authorizer.key_set import StaticKeySet
from aws_authorizer.key_set_fetch import parse_max_age
from aws_authorizer.method_arn import MAX_CHARACTERS, parse_method_arn
from aws_authorizer.signing_key import MAX_KEYS, KeySetMalformed, parse_key_set
from aws_authorizer.strict_json import JsonBounds, parse_json_object
from aws_authorizer.token import MAX_TOKEN_CHARACTERS, parse_token
from shared.formats.base64url import decode_base64url
from tests.support.events import METHOD_ARN, http_v2_event, rest_request_event, rest_token_event
from tests.support.fake_clock import FakeClock
from tests.support.keys import base64url, jwk
from tests.support.tokens import API, NOW, claim_contract, header, to_json, valid_claims
from tests.support.work import Repetition, assert_linear, growth_of, repetitions

REFUSED = (TokenRejected, Undecided, KeySetMalformed, ValueError)
UNBOUNDED = JsonBounds(brackets=10**9, colons=10**9, commas=10**9)
"""So that the reader itself is measured, not the bounds in front of it."""

JSON_FAMILIES = {
    "escaped quotes after brackets": Repetition('{"a":' + "[" * 17 + '"', r"\""),
    "the same, cut off in an escape": Repetition('{"a":' + "[" * 17 + '"', r"\"", "\\"),
    "quotes": Repetition('{"a":' + "[" * 17, '"'),
    "empty strings": Repetition('{"a":[', '"",', '""]}'),
    "empty objects": Repetition('{"a":[', "{},", "{}]}"),
    "empty arrays": Repetition('{"a":[', "[],", "[]]}"),
    "open arrays": Repetition('{"a":', "["),
    "closed arrays": Repetition('{"a":' + "[" * 17, "]"),
    "digits": Repetition('{"a":', "9", "}"),
    "digits of a fraction": Repetition('{"a":0.', "9", "}"),
    "whitespace": Repetition("{", " ", "}"),
    "backslashes": Repetition('{"a":"', "\\\\", '"}'),
    "surrogate pairs": Repetition('{"a":"', r"\ud83d\ude00", '"}'),
    "half surrogate pairs": Repetition('{"a":"', r"\ud83d", '"}'),
    "escaped backslashes before a u": Repetition('{"a":"', r"\\ud83d", '"}'),
    "integers": Repetition('{"a":[', "1,", "1]}"),
    "fractions": Repetition('{"a":[', "0.1,", "1]}"),
    "one member again and again": Repetition("{", '"a":1,', '"a":1}'),
}
JSON_TOKENS = ['"', r"\"", "\\", "[", "{", "]", "}", ",", ":", "1", "0.5", '"a":', r"\ud83d", " "]


def read_json(text: str) -> object:
    """What a reader of untrusted JSON does."""
    return parse_json_object(text.encode(), UNBOUNDED)


@pytest.mark.parametrize("family", JSON_FAMILIES.values(), ids=JSON_FAMILIES)
def test_json(family: Repetition) -> None:
    """Strings that never end, brackets, digits, surrogates: without the bounds in front."""
    assert_linear(read_json, family, size=20_000, refusals=(*REFUSED, RecursionError))


@settings(max_examples=30, deadline=None)
@given(repetitions(JSON_TOKENS))
def test_json_of_any_family(family: Repetition) -> None:
    """The same for whatever mixture hypothesis thinks of."""
    opened = Repetition('{"a":[[[[[[[[[[[[[[[[[' + family.prefix, family.body, family.suffix)

    assert_linear(read_json, opened, size=20_000, refusals=(*REFUSED, RecursionError))


def token_of(part: str, family: Repetition) -> Callable[[int], bytes]:
    """A token of which one part is of the family, as long as may be measured."""

    def hostile(size: int) -> bytes:
        text = family(size * 3 // 4).encode()
        claims = base64url(text) if part == "claims" else base64url(to_json(valid_claims()))
        head = base64url(text) if part == "header" else base64url(to_json(header()))
        return f"{head}.{claims}.{base64url(bytes(256))}".encode()

    return hostile


@pytest.mark.parametrize("family", JSON_FAMILIES.values(), ids=JSON_FAMILIES)
@pytest.mark.parametrize("part", ["claims", "header"])
def test_token(part: str, family: Repetition) -> None:
    """A whole token, up to the longest that is read."""
    assert_linear(
        parse_token, token_of(part, family), size=MAX_TOKEN_CHARACTERS // 5, refusals=REFUSED
    )


@pytest.mark.parametrize("family", JSON_FAMILIES.values(), ids=JSON_FAMILIES)
@pytest.mark.parametrize("part", ["claims", "header"])
def test_explanation(part: str, family: Repetition) -> None:
    """The checks go on after a failure, and still no token makes them slow."""
    contract = claim_contract()
    keys = dict.fromkeys(contract.tenant_ids, StaticKeySet({}))
    clock = FakeClock(now=NOW)

    assert_linear(
        lambda token: explain_token(token.decode(), contract, keys, clock, api=API),
        token_of(part, family),
        size=MAX_TOKEN_CHARACTERS // 5,
        refusals=REFUSED,
    )


@pytest.mark.parametrize("body", [".", "A.", "A", "-", "=", "A=", "\xe9"])
def test_token_of_odd_segments(body: str) -> None:
    """Dots, padding, and what is no base64url at all."""
    family = Repetition("", body)

    assert_linear(lambda text: parse_token(text.encode()), family, size=2_000, refusals=REFUSED)
    assert_linear(
        lambda text: decode_base64url(text.encode()), family, size=50_000, refusals=REFUSED
    )


@pytest.mark.parametrize("escape", [r"\n", r"a\n", "\\\\", r"\u0041", r"\ud83d\ude00"])
def test_json_string_of_escapes(escape: str) -> None:
    """To look for half a character takes no longer than to decode the string does, three times."""
    text = '{"a":"' + escape * (7_000 // len(escape)) + r"\ud83d\ude00" + '"}'
    strict = growth_of(lambda _: read_json(text), str, size=1).once
    plain = growth_of(lambda _: json.loads(text), str, size=1).once

    assert strict < 4 * plain


ENTRY = to_json(jwk()).decode()
KEY_SET_FAMILIES = JSON_FAMILIES | {
    "keys": Repetition('{"keys":[', ENTRY + ",", ENTRY + "]}"),
    "keys that are none": Repetition('{"keys":[', "{},", "{}]}"),
    "a long modulus": Repetition('{"keys":[{"kty":"RSA","kid":"a","e":"AQAB","n":"', "A", '"}]}'),
    "a long exponent": Repetition(ENTRY.replace('"e":"AQAB', '"e":"')[:-1], "A", '"}'),
    "a long key ID": Repetition('{"keys":[{"kty":"RSA","kid":"', "a", '"}]}'),
    "whitespace around": Repetition(" ", " ", "{}" + " " * 1_000),
}


@pytest.mark.parametrize("family", KEY_SET_FAMILIES.values(), ids=KEY_SET_FAMILIES)
def test_key_set(family: Repetition) -> None:
    """Whoever stands in for the issuer, or a broken issuer, up to the largest body."""
    assert_linear(lambda text: parse_key_set(text.encode()), family, size=60_000, refusals=REFUSED)


def test_key_set_of_many_keys() -> None:
    """As many keys as a set may have."""

    def hostile(number: int) -> bytes:
        return to_json({"keys": [jwk() | {"kid": str(i)} for i in range(number)]})

    assert_linear(parse_key_set, hostile, size=MAX_KEYS // 4)


EVENT_TEXTS = {
    "spaces": Repetition("Bearer", " "),
    "letters": Repetition("Bearer ", "a"),
    "commas": Repetition("Bearer ", "a,"),
    "only commas": Repetition("", ","),
    "schemes": Repetition("", "Bearer "),
}


@pytest.mark.parametrize("family", EVENT_TEXTS.values(), ids=EVENT_TEXTS)
@pytest.mark.parametrize("build_event", [rest_token_event, rest_request_event, http_v2_event])
def test_authorization_header(
    build_event: Callable[[str], dict[str, object]], family: Repetition
) -> None:
    """The credential, in every kind of event."""

    def read(event: dict[str, object]) -> None:
        parse_bearer_token(parse_authorizer_event(event))

    assert_linear(read, lambda size: build_event(family(size)), size=20_000, refusals=REFUSED)


def many_headers(size: int) -> dict[str, object]:
    """An event with many headers, none of them ours."""
    headers = {f"x-{number}": "a" for number in range(size // 8)}
    return rest_request_event("") | {
        "headers": headers,
        "multiValueHeaders": {name: [value] * 4 for name, value in headers.items()},
    }


def many_spellings(size: int) -> dict[str, object]:
    """An event with our header in many spellings and values."""
    spellings = {f"{'a' * (number % 2)}Authorization": ["x"] * 64 for number in range(size // 64)}
    return rest_request_event("") | {"multiValueHeaders": spellings}


def many_sources(size: int) -> dict[str, object]:
    """An event whose gateway caches by many values."""
    return http_v2_event("Bearer a") | {"identitySource": ["Bearer b"] * (size // 8)}


@pytest.mark.parametrize("hostile", [many_headers, many_spellings, many_sources])
def test_event(hostile: Callable[[int], dict[str, object]]) -> None:
    """Headers and identity sources in great number."""
    assert_linear(parse_authorizer_event, hostile, size=8_000, refusals=REFUSED)


@pytest.mark.parametrize(
    "family",
    [
        Repetition(METHOD_ARN, "/a"),
        Repetition(METHOD_ARN, ":"),
        Repetition("arn:aws", "-"),
        Repetition("", "arn:aws:execute-api:"),
        Repetition("arn:aws:execute-api:eu-west-1:111122223333:", "a"),
        Repetition("arn:aws:execute-api:eu-west-1:111122223333:a/", "a"),
        Repetition(METHOD_ARN, "\n"),
    ],
    ids=str,
)
def test_method_arn(family: Repetition) -> None:
    """Paths, and what only begins like an ARN."""
    assert_linear(parse_method_arn, family, size=MAX_CHARACTERS // 5, refusals=REFUSED)


@pytest.mark.parametrize(
    "family",
    [
        Repetition("", ","),
        Repetition("", ", "),
        Repetition(",", " ", "x"),
        Repetition("", "max-age ="),
        Repetition("max-age=", "1"),
        Repetition("max-age", " ", "=1"),
        Repetition("", "no-store "),
        Repetition("", ",max-age=1 "),
        Repetition("", "\t,"),
    ],
    ids=str,
)
def test_cache_control(family: Repetition) -> None:
    """What a key set's server says about caching."""
    assert_linear(lambda text: parse_max_age(text, "0"), family, size=15_000, refusals=REFUSED)
