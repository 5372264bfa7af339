"""Published keys."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aws_authorizer.signing_key import (
    MAX_KEYS,
    KeySetMalformed,
    SigningKey,
    parse_key_set,
    parse_signing_key,
)
from tests.support.keys import (
    ISSUER,
    KEY_ID,
    jwk,
    key_set,
    private_key,
    sign,
    signing_key,
    unsigned,
)

MODULUS = private_key().public_key().public_numbers().n


def test_when_a_key_is_good_then_it_verifies_what_it_signed() -> None:
    """A key is told by its ID, belongs to its issuer, and checks RS256 signatures."""
    key = signing_key()

    assert (KEY_ID, ISSUER) == (key.key_id, key.issuer)
    assert key.verifies(b"text", sign(b"text"))
    assert not key.verifies(b"texT", sign(b"text"))
    assert not key.verifies(b"text", sign(b"text", private_key("key-2")))


@pytest.mark.parametrize(
    "signature",
    [b"", b"\x00" * 256, b"\xff" * 256, b"\x01" + b"\x00" * 255, sign(b"text")[:-1],
     b"\x00" + sign(b"text"), sign(b"text") + b"\x00"],
)  # fmt: skip
def test_when_a_signature_is_not_one_then_it_does_not_verify(signature: bytes) -> None:
    """Zero, the modulus and over, and every other length than the modulus's."""
    assert not signing_key().verifies(b"text", signature)


@pytest.mark.parametrize(
    "changes",
    [
        {"use": None},
        {"alg": "RS256"},
        {"key_ops": ["verify"]},
        {"key_ops": ["verify", "sign"]},
        {"issuer": None},
        {"x5c": ["MIID"], "x5t": KEY_ID, "cloud_instance_name": "microsoftonline.com"},
        {"n": unsigned(1 << 2047 | 1)},
        {"n": unsigned(1 << 8191 | 1)},
        {"e": unsigned(65539)},
    ],
)
def test_when_an_entry_is_usable_then_it_is_a_key(changes: dict[str, object]) -> None:
    """What RFC 7517 leaves optional may be there or not; bounds themselves are allowed."""
    assert isinstance(parse_signing_key(jwk(**changes)), SigningKey)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"kty": None},
        {"kty": "EC"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "quantum"},
        {"kty": ["RSA"]},
        {"use": "enc"},
        {"use": ["sig"]},
        {"alg": "RS512"},
        {"alg": "PS256"},
        {"alg": "HS256"},
        {"key_ops": ["sign"]},
        {"key_ops": []},
        {"key_ops": "verify"},
        {"kid": None},
        {"kid": ""},
        {"kid": 1},
        {"kid": "k" * 257},
        {"issuer": 1},
        {"issuer": [ISSUER]},
        {"d": "AQAB"},
        {"p": "AQAB"},
        {"oth": []},
        {"n": None},
        {"n": ""},
        {"n": 5},
        {"n": "=="},
        {"n": "ä"},
        {"n": "AA" + unsigned(MODULUS)},
        {"n": unsigned(1 << 2046 | 1)},
        {"n": unsigned(1 << 8192 | 1)},
        {"n": unsigned(MODULUS - 1)},
        {"e": None},
        {"e": unsigned(1)},
        {"e": unsigned(3)},
        {"e": unsigned(65535)},
        {"e": unsigned(65538)},
        {"e": unsigned(2**32 + 1)},
        {"e": "AAEAAQ"},
    ],
)
def test_when_an_entry_is_not_for_us_then_it_is_skipped(changes: dict[str, object]) -> None:
    """Other types and uses, weak, oversized, even, malformed and private keys are no keys."""
    entry = {name: value for name, value in (jwk() | changes).items() if value is not None}

    assert parse_signing_key(entry) is None


@pytest.mark.parametrize("bits", [1024, 2047])
def test_when_a_real_key_is_short_then_it_is_skipped(bits: int) -> None:
    """RFC 7518 section 3.3, on both sides of the bound."""
    assert parse_signing_key(jwk("short", bits=bits)) is None
    assert parse_signing_key(jwk("long enough", bits=2048)) is not None


def test_when_a_set_mixes_keys_then_the_usable_ones_are_held() -> None:
    """Entries that are no keys for us do no harm to those that are (RFC 7517 section 5)."""
    point = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    curve = {"kty": "EC", "crv": "P-256", "x": unsigned(point.x), "y": unsigned(point.y)}
    entries = [curve | {"kid": KEY_ID}, {}, jwk(), jwk("key-2")]
    encoded = json.dumps({"keys": [*entries, None, 5, "key", []], "other": 1}).encode()

    assert {KEY_ID, "key-2"} == parse_key_set(encoded).keys.keys()


