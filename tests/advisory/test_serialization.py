"""Attacks on how a token is written: other serializations, encodings, and two readings of one."""

import base64
import json
import zlib

import pytest

from tests.advisory.gate import outcome, outcome_of_header
from tests.support.keys import base64url, sign
from tests.support.tokens import header, signed_bytes, signed_token, to_json, valid_claims

TOKEN = signed_token()
HEADER, CLAIMS, SIGNATURE = TOKEN.split(".")
GOOD_CLAIMS = to_json(valid_claims())


@pytest.mark.parametrize(
    "token",
    [
        json.dumps({"protected": HEADER, "payload": CLAIMS, "signature": SIGNATURE}),
        json.dumps(
            {"payload": CLAIMS, "signatures": [{"protected": HEADER, "signature": SIGNATURE}]}
        ),
        json.dumps({"payload": CLAIMS, "header": header(), "signature": SIGNATURE}),
        f'{{"{TOKEN}":1}}',
    ],
)
def test_json_serialization(token: str) -> None:
    """A JWT is compact (RFC 7519 section 1); the JSON forms have unprotected headers."""
    assert "unauthorized" == outcome(token)


@pytest.mark.parametrize(
    "token",
    [
        f"{TOKEN}.AAAA",
        f"{TOKEN}.AAAA.AAAA",
        f"{TOKEN}.",
        f".{TOKEN}",
        f"{TOKEN}~AAAA~",
        f"{HEADER}.{CLAIMS}",
        f"{HEADER}.{CLAIMS}.",
        f"{HEADER}..{SIGNATURE}",
        f".{CLAIMS}.{SIGNATURE}",
        "..",
        "....",
        "." * 9_000,
        HEADER,
    ],
)
def test_wrong_number_of_segments(token: str) -> None:
    """CVE-2025-61920's dots, detached payloads, SD-JWT tails, and empty segments."""
    assert "unauthorized" == outcome(token)


@pytest.mark.parametrize("algorithm", ["dir", "RSA1_5", "RSA-OAEP-256", "PBES2-HS512+A256KW"])
def test_encrypted_token(algorithm: str) -> None:
    """CVE-2024-33664, CVE-2024-29370, CVE-2025-62706, CVE-2026-28490, CVE-2026-27932.

    Nothing is decrypted, inflated or derived, so there is no bomb, no oracle and no endless
    derivation.
    """
    bomb = zlib.compress(b" " * 10_000_000)[:4_000]
    members = {"alg": algorithm, "enc": "A128GCM", "zip": "DEF", "p2c": 2**31 - 1, "p2s": "AAAA"}
    token = ".".join([base64url(to_json(members)), "AAAA", "AAAA", base64url(bomb), "AAAA"])

    assert "unauthorized" == outcome(token)


def test_compressed_claims() -> None:
    """`zip` belongs to JWE; in a JWS it inflates nothing."""
    token = signed_bytes(to_json(header(zip="DEF")), zlib.compress(GOOD_CLAIMS))

    assert "unauthorized" == outcome(token)


@pytest.mark.parametrize(
    "character", ["=", "==", " ", "\n", "\t", "\r\n", "\x00", "+", "/", "%3D", "é"]
)
@pytest.mark.parametrize("segment", [0, 1, 2])
def test_characters_that_a_lenient_decoder_drops(character: str, segment: int) -> None:
    """GHSA-5jhw-7jv7-qcqq: a second spelling of a token slips past whoever keeps a list of them."""
    for position in (0, 9, None):
        segments = TOKEN.split(".")
        text = segments[segment]
        at = len(text) if position is None else position
        if (character, segment, at) == (" ", 0, 0):
            continue  # RFC 9110 section 11.4: more than one space may follow the scheme
        segments[segment] = text[:at] + character + text[at:]

        assert "unauthorized" == outcome(".".join(segments))


def test_standard_base64_alphabet() -> None:
    """`+` and `/` for `-` and `_`."""
    for number in range(64):
        token = signed_token(valid_claims(aio=f"{number}?>~"))
        standard = token.replace("-", "+").replace("_", "/")
        if standard != token:
            assert "unauthorized" == outcome(standard)


