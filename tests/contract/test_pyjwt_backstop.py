"""What we lean on in PyJWT, and what we read ourselves because PyJWT would take more.

The first half must stay true, or our own code is wrong. The second half documents why the strict
reader exists; should PyJWT become as strict one day, such a test fails and may go.
"""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import jwt
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from jwt.algorithms import RSAAlgorithm

from aws_authorizer.claim_checks import check_identity, parse_validity
from aws_authorizer.errors import TokenRejected
from aws_authorizer.signing_key import parse_key_set, parse_signing_key
from aws_authorizer.strict_json import parse_json_object
from aws_authorizer.token import parse_token
from shared.formats.base64url import decode_base64url
from tests.support.keys import base64url, jwk, key_set, private_key, sign, unsigned
from tests.support.tokens import (
    API_CLIENT_ID,
    NOW,
    claim_contract,
    header,
    signed_bytes,
    signed_token,
    to_json,
    valid_claims,
)

ROOT = Path(__file__).parents[2]
LONG_AFTER = 4_000_000_000


def rs256(**changes: object) -> jwt.PyJWK:
    """The key as `signing_key` hands it to PyJWT."""
    members = jwk() | changes
    return jwt.PyJWK({name: members[name] for name in ("kty", "n", "e")}, algorithm="RS256")


def decode(token: str, **options: object) -> dict[str, object]:
    """PyJWT's own decoding, at its defaults."""
    return jwt.decode(token, rs256(), algorithms=["RS256"], audience=API_CLIENT_ID, **options)  # type: ignore[arg-type]


# --- what we lean on ----------------------------------------------------------------------------


def test_when_we_name_the_algorithm_then_it_is_rsa_with_sha_256() -> None:
    """The key verifies RSASSA-PKCS1-v1_5 with SHA-256 and no other hash or padding."""
    key = rs256()

    assert isinstance(key.Algorithm, RSAAlgorithm)
    assert "SHA256" == key.Algorithm.hash_alg.__name__
    assert isinstance(key.key, rsa.RSAPublicKey)
    assert "RS256" == key.algorithm_name


def test_when_a_signature_is_good_then_verify_is_true_and_else_false() -> None:
    """A boolean, and no exception for any bytes of any length."""
    key = rs256()
    verify = key.Algorithm.verify

    assert verify(b"text", key.key, sign(b"text")) is True
    for signature in (b"", b"\x00", b"\x00" * 256, b"\xff" * 256, sign(b"text")[:-1], b"x" * 9999):
        assert verify(b"text", key.key, signature) is False


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_when_another_algorithm_signed_then_verify_is_false(algorithm: str) -> None:
    """One key, one algorithm (RFC 8725 section 3.1)."""
    signature = jwt.get_algorithm_by_name(algorithm).sign(b"text", private_key())

    assert rs256().Algorithm.verify(b"text", rs256().key, signature) is False


def test_when_we_name_the_algorithm_then_the_jwks_own_word_does_not_count() -> None:
    """An `alg` in the entry cannot choose another one."""
    key = jwt.PyJWK(jwk(alg="HS256"), algorithm="RS256")

    assert "RS256" == key.algorithm_name


def test_when_a_key_is_public_then_the_held_key_is_public() -> None:
    """A private member would make PyJWT hold a private key, so such entries never reach it."""
    assert not isinstance(rs256().key, rsa.RSAPrivateKey)
    assert parse_signing_key(jwk(d="AQAB")) is None


def test_when_a_signature_fails_then_cryptography_still_has_its_one_exception() -> None:
    """We catch this one; another one would come out of the handler as undecided."""
    key = rs256().key
    with pytest.raises(InvalidSignature):
        key.verify(b"\x00" * 256, b"text", padding.PKCS1v15(), hashes.SHA256())


def test_when_the_authorizer_is_imported_then_little_else_is_loaded() -> None:
    """In a fresh process: no PyJWT, no http, no ssl, no X.509, no second libcrypto."""
    program = """
import sys
import aws_authorizer.handler
unwanted = {"jwt", "http.client", "ssl", "urllib.request", "hashlib", "dataclasses", "inspect",
            "cryptography.x509", "cryptography.hazmat.primitives.serialization"}
assert not unwanted & set(sys.modules), unwanted & set(sys.modules)
"""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={"PYTHONPATH": str(ROOT)},
        check=True,
        timeout=30,
    )


# --- what PyJWT would take and we do not --------------------------------------------------------


def test_when_pyjwt_decodes_our_good_token_then_it_agrees() -> None:
    """The tokens of these tests are tokens to PyJWT too."""
    token = signed_token(valid_claims(iat=NOW, exp=LONG_AFTER))

    assert API_CLIENT_ID == decode(token)["aud"]


def test_when_exp_is_missing_then_pyjwt_takes_it_and_we_do_not() -> None:
    """A token that never ends."""
    claims = valid_claims(exp=None)

    assert decode(signed_token(claims))
    with pytest.raises(TokenRejected):
        parse_validity(claims, 60)


