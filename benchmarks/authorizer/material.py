"""What every contender is given: a tenant's key set, and tokens that nobody has seen yet.

All of it is made anew for each run and shared through files, so that every contender reads the same
bytes.
"""

import base64
import json
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import batched
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from shared.entra import CLOUDS, TokenVersion

TENANT_ID: Final = "11111111-2222-4333-8444-555555555555"
API_CLIENT_ID: Final = "aaaaaaaa-0000-4000-8000-000000000001"
CLIENT_ID: Final = "bbbbbbbb-0000-4000-8000-000000000001"
OBJECT_ID: Final = "bbbbbbbb-0000-4000-8000-000000000002"
ISSUER: Final = CLOUDS["public"].issuer(TENANT_ID, TokenVersion.V2)
METHOD_ARN: Final = "arn:aws:execute-api:eu-west-1:111122223333:abcdef1234/prod/GET/v1/records/EDDF"

KEYS: Final = 6
"""As many as Entra ID usually publishes for a tenant."""
SIGNING_KEY: Final = 3
"""The one of them that signs at the moment."""
TOKEN_CHARACTERS: Final = 1_287
CLAIMS: Final = 18
LIFETIME_SECONDS: Final = 3_600

TOKENS_FILE: Final = "tokens"
"""One token a line; all lines are equally long, so that the n-th is found by seeking."""
KEY_SET_FILE: Final = "key_set.json"
"""The key set, with the member that says when it was retrieved."""
SETTINGS_FILE: Final = "settings.json"


class SigningPair(NamedTuple):
    """A private key, and what the tenant publishes of it."""

    private_key: rsa.RSAPrivateKey
    jwk: dict[str, object]

    @property
    def key_id(self) -> str:
        """The key's `kid`."""
        return str(self.jwk["kid"])


def base64url(octets: bytes) -> str:
    """Return the octets in base64url without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _unsigned(number: int) -> str:
    return base64url(number.to_bytes((number.bit_length() + 7) // 8))


def _self_signed(key: rsa.RSAPrivateKey, now: datetime) -> bytes:
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, "accounts.accesscontrol.windows.net")]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.DER)


def make_signing_pair(now: int) -> SigningPair:
    """A 2,048-bit key, published with the members that Entra ID writes."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    numbers = key.public_key().public_numbers()
    certificate = _self_signed(key, datetime.fromtimestamp(now, UTC))
    thumbprint = hashes.Hash(hashes.SHA1())  # noqa: S303 - what `x5t` is defined as (RFC 7517)
    thumbprint.update(certificate)
    key_id = base64url(thumbprint.finalize())
    return SigningPair(
        key,
        {
            "kty": "RSA",
            "use": "sig",
            "kid": key_id,
            "x5t": key_id,
            "n": _unsigned(numbers.n),
            "e": _unsigned(numbers.e),
            "x5c": [base64.b64encode(certificate).decode()],
            "issuer": ISSUER,
        },
    )


def claims(number: int, now: int, padding_characters: int) -> dict[str, object]:
    """Return the claims of one token, as Entra ID writes them."""
    return {
        "aud": API_CLIENT_ID,
        "iss": ISSUER,
        "iat": now,
        "nbf": now,
        "exp": now + LIFETIME_SECONDS,
        "aio": "A" * padding_characters,
        "azp": CLIENT_ID,
        "azpacr": "2",
        "idtyp": "app",
        "oid": OBJECT_ID,
        "rh": "1.AAAA" + "0" * 42,
        "roles": ["Records.Read", "Records.Write"],
        "sub": OBJECT_ID,
        "tid": TENANT_ID,
        "uti": f"{number:022d}",
        "ver": "2.0",
        "xms_ftd": "B" * 44,
        "xms_rd": "C" * 32,
    }


def _to_segment(members: dict[str, object]) -> str:
    return base64url(json.dumps(members, separators=(",", ":")).encode())


def _padding_characters(key_id: str, now: int) -> int:
    """How long the padding claim must be for a token of the wanted length."""
    signature_characters = 342
    head = _to_segment(header(key_id))
    wanted = TOKEN_CHARACTERS - len(head) - signature_characters - 2
    return next(n for n in range(1_000) if len(_to_segment(claims(0, now, n))) >= wanted)


def header(key_id: str) -> dict[str, object]:
    """Return the header of a token that the key signs."""
    return {"typ": "JWT", "alg": "RS256", "kid": key_id}


def forge(token: str) -> str:
    """Return the token with another character inside its signature: well formed, and wrong."""
    return f"{token[:-50]}{'A' if token[-50] != 'A' else 'B'}{token[-49:]}"


def _sign_tokens(pem: bytes, key_id: str, now: int, numbers: Iterable[int]) -> bytes:
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)  # noqa: S101 - we wrote it
    head, padding_characters = _to_segment(header(key_id)), _padding_characters(key_id, now)
    lines = []
    for number in numbers:
        signing_input = f"{head}.{_to_segment(claims(number, now, padding_characters))}"
        signature = key.sign(signing_input.encode(), padding.PKCS1v15(), hashes.SHA256())
        lines.append(f"{signing_input}.{base64url(signature)}\n")
    return "".join(lines).encode()


def write_material(folder: Path, tokens: int, now: int, key_set_url: str) -> int:
    """Write the key set, the tokens and the settings; how many octets a token's line has."""
    pairs = [make_signing_pair(now) for _ in range(KEYS)]
    key_set = {"keys": [pair.jwk for pair in pairs], "retrieved_at": now}
    (folder / KEY_SET_FILE).write_text(json.dumps(key_set))
    signing = pairs[SIGNING_KEY]
    pem = signing.private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    # The key goes to this run's own processes and nowhere else. They are not forked, because a fork
    # of a process with threads, such as the key set's server, may hang.
    spawning = get_context("spawn")
    with (
        ProcessPoolExecutor(mp_context=spawning) as pool,
        (folder / TOKENS_FILE).open("wb") as file,
    ):
        parts = [
            pool.submit(_sign_tokens, pem, signing.key_id, now, numbers)
            for numbers in batched(range(tokens), 500, strict=False)
        ]
        for part in parts:
            file.write(part.result())
    (folder / SETTINGS_FILE).write_text(
        json.dumps(
            {
                "issuer": ISSUER,
                "audience": API_CLIENT_ID,
                "key_id": signing.key_id,
                "key_set_url": key_set_url,
                "method_arn": METHOD_ARN,
            }
        )
    )
    return (folder / TOKENS_FILE).stat().st_size // tokens