def test_loose_bits_at_the_end_of_a_segment() -> None:
    """Sixteen or four spellings of the same bytes; one of them is right."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for segment in (0, 1, 2):
        segments = TOKEN.split(".")
        good = segments[segment]
        for last in alphabet:
            segments[segment] = good[:-1] + last
            expected = "allowed" if segments[segment] == good else "unauthorized"
            assert expected == outcome(".".join(segments))


@pytest.mark.parametrize(
    "encoded",
    [
        GOOD_CLAIMS.decode().encode("utf-16"),
        GOOD_CLAIMS.decode().encode("utf-16-le"),
        GOOD_CLAIMS.decode().encode("utf-32"),
        GOOD_CLAIMS.decode().encode("utf-8-sig"),
        GOOD_CLAIMS.decode().encode("utf-7").replace(b"{", b"+AHs-"),
        GOOD_CLAIMS[:-1] + b',"x":"\xff"}',
        GOOD_CLAIMS[:-1] + b',"x":"\xc0\xaf"}',
        GOOD_CLAIMS + b"\x00",
        b"\x00" + GOOD_CLAIMS,
        GOOD_CLAIMS + GOOD_CLAIMS,
        GOOD_CLAIMS + b"\n",
        b" " + GOOD_CLAIMS,
        b"[" + GOOD_CLAIMS + b"]",
        b'"' + GOOD_CLAIMS.replace(b'"', b'\\"') + b'"',
        base64.b64encode(GOOD_CLAIMS),
        b"null",
        b"{}",
        b"",
    ],
)
def test_claims_that_are_no_utf_8_json_object(encoded: bytes) -> None:
    """rfc8725bis section 3.7: one encoding, one object, nothing around it, though well signed."""
    assert "unauthorized" == outcome(signed_bytes(to_json(header()), encoded))


@pytest.mark.parametrize(
    "member",
    [
        b'"aud":"https://other.example"',
        b'"tid":"00000000-0000-4000-8000-000000000000"',
        b'"exp":9999999999',
        b'"roles":["Records.Write"]',
        b'"\\u0072oles":["Records.Write"]',
        b'"x":{"a":1,"a":2}',
        b'"x":NaN',
        b'"x":Infinity',
        b'"x":-Infinity',
        b'"x":1e400',
        b'"x":' + b"9" * 4_400,
        b'"x":' + b"[" * 1_000 + b"]" * 1_000,
        b'"x":' + b'{"a":' * 500 + b"1" + b"}" * 500,
        b'"x":"\n"',
        b'"x":01',
        b"'x':1",
        b'"x":1,',
        b"/* */",
    ],
)
def test_claims_that_two_readers_read_differently(member: bytes) -> None:
    """Members twice at any level, numbers that are none, nesting without end, lenient JSON."""
    token = signed_bytes(to_json(header()), GOOD_CLAIMS[:-1] + b"," + member + b"}")

    assert "unauthorized" == outcome(token)


@pytest.mark.parametrize(
    "authorization",
    [
        TOKEN,
        f"Bearer{TOKEN}",
        f"Bearer\t{TOKEN}",
        f"Bearer {TOKEN} ",
        f" Bearer {TOKEN}",
        f"Bearer {TOKEN},Bearer {TOKEN}",
        f"Bearer {TOKEN}, {TOKEN}",
        f"Bearer Bearer {TOKEN}",
        f'Bearer token="{TOKEN}"',
        f'Bearer "{TOKEN}"',
        f"Bearer {TOKEN}\r\nX-Admin: 1",
        f"Basic {TOKEN}",
        f"DPoP {TOKEN}",
        f"access_token={TOKEN}",
        "Bearer",
        "Bearer ",
        "Bearer null",
        "Bearer undefined",
        "Bearer ..",
        "",
    ],
)
def test_header_that_is_not_one_bearer_credential(authorization: str) -> None:
    """RFC 6750 section 2.1 and nothing looser."""
    assert "unauthorized" == outcome_of_header(authorization)


def test_enormous_tokens() -> None:
    """CVE-2025-61920, CVE-2025-65015: a size is refused before anything is decoded."""
    padding = "x" * 20_000
    for token in (
        signed_token(valid_claims(aio=padding)),
        signed_token(pad=padding),
        "A" * 500_000,
    ):
        assert "unauthorized" == outcome(token)


def test_signature_over_a_re_encoded_header() -> None:
    """RFC 7515 section 5.2: the signature is over what was received, not over what it means."""
    spaced = base64url(json.dumps(header(), indent=1).encode())

    assert "unauthorized" == outcome(f"{spaced}.{CLAIMS}.{SIGNATURE}")
    signing_input = f"{spaced}.{CLAIMS}"
    assert "allowed" == outcome(f"{signing_input}.{base64url(sign(signing_input.encode()))}")
