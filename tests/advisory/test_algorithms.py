"""Attacks that choose the algorithm: none, HMAC with a public key, and every other one."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from tests.advisory.gate import outcome
from tests.support.keys import KEY_ID, base64url, jwk, key_set, private_key, sign
from tests.support.tokens import header, signed_token, to_json, valid_claims

PUBLIC = private_key().public_key()
PEM = serialization.Encoding.PEM
DER = serialization.Encoding.DER
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
PKCS1 = serialization.PublicFormat.PKCS1


def unsigned_token(signature: str = "", **changes: object) -> str:
    """A token whose signature is whatever the attacker writes."""
    members = to_json(header(**changes))
    return f"{base64url(members)}.{base64url(to_json(valid_claims()))}.{signature}"


def hmac_token(secret: bytes, algorithm: str = "HS256") -> str:
    """A token that is signed with a secret the attacker knows."""
    signing_input = unsigned_token(alg=algorithm).rpartition(".")[0]
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[algorithm]
    return f"{signing_input}.{base64url(hmac.new(secret, signing_input.encode(), digest).digest())}"


def public_key_spellings() -> dict[str, bytes]:
    """Every spelling of the public key that a confused verifier has been known to use."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    now = datetime(2023, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(PUBLIC)
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(private_key(), hashes.SHA256())
    )
    pem = PUBLIC.public_bytes(PEM, SPKI)
    return {
        "PEM": pem,
        "PEM without its last line feed": pem.rstrip(),
        "PEM behind whitespace": b"\n  " + pem,
        "PKCS 1 PEM": PUBLIC.public_bytes(PEM, PKCS1),
        "DER": PUBLIC.public_bytes(DER, SPKI),
        "PKCS 1 DER": PUBLIC.public_bytes(DER, PKCS1),
        "OpenSSH": PUBLIC.public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        ),
        "certificate PEM": certificate.public_bytes(PEM),
        "certificate DER": certificate.public_bytes(DER),
        "JWK": json.dumps(jwk()).encode(),
        "JWK Set": key_set(),
        "modulus": PUBLIC.public_numbers().n.to_bytes(256),
        "modulus as published": str(jwk()["n"]).encode(),
        "empty": b"",
        "null": b"null",
        "key ID": KEY_ID.encode(),
    }


def test_when_nothing_is_wrong_then_the_gate_opens() -> None:
    """Without this, every refusal in this folder could be for another reason."""
    assert "allowed" == outcome(signed_token())


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "noNE", " none", "none\x00"])
@pytest.mark.parametrize("signature", ["", "AAAA", base64url(sign(b""))])
def test_alg_none_in_any_spelling(algorithm: str, signature: str) -> None:
    """CVE-2015-9235, CVE-2018-1000531, CVE-2020-28042, CVE-2022-23540; rfc8725bis section 2.11."""
    assert "unauthorized" == outcome(unsigned_token(signature, alg=algorithm))


@pytest.mark.parametrize("algorithm", [None, "", [], {}, 0, False])
def test_alg_missing_or_empty(algorithm: object) -> None:
    """A verifier that takes a falsy algorithm for `none`, or picks one itself."""
    members = header() | {"alg": algorithm}
    token = f"{base64url(to_json(members))}.{base64url(to_json(valid_claims()))}."

    assert "unauthorized" == outcome(token)
    assert "unauthorized" == outcome(signed_token(alg=algorithm))


@pytest.mark.parametrize("secret", public_key_spellings().values(), ids=public_key_spellings())
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_hmac_with_the_public_key(secret: bytes, algorithm: str) -> None:
    """CVE-2015-9235, CVE-2016-5431, CVE-2016-10555, CVE-2022-23541 and their kin.

    CVE-2017-11424 (PKCS 1 PEM), CVE-2022-29217 and CVE-2024-33663 (OpenSSH and others),
    CVE-2024-37568 (any public key), CVE-2023-48223 (PEM spelled oddly), CVE-2026-48526 (JWK JSON),
    python-jose's DER gap.
    """
    assert "unauthorized" == outcome(hmac_token(secret, algorithm))


def test_hmac_with_an_empty_secret() -> None:
    """CVE-2026-49852, and CVE-2022-23540's falsy secret."""
    assert "unauthorized" == outcome(hmac_token(b""))


