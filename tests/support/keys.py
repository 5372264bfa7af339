"""RSA keys to sign with, and the same keys as an issuer publishes them."""

import base64
import json
from collections.abc import Mapping

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from aws_authorizer.signing_key import SigningKey, parse_signing_key

TENANT_ID = "11111111-2222-4333-8444-555555555555"
ISSUER = f"https://login.microsoftonline.com/{TENANT_ID}/v2.0"
KEY_ID = "key-1"


def base64url(encoded: bytes) -> str:
    """Unpadded base64url."""
    return base64.urlsafe_b64encode(encoded).rstrip(b"=").decode()


def unsigned(number: int) -> str:
    """A Base64urlUInt (RFC 7518 section 2)."""
    return base64url(number.to_bytes((number.bit_length() + 7) // 8))


_private_keys: dict[tuple[str, int], rsa.RSAPrivateKey] = {}


def private_key(name: str = KEY_ID, bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key pair; the same one each time for the same name, because making one is slow."""
    if (name, bits) not in _private_keys:
        made = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        _private_keys[name, bits] = made
    return _private_keys[name, bits]


def sign(signing_input: bytes, key: rsa.RSAPrivateKey | None = None) -> bytes:
    """An RS256 signature."""
    return (key or private_key()).sign(signing_input, padding.PKCS1v15(), hashes.SHA256())


def jwk(key_id: str = KEY_ID, *, bits: int = 2048, **changes: object) -> dict[str, object]:
    """The public key as a tenant publishes it; a change to None leaves the member out."""
    numbers = private_key(key_id, bits).public_key().public_numbers()
    members: dict[str, object] = {
        "kty": "RSA",
        "use": "sig",
        "kid": key_id,
        "n": unsigned(numbers.n),
        "e": unsigned(numbers.e),
        "issuer": ISSUER,
    }
    return {name: value for name, value in (members | changes).items() if value is not None}


def key_set(*entries: Mapping[str, object], **members: object) -> bytes:
    """A JWK Set; with the one usual key if no entries are given."""
    return json.dumps({"keys": list(entries) or [jwk()]} | members).encode()


def signing_key(key_id: str = KEY_ID, *, issuer: str | None = ISSUER) -> SigningKey:
    """The key as the authorizer holds it."""
    key = parse_signing_key(jwk(key_id, issuer=issuer))
    assert key is not None
    return key