@pytest.mark.parametrize("exp", [str(LONG_AFTER), "\uff14" + "0" * 9])
def test_when_exp_is_a_string_then_pyjwt_takes_it_and_we_do_not(exp: str) -> None:
    """PyJWT reads times with `int()`, full-width digits included."""
    claims = valid_claims(exp=exp)

    assert decode(signed_token(claims))
    with pytest.raises(TokenRejected):
        parse_validity(claims, 60)


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_when_a_time_is_a_bool_then_pyjwt_takes_it_and_we_do_not(claim: str) -> None:
    """`int(True)` is 1970."""
    claims = valid_claims(exp=LONG_AFTER) | {claim: True}

    assert decode(signed_token(claims))
    with pytest.raises(TokenRejected):
        parse_validity(claims, 60)


def test_when_an_audience_is_one_of_several_then_pyjwt_takes_it_and_we_do_not() -> None:
    """A token for several APIs can be replayed by any of them."""
    claims = valid_claims(aud=["https://other.example", API_CLIENT_ID], exp=LONG_AFTER)

    assert decode(signed_token(claims))
    with pytest.raises(TokenRejected):
        check_identity(claims, claim_contract())


def test_when_members_are_duplicate_then_pyjwt_takes_the_last_and_we_do_not() -> None:
    """Two readers could see two different tokens."""
    encoded = to_json(valid_claims(exp=LONG_AFTER))[:-1] + b',"tid":"other"}'

    assert "other" == decode(signed_bytes(to_json(header()), encoded))["tid"]
    with pytest.raises(ValueError, match="duplicate"):
        parse_json_object(encoded)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_when_claims_are_not_utf_8_then_pyjwt_takes_them_and_we_do_not(encoding: str) -> None:
    """rfc8725bis section 3.7: UTF-8 and nothing else."""
    encoded = json.dumps(valid_claims(exp=LONG_AFTER)).encode(encoding)

    assert decode(signed_bytes(to_json(header()), encoded))
    with pytest.raises(ValueError):  # noqa: PT011 - one of several, by encoding
        parse_json_object(encoded)


def test_when_a_number_is_not_one_then_pyjwt_takes_it_and_we_do_not() -> None:
    """NaN and Infinity are no JSON."""
    encoded = to_json(valid_claims(exp=LONG_AFTER, odd=float("nan")))

    assert decode(signed_bytes(to_json(header()), encoded))
    with pytest.raises(ValueError, match="NaN"):
        parse_json_object(encoded)


def test_when_a_key_is_short_then_pyjwt_only_warns_and_we_skip_it() -> None:
    """RFC 7518 section 3.3 says MUST."""
    short = jwk("short", bits=1024)
    token = signed_token(valid_claims(exp=LONG_AFTER), key=private_key("short", 1024))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        jwt.decode(token, jwt.PyJWK(short), algorithms=["RS256"], audience=API_CLIENT_ID)

    assert ["InsecureKeyLengthWarning"] == [type(each.message).__name__ for each in caught]
    assert parse_signing_key(short) is None


@pytest.mark.parametrize("changes", [{"key_ops": ["encrypt"]}, {"use": "enc"}])
def test_when_a_key_is_for_something_else_then_pyjwt_takes_it_and_we_skip_it(
    changes: dict[str, object],
) -> None:
    """RFC 7517 sections 4.2 and 4.3."""
    token = signed_token(valid_claims(exp=LONG_AFTER))
    entry = jwk() | changes

    assert jwt.decode(token, jwt.PyJWK(entry), algorithms=["RS256"], audience=API_CLIENT_ID)
    assert parse_signing_key(entry) is None


def test_when_a_set_has_two_keys_with_one_id_then_pyjwt_takes_the_first_and_we_neither() -> None:
    """Nobody could say which of the two a token means."""
    encoded = key_set(jwk(), jwk("key-2") | {"kid": "key-1"}, jwk("key-3"))

    assert 3 == len(jwt.PyJWKSet.from_json(encoded.decode()).keys)
    assert {"key-3"} == parse_key_set(encoded).keys.keys()


def test_when_a_kid_is_missing_then_pyjwt_does_not_mind_and_we_do() -> None:
    """Whoever decodes with a key has chosen it; we choose by `kid` alone."""
    token = signed_token(valid_claims(exp=LONG_AFTER), kid=None)

    assert decode(token)
    with pytest.raises(TokenRejected):
        parse_token(token.encode())


def test_when_base64_is_not_canonical_then_pyjwts_decoder_takes_it_and_ours_does_not() -> None:
    """Two spellings of one token."""
    canonical = base64url(b"\x00")
    loose = canonical[:-1] + "B"

    assert jwt.utils.base64url_decode(canonical) == jwt.utils.base64url_decode(loose)
    assert b"\x00" == decode_base64url(canonical.encode())
    with pytest.raises(ValueError, match="canonical"):
        decode_base64url(loose.encode())


def test_when_a_modulus_has_leading_zeros_then_pyjwt_takes_it_and_we_skip_it() -> None:
    """RFC 7518 section 2: a Base64urlUInt has none."""
    modulus = private_key().public_key().public_numbers().n
    padded = base64url(b"\x00" + modulus.to_bytes(256))

    assert rs256(n=padded).key == rs256(n=unsigned(modulus)).key
    assert parse_signing_key(jwk(n=padded)) is None