def test_hmac_under_the_name_of_the_right_algorithm() -> None:
    """The header says RS256, the signature is an HMAC with the public key."""
    signing_input = unsigned_token().rpartition(".")[0]
    digest = hmac.new(PUBLIC.public_bytes(PEM, SPKI), signing_input.encode(), hashlib.sha256)

    assert "unauthorized" == outcome(f"{signing_input}.{base64url(digest.digest())}")


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "PS384", "PS512"])
@pytest.mark.parametrize("named", ["RS256", None])
def test_another_rsa_algorithm_with_the_right_key(algorithm: str, named: str | None) -> None:
    """One key, one algorithm (RFC 8725 section 3.1); CVE-2026-48523, CVE-2022-23539."""
    signing_input = unsigned_token(alg=named or algorithm).rpartition(".")[0]
    signature = jwt.get_algorithm_by_name(algorithm).sign(signing_input.encode(), private_key())

    assert "unauthorized" == outcome(f"{signing_input}.{base64url(signature)}")


@pytest.mark.parametrize(
    "algorithm",
    ["ES256", "ES256K", "ES384", "ES512", "EdDSA", "Ed25519", "RS256K", "RSA1_5", "RSA-OAEP",
     "dir", "A256KW", "PBES2-HS256+A128KW", "rs256", "RS256 ", "RS256,none", "RS256\x00",
     "\uff32\uff33256"],
)  # fmt: skip
def test_any_other_algorithm_name(algorithm: str) -> None:
    """The name is compared with one string, and nothing is normalized first."""
    assert "unauthorized" == outcome(signed_token(alg=algorithm))


def test_algorithm_as_a_list_that_contains_the_right_one() -> None:
    """A loose comparison finds RS256 in it."""
    assert "unauthorized" == outcome(signed_token(alg=["RS256"]))
    assert "unauthorized" == outcome(signed_token(alg={"RS256": 1}))


@pytest.mark.parametrize("length", [64, 96, 132])
def test_psychic_signature(length: int) -> None:
    """CVE-2022-21449: r = s = 0 verifies anything in a broken ECDSA."""
    zeros = base64url(b"\x00" * length)

    assert "unauthorized" == outcome(unsigned_token(zeros, alg="ES256"))
    assert "unauthorized" == outcome(unsigned_token(zeros))


def test_elliptic_key_published_under_the_id_of_the_rsa_key() -> None:
    """A key of another type does not become usable because a token names it."""
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_numbers()
    entry = {
        "kty": "EC",
        "crv": "P-256",
        "kid": "ec",
        "x": base64url(point.x.to_bytes(32)),
        "y": base64url(point.y.to_bytes(32)),
    }
    signing_input = unsigned_token(alg="ES256", kid="ec").rpartition(".")[0]
    signature = jwt.get_algorithm_by_name("ES256").sign(signing_input.encode(), key)

    assert "unauthorized" == outcome(
        f"{signing_input}.{base64url(signature)}", key_set(jwk(), entry)
    )


def test_edwards_key_in_the_set() -> None:
    """An Ed25519 key in the set is skipped, and its tokens are refused."""
    key = ed25519.Ed25519PrivateKey.generate()
    x = key.public_key().public_bytes_raw()
    entry = {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": base64url(x)}
    signing_input = unsigned_token(alg="EdDSA", kid="ed").rpartition(".")[0]
    token = f"{signing_input}.{base64url(key.sign(signing_input.encode()))}"

    assert "unauthorized" == outcome(token, key_set(jwk(), entry))


def test_secret_key_in_the_set() -> None:
    """A symmetric key in a key set is a mistake of the issuer's that must not become ours."""
    secret = b"0123456789abcdef0123456789abcdef"
    entry = {"kty": "oct", "kid": "oct", "k": base64url(secret), "alg": "HS256"}
    signing_input = unsigned_token(alg="HS256", kid="oct").rpartition(".")[0]
    signature = hmac.new(secret, signing_input.encode(), hashlib.sha256).digest()
    token = f"{signing_input}.{base64url(signature)}"

    assert "unauthorized" == outcome(token, key_set(jwk(), entry))
    assert "undecided" == outcome(signed_token(kid="oct"), key_set(entry))