def test_when_a_set_has_whitespace_around_it_then_it_is_read() -> None:
    """A key set may be a file, and files end in line feeds."""
    assert {KEY_ID} == parse_key_set(b" \r\n" + key_set() + b"\n").keys.keys()


@pytest.mark.parametrize(
    ("encoded", "code"),
    [
        (b"", "not_json"),
        (b"<html></html>", "not_json"),
        (b"[]", "not_json"),
        (key_set()[:-1], "not_json"),
        (b'{"keys":[],"keys":[]}', "not_json"),
        (b"{}", "not_a_key_set"),
        (b'{"keys":{}}', "not_a_key_set"),
        (b'{"keys":null}', "not_a_key_set"),
        (b'{"keys":[]}', "no_usable_key"),
        (b'{"keys":[{"kty":"EC"}]}', "no_usable_key"),
        (key_set(jwk("a"), jwk("a", issuer=None)), "contradicted_keys"),
        (b'{"keys":[' + b"{}," * 2_048 + b"{}]}", "not_json"),
    ],
)
def test_when_a_set_cannot_be_used_then_its_code_says_why(encoded: bytes, code: str) -> None:
    """Each fault has a stable code."""
    with pytest.raises(KeySetMalformed) as caught:
        parse_key_set(encoded)

    assert code == str(caught.value)


def test_when_a_key_stands_in_a_set_twice_then_it_is_one_key() -> None:
    """Whatever else the two entries say; only what makes it this key counts."""
    parsed = parse_key_set(key_set(jwk("a"), jwk("b"), jwk("a", alg="RS256", x5t="another")))

    assert {"a", "b"} == parsed.keys.keys()
    assert frozenset() == parsed.contradicted_key_ids


@pytest.mark.parametrize(
    "entries",
    [
        (jwk("a"), jwk("c") | {"kid": "a"}),
        (jwk("a"), jwk("a", issuer=None)),
        (jwk("a"), jwk("c") | {"kid": "a"}, jwk("a")),
        (jwk("c") | {"kid": "a"}, jwk("a"), jwk("a")),
    ],
    ids=["another key", "another issuer", "and the first again", "and the second again"],
)
def test_when_two_keys_share_an_id_then_only_that_id_is_dropped(
    entries: tuple[dict[str, object], ...],
) -> None:
    """Nobody could say which one a token means; the rest of the set serves."""
    parsed = parse_key_set(key_set(*entries, jwk("b")))

    assert {"b"} == parsed.keys.keys()
    assert {"a"} == parsed.contradicted_key_ids


def test_when_an_unusable_entry_shares_an_id_then_the_key_is_used() -> None:
    """An entry that is no key for us contradicts nothing."""
    parsed = parse_key_set(key_set(jwk("a"), jwk("a", use="enc"), jwk("a", n="AQAB")))

    assert {"a"} == parsed.keys.keys()


def test_when_a_set_is_endless_then_it_is_refused() -> None:
    """The number of entries is bounded, whatever they are."""
    at_bound = [jwk(), *[{}] * (MAX_KEYS - 1)]

    assert {KEY_ID} == parse_key_set(key_set(*at_bound)).keys.keys()
    with pytest.raises(KeySetMalformed):
        parse_key_set(key_set(*at_bound, {}))


@pytest.mark.parametrize(
    ("modulus", "exponent"), [(0, 65_537), (MODULUS, 0), (MODULUS, 4)], ids=["n 0", "e 0", "e even"]
)
def test_when_no_key_can_be_made_then_there_is_none(modulus: int, exponent: int) -> None:
    """What `cryptography` does not like is one kind of refusal."""
    with pytest.raises(ValueError):  # noqa: PT011 - the message is nobody's contract
        SigningKey(KEY_ID, modulus, exponent, None)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(["kty", "use", "alg", "key_ops", "kid", "n", "e", "issuer", "d"]),
        st.one_of(
            st.sampled_from(["RSA", "sig", "RS256", ["verify"], "AQAB", unsigned(MODULUS), ISSUER]),
            st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.lists(st.none()),
        ),
    )
)  # fmt: skip
def test_when_an_entry_is_arbitrary_then_it_is_a_key_or_skipped(entry: dict[str, object]) -> None:
    """No entry raises."""
    key = parse_signing_key(entry)

    assert key is None or 256 <= key.signature_bytes
